"""Refuse early, in three clauses: what it is, what was given, what to do."""

from __future__ import annotations

import warnings

import numpy as np


def array(name, value, axes, batch=False):
    """`value` as a floating-point array with the named axes, or a ValueError.

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
    a = unmasked(name, value)
    shape = f"({'..., ' if batch else ''}{', '.join(axes.split())}{',' if ' ' not in axes else ''})"
    if a.dtype.kind not in "fiub":
        raise ValueError(f"{name} holds {a.dtype}, not numbers; {name} is a real array {shape}")
    count = len(axes.split())
    if a.ndim < count or (a.ndim > count and not batch):
        raise ValueError(f"{name} has shape {a.shape}; {name} is {shape}; give {'at least ' * batch}"
                         f"{count} {'axis' if count == 1 else 'axes'}")
    if a.size == 0:
        raise ValueError(f"{name} has shape {a.shape}, which holds nothing; give at least one value")
    if a.dtype.kind != "f":
        a = a.astype(np.float64)
    elif a.dtype.itemsize < 4:
        a = a.astype(np.float32)
    if not np.isfinite(a).all():
        first = tuple(int(i) for i in np.argwhere(~np.isfinite(a))[0])
        raise ValueError(f"{name} has {np.isnan(a).sum()} NaN and {np.isinf(a).sum()} infinite values, "
                         f"the first at {list(first)}; find where they come from before mapping them")
    return a


def unmasked(name, value):
    """`value` as an array, or a ValueError where it is masked or is no array at all."""
    if isinstance(value, np.ma.MaskedArray):
        raise ValueError(f"{name} is a masked array, and the equations know no mask; "
                         "give an array without one, such as its filled(0)")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # NumPy before 1.24 only warns of rows of several lengths
            return np.asarray(value)
    except (ValueError, Warning):
        raise ValueError(f"{name} is {shown(value)}, which has no shape; give rows of one length") from None


def finite(name, result):
    """`result`, or a ValueError where the numbers have become too large for their type."""
    if not np.isfinite(result).all():
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


def deviation(computed, F, w, b, S):
    """|computed_c - S_c| for each class, as a fraction of the largest score that w_c and F could give.

    Each class has a scale of its own, the sum of its terms' sizes, which no score computed from
    them can exceed: a huge bias of one class says nothing about the others, and a huge weight
    nothing where its unit does not fire.
    """
    error = np.abs(computed - np.asarray(S, np.float64))
    # sum_k |w_k^c F_k| + |b_c| >= |S_c|                                  (triangle inequality)
    scale = np.einsum("ck,k->c", np.abs(w), np.abs(F)) + (0 if b is None else np.abs(b))
    scale = finite("the scale of S", scale)
    return np.divide(error, scale, where=scale > 0, out=np.where(error == 0, 0.0, np.inf))


def scores_agree(formula, computed, F, w, b, S, tolerance):
    """max_c |computed_c - S_c|, or a ValueError where some class differs by more than rounding explains."""
    tolerance = fraction("tolerance", tolerance, "the largest score that a class can have")
    S, w = array("S", S, "C"), array("w", w, "C K")
    same_count("C", "classes", w=len(w), S=len(S))
    excess = deviation(computed, F, w, b, S)
    c = int(excess.argmax())
    if excess[c] > tolerance:
        raise ValueError(
            f"the maps do not add up to the scores: for class {c} {formula} is "
            f"{computed[c]:.6g} but the network's own S_c is {S[c]:.6g}; Eq. 2 needs S to be "
            "linear in the pooled f: take the tensor that enters the pooling, and the one "
            "linear layer behind it"
        )
    return float(np.abs(computed - S).max())
