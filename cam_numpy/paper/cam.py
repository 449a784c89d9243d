"""Section 2 of the paper: class activation mapping, in plain NumPy.

One function per symbol, returning that symbol; nothing is rectified, rescaled,
rounded or changed in place. The symbols are in the docstring of the package.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ._checks import array, class_indices, finite, largest_score, real, same_count, scores_agree


def global_average_pool(f: ArrayLike) -> np.ndarray:
    """F_k, the mean of each unit over the whole map.

    Parameters
    ----------
    f : (..., K, H, W) array
        Activations of the last convolutional layer.

    Returns
    -------
    F : (..., K) array
        In the units of f.

    Raises
    ------
    ValueError
        f has fewer than 3 axes, an empty one, or values that are not finite.

    Notes
    -----
    Section 2, F_k, as networks compute it. The paper writes a sum: `global_sum_pool`.

    Examples
    --------
    >>> f = np.array([[[1., 0], [0, 3]], [[2, 2], [0, 0]]])
    >>> global_average_pool(f)
    array([1., 1.])
    """
    # F_k = mean_xy f_k(x, y)
    # how strongly unit k fires on average, wherever that is
    # (added up in float64: many small values vanish beside a large sum in float32)
    f = array("f", f, "K H W", batch=True)
    return finite("F", f.mean(axis=(-2, -1), dtype=np.float64).astype(f.dtype))


def global_sum_pool(f: ArrayLike) -> np.ndarray:
    """F_k as the paper writes it: the sum of each unit over the whole map.

    Parameters
    ----------
    f : (..., K, H, W) array
        Activations of the last convolutional layer.

    Returns
    -------
    F : (..., K) array
        In the units of f, times cells: H W times the mean.

    Raises
    ------
    ValueError
        f has fewer than 3 axes, an empty one, or values that are not finite.

    Notes
    -----
    Section 2, F_k. A network that pools with the mean has the weights w / (H W) when its F_k
    is written as a sum; then S_c = sum_xy M_c(x, y) + b_c.

    Examples
    --------
    >>> global_sum_pool(np.array([[[1., 0], [0, 3]], [[2, 2], [0, 0]]]))
    array([4., 4.])
    """
    # F_k = sum_xy f_k(x, y)
    f = array("f", f, "K H W", batch=True)
    return finite("F", f.sum(axis=(-2, -1), dtype=np.float64).astype(f.dtype))


def global_max_pool(f: ArrayLike) -> np.ndarray:
    """F_k by max pooling, the strongest value of each unit: Section 3 compares with it.

    Parameters
    ----------
    f : (..., K, H, W) array
        Activations of the last convolutional layer.

    Returns
    -------
    F : (..., K) array
        In the units of f.

    Raises
    ------
    ValueError
        f has fewer than 3 axes, an empty one, or values that are not finite.

    Examples
    --------
    >>> global_max_pool(np.array([[[1., 0], [0, 3]], [[2, 2], [0, 0]]]))
    array([3., 2.])
    """
    # F_k = max_xy f_k(x, y)
    return array("f", f, "K H W", batch=True).max(axis=(-2, -1))


def class_scores(F: ArrayLike, w: ArrayLike, b: ArrayLike | None = None) -> np.ndarray:
    """S_c, the input of the softmax.

    Parameters
    ----------
    F : (..., K) array
        The pooled activations.
    w : (C, K) array
        Weights of the classifier: w[c, k] is how much F_k matters for class c.
    b : (C,) array, optional
        Its bias; the paper sets it to 0.

    Returns
    -------
    S : (..., C) array

    Raises
    ------
    ValueError
        The shapes do not fit each other, or a value is not finite.

    Notes
    -----
    Section 2: S_c = sum_k w_k^c F_k, here with the bias that networks add.

    Examples
    --------
    >>> class_scores(np.array([1., 1.]), np.array([[1., 0], [0, 1], [2, -1]]))
    array([1., 1., 1.])
    """
    F, w = array("F", F, "K", batch=True), real("w", w, "C K")
    same_count("K", "units", F=F.shape[-1], w=w.shape[1])
    # S_c = sum_k w_k^c F_k + b_c
    # the evidence of all units for class c; b_c is what it scores when no unit fires
    # (einsum and not F @ w.T: some BLAS libraries keep cores spinning after so small a product)
    S = np.einsum("...k,ck->...c", F, w)  # (..., K), (C, K) -> (..., C)
    if b is not None:
        b = array("b", b, "C")
        same_count("C", "classes", b=b.shape[0], w=w.shape[0])
        S = S + b
    return finite("S", S, w=w)


def softmax(S: ArrayLike) -> np.ndarray:
    """P_c, the probability of each class.

    Parameters
    ----------
    S : (..., C) array
        Class scores.

    Returns
    -------
    P : (..., C) array
        Between 0 and 1; the sum over the classes is 1.

    Raises
    ------
    ValueError
        S has no axis, an empty one, or values that are not finite.

    Notes
    -----
    Section 2: P_c = exp(S_c) / sum_c exp(S_c).

    Examples
    --------
    >>> softmax(np.array([1., 1., 1., 1.]))
    array([0.25, 0.25, 0.25, 0.25])
    """
    S = array("S", S, "C", batch=True)
    # P_c = exp(S_c) / sum_c exp(S_c)
    # the maximum is subtracted first: P stays the same, exp cannot overflow
    e = np.exp(S - S.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def sigmoid(S: ArrayLike) -> np.ndarray:
    """P_c = 1 / (1 + exp(-S_c)), where a network judges each class by itself.

    Examples
    --------
    >>> sigmoid(np.array([-1000., 0., 1000.]))
    array([0. , 0.5, 1. ])
    """
    # = exp(-log(exp(0) + exp(-S_c))), which cannot overflow
    return np.exp(-np.logaddexp(0, -S))


def class_activation_map(f: ArrayLike, w: ArrayLike, c: int | ArrayLike) -> np.ndarray:
    """M_c, the class activation map: where the evidence for class c lies.

    Parameters
    ----------
    f : (K, H, W) array
        Activations of the last convolutional layer.
    w : (C, K) array
        Weights of the classifier.
    c : int, or (n,) array of int
        A class, or several: 0 <= c < C.

    Returns
    -------
    M : (H, W) array, or (n, H, W)
        In score units: its mean plus b_c is S_c. Negative where the evidence is
        against the class.

    Raises
    ------
    ValueError
        The shapes do not fit each other, a value is not finite, or there is no
        such class.

    Notes
    -----
    Eq. 2. Neither a ReLU nor a bias nor a rescaling is part of it.

    Examples
    --------
    >>> f = np.array([[[1., 0], [0, 3]], [[2, 2], [0, 0]]])
    >>> w = np.array([[1., 0], [0, 1], [2, -1]])
    >>> class_activation_map(f, w, 2)
    array([[ 0., -2.],
           [ 0.,  6.]])
    """
    f, w = array("f", f, "K H W"), real("w", w, "C K")
    same_count("K", "units", f=f.shape[0], w=w.shape[1])
    c = class_indices(c, C=w.shape[0])
    # M_c(x, y) = sum_k w_k^c f_k(x, y)                                   (Eq. 2)
    # every unit votes for class c, where it fires, with its weight for that class
    return finite("M", np.einsum("...k,kyx->...yx", w[c], f), w=w)  # (K,), (K, H, W) -> (H, W)


def class_activation_maps(f: ArrayLike, w: ArrayLike) -> np.ndarray:
    """M_c for every class at once.

    Parameters
    ----------
    f : (K, H, W) array
        Activations of the last convolutional layer.
    w : (C, K) array
        Weights of the classifier.

    Returns
    -------
    M : (C, H, W) array
        ``M[c]`` is ``class_activation_map(f, w, c)``.

    Raises
    ------
    ValueError
        The shapes do not fit each other, or a value is not finite.

    Examples
    --------
    >>> f = np.array([[[1., 0], [0, 3]], [[2, 2], [0, 0]]])
    >>> w = np.array([[1., 0], [0, 1], [2, -1]])
    >>> class_activation_maps(f, w).mean(axis=(1, 2))  # three maps, one score
    array([1., 1., 1.])
    """
    f, w = array("f", f, "K H W"), array("w", w, "C K")
    same_count("K", "units", f=f.shape[0], w=w.shape[1])
    # optimize=True hands the sum to BLAS: the same numbers, fast for many classes
    return finite("M", np.einsum("ck,kyx->cyx", w, f, optimize=True))


def check_scores(f: ArrayLike, w: ArrayLike, b: ArrayLike | None, S: ArrayLike,
                 tolerance: float = 1e-4) -> float:
    """Check the theorem S_c = mean_xy M_c(x, y) + b_c on a network's own scores.

    Shapes can match by accident, and the picture still looks fine. Where the maps do not add
    up to the scores that the network itself computed, they are not class activation maps.

    Parameters
    ----------
    f : (K, H, W) array
        Activations of the last convolutional layer.
    w : (C, K) array
        Weights of the classifier.
    b : (C,) array or None
        Its bias.
    S : (C,) array
        The network's own scores, before the softmax.
    tolerance : float
        The largest error allowed for class c, 0 <= tolerance < 1, as a fraction of
        ``sum_k |w_k^c F_k| + |b_c|``: of its terms, which no score can exceed. Networks compute
        in float32, hence 1e-4.

    Returns
    -------
    error : float
        The largest difference over all classes, in score units: ``max_c |mean M_c + b_c - S_c|``.

    Raises
    ------
    ValueError
        The error is larger than allowed, or a shape or a value is wrong.

    Notes
    -----
    Eq. 1, S_c = sum_xy sum_k w_k^c f_k(x, y), for networks that pool with the mean and have a
    bias. The heads of `forms` that pool in another way each have a ``check`` of their own.

    Examples
    --------
    >>> f = np.array([[[1., 0], [0, 3]], [[2, 2], [0, 0]]])
    >>> w = np.array([[1., 0], [0, 1], [2, -1]])
    >>> check_scores(f, w, None, [1., 1., 1.])
    0.0
    """
    # S_c = mean_xy M_c(x, y) + b_c                                       (Eq. 1)
    # a score is the mean of its map, and a bias. The sums over k and over x, y may change
    # places, as in Eq. 1: the maps of all classes are checked without being made
    F = global_average_pool(f)
    return scores_agree("mean M_c + b_c", class_scores(F, w, b), S, tolerance,
                        scale=lambda c: largest_score(F, w, b, c))
