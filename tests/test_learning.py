"""Classes of your own (Section 4): `learn`, and `cam-numpy learn`."""

import gc
import json
import re
import threading
import time
import tracemalloc

import numpy as np
import onnx
import pytest
from PIL import Image

import cam_numpy
from cam_numpy import InputError, class_scores, explain, global_average_pool, learn, load
from cam_numpy.__main__ import main
from cam_numpy.errors import CamNotApplicable
from cam_numpy.image.photo import portrait
from cam_numpy.learning import new_classes
from cam_numpy.network.locate import shipped as shipped_path
from cam_numpy.paper.localisation import interval
from cam_numpy.paper.probe import fit_classifier
from cam_numpy.parallel import in_order
from tests import networks
from tests.conftest import scene
from tests.test_exports import APPLIES, EXPORTS

COLOURS = {"red": (220, 40, 30), "green": (30, 200, 60), "blue": (40, 30, 210)}
FACE = 160, 135, 376, 330  # in the portrait, by eye: from the cap to the chin, from ear to ear


def tinted(colour, seed, size=(40, 60)):
    """A made-up photo of a class, (h, w, 3) uint8: a scene with a tint."""
    return (scene(*size, seed) // 2 + np.array(COLOURS[colour]) // 2).astype(np.uint8)


def many(count=8, **options):
    """A dict of made-up photos."""
    return {name: [tinted(name, seed, **options) for seed in range(count)] for name in COLOURS}


@pytest.fixture
def folder(tmp_path):
    """Eight photos of each class, and what else lies about in folders."""
    for name, photos in many().items():
        (tmp_path / "photos" / name / "deeper").mkdir(parents=True)
        for i, photo in enumerate(photos):
            place = tmp_path / "photos" / name / ("deeper" if i % 2 else "")
            Image.fromarray(photo).save(place / f"{i}.{'PNG' if i % 3 else 'png'}")
    (tmp_path / "photos" / ".cache").mkdir()
    (tmp_path / "photos" / "readme.txt").write_text("not a class", encoding="utf-8")
    (tmp_path / "photos" / "red" / "notes.txt").write_text("not a photo", encoding="utf-8")
    (tmp_path / "photos" / "red" / "._0.png").write_text("not a photo", encoding="utf-8")
    return tmp_path / "photos"


# --- in Python ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", [*APPLIES, "tiny-imagenet-gap", "tiny-imagenet-gmp"])
def test_new_classes_on_every_family(name):
    """Theorem: the new network's own scores are F w^T + b, with the w and b of the regression."""
    network = load(EXPORTS / f"{name}.onnx" if name in APPLIES else name)
    photos = many(3, size=(80, 120))
    learned = learn(photos, network, test=0)
    F = np.array([global_average_pool(network.see(photo).f) for name in photos for photo in photos[name]])
    w, b, *_ = fit_classifier(F, np.repeat(range(3), 3))
    np.testing.assert_array_equal(learned.w, np.float32(w))
    np.testing.assert_array_equal(learned.b, np.float32(b))
    assert learned.classes == list(COLOURS) and learned.form.verdict == "exact" and learned.assumed == []
    for i in (0, 5):
        e = explain(photos[learned.classes[i // 3]][i % 3], learned)  # it checks S_c = mean M_c + b_c
        np.testing.assert_allclose(e.S, class_scores(F[i], w, b), rtol=1e-3, atol=2e-3 * np.abs(e.S).max())
    assert learned.preprocessing == network.preprocessing


def test_what_the_file_says_of_itself(small, shipped, tmp_path):
    learned = learn(many(), load(small), out=tmp_path / "new.onnx", l2=0.03)
    assert learned.path == tmp_path / "new.onnx"
    low, high = interval(np.ones(6))
    assert learned.metadata["accuracy"] == (
        f"100.0% of 6 photos kept aside (95 % interval {low:.1%} to {high:.1%}); always \"red\": 33.3%")
    assert learned.metadata["name"] == "new"
    assert learned.metadata["training_data"] == "photos of the user's own: red 6, green 6, blue 6"
    assert json.loads(learned.metadata["recipe"]) == {"classifier": "softmax regression on F_k", "l2": 0.03}
    assert json.loads(learned.metadata["body"]) == {"file": "small.onnx"}
    again = json.loads(learn(many(), learned).metadata["body"])  # a body of a body
    assert again["file"] == "new.onnx" and json.loads(again["body"]) == {"file": "small.onnx"}
    body = json.loads(learn(many(2)).metadata["body"])
    assert body["file"] == "tiny-imagenet-gap.onnx" and body["accuracy"] == shipped.metadata["accuracy"]
    assert "non-commercial" in body["licence"]


def test_every_fourth_photo_is_kept_aside_and_judged(small):
    """The others are learned from; one that is labelled wrongly is a confusion."""
    photos, network = many(), load(small)
    photos["red"][3] = photos["blue"][2]
    found = new_classes(photos, network)
    assert found.learned == [6, 6, 6] and found.aside == 6
    assert found.confusion.tolist() == [[1, 0, 1], [0, 2, 0], [0, 0, 2]]
    assert found.accuracy == pytest.approx(5 / 6) and found.baseline == ("red", pytest.approx(1 / 3))
    assert found.interval == interval(np.array([1, 1, 1, 1, 1, 0]))
    kept = [i for i in range(8) if i not in (3, 7)]
    F = np.array([network.see(photos[name][i]).f.mean(axis=(1, 2)) for name in photos for i in kept])
    np.testing.assert_allclose(found.classifier.w, fit_classifier(F, np.repeat(range(3), 6)).w, rtol=1e-6)
    assert repr(found).startswith("<NewClasses red, green, blue: 83.3% of 6 photos kept aside")


@pytest.mark.parametrize("count, test, aside", [
    (8, 0.25, 2), (3, 0.25, 0), (10, 0.3, 3), (7, 0.7, 4), (2, 0, 0)])
def test_how_many_are_kept_aside(small, count, test, aside):
    found = new_classes(many(count), load(small), test=test)
    assert found.confusion.sum(axis=1).tolist() == [aside] * 3 and found.learned == [count - aside] * 3
    if not aside:
        assert (found.accuracy, found.interval, found.baseline) == (None, None, None)
        assert found.measured == "not measured, as no photos were kept aside"


def test_photos_come_as_paths_pictures_arrays_and_folders(folder, small):
    network = load(small)
    paths = {name: [folder / name / ("deeper" if i % 2 else "") / f"{i}.{'PNG' if i % 3 else 'png'}"
                    for i in [0, 2, 4, 6, 1, 3, 5, 7]] for name in ("blue", "green", "red")}
    given = [
        folder, str(folder), {name: folder / name for name in paths}, paths,
        {name: [str(path) for path in of_class] for name, of_class in paths.items()},
        {name: [Image.open(path) for path in of_class] for name, of_class in paths.items()},
        {name: (np.asarray(Image.open(path)) for path in of_class) for name, of_class in paths.items()},
    ]
    for photos in given:
        found = new_classes(photos, network)
        assert found.names == ["blue", "green", "red"] and found.learned == [6, 6, 6] and not found.skipped
        np.testing.assert_array_equal(found.classifier.w, new_classes(folder, network).classifier.w)


def test_without_a_name_the_file_is_gone_with_the_network(small):
    learned = learn(many(2), load(small))
    path = learned.path
    assert path.exists() and explain(tinted("red", 99), learned).top(1)[0].name == "red"
    del learned
    gc.collect()
    assert not path.exists() and not path.parent.exists()


def test_a_bad_photo_is_named_and_skipped(folder, small):
    (folder / "red" / "0.png").write_bytes(b"not a picture")
    with pytest.warns(UserWarning, match=r"skipped: .*0\.png is not an image that Pillow can read"):
        learned = learn(folder, load(small))
    assert learned.metadata["training_data"].endswith("blue 6, green 6, red 6")  # of 7 red ones 1 is aside


def test_progress_counts_photos(small):
    told = []
    new_classes(many(), load(small), progress=lambda done, total: told.append((done, total)))
    assert told == [(i, 24) for i in range(1, 25)]


def test_memory_does_not_grow_with_the_number_of_photos(small, tmp_path):
    """Only F is kept, of each photo K numbers."""
    network, peaks = load(small, threads=1), []
    Image.fromarray(tinted("red", 0, (240, 320))).save(tmp_path / "red.png")
    Image.fromarray(tinted("blue", 0, (240, 320))).save(tmp_path / "blue.png")
    photos = {name: [tmp_path / f"{name}.png"] * 10 for name in ("red", "blue")}
    new_classes(photos, network, l2=0.1)  # what is imported and kept once
    for times in (1, 10):
        tracemalloc.start()
        new_classes({name: of_class * times for name, of_class in photos.items()}, network, l2=0.1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # 180 photos more have 41 MB; two at work overlap by chance
    assert peaks[1] - peaks[0] < 2_000_000


def test_work_is_in_order_and_only_a_few_items_ahead():
    started, at_once, running, lock = [], [0], [0], threading.Lock()

    def work(i):
        with lock:
            started.append(i)
            running[0] += 1
            at_once[0] = max(at_once[0], running[0])
        time.sleep(0.002 * (i % 3))
        with lock:
            running[0] -= 1
        return i * i

    ahead = []
    for done, future in enumerate(in_order(work, range(40), workers=2)):
        assert future.result() == done * done
        ahead.append(len(started) - done - 1)
    assert max(ahead) <= 4 and at_once[0] == 2 and sorted(started) == list(range(40))


@pytest.mark.parametrize("photos, options, message", [
    ({"cat": 3}, {}, "there is only one class, 'cat'; a classifier needs two"),
    ({"cat": 3, "dog": 1}, {}, "the class 'dog' has 1 photo; at least 2 are needed; give more"),
    ({"cat": 3, "dog": 0}, {}, "the class 'dog' has 0 photos; at least 2 are needed; give more"),
    ({"cat": 4, "dog": 4}, {"test": 0.8}, "has 1 photo to learn from, as 3 of 4 are kept aside (test 0.8)"),
    ({"cat": 4, "dog": 4}, {"test": 1}, "test is 1; it is the fraction of photos kept aside; give 0 or more"),
    ({"cat": 4, "dog": 4}, {"l2": 0}, "l2 is 0; it is the weight of the penalty"),
    ([1, 2], {}, 'photos is list; it holds the photos of each class; give a folder, or a dict such as {"'),
    ({}, {}, "photos is dict; it holds the photos of each class"),
])
def test_what_cannot_be_learned_from_is_refused(small, photos, options, message):
    if isinstance(photos, dict):
        photos = {name: [tinted("red", i) for i in range(count)] for name, count in photos.items()}
    with pytest.raises(InputError, match=re.escape(message)) as refused:
        learn(photos, small, **options)
    assert "\n" not in str(refused.value)


def test_too_few_photos_that_can_be_read(small, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"")
    photos = {"red": [tinted("red", 1), tmp_path / "bad.png"], "blue": [tinted("blue", 1)] * 2}
    with pytest.raises(InputError, match=r"'red' has 1 photo that can be read \(.*bad\.png is empty"):
        learn(photos, small)


def test_a_network_to_which_cam_does_not_apply_is_refused(tmp_path):
    with pytest.raises(CamNotApplicable, match="vgg"):
        learn(many(2), EXPORTS / "vgg.onnx")


def test_the_preprocessing_goes_with_the_network(tmp_path):
    """That of the body, whoever said it: w and b were learned with it."""
    path = networks.classifier(tmp_path / "n.onnx", x=(1, 3, 8, 12), metadata=None)
    network = load(path, preprocessing="caffe")
    learned = learn(many(2), network)
    assert learned.preprocessing == network.preprocessing and learned.assumed == []
    assert learned.preprocessing.bgr and learned.preprocessing.size == (12, 8)


def test_learn_is_public():
    assert cam_numpy.learn is learn and "learn" in dir(cam_numpy)


# --- the command -----------------------------------------------------------------------------------

@pytest.fixture
def run(small, tmp_path, monkeypatch, capsys):
    """Run `cam-numpy learn` in an empty folder: status, stdout, stderr."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def command(*arguments):
        status = main(["learn", "--model", str(small), *map(str, arguments)])
        return status, *capsys.readouterr()

    return command


def test_the_command_learns_measures_and_writes(run, folder, tmp_path, capsys):
    status, text, errors = run(folder)
    assert (status, errors) == (0, "")
    lines = text.splitlines()
    assert lines[0] == "photos   learned from 18: blue 6, green 6, red 6"
    assert lines[1] == "network  small.onnx, F (5,)"
    assert re.match(r"learned  w \(3, 5\) and b \(3,\) by softmax regression, l2 = [\d.]+ \(5-fold", lines[2])
    assert "converged: gradient " in text and max(map(len, lines)) <= 80
    assert "accuracy 100.0% of 6 photos kept aside (95 % interval 61.0% to 100.0%); always\n" in text
    assert lines[-6:] == [
        "         photos of   named    blue   green     red",
        "         blue                    2       0       0",
        "         green                   0       2       0",
        "         red                     0       0       2",
        "", "wrote    learned.onnx"]
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["learned.onnx"]
    onnx.checker.check_model("learned.onnx")
    photo = str(folder / "green" / "0.png")
    assert main(["explain", photo, "--model", "learned.onnx"]) == 0
    text = capsys.readouterr().out
    assert "It holds." in text and "assumed" not in text and "\ngreen, unit by unit" in text
    assert main(["inspect", "learned.onnx"]) == 0


def test_json_has_everything(run, folder):
    status, text, _ = run(folder, "--json", "--test", "0.5", "--l2", "0.1")
    told = json.loads(text)
    assert told["classes"][0] == {"name": "blue", "learned": 4, "aside": 4}
    assert told["accuracy"] == 1 and told["interval"][1] == 1 and told["baseline"]["class"] == "blue"
    assert told["confusion"] == [[4, 0, 0], [0, 4, 0], [0, 0, 4]]
    assert (told["l2"], told["l2_source"], told["converged"]) == (0.1, "given", True)
    assert told["gradient"] <= 1e-8 and told["files"] == ["learned.onnx"] and told["skipped"] == []


def test_all_photos_can_be_learned_from(run, folder):
    _, text, _ = run(folder, "--test", "0")
    assert "learned from 24" in text and "accuracy not measured, as no photos were kept aside\n" in text
    assert "named" not in text
    _, text, _ = run(folder, "--test", "0", "--force", "--json")
    told = json.loads(text)
    assert told["accuracy"] is told["interval"] is told["baseline"] is None


def test_many_classes_fit_80_columns(run, tmp_path):
    """A table would be too wide: the most frequent confusions are listed."""
    for i in range(12):
        (tmp_path / "many" / f"{i:02} a class of a rather long name").mkdir(parents=True)
        for j in range(4):
            photo = Image.fromarray(scene(40, 60, j if i < 2 else i))  # the first two are the same
            photo.save(tmp_path / "many" / f"{i:02} a class of a rather long name" / f"{j}.png")
    _, text, _ = run(tmp_path / "many")
    assert max(map(len, text.splitlines())) <= 80 and " and 2 classes more" in text
    assert "the most frequent confusions:\n" in text and " named " in text and ": 1 of 1\n" in text


def test_an_assumption_is_printed(run, folder, tmp_path):
    bare = networks.classifier(tmp_path / "bare.onnx", metadata=None)
    status, text, _ = run(folder, "--model", bare)
    assert status == 0 and "assumed  it does not say how photos are to be prepared" in text
    assert "class 0" not in text


def test_bad_photos_are_named_and_skipped(run, folder):
    for i in range(4):
        (folder / "red" / "deeper" / f"bad {i}.jpg").write_bytes(b"x")
    status, text, errors = run(folder)
    assert status == 0 and "red 6" in text
    assert [re.match(r"cam-numpy: skipped: .*bad (\d)\.jpg is not an image", line)[1]
            for line in errors.splitlines()] == list("0123")
    for i in range(4, 15):
        (folder / "red" / "deeper" / f"bad {i}.jpg").write_bytes(b"x")
    _, text, errors = run(folder, "--force", "--json")
    assert errors.splitlines()[10:] == ["cam-numpy: skipped: 5 photos more"]
    assert len(json.loads(text)["skipped"]) == 15


def test_a_file_is_not_replaced_without_force(run, folder, tmp_path):
    out = tmp_path / "here" / "mine.onnx"
    out.write_bytes(b"precious")
    began = time.monotonic()
    status, text, errors = run(folder, "--out", out)
    assert (status, text) == (2, "") and out.read_bytes() == b"precious"
    assert errors == f"cam-numpy: {out} is there already; give another name, or allow to replace it (force)\n"
    assert time.monotonic() - began < 5  # before any photo is looked at
    assert run(folder, "--out", out, "--force")[0] == 0 and load(out).classes == ["blue", "green", "red"]


@pytest.mark.parametrize("arguments, message", [
    (["no such"], "no such: there is no such folder; check the name"),
    (["file.txt"], "file.txt is a file; give a folder"),
    (["empty"], "empty has no folders in it; put the photos of each class into a folder of their own"),
    (["one"], "there is only one class, 'cat'; a classifier needs two"),
    (["few"], "the class 'dog' has 1 photo; at least 2 are needed; give more"),
    (["none"], "the class 'dog' has 0 photos; at least 2 are needed; give more"),
    (["few", "--out", "."], ". is a folder; give the name of the .onnx file"),
    (["few", "--out", "no/such.onnx"], "such.onnx cannot be written, as no is not a folder that may be"),
])
def test_bad_input_is_one_line_and_nothing_is_written(run, tmp_path, arguments, message):
    here = tmp_path / "here"
    (here / "file.txt").write_text("text", encoding="utf-8")
    for name in ("empty", "one/cat", "few/cat", "few/dog", "none/cat", "none/dog"):
        (here / name).mkdir(parents=True)
    for name in ("one/cat/1", "one/cat/2", "few/cat/1", "few/cat/2", "few/dog/1", "none/cat/1", "none/cat/2"):
        Image.fromarray(tinted("red", 1)).save(here / f"{name}.png")
    before = sorted(here.rglob("*"))
    status, text, errors = run(*arguments)
    assert (status, text) == (2, "") and errors.count("\n") == 1
    assert message in errors.replace("\\", "/") and sorted(here.rglob("*")) == before


@pytest.mark.parametrize("l2", ["strong", "0", "-1", "nan", "1e9"])
def test_a_malformed_l2(run, folder, capsys, l2):
    with pytest.raises(SystemExit) as stopped:
        run(folder, f"--l2={l2}")
    assert stopped.value.code == 2
    assert f"--l2: '{l2}': give a number from 1e-6 to 1e6, or \"auto\"" in capsys.readouterr().err


def hard_link(source, path):
    path.unlink(missing_ok=True)
    path.hardlink_to(source)
    return path


@pytest.mark.parametrize("out", ["n" * 300, "no\0name.onnx", "small.onnx/in.onnx"])
def test_a_name_that_no_file_can_have(run, folder, small, monkeypatch, out):
    monkeypatch.setattr("cam_numpy.network.network.Network.see", None)  # no photo is looked at
    monkeypatch.chdir(small.parent)
    status, text, errors = run(folder, "--out", out)
    assert (status, text) == (2, "") and " cannot be written" in errors and errors.count("\n") == 1


@pytest.mark.parametrize("given", ["the model", "another name of it", "a photo"])
def test_no_input_is_written_over(run, folder, tmp_path, small, given):
    out = {"the model": small, "a photo": folder / "red" / "0.png"}.get(given) or hard_link(
        small, tmp_path / "same.onnx")
    before = out.read_bytes()
    status, text, errors = run(folder, "--out", out, "--force")
    assert (status, text) == (2, "") and out.read_bytes() == before
    assert errors == f"cam-numpy: {out} is an input, and would be written over; give another name\n"
    with pytest.raises(InputError, match="is an input, and would be written over"):
        learn(folder, load(small), out=out, force=True)
    with pytest.raises(InputError, match="is an input, and would be written over"):
        learn({"red": folder / "red", "blue": [str(folder / "blue" / "0.png")] * 4}, small,
              out=out, force=True)
    assert out.read_bytes() == before


def test_a_disk_that_is_full_leaves_nothing_and_loses_nothing(run, folder, tmp_path, monkeypatch):
    """What was measured is printed before the file is written."""
    def full(path, data):
        with open(path, "wb") as file:
            file.write(data[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    status, text, errors = run(folder)
    assert status == 2 and "learned.onnx cannot be written (No space left on device)" in errors
    assert "accuracy 100.0% of 6 photos" in text and "wrote" not in text
    status, text, _ = run(folder, "--json")
    told = json.loads(text)
    assert status == 2 and told["accuracy"] == 1 and told["files"] == []
    assert list((tmp_path / "here").iterdir()) == []


def test_ctrl_c_while_writing_loses_nothing(run, folder, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.write_bytes", interrupted)
    status, text, _ = run(folder)
    assert status == 130 and "accuracy 100.0% of 6 photos" in text and "wrote" not in text


# --- a face -----------------------------------------------------------------------------------------

def test_the_map_of_a_face_is_high_on_the_face(tmp_path):
    """100 faces and 100 other pictures of 25 x 25 pixels: the shipped network has no class for people.

    Its highest cell is the collar, within one cell of the face.
    """
    data = pytest.importorskip("skimage.data")
    grey = np.rint(data.lfw_subset() * 255).astype(np.uint8)
    pictures = list(np.repeat(grey[..., None], 3, axis=-1))
    learned = learn({"face": pictures[:100], "something else": pictures[100:]}, shipped_path())
    assert float(learned.metadata["accuracy"].split("%")[0]) > 95
    e = explain(portrait(), learned)
    M = e.view.lay(e.M("face"))  # (600, 512), on the photo's pixels
    y, x = np.unravel_index(M.argmax(), M.shape)
    left, top, right, bottom = FACE
    assert left <= x <= right and top <= y <= bottom + M.shape[0] / e.f.shape[1]
    assert M[top:bottom, left:right].mean() > 2 * M.mean() > 0  # the evidence is there, and not everywhere
