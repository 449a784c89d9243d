"""One class against another: the map of w_a - w_b."""

import json

import numpy as np
import pytest
from PIL import Image

from cam_numpy import InputError, explain, load
from cam_numpy.__main__ import main
from cam_numpy.show.text import _number
from tests import networks
from tests.conftest import scene
from tests.test_exports import APPLIES, EXPORTS


def explained(name):
    return explain(Image.fromarray(scene(80, 120)), load(EXPORTS / f"{name}.onnx"))


@pytest.mark.parametrize("name", APPLIES)
def test_the_identity_of_a_difference(name):
    e = explained(name)
    for a, b in ((0, 1), (1, 0)) if len(e.S) == 2 else ((0, 3), (6, 2), (5, 1)):
        difference = e.difference(a, minus=b)
        assert (difference.a, difference.b) == (a, b)
        assert difference.S == pytest.approx(float(e.S[a]) - float(e.S[b]), abs=1e-6)
        assert sum(difference.terms.values()) == pytest.approx(difference.S, abs=1e-4)
        assert difference.error == abs(sum(difference.terms.values()) - difference.S) <= 1e-4
        if e.form.verdict == "exact":  # mean(M_a - M_b) + (b_a - b_b) = S_a - S_b
            assert e.M(a, minus=b).mean() + e.b[a] - e.b[b] == pytest.approx(e.S[a] - e.S[b], abs=1e-4)
            assert difference.terms["mean(M_a - M_b)"] == pytest.approx(e.M(a, minus=b).mean(), abs=1e-5)


@pytest.mark.parametrize("name", APPLIES)
def test_a_difference_is_antisymmetric(name):
    e = explained(name)
    np.testing.assert_array_equal(e.M(0, minus=1), -e.M(1, minus=0))
    one, other = e.difference(0, 1), e.difference(1, 0)
    assert one.S == -other.S and all(one.terms[name] == -other.terms[name] for name in one.terms)
    np.testing.assert_allclose(e.M(0, minus=1), e.M(0) - e.M(1), rtol=1e-4, atol=1e-4)


def test_a_class_less_itself_is_refused(shipped):
    e = explain(Image.fromarray(scene(80, 120)), shipped)
    assert not e.M("tabby", minus="tabby").any()
    with pytest.raises(InputError, match="tabby minus itself is zero everywhere; give another class"):
        e.difference("tabby", "tabby")
    with pytest.raises(InputError, match="tabby minus itself is zero everywhere; give another class"):
        e.show("Egyptian cat", "tabby", minus="tabby")


def test_the_figure_is_diverging_and_leaves_the_other_class_out(shipped):
    e = explain(Image.fromarray(scene(80, 120)), shipped)
    best, second = e.class_name(e.ranking[0]), e.class_name(e.ranking[1])
    figure = e.show(minus=best, top=1)
    titles = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert f"{second} − {best}"[:8] in "".join(titles) and len(figure.axes) == 3
    low, high = figure.axes[-1].get_ylim()
    assert low == -high  # zero in the middle
    assert e.choose(minus=best, top=2) == e.ranking[1:3].tolist()
    M = e.M(second, minus=best)
    assert e.box(second, minus=best) == e.view.largest_box(M)


def test_the_figure_has_one_minus_sign(shipped):
    e = explain(Image.fromarray(scene(80, 120)), shipped)
    last, lower = (e.class_name(c) for c in e.ranking[[-1, -2]])
    S_a, S_b = e.S[e.index(last)], e.S[e.index(lower)]
    assert S_a < S_b < 0
    (numbers,) = [text.get_text() for axes in e.show(last, minus=lower).axes for text in axes.texts
                  if text.get_text().startswith("S_a - S_b = ")]
    said = f"{S_a:.2f} − ({S_b:.2f}) = {S_a - S_b:.2f}".replace("-", "−")
    assert numbers == f"S_a - S_b = {said}"


@pytest.fixture
def run(tmp_path, capsys):
    Image.fromarray(scene(80, 120)).save(tmp_path / "cat.png")
    networks.classifier(tmp_path / "small.onnx")

    def explain_(*arguments, model="small.onnx"):
        status = main(["explain", str(tmp_path / "cat.png"), *arguments, "--model", str(tmp_path / model),
                       "--out", str(tmp_path)])
        return status, *capsys.readouterr()

    return explain_


def test_the_command_prints_the_identity(run, tmp_path):
    status, text, noise = run("--class", "3", "--minus", "thing 5", "--boxes")
    e = explain(tmp_path / "cat.png", load(tmp_path / "small.onnx"))
    difference = e.difference(3, 5)
    lines = text.split("wrote ")[0].splitlines()
    row = next(line for line in lines if line.startswith("    thing 3 "))
    assert status == 0 and noise == "" and max(map(len, lines)) <= 80
    assert [float(word) for word in row.replace("=", "").split()[2:]] == pytest.approx(
        [difference.S, *difference.terms.values()], abs=6e-4)
    assert "Why a, and not b? Here b is thing 5." in lines
    head = next(line for line in lines if line.startswith("    a "))
    assert head.split("  =  ")[1].split(" + ") == [f"{name:>9}" for name in difference.terms]
    drawn = next(line for line in lines if line.startswith("M  "))
    M = e.M([3], minus=5)
    assert "M_a - M_b" in drawn and drawn.endswith(f" {_number(M.min())} to {_number(M.max())}")
    assert "    mean(M_a - M_b) + (b_a - b_b) = S_a - S_b\n    S being the network's own output: " in text
    assert f"{difference.error:.1e}. It holds." in text and (tmp_path / "cat.cam.png").exists()


@pytest.mark.parametrize("name", ["resnet", "gmp", "squeezenet", "nin", "efficientnet", "swin"])
def test_the_command_on_other_families(tmp_path, capsys, name):
    Image.fromarray(scene(80, 120)).save(tmp_path / "cat.png")
    arguments = ["explain", str(tmp_path / "cat.png"), "--model", str(EXPORTS / f"{name}.onnx"),
                 "--out", str(tmp_path), "--class", "1", "2", "--minus", "4", "--plain"]
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert f"    {explained(name).form.difference}\n" in text
    assert max(map(len, text.split("wrote ")[0].splitlines())) <= 80
    assert main([*arguments, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    e = explain(tmp_path / "cat.png", load(EXPORTS / f"{name}.onnx"))
    difference = e.difference(1, 4)
    assert record["top"][0]["minus"] == {"index": 4, "name": "class 4", "S_a - S_b": difference.S,
                                         "terms": difference.terms, "error": difference.error}
    assert all("_a - " in name or "(w_a" in name for name in difference.terms)


def test_the_overlay_of_a_difference(run, tmp_path):
    """Where neither class has more evidence the photo is grey; --colors still chooses."""
    assert run("--class", "3", "--minus", "5", "--plain")[0] == 0
    diverging = np.asarray(Image.open(tmp_path / "cat.cam.png"))
    assert run("--class", "3", "--minus", "5", "--plain", "--colors", "inferno")[0] == 0
    assert (diverging != np.asarray(Image.open(tmp_path / "cat.cam.png"))).any()


def test_the_command_refuses_a_class_less_itself(run, tmp_path):
    status, text, noise = run("--class", "3", "5", "--minus", "thing 5")
    assert status == 2 and text == "" and not (tmp_path / "cat.cam.png").exists()
    assert noise == "cam-numpy: thing 5 minus itself is zero everywhere; give another class\n"
    assert run("--minus", "no such thing")[0] == 2
