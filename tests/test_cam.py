"""Section 2 of the paper as theorems. K, C, H, W are all different."""

import subprocess
import sys
import warnings

import numpy as np
import pytest

import cam_numpy
from cam_numpy import (
    check_scores,
    class_activation_map,
    class_activation_maps,
    class_scores,
    global_average_pool,
    global_max_pool,
    global_sum_pool,
    softmax,
    upsample,
)
from cam_numpy.paper.forms import FORMS
from tests import loops

K, C, H, W = 5, 7, 3, 4
EXACT = {"rtol": 1e-12, "atol": 1e-12}  # algebra in float64: rounding only


@pytest.fixture
def net():
    """A random last layer: f (K, H, W), w (C, K), b (C,)."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(K, H, W)), rng.normal(size=(C, K)), rng.normal(size=C)


# --- the example that a reader can do in the head ---------------------------------

f2 = np.array([[[1.0, 0], [0, 3]], [[2, 2], [0, 0]]])
w2 = np.array([[1.0, 0], [0, 1], [2, -1]])


def test_one_score_and_three_different_maps():
    assert class_scores(global_average_pool(f2), w2).tolist() == [1, 1, 1]
    M = class_activation_maps(f2, w2)
    assert M.tolist() == [[[1, 0], [0, 3]], [[2, 2], [0, 0]], [[0, -2], [0, 6]]]


def test_clipping_a_map_at_zero_changes_its_score():
    M = class_activation_map(f2, w2, 2)
    assert M.mean() == 1.0 and np.maximum(M, 0).mean() == 1.5


# --- each function is its loop ------------------------------------------------------

def test_every_fast_form_is_its_loop(net):
    f, w, b = net
    F, S = loops.pooled_mean(f.tolist()), None
    np.testing.assert_allclose(global_average_pool(f), F, **EXACT)
    np.testing.assert_allclose(global_sum_pool(f), loops.pooled_sum(f.tolist()), **EXACT)
    np.testing.assert_allclose(global_max_pool(f), loops.pooled_max(f.tolist()), **EXACT)
    S = loops.scores(F, w.tolist(), b.tolist())
    np.testing.assert_allclose(class_scores(F, w, b), S, **EXACT)
    np.testing.assert_allclose(softmax(S), loops.probabilities(S), **EXACT)
    maps = [loops.activation_map(f.tolist(), w.tolist(), c) for c in range(C)]
    np.testing.assert_allclose(class_activation_maps(f, w), maps, **EXACT)
    np.testing.assert_allclose(class_activation_map(f, w, 6), maps[6], **EXACT)


@pytest.mark.parametrize("size", [(3, 4), (9, 8), (7, 11), (1, 1), (2, 30)])
def test_upsampling_is_its_loop(size):
    M = np.random.default_rng(1).normal(size=(H, W))
    found = upsample(M, height=size[0], width=size[1])
    np.testing.assert_allclose(found, loops.enlarged(M.tolist(), *size), **EXACT)


# --- theorems -------------------------------------------------------------------------

def test_score_is_the_mean_of_its_map_plus_bias(net):
    f, w, b = net
    S = class_scores(global_average_pool(f), w, b)
    np.testing.assert_allclose(class_activation_maps(f, w).mean(axis=(1, 2)) + b, S, **EXACT)


def test_with_sums_and_rescaled_weights_score_is_the_sum_of_its_map(net):
    f, w, _ = net
    w_sum = w / (H * W)
    S = class_scores(global_sum_pool(f), w_sum)
    np.testing.assert_allclose(class_activation_maps(f, w_sum).sum(axis=(1, 2)), S, **EXACT)
    np.testing.assert_allclose(S, class_scores(global_average_pool(f), w), **EXACT)


def test_sums_without_rescaled_weights_keep_the_ranking_and_ruin_the_probabilities(net):
    f, w, _ = net
    S = class_scores(global_average_pool(f), w)
    wrong = class_scores(global_sum_pool(f), w)
    np.testing.assert_allclose(wrong, H * W * S, **EXACT)
    assert np.argsort(wrong).tolist() == np.argsort(S).tolist()
    assert softmax(wrong).max() > 0.99 > softmax(S).max()


def test_pooling_and_classifier_commute(net):
    f, w, _ = net
    pooled_last = global_average_pool(class_activation_maps(f, w))  # Network in Network
    np.testing.assert_allclose(pooled_last, class_scores(global_average_pool(f), w), **EXACT)


def test_map_is_linear_in_f(net):
    f, w, _ = net
    g = f[:, ::-1] ** 2
    np.testing.assert_allclose(
        class_activation_map(2 * f - 3 * g, w, 1),
        2 * class_activation_map(f, w, 1) - 3 * class_activation_map(g, w, 1), **EXACT)


def test_map_is_linear_in_w(net):
    f, w, _ = net
    both = np.vstack([w, w[1] - w[4]])
    np.testing.assert_allclose(
        class_activation_map(f, both, C),
        class_activation_map(f, w, 1) - class_activation_map(f, w, 4), **EXACT)


def test_reordering_units_changes_nothing(net):
    f, w, _ = net
    order = np.random.default_rng(2).permutation(K)
    np.testing.assert_allclose(
        class_activation_maps(f[order], w[:, order]), class_activation_maps(f, w), **EXACT)


def test_moving_the_activations_moves_the_map_and_keeps_the_score(net):
    f, w, b = net
    moved = np.roll(f, (1, 2), axis=(1, 2))
    np.testing.assert_allclose(
        class_activation_maps(moved, w), np.roll(class_activation_maps(f, w), (1, 2), axis=(1, 2)), **EXACT)
    np.testing.assert_allclose(
        class_scores(global_average_pool(moved), w, b), class_scores(global_average_pool(f), w, b), **EXACT)


def test_gradient_of_score_is_weight_over_area(net):
    f, w, b = net
    nudged = f.copy()
    nudged[2, 1, 3] += 1.0  # S is linear in f: a step of any length is exact
    rise = class_scores(global_average_pool(nudged), w, b) - class_scores(global_average_pool(f), w, b)
    np.testing.assert_allclose(rise, w[:, 2] / (H * W), **EXACT)


def test_several_classes_at_once_are_the_single_maps(net):
    f, w, _ = net
    several = class_activation_map(f, w, [6, 0, 6])
    assert several.shape == (3, H, W)
    for M, c in zip(several, (6, 0, 6)):
        np.testing.assert_allclose(M, class_activation_map(f, w, c), **EXACT)


def test_pooling_scores_and_softmax_take_batches(net):
    f, w, b = net
    batch = np.stack([f, 2 * f]).reshape(2, 1, K, H, W)
    P = softmax(class_scores(global_average_pool(batch), w, b))
    assert P.shape == (2, 1, C)
    np.testing.assert_allclose(P[0, 0], softmax(class_scores(global_average_pool(f), w, b)), **EXACT)
    assert global_max_pool(batch).shape == (2, 1, K)


def test_probabilities_add_up_to_one_and_do_not_see_a_common_shift(net):
    S = np.array([1.0, -2.0, 700.0, 710.0])  # exp(710) would overflow
    np.testing.assert_allclose(softmax(S).sum(), 1, **EXACT)
    np.testing.assert_allclose(softmax(S - 1000), softmax(S), **EXACT)


def test_upsampling_keeps_a_constant_map_constant():
    np.testing.assert_allclose(upsample(np.full((2, H, W), 2.5), height=13, width=17), 2.5, **EXACT)


def test_upsampling_to_a_multiple_of_the_size_keeps_the_mean_of_a_linear_map():
    y, x = np.mgrid[:H, :W]
    M = 2.0 * y - x
    np.testing.assert_allclose(upsample(M, height=6 * H, width=6 * W).mean(), M.mean(), **EXACT)


def test_upsampling_never_leaves_the_range_of_the_map(net):
    M = net[0]
    big = upsample(M, height=31, width=29)
    assert big.shape == (K, 31, 29)
    assert (big.max(axis=(1, 2)) <= M.max(axis=(1, 2)) + 1e-12).all()
    assert (big.min(axis=(1, 2)) >= M.min(axis=(1, 2)) - 1e-12).all()


def test_upsampling_by_hand():
    assert upsample([[0, 4]], height=2, width=4).tolist() == [[0, 1, 3, 4], [0, 1, 3, 4]]


# --- the check on the network's own scores --------------------------------------------

def test_check_returns_the_largest_error(net):
    f, w, b = net
    S = class_scores(global_average_pool(f), w, b)
    S[3] += 1e-6
    assert check_scores(f, w, b, S) == pytest.approx(1e-6, rel=1e-6)


@pytest.mark.parametrize("wrong", ["another bias", "a ReLU on the maps", "max pooling", "sums"])
def test_check_refuses_scores_that_are_not_what_the_maps_say(net, wrong):
    f, w, b = net
    M = class_activation_maps(f, w)
    S = {
        "another bias": class_scores(global_average_pool(f), w, b + 1e-3),
        "a ReLU on the maps": np.maximum(M, 0).mean(axis=(1, 2)) + b,
        "max pooling": class_scores(global_max_pool(f), w, b),
        "sums": class_scores(global_sum_pool(f), w, b),
    }[wrong]
    with pytest.raises(ValueError, match="do not add up to the scores: for class .*Eq. 2 needs"):
        check_scores(f, w, b, S)


def test_each_pooling_has_an_identity_of_its_own(net):
    """The right one holds to rounding, the two others fail."""
    f, w, b = net
    M = class_activation_maps(f, w) + b[:, None, None]
    S = {"gap": M.mean(axis=(1, 2)), "squeezenet": np.maximum(M, 0).mean(axis=(1, 2)),
         "gmp": np.array(loops.scores(loops.pooled_max(f.tolist()), w.tolist(), b.tolist()))}
    for true, own in S.items():
        for claimed in S:
            if claimed == true:
                assert FORMS[claimed].check(f, w, b, own) < 1e-12
            else:
                with pytest.raises(ValueError, match="do not add up to the scores"):
                    FORMS[claimed].check(f, w, b, own)


def test_check_finds_a_single_wrong_class(net):
    f, w, b = net
    S = class_scores(global_average_pool(f), w, b)
    S[5] *= 1.01
    with pytest.raises(ValueError, match="for class 5"):
        check_scores(f, w, b, S)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_the_check_asks_whether_the_error_is_large_beside_the_terms_of_its_class(net, form):
    """Whatever the size of a score beside its terms: where they cancel, and where they do not."""
    f, w, b = net
    right = form.scores(f, w, b)
    b = b - right * np.array([1, 0.999, 0.9, 0.5, 0, -1, -9])  # S is near 0 beside its terms, or is not
    right = form.scores(f, w, b)
    largest = form.largest_score(f, w, b)
    for c in range(len(b)):
        for fraction, agrees in ((0.9e-3, True), (1.1e-3, False)):
            S = right.copy()
            S[c] += fraction * largest[c]
            if agrees:
                assert form.check(f, w, b, S, 1e-3) == pytest.approx(fraction * largest[c])
            else:
                with pytest.raises(ValueError, match=f"for class {c} "):
                    form.check(f, w, b, S, 1e-3)


# --- arrays in, arrays out ---------------------------------------------------------------

@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_precision_is_kept(net, dtype):
    f, w, b = (a.astype(dtype) for a in net)
    F = global_average_pool(f)
    results = [F, global_sum_pool(f), global_max_pool(f), class_scores(F, w, b), softmax(F),
               class_activation_map(f, w, 0), class_activation_maps(f, w), upsample(f, height=9, width=9)]
    assert {a.dtype for a in results} == {np.dtype(dtype)}


def test_nothing_is_changed_in_place(net):
    before = [a.copy() for a in net]
    f, w, b = net
    S = class_scores(global_average_pool(f), w, b)
    softmax(S), class_activation_map(f, w, 1), class_activation_maps(f, w), upsample(f, height=8, width=8)
    check_scores(f, w, b, S)
    for a, then in zip(net, before):
        np.testing.assert_array_equal(a, then)


def test_lists_and_integers_are_welcome():
    assert global_average_pool(f2.astype(int).tolist()).tolist() == [1, 1]


f, w, b = np.ones((K, H, W)), np.ones((C, K)), np.ones(C)
nan = np.where(np.arange(K * H * W).reshape(K, H, W) == 17, np.nan, 1.0)


@pytest.mark.parametrize("call, message", [
    (lambda: class_activation_map(f2, w2.T, 0),
     r"f has K=2 units but w has K=3 columns; w is \(C, K\).*did you pass w\.T\?"),
    (lambda: class_scores(np.ones(K), w.T), r"F has K=5 units but w has K=7 columns.*w\.T"),
    (lambda: class_scores(np.ones(K), w, np.ones(3)), "b has C=3 classes but w has C=7; give both"),
    (lambda: class_activation_map(f[0], w, 0), r"f has shape \(3, 4\); f is \(K, H, W\); give 3 axes"),
    (lambda: class_activation_map(f[None], w, 0),
     r"f has shape \(1, 5, 3, 4\); f is \(K, H, W\); give 3 axes"),
    (lambda: global_average_pool(f[0]), r"f is \(\.\.\., K, H, W\); give at least 3 axes"),
    (lambda: global_average_pool(np.ones((K, 0, W))), "holds nothing; give at least one value"),
    (lambda: global_average_pool(nan), r"f has 1 NaN and 0 infinite values, the first at \[1, 1, 1\]; find"),
    (lambda: softmax([1, np.inf]), "S has 0 NaN and 1 infinite"),
    (lambda: softmax(["cat", "dog"]), r"S holds <U3, not numbers; S is a real array \(\.\.\., C,\)"),
    (lambda: class_activation_map(f, w, 7), "c has class 7 but w has C=7 rows; give 0 <= c < 7"),
    (lambda: class_activation_map(f, w, [0, -1]), "c has class -1"),
    (lambda: class_activation_map(f, w, 1.0), "c is 1.0; it names a class by its index; give an integer"),
    (lambda: class_activation_map(f, w, True), "c is True"),
    (lambda: upsample(f[0], height=0, width=4),
     "height is 0; it is a count; give a positive integer"),
    (lambda: upsample(f[0], height=8, width=(8, 8)), r"width is \(8, 8\)"),
    (lambda: check_scores(f, w, b, np.ones(6)), "w has C=7 classes but S has C=6"),
])
def test_wrong_arrays_are_refused_in_three_clauses(call, message):
    with pytest.raises(ValueError, match=message) as refused:
        call()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("value, told", [(np.nan, "1 NaN and 0"), (np.inf, "0 NaN and 1"),
                                         (-np.inf, "0 NaN and 1")])
@pytest.mark.parametrize("cells", [0, 1, -1])
def test_a_weight_that_is_no_number_is_found_in_the_sum_whatever_it_is_multiplied_with(value, told, cells):
    bad = w.copy()
    bad[3, 2] = value
    f = np.full((K, H, W), float(cells))
    for call in (lambda: class_scores(global_average_pool(f), bad), lambda: class_activation_map(f, bad, 3),
                 lambda: class_activation_maps(f, bad)):
        with pytest.raises(ValueError, match=rf"w has {told} infinite values, the first at \[3, 2\]"):
            call()
    assert np.isfinite(class_activation_map(f, bad, 4)).all()  # the map of another class needs no such weight


def test_checking_arrays_leaves_the_warnings_of_other_threads_alone(monkeypatch):
    """`warnings.catch_warnings` is the whole process's: an array or a number needs none."""
    monkeypatch.setattr(warnings, "catch_warnings", None)
    S = class_scores(global_average_pool(f), w, b)
    check_scores(f, w, b, S)
    assert cam_numpy.bounding_box(class_activation_map(f, w, 0), np.float32(0.2)) == (0, 0, W - 1, H - 1)


# --- the package ------------------------------------------------------------------------------

def test_importing_the_package_imports_numpy_only():
    code = ("import sys, cam_numpy; "
            "print(sorted({'PIL', 'matplotlib', 'onnxruntime', 'scipy', 'torch'} & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there_and_documented():
    for name in cam_numpy.__all__:
        public = getattr(cam_numpy, name)
        needed = ["Parameters\n", "Returns\n", "Raises\n"] if not isinstance(public, type) else []
        assert public.__doc__ and all(section in public.__doc__ for section in needed), name
    assert dir(cam_numpy) == sorted([*cam_numpy.__all__, "__version__"])
    with pytest.raises(AttributeError, match="no attribute 'grad_cam'"):
        _ = cam_numpy.grad_cam


# --- hostile numbers ------------------------------------------------------------------------------

HUGE = np.full((K, H, W), 3e38, np.float32)


@pytest.mark.parametrize("pool", [global_average_pool, global_sum_pool])
@pytest.mark.parametrize("shape", [(4096, 4096, 1), (1, 4096, 4096)])
def test_pooling_does_not_lose_small_values_beside_a_large_sum(pool, shape):
    """Channels last or first: a sum of 16 million values in float32 forgets most of them."""
    f = np.moveaxis(np.full(shape, 0.1, np.float32), -1 if shape[-1] == 1 else 0, 0)
    cells = 4096**2 if pool is global_sum_pool else 1
    np.testing.assert_allclose(pool(f) / cells, np.float32(0.1), rtol=1e-6)


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("symbol, call", [
    ("F", lambda: global_sum_pool(HUGE)),
    ("F", lambda: global_average_pool(np.full((K, H, W), 1.7e308))),
    ("S", lambda: class_scores(np.full(K, 3e38, np.float32), np.ones((C, K), np.float32))),
    ("S", lambda: class_scores(np.zeros(K), np.ones((C, K)), np.full(C, 1e308)) * 0 + class_scores(
        np.full(K, 1e308), np.eye(C, K), np.full(C, 1e308))),
    ("M", lambda: class_activation_map(HUGE, np.full((C, K), 3e38, np.float32), 1)),
    ("M", lambda: class_activation_maps(HUGE, np.full((C, K), 3e38, np.float32))),
])
def test_an_overflow_is_refused(symbol, call):
    with pytest.raises(ValueError, match=rf"^{symbol} has values beyond .*; the arrays .* scale them down$"):
        call()


def test_the_mean_of_large_numbers_is_no_overflow():
    np.testing.assert_allclose(global_average_pool(HUGE), 3e38, rtol=1e-6)


@pytest.mark.parametrize("call", [
    lambda a: global_average_pool(a), lambda a: softmax(a), lambda a: class_activation_map(a, w, 0),
    lambda a: upsample(a, height=2, width=2), lambda a: class_activation_map(f, w, np.ma.array([0, 1])),
])
def test_a_masked_array_is_refused(call):
    with pytest.raises(ValueError, match="is a masked array, and the equations know no mask; give"):
        call(np.ma.array(f, mask=f > 0))


@pytest.mark.parametrize("call, message", [
    (lambda: check_scores(f, w, b, b, tolerance=np.nan), "tolerance is nan; it is a fraction of the largest"),
    (lambda: check_scores(f, w, b, b, tolerance=None), "tolerance is None; .*; give 0 <= tolerance < 1"),
    (lambda: check_scores(f, w, b, b, tolerance=-1), "tolerance is -1"),
    (lambda: global_average_pool([[[1, 2], [3]]]), r"f is \[\[\[1, 2\], \[3\]\]\], which has no shape"),
    (lambda: class_activation_map(f, w, 10**5000), "c is a number of thousands of digits; it names a class"),
    (lambda: class_activation_map(f, w, np.ones((3, 90))), r"c is array\(\[\[1., 1.*\.\.\.; it names"),
    (lambda: upsample(f, height=2.5, width=4), "height is 2.5; it is a count"),
    (lambda: upsample(f, height=10**5000, width=4), "height is a number of thousands of digits"),
])
def test_odd_arguments_are_refused_in_three_clauses(call, message):
    with pytest.raises(ValueError, match=message) as refused:
        call()
    assert "\n" not in str(refused.value)


def test_upsampling_never_leaves_the_range_of_a_map_in_float32():
    rng = np.random.default_rng(0)
    for _ in range(50):
        M = rng.normal(size=(K, H, W)).astype(np.float32) + 100
        large = upsample(M, height=int(rng.integers(1, 60)), width=int(rng.integers(1, 60)))
        assert (large.max(axis=(1, 2)) <= M.max(axis=(1, 2))).all()
        assert (large.min(axis=(1, 2)) >= M.min(axis=(1, 2))).all()


# --- the check judges each class on its own scale ---------------------------------------------------

def test_a_huge_bias_of_one_class_does_not_hide_that_units_are_permuted(net):
    f, w, b = net
    b[2] = -1e9
    S = class_scores(global_average_pool(f), w, b)
    assert check_scores(f, w, b, S) < 1e-6
    with pytest.raises(ValueError, match="do not add up"):
        check_scores(f, np.roll(w, 1, axis=1), b, S)


def test_a_huge_bias_of_one_class_does_not_hide_a_wrong_ranking(net):
    f, w, b = net
    b[2] = -1e9
    S = class_scores(global_average_pool(f), w, b)
    order = np.argsort(-S)
    wrong = S.copy()
    wrong[order[[0, 1]]] = S[order[[1, 0]]]
    with pytest.raises(ValueError, match=f"for class ({order[0]}|{order[1]}) "):
        check_scores(f, w, b, wrong)


def test_a_huge_weight_of_a_unit_that_does_not_fire_hides_nothing(net):
    f, w, b = net
    f[1] = 0
    w[:, 1] = 1e9
    S = class_scores(global_average_pool(f), w, b)
    check_scores(f, w, b, S)
    with pytest.raises(ValueError, match="do not add up"):
        check_scores(f, w, b, 1.01 * S)
