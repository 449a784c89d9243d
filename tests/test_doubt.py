"""The wrong preprocessing does not pass in silence, and an unsure network is called unsure."""

import json

import numpy as np
import pytest

import cam_numpy as cam
from cam_numpy.__main__ import main
from cam_numpy.image.preprocessing import PRESETS
from cam_numpy.show.colours import scale_of
from tests import networks
from tests.conftest import scene
from tests.networks import BODY, GAP, GEMM, C

W = networks.weights()


def scaled(path, factor, metadata=None):
    """A classifier whose scores are `factor` times the usual ones: how sure it is."""
    extra = {"w": factor * W["w"], "b": factor * W["b"]}
    return networks.save(path, BODY + GAP + GEMM, extra, metadata=metadata, x=(1, 3, 16, 20))


@pytest.fixture
def even(tmp_path):
    return cam.explain(scene(30, 40), cam.load(scaled(tmp_path / "even.onnx", 1e-3)))


@pytest.fixture
def sure(tmp_path):
    return cam.explain(scene(30, 40), cam.load(scaled(tmp_path / "sure.onnx", 30.0)))


def test_nearly_uniform_probabilities_are_called_out(even, sure):
    assert even.doubt.startswith(f"no class stands out: the best of {C}, {even.top(1)[0].name}, has P = 14.")
    assert even.doubt.endswith("is the preprocessing right? Try each preset: " + ", ".join(PRESETS))
    assert sure.P.max() > 0.9 and sure.doubt is None


def test_where_the_preprocessing_is_known_it_is_not_doubted(tmp_path):
    network = cam.load(scaled(tmp_path / "n.onnx", 1e-3), preprocessing="zero-one")
    assert "preprocessing" not in cam.explain(scene(30, 40), network).doubt


def test_between_the_two_it_is_unsure(tmp_path):
    e = cam.explain(scene(30, 40), cam.load(scaled(tmp_path / "n.onnx", 0.4)))
    assert 0.2 < e.P.max() < 0.5 and e.doubt == (
        f"the network is unsure: its best class, {e.top(1)[0].name}, has P = {e.P.max():.1%}")


def test_it_is_said_wherever_the_maps_are_shown(even, sure, capsys, tmp_path):
    assert "preprocessing assumed" in repr(even) and repr(even).endswith("% (unsure)>")
    assert "preprocessing assumed" in repr(sure) and "unsure" not in repr(sure)
    texts = [text.get_text() for text in even.show().texts]
    assert any("ImageNet's preprocessing is assumed; no class stands out" in text for text in texts)
    assert "preprocessing" in repr(cam.load(tmp_path / "even.onnx"))
    assert main(["explain", "--model", str(tmp_path / "even.onnx"), "--out", str(tmp_path), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["doubt"].startswith("no class stands out") and len(record["assumed"]) == 2
    main(["explain", "--model", str(tmp_path / "even.onnx"), "--out", str(tmp_path)])
    assert "\ndoubt    no class stands out" in capsys.readouterr().out


def test_one_scale_for_several_photos():
    M = np.array([[-1.0, 2.0], [3.0, 0.5]])
    assert scale_of(M) == (-1, 3) and scale_of(M, most=20.0) == (-1, 20)
    assert scale_of(M, most=0.5) == (-0.5, 0.5)
    assert scale_of(M, "diverging", 20.0) == (-20, 20)


def test_two_figures_on_one_scale(even, sure):
    """On a scale of its own, an unsure map glows like a sure one."""
    ends = [e.show(0, scale=25).axes[-1].get_ylim()[1] for e in (even, sure)]
    assert ends == [25, 25] and even.show(0).axes[-1].get_ylim()[1] < 0.1


@pytest.mark.parametrize("scale", ["0", "-3", "nan", "red"])
def test_a_scale_is_a_positive_number(scale, capsys):
    with pytest.raises(SystemExit):
        main(["explain", f"--scale={scale}"])
    assert "is not a positive number; give one such as 20" in capsys.readouterr().err


def test_every_preset_side_by_side(tmp_path, photo, capsys):
    path = scaled(tmp_path / "n.onnx", 1.0)
    trials = cam.try_presets(photo, path)
    assert [one.preprocessing for one in trials] == ["default", *PRESETS]
    for one in trials[1:]:
        e = cam.explain(photo, cam.load(path, preprocessing=one.preprocessing))
        assert (one.index, one.name, one.P) == (e.top(1)[0].index, e.top(1)[0].name, pytest.approx(e.P.max()))
    assert main(["inspect", str(path), "--try", str(photo)]) == 0
    table = capsys.readouterr().out.split("preprocessing             P  best class\n")[1].splitlines()
    assert len(table) == 7 and table[2].split()[0] == "caffe" and table[2].split()[1].endswith("%")
    main(["inspect", str(path), "--try", str(photo), "--json"])
    assert len(json.loads(capsys.readouterr().out)["trials"]) == 7
