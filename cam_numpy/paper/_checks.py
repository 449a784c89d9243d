"""Refuse early, in three clauses: what it is, what was given, what to do."""

from __future__ import annotations

import warnings

import numpy as np


def array(name, value, axes, batch=False):
    """`value` as an array of finite floating-point numbers with the named axes, or a ValueError.

    Parameters
    ----------
    name : str
        The symbol, for the message.
    value : array_like
        Numbers. float32 and float64 are kept, anything else becomes float64
        (float16: float32).
    axes : str
        The axes it must have, such as "K H W".
    batch : bool
        Whether more axes may come before these.
    """
    a = real(name, value, axes, batch)
    _all_finite(name, a)
    return a


def real(name, value, axes, batch=False):
    """The same, but values that are not finite pass: for an array that `finite` looks at later."""
    a = unmasked(name, value)
    count = len(axes.split())
    if a.dtype.kind not in "fiub":
        raise ValueError(f"{name} holds {a.dtype}, not numbers; {name} is a real array {_shape(axes, batch)}")
    if a.ndim < count or (a.ndim > count and not batch):
        raise ValueError(f"{name} has shape {a.shape}; {name} is {_shape(axes, batch)}; give "
                         f"{'at least ' * batch}{count} {'axis' if count == 1 else 'axes'}")
    if a.size == 0:
        raise ValueError(f"{name} has shape {a.shape}, which holds nothing; give at least one value")
    if a.dtype.kind != "f":
        return a.astype(np.float64)
    return a if a.dtype.itemsize >= 4 else a.astype(np.float32)


def _shape(axes, batch):
    """The axes as a shape is written: (..., K, H, W)."""
    return f"({'..., ' if batch else ''}{', '.join(axes.split())}{',' if ' ' not in axes else ''})"


def _all_finite(name, a):
    """A ValueError that says where an array has values that are not finite, if it has any."""
    if not np.isfinite(a).all():
        first = tuple(int(i) for i in np.argwhere(~np.isfinite(a))[0])
        raise ValueError(f"{name} has {np.isnan(a).sum()} NaN and {np.isinf(a).sum()} infinite values, "
                         f"the first at {list(first)}; find where they come from before mapping them")


def unmasked(name, value):
    """`value` as an array, or a ValueError where it is masked or is no array at all."""
    if isinstance(value, np.ma.MaskedArray):
        raise ValueError(f"{name} is a masked array, and the equations know no mask; "
                         "give an array without one, such as its filled(0)")
    if isinstance(value, (np.ndarray, np.generic, int, float)):
        return np.asarray(value)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # NumPy before 1.24 only warns of rows of several lengths
            return np.asarray(value)
    except (ValueError, Warning):
        raise ValueError(f"{name} is {shown(value)}, which has no shape; give rows of one length") from None


def finite(name, result, **factors):
    """`result`, or a ValueError where a factor is not finite, or the numbers became too large for their type.

    A sum of products shows what is not finite in any of its factors: nothing turns a NaN into a
    number again, nor an infinite value. So the result is looked at, which is small, and the factors
    only where it is not finite.
    """
    if not np.isfinite(result).all():
        for factor, values in factors.items():
            _all_finite(factor, values)
        largest = np.finfo(result.dtype).max
        raise ValueError(f"{name} has values beyond {largest:.3g}, the largest {result.dtype}; "
                         "the arrays that it is computed from are too large; scale them down")
    return result


def shown(value):
    """A value as a message shows it: on one line, and short."""
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # Python does not print integers of thousands of digits
        text = "a number of thousands of digits"
    return text if len(text) <= 60 else f"{text[:57]}..."


def same_count(axis, things, **counts):
    """All counts of the axis alike, or a ValueError that shows them."""
    (first, n), *others = counts.items()
    for name, m in others:
        if m != n:
            hint = ""
            if axis == "K" and name == "w":
                hint = "; w is (C, K), one row per class - did you pass w.T?"
            raise ValueError(f"{first} has {axis}={n} {things} but {name} has {axis}={m}"
                             f"{' columns' if name == 'w' and axis == 'K' else ''}"
                             f"{hint or f'; give both the same {things}'}")


def class_indices(c, C):
    """c as an integer array (0 or 1 axis) with 0 <= c < C, or a ValueError."""
    a = unmasked("c", c)
    if a.dtype.kind not in "iu" or a.ndim > 1 or a.size == 0:
        raise ValueError(f"c is {shown(c)}; it names a class by its index; give an integer or a list of them")
    outside = a[(a < 0) | (a >= C)]
    if outside.size:
        raise ValueError(f"c has class {outside.flat[0]} but w has C={C} rows; give 0 <= c < {C}")
    return a


def positive_integer(name, value):
    """`value` as a positive int, or a ValueError."""
    a = unmasked(name, value)
    if a.shape != () or a.dtype.kind not in "iu" or a <= 0:
        raise ValueError(f"{name} is {shown(value)}; it is a count; give a positive integer")
    return int(a)


def fraction(name, value, of):
    """`value` as a float with 0 <= value < 1, or a ValueError."""
    a = unmasked(name, value)
    if a.shape != () or a.dtype.kind not in "fiu" or not 0 <= a < 1:
        raise ValueError(f"{name} is {shown(value)}; it is a fraction of {of}; give 0 <= {name} < 1")
    return float(a)


def largest_score(F, w, b, c=slice(None)):
    """The largest size that the scores of classes c can have: all terms added up, whatever their signs.

    Each class has a scale of its own: a huge bias of one class says nothing about the others, and
    a huge weight nothing where its unit does not fire.
    """
    # sum_k |w_k^c F_k| + |b_c| >= |S_c|                                  (triangle inequality)
    scale = np.einsum("ck,k->c", np.abs(np.asarray(w)[c]), np.abs(F))
    return finite("the scale of S", scale if b is None else scale + np.abs(np.asarray(b)[c]))


def as_fraction(error, scale):
    """Errors as fractions of their scales; on a scale of 0 only 0 is none."""
    return np.divide(error, scale, where=scale > 0, out=np.where(error == 0, 0.0, np.inf))


def scores_agree(formula, computed, S, tolerance, scale):
    """max_c |computed_c - S_c|, or a ValueError where some class differs by more than rounding explains.

    Parameters
    ----------
    formula : str
        What was computed.
    computed, S : (C,) array
    tolerance : float
        The largest error allowed, as a fraction of a class's scale.
    scale : callable
        From the indices of some classes to the scales of their scores; see `largest_score`.
    """
    tolerance = fraction("tolerance", tolerance, "the largest score that a class can have")
    S = array("S", S, "C")
    same_count("C", "classes", w=len(computed), S=len(S))
    error = np.abs(computed - S.astype(np.float64))
    # a scale is at least as large as its score: only where the error is not small beside the score
    # itself is the scale needed, which takes as long as all scores do
    unsure = np.flatnonzero(error > tolerance * np.abs(computed))
    if len(unsure):
        excess = as_fraction(error[unsure], scale(unsure))
        c = int(unsure[excess.argmax()])
        if excess.max() > tolerance:
            raise ValueError(
                f"the maps do not add up to the scores: for class {c} {formula} is "
                f"{computed[c]:.6g} but the network's own S_c is {S[c]:.6g}; Eq. 2 needs S to be "
                "linear in the pooled f: take the tensor that enters the pooling, and the one "
                "linear layer behind it"
            )
    return float(error.max())
