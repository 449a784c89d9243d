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
CANDIDATES = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003)  # for l2, from strong to weak
DEFAULT = 0.1  # l2 where photos are too few to choose it
LEAST, MOST = 1e-6, 1e6  # l2 that can be given
TOLERANCE = 1e-8  # of the gradient's length: then the loss is as small as it gets
ROUGH = 1e-3  # enough to compare candidates
MOST_STEPS = 10_000
REMEMBERED = 10  # steps


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
        How many steps it took.
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
    scikit-learn's ``LogisticRegression(C=1 / (n * l2))`` on standardised F has the same optimum; with
    two classes it has one row for both, v_1 - v_0, and its C is 2 / (n * l2).

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
    if labels.max() >= len(labels):
        raise ValueError(f"labels has {len(labels)} entries and goes up to {labels.max()}; a classifier "
                         "needs a photo of each class; number the classes from 0, without a gap")
    count = np.bincount(labels)
    if len(count) < 2 or not count.all():
        raise ValueError(f"the classes have {', '.join(map(str, count[:20]))} photos; a classifier needs two "
                         "classes and a photo of each; number the classes from 0, without a gap")
    return (labels[:, None] == np.arange(len(count))).astype(np.float64)


class _Coordinates:
    """From F to the coordinates X in which the search takes place, and from its W back to w and b.

    They are the standardised units and a column of ones, for the bias.
    """

    def __init__(self, F):
        self.mean, self.std = F.mean(axis=0), F.std(axis=0)
        # what only rounding moves is constant: then z_k = 0, and the weight stays 0
        self.std[self.std <= 1e-6 * np.abs(F).max(axis=0)] = np.inf

    def __call__(self, F):
        """X (n, K + 1)."""
        return np.column_stack([(F - self.mean) / self.std, np.ones(len(F))])

    def fold(self, W):
        """w (C, K) and b (C,) of W (C, K + 1)."""
        v, a = W[:, :-1], W[:, -1]
        # S_c = sum_k v_ck (F_k - mean F_k) / std F_k + a_c = sum_k w_k^c F_k + b_c
        # the standardisation folds into w and b, and Eq. 2 stays what it is
        w = v / self.std
        b = a - w @ self.mean
        return w, b - b.mean()


def loss_and_gradient(
    X: np.ndarray, Y: np.ndarray, W: np.ndarray, l2: float,
) -> tuple[float, np.ndarray]:
    """J and its gradient.

    Parameters
    ----------
    X : (n, K + 1) array
        Photos; the last column is 1.
    Y : (n, C) array
        1 where photo i is of class c, else 0.
    W : (C, K + 1) array
        Weights; the last column is the bias, which is not penalised.
    l2 : float

    Returns
    -------
    loss : float
    gradient : (C, K + 1) array
    """
    S = X @ W.T  # (n, K + 1), (C, K + 1) -> (n, C)
    # log P_c = S_c - log sum_c exp(S_c); the maximum is subtracted first, so that exp cannot overflow
    S -= S.max(axis=1, keepdims=True)
    log_P = S - np.log(np.exp(S).sum(axis=1, keepdims=True))
    P, penalised = np.exp(log_P), l2 * _without_bias(W)
    loss = -(Y * log_P).sum() / len(X) + (W * penalised).sum() / 2
    # dJ/dS_c = (P_c - Y_c) / n: what the classifier believes, less what is true
    return float(loss), (P - Y).T @ X / len(X) + penalised


def _without_bias(W):
    """W with zeros in its last column."""
    return W * (np.arange(W.shape[1]) < W.shape[1] - 1)


def _minimise(X, Y, l2, W=None, tolerance=TOLERANCE):
    """The W (C, K + 1) where J is smallest, the length of the gradient there, and the steps taken.

    Gradient descent that learns from its last steps how J is curved (L-BFGS; Nocedal 1980). A step
    that does not make J smaller is halved. J is convex, so this ends at the optimum, wherever it
    starts.
    """
    W = np.zeros((Y.shape[1], X.shape[1]), X.dtype) if W is None else W
    loss, gradient = loss_and_gradient(X, Y, W, l2)
    memory, steps = [], 0  # memory: of each step s how the gradient changed, y
    while np.linalg.norm(gradient) > tolerance and steps < MOST_STEPS:
        s = _direction(gradient, memory)
        slope, rounding = (gradient * s).sum(), 10 * np.finfo(X.dtype).eps * (1 + loss)
        while (there := loss_and_gradient(X, Y, W + s, l2))[0] > loss + 1e-4 * slope + rounding:
            s, slope = s / 2, slope / 2
        y = there[1] - gradient
        if (s * y).sum() > 0:
            memory = [*memory[1 - REMEMBERED:], (s, y)]
        W, (loss, gradient), steps = W + s, there, steps + 1
    return W, float(np.linalg.norm(gradient)), steps


def _direction(gradient, memory):
    """-H^-1 gradient, with H the second derivative of J as far as the steps show it: y = H s."""
    D, factors = -gradient, []
    for s, y in reversed(memory):
        factors.append((s * D).sum() / (s * y).sum())
        D = D - factors[-1] * y
    if memory:
        s, y = memory[-1]
        D = D * ((s * y).sum() / (y * y).sum())
    for (s, y), factor in zip(memory, reversed(factors)):
        D = D + s * (factor - (y * D).sum() / (s * y).sum())
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
    Y = Y.astype(np.float32)
    for i in range(FOLDS):
        kept, out = fold != i, fold == i
        coordinates = _Coordinates(F[kept])
        # half the digits are enough to compare, and take half the time
        X, X_out, W = np.float32(coordinates(F[kept])), np.float32(coordinates(F[out])), None
        for j, l2 in enumerate(CANDIDATES):  # each search starts where the last one ended
            W, _, _ = _minimise(X, Y[kept], l2, W, ROUGH)
            losses[j] += loss_and_gradient(X_out, Y[out], W, l2=0)[0] * out.sum()
    return CANDIDATES[int(losses.argmin())], f"{FOLDS}-fold cross-validation"
