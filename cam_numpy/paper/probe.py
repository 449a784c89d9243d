"""Section 4 of the paper: F_k also serves classes that the network was never trained for.

A linear classifier is learned on F_k of a few photos, and nothing else changes. Its rows are the
w_k^c of the new classes, and Eq. 2 gives their maps without any more work. The paper trains a linear
SVM; here it is softmax regression, so that S_c and P_c keep their meaning.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ._checks import array

FOLDS = 5  # of the cross-validation; every class needs as many photos
CANDIDATES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003)  # for l2, from strong to weak
DEFAULT = 0.1  # l2 where photos are too few to choose it
LEAST, MOST = 1e-6, 1e6  # l2 that can be given
TOLERANCE = 1e-8  # of the gradient's length: then the loss is as small as it gets
ROUGH = 1e-3  # enough to compare candidates
MOST_STEPS = 100


class Classifier(NamedTuple):
    """A linear classifier on F, and how it was found.

    Attributes
    ----------
    w : (C, K) float64 array
        Per unit of F: S = F w^T + b.
    b : (C,) float64 array
        Of mean 0, since a constant added to all scores changes no P_c.
    l2 : float
        The weight of the penalty.
    l2_source : str
        Where `l2` comes from.
    gradient : float
        The length of the loss's gradient, in standardised units: 0 at the optimum.
    steps : int
        Of Newton's method.
    """

    w: np.ndarray
    b: np.ndarray
    l2: float
    l2_source: str
    gradient: float
    steps: int

    @property
    def converged(self) -> bool:
        """Whether the optimum was reached."""
        return self.gradient <= TOLERANCE


def fit_classifier(F: ArrayLike, labels: ArrayLike, l2: float | str = "auto") -> Classifier:
    """Learn the w and b of new classes from the F of their photos.

    Parameters
    ----------
    F : (n, K) array
        The pooled activations of n photos.
    labels : (n,) array of int
        The class of each photo, 0 <= c < C; every class has a photo, and C >= 2.
    l2 : float or "auto"
        How strongly large weights are penalised, 1e-6 to 1e6. "auto" chooses it by
        cross-validation where every class has 5 photos or more; else it is 0.1.

    Returns
    -------
    classifier : Classifier
        Always the same for the same photos: nothing is random.

    Raises
    ------
    ValueError
        A shape or a value is wrong, a class has no photo, or there is one class only.

    Notes
    -----
    Section 4. With z_k = (F_k - mean F_k) / std F_k, the standardised units, what is minimised is

        J = mean_i -log P_c(i) + l2 / 2 sum_ck v_ck^2,    S_c = sum_k v_ck z_k + a_c,

    where c(i) is the class of photo i. Standardised, the penalty treats all units alike, whatever
    their size. J has a single optimum. A unit that is constant over the photos gets the weight 0.
    scikit-learn's ``LogisticRegression(C=1 / (n * l2))`` on standardised F has the same optimum.

    Examples
    --------
    >>> F = np.array([[3., 1.], [4., 1.], [1., 5.], [0., 4.]])
    >>> w, b, *_ = fit_classifier(F, [0, 0, 1, 1])
    >>> (F @ w.T + b).argmax(axis=1)
    array([0, 0, 1, 1])
    """
    F, Y = array("F", F, "n K").astype(np.float64), _one_hot(labels)
    if len(F) != len(Y):
        raise ValueError(f"F has {len(F)} rows but there are {len(Y)} labels; give one label for each row")
    l2, source = _choose_l2(F, Y) if check_l2(l2) == "auto" else (l2, "given")
    coordinates = _Coordinates(F)
    W, gradient, steps = _minimise(coordinates(F), Y, l2)
    w, b = coordinates.fold(W)
    return Classifier(w, b, float(l2), source, gradient, steps)


def check_l2(l2: float | str) -> float | str:
    """l2, or a ValueError where it can be neither a penalty nor "auto"."""
    if l2 != "auto" and (isinstance(l2, str) or not LEAST <= l2 <= MOST):
        raise ValueError(f"l2 is {l2!r}; it is the weight of the penalty on large weights; "
                         f'give {LEAST:g} to {MOST:g}, or "auto"')
    return l2


def _one_hot(labels):
    """Y (n, C): 1 where photo i is of class c, else 0."""
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or labels.size == 0 or labels.min() < 0:
        raise ValueError(f"labels is an array of {labels.dtype} of shape {labels.shape}; it holds the class "
                         "of each photo; give one integer from 0 on for each")
    count = np.bincount(labels)
    if len(count) < 2 or not count.all():
        raise ValueError(f"the classes have {', '.join(map(str, count[:20]))} photos; a classifier needs two "
                         "classes and a photo of each; number the classes from 0, without a gap")
    return (labels[:, None] == np.arange(len(count))).astype(np.float64)


class _Coordinates:
    """From F to the coordinates X in which the search takes place, and from its W back to w and b.

    They are the standardised units and a column of ones, for the bias. n photos differ in n - 1
    directions at most: where there are more units than photos, the units are replaced by n
    orthogonal directions that contain all photos.
    """

    def __init__(self, F):
        self.mean, self.std = F.mean(axis=0), F.std(axis=0)
        # what only rounding moves is constant: then z_k = 0, and the weight stays 0
        self.std[self.std <= 1e-6 * np.abs(F).max(axis=0)] = np.inf
        n, K = F.shape
        self.axes = np.linalg.qr(((F - self.mean) / self.std).T)[0] if n < K else None  # (K, n)

    def __call__(self, F):
        """X (n, r + 1)."""
        Z = (F - self.mean) / self.std
        Z = Z if self.axes is None else Z @ self.axes
        return np.column_stack([Z, np.ones(len(F))])

    def fold(self, W):
        """w (C, K) and b (C,) of W (C, r + 1)."""
        v, a = W[:, :-1], W[:, -1]
        v = v if self.axes is None else v @ self.axes.T
        # S_c = sum_k v_ck (F_k - mean F_k) / std F_k + a_c = sum_k w_k^c F_k + b_c
        # the standardisation folds into w and b, and Eq. 2 stays what it is
        w = v / self.std
        b = a - w @ self.mean
        return w, b - b.mean()


def loss_and_gradient(
    X: np.ndarray, Y: np.ndarray, W: np.ndarray, l2: float,
) -> tuple[float, np.ndarray, np.ndarray]:
    """J, its gradient, and the probabilities.

    Parameters
    ----------
    X : (n, r + 1) array
        Photos; the last column is 1.
    Y : (n, C) array
        1 where photo i is of class c, else 0.
    W : (C, r + 1) array
        Weights; the last column is the bias, which is not penalised.
    l2 : float

    Returns
    -------
    loss : float
    gradient : (C, r + 1) array
    P : (n, C) array
    """
    S = X @ W.T  # (n, r + 1), (C, r + 1) -> (n, C)
    # log P_c = S_c - log sum_c exp(S_c); the maximum is subtracted first, so that exp cannot overflow
    S -= S.max(axis=1, keepdims=True)
    log_P = S - np.log(np.exp(S).sum(axis=1, keepdims=True))
    P, penalised = np.exp(log_P), l2 * _without_bias(W)
    loss = -(Y * log_P).sum() / len(X) + (W * penalised).sum() / 2
    # dJ/dS_c = (P_c - Y_c) / n: what the classifier believes, less what is true
    return loss, (P - Y).T @ X / len(X) + penalised, P


def _without_bias(W):
    """W with zeros in its last column."""
    return W * np.append(np.ones(W.shape[1] - 1), 0)


def _minimise(X, Y, l2, W=None, tolerance=TOLERANCE):
    """The W (C, r + 1) where J is smallest, the length of the gradient there, and the steps taken.

    Newton's method: the parabola that fits J best at W has its bottom somewhere, and W moves there;
    or half as far, a quarter ... until J does get smaller. J is convex, so this ends at the optimum,
    wherever it starts.
    """
    W = np.zeros((Y.shape[1], X.shape[1])) if W is None else W
    loss, gradient, P = loss_and_gradient(X, Y, W, l2)
    steps = 0
    while np.linalg.norm(gradient) > tolerance and steps < MOST_STEPS:
        D = _to_the_bottom(X, P, gradient, l2)
        t, slope, rounding = 1.0, (gradient * D).sum(), 1e-13 * (1 + loss)
        while (there := loss_and_gradient(X, Y, W + t * D, l2))[0] > loss + 1e-4 * t * slope + rounding:
            t /= 2
        W, (loss, gradient, P), steps = W + t * D, there, steps + 1
    return W, float(np.linalg.norm(gradient)), steps


def _to_the_bottom(X, P, gradient, l2):
    """The way D (C, r + 1) to the parabola's bottom: H D = -gradient, with H the second derivative of J.

    H has C (r + 1) rows and columns, and is never made: conjugate gradients need its products with
    a direction only. They stop early, the nearer to the optimum the later.
    """
    D, residual = np.zeros_like(gradient), -gradient
    direction, length = residual, np.linalg.norm(gradient)
    enough = min(0.1, np.sqrt(length)) * length
    for _ in range(gradient.size):
        # how P changes along the direction, dP_c = P_c (dS_c - sum_c P_c dS_c), and the gradient with it
        dS = X @ direction.T  # (n, r + 1), (C, r + 1) -> (n, C)
        dP = P * (dS - (P * dS).sum(axis=1, keepdims=True))
        H_direction = dP.T @ X / len(X) + l2 * _without_bias(direction)
        squared = (residual * residual).sum()
        t = squared / (direction * H_direction).sum()
        D, residual = D + t * direction, residual - t * H_direction
        if np.linalg.norm(residual) <= enough:
            break
        direction = residual + (residual * residual).sum() / squared * direction
    return D


def _choose_l2(F, Y):
    """l2 and where it comes from: the candidate whose classifiers judge best the photos left out."""
    fewest = int(Y.sum(axis=0).min())
    if fewest < FOLDS:
        return DEFAULT, f"the default, since cross-validation needs {FOLDS} photos of each class"
    fold = np.empty(len(F), int)
    for members in Y.T > 0:  # each class is dealt out to the folds in turn
        fold[members] = np.arange(members.sum()) % FOLDS
    losses = np.zeros(len(CANDIDATES))
    for i in range(FOLDS):
        kept, out = fold != i, fold == i
        coordinates = _Coordinates(F[kept])
        X, X_out, W = coordinates(F[kept]), coordinates(F[out]), None
        for j, l2 in enumerate(CANDIDATES):  # each search starts where the last one ended
            W, _, _ = _minimise(X, Y[kept], l2, W, ROUGH)
            losses[j] += loss_and_gradient(X_out, Y[out], W, l2=0)[0] * out.sum()
    return CANDIDATES[int(losses.argmin())], f"{FOLDS}-fold cross-validation"
