"""Section 5: a class is a bag of units."""

import json
import random

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

from cam_numpy import InputError, class_scores, explain, load
from cam_numpy.paper.units import count_carrying, rank_units, silence, unit_contributions, vocabulary
from tests import loops
from tests.conftest import scene
from tests.test_exports import APPLIES, EXPORTS

K, C, H, W = 5, 7, 3, 4
TORCH = {"rtol": 1e-4, "atol": 1e-5}  # float32 in onnxruntime


@pytest.fixture
def arrays():
    rng = np.random.default_rng(5)
    return rng.normal(size=(K, H, W)), rng.normal(size=(C, K)), rng.normal(size=C)


def explained(name, seed=0):
    return explain(Image.fromarray(scene(80, 120, seed)), load(EXPORTS / f"{name}.onnx"))


def head_alone(network):
    """What the network's own head makes of an f, in onnxruntime."""
    model = onnx.load(network.path)
    f, S = network.head.f, network.head.S
    makers = {tensor: node for node in model.graph.node for tensor in node.output}
    needed, waiting = [], [S]
    while waiting:
        tensor = waiting.pop()
        if tensor != f and tensor in makers and makers[tensor] not in needed:
            needed.append(makers[tensor])
            waiting += makers[tensor].input
    nodes = [node for node in model.graph.node if node in needed]
    del model.graph.node[:], model.graph.output[:], model.graph.value_info[:]
    model.graph.node.extend(nodes)  # some heads ask for the size of x
    for to, tensor, shape in ((model.graph.input, f, [None] * 4), (model.graph.output, S, None)):
        to.append(onnx.helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, shape))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    x = np.zeros((1, 3, 24, 36), np.float32)

    def scores(f_of_photo):
        own = session.run([S], {f: f_of_photo[None], network.input_name: x})[0].reshape(-1)
        return np.concatenate([-own, own]) if network.binary else own

    return scores


def test_contributions_are_the_loops(arrays):
    f, w, _ = arrays
    F = f.mean(axis=(1, 2))
    for c in range(C):
        np.testing.assert_allclose(unit_contributions(F, w, c), loops.contributions(F, w, c), rtol=1e-12)
    many = np.stack([F, 2 * F])
    np.testing.assert_allclose(unit_contributions(many, w, 3)[1], 2 * unit_contributions(F, w, 3), rtol=1e-12)


def test_all_contributions_and_the_bias_add_up_to_the_score(arrays):
    f, w, b = arrays
    F = f.mean(axis=(1, 2))
    for c in range(C):
        assert unit_contributions(F, w, c).sum() + b[c] == pytest.approx(class_scores(F, w, b)[c], rel=1e-12)


@pytest.mark.parametrize("name", [name for name in APPLIES if "squeezenet" not in name])  # a ReLU adds there
def test_all_units_and_the_bias_add_up_to_the_networks_own_score(name):
    e = explained(name)
    for c in range(len(e.S)):
        units = e.units(c, len(e.F))
        assert sorted(unit.k for unit in units) == list(range(len(e.F)))
        assert sum(unit.product for unit in units) + e.b[c] == pytest.approx(e.S[c], rel=1e-4, abs=1e-4)


def test_units_come_by_their_contribution(arrays):
    assert rank_units([0.5, 2, -1, 2]).tolist() == [1, 3, 0, 2]
    assert [k for k, *_ in explained("resnet").units(2, 3)] == rank_units(
        unit_contributions(explained("resnet").F, explained("resnet").w, 2))[:3].tolist()


def test_a_vocabulary_is_the_classes_of_the_largest_and_smallest_weight(arrays):
    _, w, _ = arrays
    for k in range(K):
        by_weight = sorted(range(C), key=lambda c: w[c][k])
        speaks_for, speaks_against = vocabulary(w, k, 2)
        assert speaks_for.tolist() == by_weight[:-3:-1] and speaks_against.tolist() == by_weight[:2]
        both = [*map(int, vocabulary(w, k, 99)[0]), *map(int, vocabulary(w, k, 99)[1])]
        assert len(both) == len(set(both)) == C - 1  # no class is on both sides
    e = explained("resnet")
    assert e.vocabulary(1, 1)[0] == [e.class_name(int(e.w[:, 1].argmax()))]


def test_the_fewest_units_that_carry_a_fraction_are_the_loops():
    chance = random.Random(1)
    for _ in range(300):
        K = chance.randint(1, 9)
        products = [chance.choice([-2, -1, 0, 1, 1.5, chance.gauss(0, 3)]) for _ in range(K)]
        for fraction in (0.1, 0.5, 0.9, 1):
            assert count_carrying(products, fraction) == loops.carrying(products, fraction), products


def test_that_count_by_hand():
    assert count_carrying([6.0, -20, 3, 1]) == 2  # 9 of 10, however much speaks against
    assert count_carrying([6.0, -20, 3, 1], 1) == 3
    assert count_carrying([-1.0, 0]) == 0
    assert count_carrying([0.1] * 10, 0.9) == 9
    for wrong in (0, 1.1, -1, float("nan")):
        with pytest.raises(ValueError, match="fraction is .*; it must be more than 0"):
            count_carrying([1.0], wrong)


def test_silence_is_zero_there_and_changes_nothing_else(arrays):
    f, *_ = arrays
    before = f.copy()
    quiet = silence(f, [1, 3])
    assert not quiet[[1, 3]].any() and (quiet[[0, 2, 4]] == f[[0, 2, 4]]).all() and (f == before).all()
    for wrong in (5, -1, [0, 5], 1.0, "1", [], [[1]], True):
        with pytest.raises(ValueError, match="^units (is|has) .*; give "):
            silence(f, wrong)


@pytest.mark.parametrize("name", APPLIES)
def test_without_is_the_networks_own_head_on_silent_units(name):
    e, scores = explained(name), head_alone(load(EXPORTS / f"{name}.onnx"))
    np.testing.assert_allclose(scores(e.f), e.S, **TORCH)
    best = [unit.k for unit in e.units(int(e.ranking[0]), 2)]
    for units in (best[0], best, list(range(len(e.F)))):
        f = e.f.copy()
        f[units] = 0
        quiet = e.without(units)
        np.testing.assert_allclose(quiet.S, scores(f), **TORCH)
        np.testing.assert_allclose(quiet.F, e.form.pool(f), rtol=1e-6)
        assert (quiet.f == f).all() and quiet.P.sum() == pytest.approx(1, abs=1e-5) or e.sigmoid


@pytest.mark.parametrize("fixture", ["shipped", "max_pooled"])
def test_without_a_unit_the_score_loses_what_it_contributed(fixture, request):
    network = request.getfixturevalue(fixture)
    e = explain(Image.fromarray(scene(60, 90, 3)), network)
    scores, unit = head_alone(network), e.units("tabby", 1)[0]
    c, quiet = e.index("tabby"), e.without(unit.k)
    np.testing.assert_allclose(quiet.S, scores(quiet.f), **TORCH)
    np.testing.assert_allclose(e.S - quiet.S, e.w[:, unit.k] * unit.F, rtol=1e-3, atol=1e-4)
    assert e.S[c] - quiet.S[c] == pytest.approx(unit.product, abs=1e-4)
    np.testing.assert_allclose(e.M(c) - quiet.M(c), e.w[c, unit.k] * e.f[unit.k], rtol=1e-4, atol=1e-4)


def test_without_one_and_then_another_is_without_both(shipped):
    e = explain(Image.fromarray(scene(60, 90, 3)), shipped)
    both = e.without([5, 9])
    one_by_one = e.without(9).without(5)
    assert (both.S == one_by_one.S).all() and both.silent == one_by_one.silent == (5, 9) and e.silent == ()
    assert len(repr(both)) <= 100 and "without 2 units" in repr(both)
    assert not both.f.flags.writeable and not both.S.flags.writeable
    with pytest.raises(InputError, match="units has 256 but f has K=256 units; give 0 <= k < 256"):
        e.without(256)


def test_without_says_so_in_text_and_figure(shipped):
    from cam_numpy.show.text import as_text

    quiet = explain(Image.fromarray(scene(60, 90, 3)), shipped).without([5, 9])
    text = as_text(quiet, [3])
    assert "silent   units 5, 9" in text and "network's own output" not in text
    assert "S being computed from f, with the silent units" in text
    assert any("without the units 5, 9" in said.get_text() for said in quiet.show().texts)


def test_explain_says_how_few_units_carry_a_score(shipped):
    from cam_numpy.show.text import as_text

    e = explain(Image.fromarray(scene(60, 90, 3)), shipped)
    c = int(e.ranking[0])
    products = [float(w * F) for w, F in zip(e.w[c], e.F)]
    n = loops.carrying(products, 0.9)
    assert f"\n    {n} of 256 units carry 90 % of the evidence for it, of all w_k^c F_k > 0\n" in (
        as_text(e, [c]))
    assert e.count_units(e.class_name(c)) == n
    assert json.dumps(e.count_units(c, 0.5)) == str(loops.carrying(products, 0.5))
    with pytest.raises(InputError):
        e.count_units(c, 2)
