"""The networks that come with cam_numpy: what their card and their metadata promise."""

import hashlib
import json
import re
from importlib import util
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from cam_numpy import check_scores, class_activation_map, explain
from cam_numpy.image.photo import portrait
from tests.conftest import scene

BOTH = {"shipped": "mean", "max_pooled": "max"}
WEIGHTS = Path(__file__).parent.parent / "weights"


def test_scores_are_what_the_maps_say_for_100_photos_and_all_classes(shipped):
    """|mean M_c + b_c - S_c| <= 1e-4 of max |S|: onnxruntime computes S in float32."""
    rng = np.random.default_rng(0)
    for seed in range(100):
        height, width = rng.integers(40, 200, 2)
        seen = shipped.see(scene(int(height), int(width), seed))
        assert len(seen.S) == 200
        error = check_scores(seen.f, shipped.w, shipped.b, seen.S, tolerance=1e-4)
        assert error <= 1e-4 * np.abs(seen.S).max()


def test_max_pooled_scores_are_what_their_identity_says_for_100_photos(max_pooled):
    rng = np.random.default_rng(0)
    assert max_pooled.form.name == "gmp"
    for seed in range(100):
        height, width = rng.integers(40, 200, 2)
        seen = max_pooled.see(scene(int(height), int(width), seed))
        error = max_pooled.form.check(seen.f, max_pooled.w, max_pooled.b, seen.S, tolerance=1e-4)
        assert error <= 1e-4 * np.abs(seen.S).max()


def test_the_two_networks_differ_in_their_pooling_and_weights_only(shipped, max_pooled):
    """The same nodes and shapes; both know the same classes in the same order."""
    a, b = (onnx.load(network.path).graph for network in (shipped, max_pooled))
    ops = [[node.op_type for node in graph.node] for graph in (a, b)]
    assert ops[0] == [op.replace("GlobalMaxPool", "GlobalAveragePool") for op in ops[1]] != ops[1]
    assert [list(t.dims) for t in a.initializer] == [list(t.dims) for t in b.initializer]
    assert shipped.classes == max_pooled.classes and shipped.preprocessing == max_pooled.preprocessing


def test_gradient_of_a_score_is_its_map(shipped):
    """Raising f by one in one cell raises S_c by w_k^c / (H W): the maps are the scores' own."""
    f = shipped.see(scene(64, 64)).f
    H, W = f.shape[1:]
    raised = f.copy()
    raised[17, 3, 5] += 1
    before, after = (class_activation_map(each, shipped.w, 42).mean() for each in (f, raised))
    assert after - before == pytest.approx(shipped.w[42, 17] / (H * W), abs=1e-5)


@pytest.mark.parametrize("size", [(96, 96), (112, 96), (96, 384), (8, 8), (24, 40)])
def test_any_multiple_of_8_goes_in(shipped, size):
    f, S = shipped.run(np.zeros((3, *size), np.float32))
    assert f.shape == (256, size[0] // 8, size[1] // 8) and S.shape == (200,) and (f >= 0).all()


@pytest.mark.parametrize("fixture, pooling", BOTH.items())
def test_the_file_is_the_whole_network(request, fixture, pooling):
    network = request.getfixturevalue(fixture)
    m = network.metadata
    assert len(network.classes) == len(set(network.classes)) == len(json.loads(m["wnids"])) == 200
    assert m["pooling"] == pooling and m["stride"] == "8" and network.preprocessing.stride == 8
    for key in ("mean", "std", "size", "training_data", "licence", "accuracy"):
        assert m[key], key


@pytest.mark.parametrize("fixture", BOTH)
def test_the_file_is_small_old_enough_and_named_as_in_the_paper(request, fixture):
    shipped = request.getfixturevalue(fixture)
    assert shipped.path.stat().st_size <= 10_000_000
    model = onnx.load(shipped.path)
    assert model.ir_version <= 8 and 13 <= model.opset_import[0].version <= 17
    names = {name for node in model.graph.node for name in (*node.input, *node.output)}
    assert {"x", "f", "F", "w", "b", "S"} <= names
    onnx.checker.check_model(model, full_check=True)


@pytest.mark.parametrize("fixture", BOTH)
def test_the_card_describes_this_very_file(request, fixture):
    shipped = request.getfixturevalue(fixture)
    card = (WEIGHTS / "README.md").read_text(encoding="utf-8")
    assert hashlib.sha256(shipped.path.read_bytes()).hexdigest() in card
    top1 = re.search(r"top-1 ([\d.]+)%", shipped.metadata["accuracy"])[1]
    assert f"{top1} %" in card


def test_the_portrait_is_explained(shipped):
    if not util.find_spec("matplotlib"):
        pytest.skip("needs matplotlib's sample portrait")
    e = explain(portrait(), shipped)
    assert e.photo.size == (512, 600) and e.f.shape == (256, 14, 12) and e.view.whole
    assert e.P.sum() == pytest.approx(1, abs=1e-5)


def test_mirroring_the_photo_mirrors_the_map_nearly(shipped):
    """The network is trained with flips: the map of a mirrored photo is about the mirrored map."""
    photo = Image.open(portrait())
    e = explain(photo, shipped)
    mirrored = explain(photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT), shipped)
    c = int(e.ranking[0])
    assert np.corrcoef(e.M(c).ravel(), mirrored.M(c)[:, ::-1].ravel())[0, 1] > 0.8
