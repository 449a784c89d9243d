"""Section 2 of the paper: class activation mapping, in plain NumPy.

One function per symbol, returning that symbol; nothing is rectified, rescaled,
rounded or changed in place. The symbols are in the docstring of the package.
"""

from __future__ import annotations

import numpy as np

from ._checks import array, check_scores_agree, class_indices, positive_integers, same_count


def global_average_pool(f, how="mean"):
    """F_k, each unit averaged over the whole map.

    Parameters
    ----------
    f : (..., K, H, W) array
        Activations of the last convolutional layer.
    how : {"mean", "sum"}
        "mean" is what networks compute. "sum" is the paper's literal formula,
        F_k = sum_xy f_k(x, y); the same network then has the weights w / (H W).

    Returns
    -------
    F : (..., K) array
        In the units of f ("mean"), or f times cells ("sum").

    Raises
    ------
    ValueError
        f has fewer than 3 axes, an empty one, or values that are not finite;
        `how` is something else.

    Notes
    -----
    Section 2, F_k.

    Examples
    --------
    >>> f = np.array([[[1., 0], [0, 3]], [[2, 2], [0, 0]]])
    >>> global_average_pool(f)
    array([1., 1.])
    >>> global_average_pool(f, how="sum")
    array([4., 4.])
    """
    f = array("f", f, "K H W", batch=True)
    if how not in ("mean", "sum"):
        raise ValueError(f'how is {how!r}; it says how f is pooled; give "mean" or "sum"')
    # F_k = mean_xy f_k(x, y)
    # how strongly unit k fires, wherever it does
    return f.mean(axis=(-2, -1)) if how == "mean" else f.sum(axis=(-2, -1))


def global_max_pool(f):
    """F_k, each unit's single strongest value: what Section 3 compares with.

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


def class_scores(F, w, b=None):
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
    F, w = array("F", F, "K", batch=True), array("w", w, "C K")
    same_count("K", "units", F=F.shape[-1], w=w.shape[1])
    # S_c = sum_k w_k^c F_k + b_c
    # the evidence of all units for class c, and how likely c is before looking
    S = np.einsum("...k,ck->...c", F, w)  # (..., K), (C, K) -> (..., C)
    if b is None:
        return S
    b = array("b", b, "C")
    same_count("C", "classes", b=b.shape[0], w=w.shape[0])
    return S + b


def softmax(S):
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
    # the largest score is taken off first: P stays the same, exp cannot overflow
    e = np.exp(S - S.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def class_activation_map(f, w, c):
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
        In score units: its mean plus b_c is S_c. Negative where it speaks
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
    f, w = array("f", f, "K H W"), array("w", w, "C K")
    same_count("K", "units", f=f.shape[0], w=w.shape[1])
    c = class_indices(c, C=w.shape[0])
    # M_c(x, y) = sum_k w_k^c f_k(x, y)                                   (Eq. 2)
    # every unit votes for class c, where it fires, with its weight for that class
    return np.einsum("...k,kyx->...yx", w[c], f)  # (K,), (K, H, W) -> (H, W)


def class_activation_maps(f, w):
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
    return np.einsum("ck,kyx->cyx", w, f, optimize=True)


def check_scores(f, w, b, S, tolerance=1e-4, pooled="mean"):
    """Check the theorem S_c = mean_xy M_c(x, y) + b_c on a network's own scores.

    Shapes can fit by accident and the picture still looks fine. Where the maps
    do not add up to the scores that the network itself computed, they are not
    class activation maps.

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
        The largest error allowed, as a part of the largest ``|S_c|``. Networks
        compute in float32, hence 1e-4.
    pooled : {"mean", "rectified", "max"}
        How the network pools. "rectified": a ReLU stands between the map and the
        pooling, as in SqueezeNet; then the theorem is
        S_c = mean_xy max(0, M_c(x, y) + b_c). "max": it is
        S_c = sum_k w_k^c max_xy f_k(x, y) + b_c. With these two a map is only
        approximately what its class was scored by.

    Returns
    -------
    error : float
        The largest difference over all classes, in score units:
        ``max_c |mean M_c + b_c - S_c|`` for the mean.

    Raises
    ------
    ValueError
        The error is larger than allowed, or a shape or a value is wrong, or
        `pooled` is something else.

    Notes
    -----
    Eq. 1, S_c = sum_xy sum_k w_k^c f_k(x, y), for networks that pool with the
    mean and have a bias.

    Examples
    --------
    >>> f = np.array([[[1., 0], [0, 3]], [[2, 2], [0, 0]]])
    >>> w = np.array([[1., 0], [0, 1], [2, -1]])
    >>> check_scores(f, w, None, [1., 1., 1.])
    0.0
    """
    S, w = array("S", S, "C"), array("w", w, "C K")
    b = np.zeros_like(S) if b is None else array("b", b, "C")
    same_count("C", "classes", w=len(w), b=len(b), S=len(S))
    if pooled == "max":
        # S_c = sum_k w_k^c max_xy f_k(x, y) + b_c
        # each unit speaks from its own strongest place; no map adds up to that
        computed, formula = class_scores(global_max_pool(f), w, b), "sum_k w_k^c max f_k + b_c"
    elif pooled == "rectified":
        # S_c = mean_xy max(0, M_c(x, y) + b_c)
        M = class_activation_maps(f, w) + b[:, None, None]
        computed, formula = np.maximum(M, 0).mean(axis=(1, 2)), "mean max(0, M_c + b_c)"
    elif pooled == "mean":
        # S_c = mean_xy M_c(x, y) + b_c                                   (Eq. 1)
        # a score is what its map says, on the average, and a bias. The sums over k and
        # over x, y may change places, as in Eq. 1: so the maps of all classes are
        # checked without being made
        computed, formula = class_scores(global_average_pool(f), w, b), "mean M_c + b_c"
    else:
        raise ValueError(f'pooled is {pooled!r}; it says how the network pools; give "mean", "rectified" or "max"')
    return check_scores_agree(formula, computed, S, tolerance)


def upsample(M, size):
    """Enlarge maps: bilinear, half-pixel centres.

    Each cell of the map covers an equal part of the picture and its value holds
    at the centre of that part; beyond the outermost centres the value stays.

    Parameters
    ----------
    M : (..., H, W) array
        One map, or a stack.
    size : (int, int)
        (height, width) wanted, in pixels.

    Returns
    -------
    M : (..., height, width) array
        In the same units, never outside the range of M.

    Raises
    ------
    ValueError
        M has fewer than 2 axes, an empty one, or values that are not finite;
        `size` is not a pair of positive integers.

    Notes
    -----
    The paper names no method. This is the bilinear interpolation that torch
    calls ``align_corners=False``. To a smaller size it picks values and does not
    average them.

    Examples
    --------
    >>> upsample(np.array([[0., 4.]]), (1, 4))
    array([[0., 1., 3., 4.]])
    """
    M = array("M", M, "H W", batch=True)
    height, width = positive_integers("size", size, "(height, width)")
    rows = interpolation(_centres(height, M.shape[-2]), M.shape[-2]).astype(M.dtype)
    columns = interpolation(_centres(width, M.shape[-1]), M.shape[-1]).astype(M.dtype)
    return rows @ M @ columns.T  # (height, H), (..., H, W), (W, width)


def _centres(pixels, cells):
    """Where the centres of `pixels` lie, in cells: the first cell's centre is 0."""
    return (np.arange(pixels) + 0.5) * cells / pixels - 0.5


def interpolation(position, cells):
    """The matrix that interpolates linearly between neighbouring cells.

    Parameters
    ----------
    position : (n,) float array
        Where to interpolate; cell i has its centre at i.
    cells : int
        How many cells there are.

    Returns
    -------
    A : (n, cells) float array
        Each row has at most two weights, of sum 1: A @ values.

    Examples
    --------
    >>> interpolation(np.array([-0.5, 0.25, 1.]), 2)
    array([[1.  , 0.  ],
           [0.75, 0.25],
           [0.  , 1.  ]])
    """
    position = np.clip(position, 0, cells - 1)
    distance = np.abs(position[:, None] - np.arange(cells))
    return np.maximum(0, 1 - distance)  # a tent over each cell
