"""What people give by mistake, from Python and on the command line: one line that says what to do."""

import json
import re

import numpy as np
import pytest
from PIL import Image

import cam_numpy as cam
from cam_numpy import InputError, class_units, evaluate, explain, inspect, layer_maps, load
from cam_numpy.__main__ import main
from tests import networks
from tests.conftest import scene
from tests.networks import BODY, GAP, GEMM

UNDESCRIBED = {"classes": networks.METADATA["classes"]}  # no preprocessing


@pytest.fixture
def e(shipped):
    return explain(scene(60, 80), shipped)


@pytest.fixture
def boxes_csv(tmp_path):
    """A data set of three pictures."""
    lines = ["path,label,x0,y0,x1,y1"]
    for i in range(3):
        Image.fromarray(scene(40, 60, seed=i)).save(tmp_path / f"{i}.png")
        lines.append(f"{i}.png,thing {i},5,5,30,30")
    (tmp_path / "boxes.csv").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path / "boxes.csv"


COUNT = "it is a count; give a positive integer"
MISTAKES = {
    "top -1": (lambda e, n: e.top(-1), f"n is -1; {COUNT}"),
    "top 0": (lambda e, n: e.top(0), f"n is 0; {COUNT}"),
    "units": (lambda e, n: e.units("tabby", -2), f"n is -2; {COUNT}"),
    "class units": (lambda e, n: class_units("tabby", network=n, n=-1), f"n is -1; {COUNT}"),
    "show top": (lambda e, n: e.show(top=-1), f"top is -1; {COUNT}"),
    "colors": (lambda e, n: e.show(colors="viridis"), "colors is 'viridis'.*give one of inferno, jet, div"),
    "layers": (lambda e, n: layer_maps(scene(60, 80), n).show(colors="viridis"), "colors is 'viridis'"),
    "two boxes": (lambda e, n: e.box(["tabby", "bow tie"]), "neither an index nor a name"),
    "threshold": (lambda e, n: e.box("tabby", threshold=2), "threshold is 2; it is a fraction"),
    "rule": (lambda e, n: e.box("tabby", rule="foo"), "rule is 'foo'"),
    "no class": (lambda e, n: e.M([]), "c "),
    "true box": (lambda e, n: e.show("tabby", true_boxes=(9, 0, 1, 1)), "true_boxes is .9, 0, 1, 1.; "),
    "explain": (lambda e, n: explain(scene(60, 80), 5), "the model is of type int; give the path"),
    "load": (lambda e, n: load(5), "the model is of type int; give the path"),
    "open already": (lambda e, n: load(n, output="S"), "is open already"),
    "labels": (lambda e, n: load(labels=5), "labels is 5; give a list of names, or a text file"),
    "run": (lambda e, n: n.run("cat.jpg"), "x is 'cat.jpg'; run takes an .*give a photo to see instead"),
    "photos": (lambda e, n: class_units("tabby", 5, n), "photos is 5; give a list of photos"),
    "data set": (lambda e, n: evaluate(5, n), "dataset is of type int; give its path"),
    "mean": (lambda e, n: load(preprocessing={"mean": (123, 116, 103)}), "values from 0 to 1: divide by 255"),
    "std": (lambda e, n: load(preprocessing={"std": (58, 57, 57)}), "values from 0 to 1: divide by 255"),
    "address": (lambda e, n: explain("https://a.b/c.jpg", n), "https://a.b/c.jpg is a .*download it first"),
    "no photo": (lambda e, n: explain("", n), "no photo given"),
    "class": (lambda e, n: e.M("zebra fish"), "cam-numpy inspect MODEL --classes"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_that_says_what_to_do(e, shipped, mistake):
    call, message = MISTAKES[mistake]
    with pytest.raises(InputError, match=message) as refused:
        call(e, shipped)
    assert "\n" not in str(refused.value) and "--out" not in str(refused.value)


@pytest.mark.parametrize("limit", [0, -1])
def test_evaluate_takes_a_path_and_a_name_and_a_positive_limit(boxes_csv, small, limit):
    with pytest.raises(InputError, match=f"limit is {limit}; {COUNT}"):
        evaluate(boxes_csv, small, limit=limit)
    assert len(evaluate(str(boxes_csv), str(small)).rows) == 3


def test_results_print_themselves_in_a_few_lines(boxes_csv, small, shipped):
    lines = repr(evaluate(boxes_csv, small)).split("\n")
    assert lines[0] == "<Evaluation: 3 of 3 pictures measured>" and 2 < len(lines) < 12
    assert any(re.fullmatch(r"GT-known localisation +\d+\.\d%", line) for line in lines)
    found = class_units("tabby", network=shipped, n=6)
    assert repr(found) == (f"<ClassUnits of tabby by {shipped.name}: 6 of 256, ranked by w_k^c: k = "
                           f"{', '.join(str(unit.k) for unit in found.units[:5])}, ...>")


def test_what_people_expect_to_work_does(e, shipped, small):
    assert load(shipped) is shipped
    names = [f"n{i}" for i in range(networks.C)]
    assert load(small, labels=names).classes == names
    assert e.class_name("tabby") == e.class_name(e.index("tabby"))
    one, listed = (e.show("tabby", true_boxes=boxes) for boxes in ((0, 0, 10, 10), [(0, 0, 10, 10)]))
    patches = [[patch.get_path().vertices.tolist() for axes in figure.axes for patch in axes.patches]
               for figure in (one, listed)]
    assert patches[0] == patches[1] and patches[0] != []


def test_the_text_of_the_command_and_the_path_of_the_page(e, photo, small, tmp_path, capsys):
    assert main(["explain", str(photo), "--model", str(small), "--class", "2", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(explain(photo, small).text(2) + "\nwrote ")
    assert e.page(str(tmp_path / "new" / "e.html")) == tmp_path / "new" / "e.html"
    assert (tmp_path / "new" / "e.html").stat().st_size > 1000


def test_what_was_assumed_is_in_every_output(photo, tmp_path, capsys):
    model = str(networks.save(tmp_path / "n.onnx", BODY + GAP + GEMM, metadata=UNDESCRIBED))
    (assumed,) = load(model).assumed
    assert inspect(model).assumed == [assumed]
    for arguments in (["explain", str(photo), "--model", model], ["inspect", model]):
        out = ["--out", str(tmp_path)] if arguments[0] == "explain" else []
        assert main([*arguments, *out, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["assumed"] == [assumed]
    assert main(["page", str(photo), "--model", model, "--out", str(tmp_path)]) == 0
    assert "".join(assumed.split()) in "".join(capsys.readouterr().out.split())


def test_a_shipped_network_by_the_name_that_outputs_print(tmp_path, monkeypatch, capsys, max_pooled):
    monkeypatch.chdir(tmp_path)
    assert load("tiny-imagenet-gmp.onnx").path == max_pooled.path
    assert main(["inspect"]) == 0 and capsys.readouterr().out.startswith("tiny-imagenet-gap.onnx: exact")
    networks.classifier(tmp_path / "tiny-imagenet-gmp.onnx")  # a file of that name comes first
    assert load("tiny-imagenet-gmp.onnx").w.shape == (networks.C, networks.K)
    for name in ("vit", "folder/vit.onnx"):
        with pytest.raises(InputError, match=f"{name}: there is no such file, .*give one of tiny-"):
            load(name)
    assert main(["fetch", "tiny-imagenet-gap"]) == 2
    assert "tiny-imagenet-gap comes with cam_numpy; there is nothing to fetch" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", ["png", "html", "json", "npz", "onnx"])
def test_out_is_a_folder_and_not_a_file(photo, small, tmp_path, capsys, suffix):
    out = tmp_path / f"result.{suffix}"
    arguments = ["explain", str(photo), "--model", str(small), "--out", str(out)]
    assert main(arguments) == 2 and not out.exists()
    assert f"--out {out} looks like a file, and a folder is meant" in capsys.readouterr().err
    out.mkdir()  # who made such a folder means it
    assert main(arguments) == 0 and [path.name for path in out.iterdir()] == ["photo.cam.png"]


@pytest.mark.parametrize("command", ["explain", "page", "layers", "units"])
def test_a_failed_command_leaves_no_folder(small, tmp_path, capsys, command):
    more = ["--class", "2"] if command == "units" else []
    assert main([command, str(tmp_path / "none.png"), "--model", str(small), *more,
                 "--out", str(tmp_path / "a" / "b")]) == 2
    assert "there is no such file" in capsys.readouterr().err and not (tmp_path / "a").exists()


def test_a_photo_or_a_text_as_a_model(photo, tmp_path):
    (tmp_path / "names.txt").write_text("tench\ngoldfish\n", encoding="utf-8")
    for path in (photo, tmp_path / "names.txt"):
        with pytest.raises(InputError) as refused:
            load(path)
        assert str(refused.value) == f"{path} is not an ONNX file; give an .onnx file"


def test_an_address_keeps_its_slashes_on_the_command_line(capsys, tmp_path):
    for command in ("explain", "page", "layers"):
        assert main([command, "https://a.b/c.jpg", "--out", str(tmp_path)]) == 2
        assert "https://a.b/c.jpg is a web address" in capsys.readouterr().err


def test_the_version_and_the_classes(small, capsys):
    with pytest.raises(SystemExit) as done:
        main(["--version"])
    assert done.value.code == 0 and capsys.readouterr().out == f"cam-numpy {cam.__version__}\n"
    assert main(["inspect", str(small), "--classes"]) == 0
    assert capsys.readouterr().out.split("\n")[2] == "    2  thing 2, Res 2"
    assert main(["inspect", str(small), "--classes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == load(small).classes


def test_messages_speak_to_both_users(tmp_path):
    """Neither "--size" nor "--output" where Python is spoken to."""
    model = networks.save(tmp_path / "n.onnx", BODY + GAP + GEMM, x=(1, 3, 16, 16))
    with pytest.raises(InputError, match="pixels only; leave size out"):
        load(model, preprocessing={"size": 32})
    np.testing.assert_equal(load(model).preprocessing.size, 16)
