"""Section 4: softmax regression on F. Theorems, and loops as the specification."""

import numpy as np
import pytest

from cam_numpy import class_scores, softmax
from cam_numpy.paper import probe
from cam_numpy.paper.probe import CANDIDATES, DEFAULT, FOLDS, fit_classifier, loss_and_gradient
from tests import loops

n, K, C = 23, 5, 4
CLOSE = {"rtol": 1e-12, "atol": 1e-12}  # algebra in float64
OPTIMUM = {"rtol": 1e-5, "atol": 1e-6}  # the gradient's length is 1e-8 there, and l2 at least 0.01


@pytest.fixture(params=[K, 3 * n], ids=["fewer units than photos", "more units than photos"])
def photos(request):
    """F and labels: classes that overlap; units of very different sizes, one of them constant."""
    rng = np.random.default_rng(11)
    labels = np.arange(n) % C
    F = rng.normal(size=(C, request.param))[labels] + rng.normal(size=(n, request.param))
    F = F * np.geomspace(1e-3, 1e3, request.param) + 5
    F[:, 2] = 0.1
    return F, labels


def standardised(F):
    """The z_k, the weights w_k as v_k, and the bias as a: what the penalty is about."""
    mean, std = F.mean(axis=0), F.std(axis=0)
    Z = (F - mean) / np.where(std > 1e-9, std, 1)
    return Z, lambda w, b: (w * std, b + w @ mean)


def own_loss(F, labels, w, b, l2):
    Z, unfolded = standardised(F)
    return loops.regression_loss(Z.tolist(), labels, *(part.tolist() for part in unfolded(w, b)), l2)


@pytest.fixture
def at_random():
    rng = np.random.default_rng(3)
    X = np.column_stack([rng.normal(size=(n, K)), np.ones(n)])
    labels = rng.integers(C, size=n)
    return X, labels, np.eye(C)[labels], rng.normal(size=(C, K + 1))


def test_loss_and_gradient_are_the_loops(at_random):
    X, labels, Y, W = at_random
    loss, gradient = loss_and_gradient(X, Y, W, 0.3)
    given = X[:, :-1].tolist(), labels.tolist(), W[:, :-1].tolist(), W[:, -1].tolist(), 0.3
    of_v, of_a = loops.regression_gradient(*given)
    assert loss == pytest.approx(loops.regression_loss(*given), rel=1e-12)
    np.testing.assert_allclose(gradient, np.column_stack([of_v, of_a]), **CLOSE)


def test_the_gradient_is_the_slope_of_the_loss(at_random):
    X, _, Y, W = at_random
    gradient, h = loss_and_gradient(X, Y, W, 0.3)[1], 1e-5
    for c in range(C):
        for k in range(K + 1):
            step = np.zeros_like(W)
            step[c, k] = h
            up, down = (loss_and_gradient(X, Y, W + s, 0.3)[0] for s in (step, -step))
            assert (up - down) / (2 * h) == pytest.approx(gradient[c, k], abs=1e-9)


def test_scores_far_from_zero_do_not_overflow(at_random):
    X, _, Y, W = at_random
    loss, gradient = loss_and_gradient(X, Y, 1e5 * W, 0.3)
    assert np.isfinite(loss) and np.isfinite(gradient).all()


@pytest.mark.parametrize("l2", [0.01, 1, 100])
def test_at_the_optimum_the_gradient_is_zero(photos, l2):
    """In the loops' own words: standardised units, and no coordinates but those."""
    F, labels = photos
    found = fit_classifier(F, labels, l2)
    Z, unfolded = standardised(F)
    v, a = unfolded(found.w, found.b)
    of_v, of_a = loops.regression_gradient(Z.tolist(), labels.tolist(), v.tolist(), a.tolist(), l2)
    assert np.abs(of_v).max() < 1e-7 and np.abs(of_a).max() < 1e-7
    assert found.converged and found.gradient <= 1e-8 and 0 < found.steps < 100
    assert found.w.shape == (C, F.shape[1]) and found.b.shape == (C,)


def test_no_other_classifier_has_a_smaller_loss(photos):
    F, labels = photos
    w, b, *_ = fit_classifier(F, labels, 0.1)
    least, rng, std = own_loss(F, labels, w, b, 0.1), np.random.default_rng(0), F.std(axis=0)
    std[2] = np.inf  # the constant unit
    for size in (1e-1, 1e-3):
        other_w, other_b = w + size * rng.normal(size=w.shape) / std, b + size * rng.normal(size=C)
        assert own_loss(F, labels, other_w, other_b, 0.1) > least


def test_a_constant_unit_has_no_say(photos):
    F, labels = photos
    assert not fit_classifier(F, labels).w[:, 2].any()
    noisy = np.float32(F)  # constant up to rounding
    noisy[:, 2] += np.float32(1e-8) * np.arange(n)
    assert not fit_classifier(noisy, labels).w[:, 2].any()


def test_photos_that_are_all_alike_leave_the_shares_of_the_classes():
    """Nothing can be learned from them but how frequent each class is."""
    labels = np.array([0, 0, 0, 1, 2, 2])
    w, b, *_ = fit_classifier(np.ones((6, K)), labels)
    assert not w.any()
    np.testing.assert_allclose(softmax(b), [1 / 2, 1 / 6, 1 / 3], rtol=1e-7)


def test_the_units_of_measurement_do_not_matter(photos):
    F, labels = photos
    rng = np.random.default_rng(1)
    scale, shift = rng.uniform(0.01, 100, F.shape[1]), rng.normal(size=F.shape[1])
    w, b, *_ = fit_classifier(F, labels, 0.1)
    w2, b2, *_ = fit_classifier(F * scale + shift, labels, 0.1)
    # up to a constant that b takes on, as its mean is 0
    S, S2 = class_scores(F, w, b), class_scores(F * scale + shift, w2, b2)
    np.testing.assert_allclose(softmax(S2), softmax(S), **OPTIMUM)


def test_reordering_photos_units_or_classes_reorders_the_classifier(photos):
    F, labels = photos
    rng = np.random.default_rng(2)
    order, units, classes = (rng.permutation(size) for size in (n, F.shape[1], C))
    w, b, *_ = fit_classifier(F, labels, 0.1)
    w2, b2, *_ = fit_classifier(F[order][:, units], classes[labels[order]], 0.1)
    size = np.abs(w).max(axis=0)[units] + 1e-9
    np.testing.assert_allclose(w2[classes] / size, w[:, units] / size, **OPTIMUM)
    np.testing.assert_allclose(b2[classes], b, rtol=1e-5, atol=1e-5)


def test_only_differences_between_classes_matter(photos):
    """A unit that speaks for all classes alike would cost a penalty and change no P_c."""
    w, b, *_ = fit_classifier(*photos, 0.1)
    np.testing.assert_allclose(w.sum(axis=0) / np.abs(w).max(axis=0).clip(1e-9), 0, atol=1e-6)
    assert b.mean() == pytest.approx(0, abs=1e-9)


def test_two_classes_are_one_against_the_other(photos):
    F, labels = photos
    w, b, *_ = fit_classifier(F, labels % 2, 0.1)
    np.testing.assert_allclose(w[0], -w[1], rtol=1e-6, atol=1e-12)
    assert b[0] == pytest.approx(-b[1], rel=1e-9)


def test_nothing_is_random(photos):
    first, again = fit_classifier(*photos), fit_classifier(*photos)
    assert first.w.tobytes() == again.w.tobytes() and first[2:] == again[2:]


def test_two_photos_of_each_class_are_enough():
    rng = np.random.default_rng(4)
    F, labels = np.float32(rng.normal(size=(6, 2048))), np.array([0, 0, 1, 1, 2, 2])
    w, b, l2, source, *_ = found = fit_classifier(F, labels)
    assert found.converged and l2 == DEFAULT
    assert source == "the default, since cross-validation needs 5 photos of each class"
    assert class_scores(F, w, b).argmax(axis=1).tolist() == labels.tolist()


@pytest.mark.parametrize("l2", [1e-6, 1e-3, 1e6])
def test_classes_that_can_be_told_apart_perfectly_have_an_optimum_too(l2):
    """Without a penalty w would grow without end."""
    labels = np.arange(40) % 2
    found = fit_classifier(np.random.default_rng(5).normal(size=(40, 60)) + labels[:, None], labels, l2)
    assert found.converged and np.isfinite(found.w).all()


@pytest.mark.parametrize("spread", [0.5, 3])
def test_auto_is_the_candidate_that_judges_best_the_photos_left_out(spread):
    """The i-th photo of a class is left out of fold i mod 5."""
    rng, count = np.random.default_rng(6), 6 * C
    labels = np.arange(count) % C
    F = rng.normal(size=(C, 7))[labels] + spread * rng.normal(size=(count, 7))
    fold, losses = np.arange(count) // C % FOLDS, []
    for l2 in CANDIDATES:
        losses.append(0.0)
        for out in (fold == i for i in range(FOLDS)):
            w, b, *_ = fit_classifier(F[~out], labels[~out], l2)
            losses[-1] += out.sum() * loops.regression_loss(
                F[out].tolist(), labels[out].tolist(), w.tolist(), b.tolist(), 0)
    _, _, l2, source, *_ = fit_classifier(F, labels)
    assert (l2, source) == (CANDIDATES[int(np.argmin(losses))], "5-fold cross-validation")
    assert sorted(losses)[1] > losses[int(np.argmin(losses))] * (1 + 1e-4)  # no tie that rounding decides


def test_it_says_so_where_it_did_not_converge(photos, monkeypatch):
    monkeypatch.setattr(probe, "MOST_STEPS", 1)
    found = fit_classifier(*photos, 0.01)
    assert not found.converged and found.gradient > 1e-3 and found.steps == 1


@pytest.mark.parametrize("F, labels, l2, message", [
    (np.ones((4, 2)), [0, 1], "auto", "F has 4 rows but there are 2 labels; give one label for each row"),
    (np.ones(4), [0, 1, 0, 1], "auto", r"F has shape \(4,\); F is \(n, K\)"),
    (np.full((2, 2), np.nan), [0, 1], "auto", "F has 4 NaN"),
    (np.ones((3, 2)), [0, 0, 0], "auto", "the classes have 3 photos; a classifier needs two classes"),
    (np.ones((3, 2)), [0, 0, 2], "auto", "the classes have 2, 0, 1 photos; .* number the classes from 0"),
    (np.ones((2, 2)), [0, 10**12], "auto", "labels has 2 entries and goes up to 10+; .*; number the classes"),
    (np.ones((2, 2)), [0, -1], "auto", "it holds the class of each photo; give one integer from 0"),
    (np.ones((2, 2)), [0.0, 1.0], "auto", "labels is an array of float64 of shape .2,."),
    (np.ones((2, 2)), [0, 1], 0, 'l2 is 0; .*; give 1e-06 to 1e.06, or "auto"'),
    (np.ones((2, 2)), [0, 1], float("nan"), "l2 is nan"),
    (np.ones((2, 2)), [0, 1], "strong", "l2 is 'strong'"),
])
def test_what_cannot_be_learned_from_is_refused(F, labels, l2, message):
    with pytest.raises(ValueError, match=message):
        fit_classifier(F, labels, l2)


@pytest.mark.parametrize("l2", [0.003, 0.1])
def test_scikit_learn_finds_the_same_optimum(photos, l2):
    linear_model = pytest.importorskip("sklearn.linear_model")
    F, labels = photos
    Z, unfolded = standardised(F)
    theirs = linear_model.LogisticRegression(C=1 / (n * l2), tol=1e-10, max_iter=10_000).fit(Z, labels)
    v, a = unfolded(*fit_classifier(F, labels, l2)[:2])
    np.testing.assert_allclose(v, theirs.coef_, rtol=1e-3, atol=1e-4)
    theirs = theirs.intercept_ - theirs.intercept_.mean()
    np.testing.assert_allclose(a - a.mean(), theirs, rtol=1e-3, atol=1e-4)


def test_of_two_classes_scikit_learn_has_one_row(photos):
    """v_1 - v_0: its square is twice that of both rows together, so that its C is twice as large."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    F, labels = photos[0], photos[1] % 2
    Z, unfolded = standardised(F)
    theirs = linear_model.LogisticRegression(C=2 / (n * 0.1), tol=1e-10, max_iter=10_000).fit(Z, labels)
    v, _ = unfolded(*fit_classifier(F, labels, 0.1)[:2])
    np.testing.assert_allclose(v[1:] - v[:1], theirs.coef_, rtol=1e-3, atol=1e-4)
