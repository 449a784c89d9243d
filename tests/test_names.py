"""Names that a user or a file gave: never obeyed, never parsed, always in one line."""

import ast
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cam_numpy import class_units, explain, layer_maps, load
from cam_numpy.__main__ import main
from cam_numpy.errors import CamNotApplicable, InputError
from cam_numpy.names import cut, plain
from tests import networks
from tests.conftest import scene

STRANGE = [
    "cost $5 or $6", "a_b^c", r"$\frac{1}$", "two\nlines\r\n", "\x1b[31mred\x1b[0m", "\x9b2J", "a\tb",
    "naïve 猫", "\ud800 half", "\u202eback to front", "b\x00\x07\x7fl", "x" * 300, "%s {} %(a)d", "\u2028",
]
PRINTED = STRANGE[4:6] + ["\x00", "\x07", "\x7f", "\ud800", "\u202e", "\r"]


@pytest.mark.parametrize("name", STRANGE)
def test_plain_is_one_line_that_can_be_shown(name):
    shown = plain(name)
    assert len(shown.splitlines()) <= 1 and shown.isprintable() and shown.encode()
    assert len(cut(name, 20)) <= 20


def test_plain_leaves_the_letters_of_all_scripts():
    for name in ("naïve 猫", "کتاب\u200cها", "👩\u200d🔬", "$5_a^b"):
        assert plain(name) == name


def test_an_error_is_one_line_whatever_was_given():
    for name in STRANGE:
        for error in (InputError(f"{name} is nothing; give something"),
                      CamNotApplicable(f"{name} is in the way; train", name)):
            assert len(str(error).splitlines()) == 1 and str(error).isprintable()
    long = str(InputError(f"class {'9' * 5000} does not exist; give a name"))
    assert len(long) == 1000 and long.startswith("class 999")
    assert long.endswith("9 does not exist; give a name")


@pytest.fixture
def strange(tmp_path):
    """The path of a network whose classes and tensors have strange names."""
    path = networks.classifier(tmp_path / "mo$del_\x1b[31m^\n.onnx", metadata={
        **networks.METADATA, "classes": json.dumps(STRANGE[: networks.C])})
    return path


def test_explain_prints_and_draws_all_of_them(strange, tmp_path, capsys):
    photo = tmp_path / "ph$oto_\x1b[2J^\n$.png"
    Image.fromarray(scene(20, 20)).save(photo)
    options = ["--model", str(strange), "--top", "7", "--boxes", "--save-arrays"]
    assert main(["explain", str(photo), "--out", str(tmp_path / "o\x1bt"), *options]) == 0
    out, err = capsys.readouterr()
    assert err == "" and not any(part in out for part in PRINTED) and "\x1b" not in out
    assert max(map(len, out.split("wrote ")[0].splitlines())) <= 80
    assert len(list((tmp_path / "o\x1bt").glob("*.cam.png"))) == 1
    assert main(["explain", str(photo), "--out", str(tmp_path), "--json", *options]) == 0
    record = json.loads(capsys.readouterr().out)  # a program gets the names as they are
    assert sorted(one["name"] for one in record["top"]) == sorted(STRANGE[: networks.C])


def test_figures_draw_names_letter_by_letter(strange, photo):
    figure = explain(photo, load(strange)).show(*range(networks.C))
    texts = {text.get_text(): text.get_parse_math() for axes in figure.axes for text in axes.texts}
    assert texts["cost $5 or $6"] is False and texts[r"$\frac{1}$"] is False
    assert not any(texts.values())


def test_no_figure_needs_the_parser_of_formulas(strange, photo, monkeypatch):
    """Building it takes a good part of the time of `cam-numpy explain`."""
    from matplotlib import mathtext

    monkeypatch.setattr(mathtext.MathTextParser, "parse", lambda *_, **__: pytest.fail("parsed"))
    network = load(strange)
    for figure in (explain(photo, network).show(1, minus=2), layer_maps(photo, network).show(),
                   class_units(1, [photo], network).show()):
        figure.canvas.draw()


def test_inspect_prints_strange_tensors(tmp_path, capsys):
    strange = "t\x1b[31m\nensor\u202e"
    nodes = [(op, [name.replace("F", strange) for name in inputs], output.replace("F", strange), *rest)
             for op, inputs, output, *rest in networks.BODY + networks.GAP]
    nodes += [("Gemm", [strange, f"w{strange}", "b"], "S", {"transB": 1})]
    path = networks.save(tmp_path / "n\x1b.onnx", nodes, {f"w{strange}": networks.weights()["w"]})
    assert main(["inspect", str(path)]) == 0
    out = capsys.readouterr().out
    assert r"Gemm with wt\x1b[31m\nensor\u202e" in out and "\x1b" not in out and "\u202e" not in out
    assert main(["inspect", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["weight"] == f"w{strange}"
    assert "\x1b" not in repr(load(path))


def test_arrays_are_saved_with_names_that_are_halves_of_letters(strange, photo, tmp_path):
    e = explain(photo, load(strange))
    assert np.array(e.classes).tolist() == e.classes


def test_commands_print_in_one_place():
    """`say` and `tell` see every text before a terminal does."""
    root = Path(__file__).parent.parent / "cam_numpy"
    for path in [*(root / "commands").glob("*.py"), root / "__main__.py"]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "print", f"{path.name}:{node.lineno}"
