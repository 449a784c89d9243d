"""What several tests need: a small network, photos, the shipped network."""

import signal
import zipfile

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from cam_numpy import load
from tests import networks

# a shell lets what it starts in the background ignore Ctrl-C, and all that this starts would inherit it
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def small(tmp_path):
    """The path of a network with K=5 units and C=7 classes."""
    return networks.classifier(tmp_path / "small.onnx")


@pytest.fixture(scope="session")
def shipped():
    """The network that comes with cam_numpy."""
    return load()


@pytest.fixture(scope="session")
def max_pooled():
    """The other one, which pools with the maximum."""
    return load("tiny-imagenet-gmp")


@pytest.fixture
def photo(tmp_path):
    """The path of a made-up photo of 60 x 40 pixels."""
    path = tmp_path / "photo.png"
    Image.fromarray(scene(40, 60)).save(path)
    return path


@pytest.fixture
def tiny_imagenet(tmp_path, shipped):
    """The public layout with 3 classes of 6 training pictures, and 4 validation pictures."""
    root, wnids = tmp_path / "tiny-imagenet-200", shipped.wnids[:3]
    root.mkdir()
    (root / "wnids.txt").write_text("\n".join(wnids) + "\n", encoding="utf-8")
    words = "".join(f"{wnid}\tthing {c}, Res\n" for c, wnid in enumerate([*wnids, "n00000009"]))
    (root / "words.txt").write_text(words, encoding="utf-8")
    for c, wnid in enumerate(wnids):
        images = root / "train" / wnid / "images"
        images.mkdir(parents=True)
        names = [f"{wnid}_{i}.JPEG" for i in range(6)]
        for i, name in enumerate(names):
            picture = scene(64, 64, 10 * c + i) // 2
            picture[..., c] += 100
            Image.fromarray(picture).save(images / name)
        boxes = "".join(f"{name}\t0\t0\t9\t9\n" for name in names)
        (root / "train" / wnid / f"{wnid}_boxes.txt").write_text(boxes, encoding="utf-8")
    (root / "val" / "images").mkdir(parents=True)
    rows = []
    for i in range(4):
        Image.fromarray(scene(64, 64, 100 + i)).save(root / "val" / "images" / f"val_{i}.JPEG")
        rows.append(f"val_{i}.JPEG\t{wnids[i % 3]}\t0\t0\t9\t9\n")
    (root / "val" / "val_annotations.txt").write_text("".join(rows), encoding="utf-8")
    return root


def scene(height, width, seed=0):
    """A smooth random picture, (height, width, 3) uint8."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR))


def zipped(folder, path, inside=""):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, inside + file.relative_to(folder).as_posix())
    return path


def assert_texts_fit(figure):
    """No text of a figure runs over its edge."""
    renderer = figure.canvas.get_renderer()
    inside = [one for axes in figure.axes for one in axes.get_children()]  # titles as well
    texts = [one for one in inside if isinstance(one, Text) and one.get_text()]
    for text in [*figure.texts, *figure.legends, *texts]:
        box = text.get_window_extent(renderer)
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1, text


def pytest_collection_modifyitems(items):
    """Start the lessons first: they take a while, and run in processes of their own."""
    items.sort(key=lambda item: item.name != "test_all_lessons_are_started")
