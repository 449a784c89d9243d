"""Section 5 of the paper: class-specific units. A class is a bag of units, as a text is a bag of words.

S_c = sum_k w_k^c F_k + b_c: each unit contributes one product. Units are ranked by it, or by w_k^c
alone where there is no photo.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ._checks import array, class_indices, same_count


def unit_contributions(F: ArrayLike, w: ArrayLike, c: int) -> np.ndarray:
    """What each unit contributes to the score of a class: w_k^c F_k.

    Parameters
    ----------
    F : (..., K) array
        The pooled activations.
    w : (C, K) array
        Weights of the classifier.
    c : int
        A class.

    Returns
    -------
    products : (..., K) array
        In score units; all of them and b_c add up to S_c.

    Raises
    ------
    ValueError
        The shapes do not fit each other, a value is not finite, or there is no such class.

    Examples
    --------
    >>> unit_contributions(np.array([1., 1.]), np.array([[1., 0], [0, 1], [2, -1]]), 2)
    array([ 2., -1.])
    """
    F, w = array("F", F, "K", batch=True), array("w", w, "C K")
    same_count("K", "units", F=F.shape[-1], w=w.shape[1])
    # S_c - b_c = sum_k w_k^c F_k: how often a word occurs, times what it says about the class
    return w[class_indices(c, len(w))] * F  # (K,), (..., K) -> (..., K)


def rank_units(values: ArrayLike) -> np.ndarray:
    """The units by a value, the largest first; ties go to the lower index.

    Parameters
    ----------
    values : (K,) array
        Contributions, or weights.

    Returns
    -------
    units : (K,) array of int

    Examples
    --------
    >>> rank_units([0.5, 2, -1, 2])
    array([1, 3, 0, 2])
    """
    return np.argsort(-array("values", values, "K"), kind="stable")


def vocabulary(w: ArrayLike, k: int, n: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Which classes a unit speaks for and against: those with the largest and the smallest w_k^c.

    Parameters
    ----------
    w : (C, K) array
    k : int
        A unit.
    n : int
        How many of each; at most half of the classes.

    Returns
    -------
    speaks_for, speaks_against : arrays of int
        Classes, the strongest first.

    Raises
    ------
    ValueError
        There is no such unit.

    Examples
    --------
    >>> vocabulary(np.array([[1., 0], [0, 1], [2, -1]]), 0, n=1)
    (array([2]), array([1]))
    """
    w = array("w", w, "C K")
    (k,) = _units(k, w.shape[1])
    n = min(n, len(w) // 2)
    return rank_units(w[:, k])[:n], rank_units(-w[:, k])[:n]


def count_carrying(products: ArrayLike, fraction: float = 0.9) -> int:
    """How few units carry a fraction of the evidence for a class.

    Products have both signs, and a sum of large ones may be small. Therefore the fraction is one
    of the evidence *for* the class, the sum of the positive products, not of the score.

    Parameters
    ----------
    products : (K,) array
        w_k^c F_k of each unit.
    fraction : float
        Above 0, at most 1.

    Returns
    -------
    n : int
        The smallest n for which the n largest products add up to at least `fraction` of the sum
        of all positive products; 0 where none is positive.

    Raises
    ------
    ValueError
        `fraction` is not in that range.

    Examples
    --------
    >>> count_carrying([6., -20, 3, 1])        # 6 + 3 is 90 % of 6 + 3 + 1
    2
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction is {fraction}; it must be more than 0 and at most 1")
    products = array("products", products, "K").astype(np.float64)
    evidence = np.sort(products[products > 0])[::-1].cumsum()  # of the n largest, n = 1, 2 ...
    if not evidence.size:
        return 0
    # the last sum, times a fraction of 1, must not exceed itself by rounding
    return int(np.searchsorted(evidence, fraction * evidence[-1] * (1 - 1e-12)) + 1)


def silence(f: ArrayLike, units: int | ArrayLike) -> np.ndarray:
    """f as if some units never fired.

    Every form of head then computes S, P and M as always (`cam_numpy.paper.forms`). With the
    average or the maximum S_c loses exactly w_k^c F_k for each of them, as S is linear in F; with a
    ReLU before the pooling it does not.

    Parameters
    ----------
    f : (K, H, W) array
    units : int or list of int

    Returns
    -------
    f : (K, H, W) array
        A new one.

    Raises
    ------
    ValueError
        There is no such unit.

    Examples
    --------
    >>> silence(np.array([[[1., 0], [0, 3]], [[2, 2], [0, 0]]]), 0).sum(axis=(1, 2))
    array([0., 4.])
    """
    f = array("f", f, "K H W").copy()
    f[_units(units, len(f))] = 0
    return f


def _units(units, K):
    """Units as a list of int, or a ValueError where there is no such unit."""
    found = np.atleast_1d(np.asarray(units))
    if found.ndim != 1 or found.dtype.kind not in "iu" or found.size == 0:
        raise ValueError(f"units is {units!r}; a unit is given by its index k; "
                         "give an integer or a list of them")
    outside = found[(found < 0) | (found >= K)]
    if outside.size:
        raise ValueError(f"units has {outside[0]} but f has K={K} units; give 0 <= k < {K}")
    return found.tolist()
