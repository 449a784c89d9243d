"""Refuse early, in three clauses: what it is, what was given, what to do."""

from __future__ import annotations

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
    a = np.asarray(value)
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
    a = np.asarray(c)
    if a.dtype.kind not in "iu" or a.ndim > 1 or a.size == 0:
        raise ValueError(f"c is {c!r}; it names a class by its index; give an integer or a list of them")
    outside = a[(a < 0) | (a >= C)]
    if outside.size:
        raise ValueError(f"c has class {outside.flat[0]} but w has C={C} rows; give 0 <= c < {C}")
    return a


def positive_integer(name, value):
    """`value` as a positive int, or a ValueError."""
    a = np.asarray(value)
    if a.shape != () or a.dtype.kind not in "iu" or a <= 0:
        raise ValueError(f"{name} is {value!r}; it is a number of pixels; give a positive integer")
    return int(a)


def scores_agree(formula, computed, F, w, b, S, tolerance):
    """max_c |computed_c - S_c|, or a ValueError where some class differs by more than rounding explains.

    Each class has a scale of its own, |w_c| |F| + |b_c|, which no score that is computed from
    it can exceed: one class with a huge bias says nothing about the others.
    """
    S, w = array("S", S, "C"), array("w", w, "C K")
    same_count("C", "classes", w=len(w), S=len(S))
    error = np.abs(computed - S)
    # |w_c| |F| >= |sum_k w_k^c F_k|                                      (Cauchy and Schwarz)
    scale = np.sqrt(np.einsum("ck,ck->c", w, w) * np.einsum("k,k->", F, F)) + (0 if b is None else np.abs(b))
    excess = error - tolerance * scale
    c = int(excess.argmax())
    if not excess[c] <= 0:
        raise ValueError(
            f"the maps do not add up to the scores: for class {c} {formula} is "
            f"{computed[c]:.6g} but the network's own S_c is {S[c]:.6g}; Eq. 2 needs S to be "
            "linear in the pooled f: take the tensor that enters the pooling, and the one "
            "linear layer behind it"
        )
    return float(error.max())
