"""The trainer, on a handful of made-up pictures. Optional: it needs the extra `train`."""

import csv
import importlib
import json
import subprocess
import sys
import zipfile

import numpy as np
import onnx
import pytest
from PIL import Image

from cam_numpy import load
from tests.conftest import scene
from weights.tiny_imagenet import TinyImageNet

torch = pytest.importorskip("torch", reason="torch comes with the extra `train`")
train = importlib.import_module("weights.train")  # only where torch is there

WNIDS = ["n00000001", "n00000002", "n00000003"]


@pytest.fixture
def data(tmp_path):
    """The public layout with 3 classes of 6 training pictures, and 4 validation pictures."""
    root = tmp_path / "tiny-imagenet-200"
    root.mkdir()
    (root / "wnids.txt").write_text("\n".join(WNIDS) + "\n", encoding="utf-8")
    words = "".join(f"{wnid}\tthing {wnid[-1]}, Res\n" for wnid in ["n00000009", *WNIDS])
    (root / "words.txt").write_text(words, encoding="utf-8")
    for c, wnid in enumerate(WNIDS):
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
        rows.append(f"val_{i}.JPEG\t{WNIDS[i % 3]}\t0\t0\t9\t9\n")
    (root / "val" / "val_annotations.txt").write_text("".join(rows), encoding="utf-8")
    return root


def run(data, folder, *options):
    folder.mkdir(exist_ok=True)
    train.main([str(data), "--out", str(folder / "net.onnx"), "--state", str(folder / "state.pt"),
                "--schedule", "1x16,1x24", *options])
    return load(folder / "net.onnx")


def test_trains_exports_and_describes(data, tmp_path, capsys):
    network = run(data, tmp_path / "a", "--per-class", "5")
    assert network.classes == ["thing 1, Res", "thing 2, Res", "thing 3, Res"]
    assert network.preprocessing.size == train.Recipe.size and network.w.shape == (3, 256)
    assert "of 4 validation pictures" in network.metadata["accuracy"]
    onnx.checker.check_model(onnx.load(network.path), full_check=True)
    with open(tmp_path / "a" / "state.csv", encoding="utf-8") as file:
        log = list(csv.DictReader(file))
    assert [(row["epoch"], row["size"]) for row in log] == [("1", "16"), ("2", "24")]
    assert "epoch 2/2" in capsys.readouterr().out
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["net.onnx", "state.csv", "state.pt"]


def test_an_interrupted_training_ends_like_an_uninterrupted_one(data, tmp_path, monkeypatch):
    whole = run(data, tmp_path / "a")
    epoch = train.Trainer.epoch

    def interrupted(self, number, *arguments, **options):
        if number == 1:
            raise KeyboardInterrupt
        return epoch(self, number, *arguments, **options)

    monkeypatch.setattr(train.Trainer, "epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path / "b")
    assert not (tmp_path / "b" / "net.onnx").exists()
    monkeypatch.setattr(train.Trainer, "epoch", epoch)
    resumed = run(data, tmp_path / "b")
    np.testing.assert_allclose(resumed.w, whole.w, rtol=1e-5, atol=1e-6)


def test_a_checkpoint_of_another_recipe_is_refused(data, tmp_path):
    run(data, tmp_path / "a")
    with pytest.raises(SystemExit, match="was made by another recipe"):
        run(data, tmp_path / "a", "--schedule", "1x32")


def test_the_zip_and_the_folder_give_the_same_pictures(data, tmp_path):
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        for path in data.rglob("*"):
            archive.write(path, path.relative_to(data.parent).as_posix())
    for ours, theirs in zip(TinyImageNet(data).train(4), TinyImageNet(tmp_path / "t.zip").train(4)):
        np.testing.assert_array_equal(ours, theirs)
    assert TinyImageNet(tmp_path).wnids == WNIDS  # the folder above is understood too


@pytest.mark.parametrize("options, message", [
    (["nowhere"], "no Tiny ImageNet in nowhere"), (["x", "--schedule", "3x10"], "sizes being multiples of 8"),
])
def test_wrong_arguments(tmp_path, capsys, options, message):
    with pytest.raises(SystemExit) as stopped:
        train.main(options)
    assert stopped.value.code == 2 and message in capsys.readouterr().err


def test_muon_makes_all_directions_move_alike():
    G = torch.randn(5, 12, generator=torch.Generator().manual_seed(0))
    singular = torch.linalg.svdvals(train.orthogonal(G))
    assert singular.min() > 0.6 and singular.max() < 1.3  # bfloat16, five steps


def test_the_learning_rate_rises_and_falls():
    assert train.rate(0.05, 0.1) == 0.5 and train.rate(0.1, 0.1) == 1 and train.rate(1, 0.1) == 0
    assert train.rate(0.55, 0.1) == pytest.approx(0.5)


def test_crops_stay_inside_and_flip():
    x = torch.arange(16.0).view(1, 1, 1, 16).expand(40, 3, 16, 16).contiguous()
    crops = train.random_crops(x, 8, (0.35, 1.0), torch.Generator().manual_seed(0))
    assert crops.shape == (40, 3, 8, 8) and crops.min() >= 0 and crops.max() <= 15
    rising = (crops[:, 0, 0, -1] > crops[:, 0, 0, 0]).float().mean()
    assert 0.25 < rising < 0.75


def test_help_needs_no_data():
    done = subprocess.run([sys.executable, "-m", "weights.train", "--help"],
                          capture_output=True, text=True, check=True)
    assert "--schedule" in done.stdout


def test_an_exported_network_is_unfolded_whole(data, tmp_path):
    """The torch network computes what the file computes.

    Its live batch norm does, too, on the pictures on which it was measured.
    """
    exported = run(data, tmp_path / "a")
    x = torch.randn(6, 3, 24, 40, generator=torch.Generator().manual_seed(1))
    network = train.PooledNetwork(3)
    train.unfold(exported.path, network, [x])
    for mode in (network.eval, network.train):
        mode()
        with torch.no_grad():
            S = network(x).numpy()
        for one, own in zip(x.numpy(), S):
            np.testing.assert_allclose(exported.run(one)[1], own, rtol=1e-3, atol=1e-3)
    assert all(m.weight.requires_grad for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d))


def test_going_on_with_max_pooling(data, tmp_path):
    start = run(data, tmp_path / "a").path
    network = run(data, tmp_path / "b", "--pooling", "max", "--start", str(start), "--schedule", "1x16")
    assert network.form.name == "gmp" and network.metadata["pooling"] == "max"
    recipe = json.loads(network.metadata["recipe"])
    assert recipe["start"] == "net.onnx" and recipe["sgd_rate"] == train.Recipe.sgd_rate / 10


@pytest.mark.parametrize("content, message", [
    (None, "cannot be read"), (b"hello", "cannot be read"),
    ("small", "has 2 layers with weights, the network has"),
])
def test_a_start_that_does_not_fit_is_refused(data, tmp_path, small, content, message, capsys):
    path = tmp_path / "start.onnx"
    if content is not None:
        path.write_bytes(small.read_bytes() if content == "small" else content)
    with pytest.raises(SystemExit) as stop:
        train.main([str(data), "--start", str(path), "--state", str(tmp_path / "s.pt"),
                    "--out", str(tmp_path / "o.onnx")])
    assert stop.value.code == 2 and message in capsys.readouterr().err and not (tmp_path / "o.onnx").exists()
