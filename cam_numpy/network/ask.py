"""Ask a network's head what its weights are.

The head of a network is what lies between f and S. Suppose that we cannot look into it, but may
show it any f we like and see which S it gives. Then two kinds of f say what w and b are:

    nothing fires                      S_c = b_c
    only unit k fires, everywhere,     S_c = w_k^c v + b_c      so   w_k^c = (S_c - b_c) / v
    with strength v

That is what these numbers mean: b_c is the score of class c when no unit fires, w_k^c is what
unit k adds to it, for each 1 that it fires on average. K + 1 questions, whatever operators the
head is made of, and in whatever format its weights are stored.

Two questions remain, and both are asked with random f. Does it matter *where* a unit fires? If so,
no unit has one weight per class: the head looks at places, not at the pooled units. And do w and b
explain the scores of any f? If so for the average, CAM is exact. If for the maximum, or for what
else `cam_numpy.paper.forms` knows, the head has that form. If for none, the head is not linear.

Here `head` is a function from (n, K, H, W) to (n, C). Nothing here knows of ONNX.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..paper.forms import GAP, GAP_GMP, GMP, GSP, TOLERANCES, Form

TRIED = {24: TOLERANCES[24], 11: TOLERANCES[11], 8: 3e-2}  # what rounding may cause where nothing is cut off
FLOAT32 = 1e-5  # more is not rounded in float32, where a head may do otherwise
AT_ONCE = 1 << 23  # numbers in the maps of one question: 32 MB


class Answer(NamedTuple):
    """What a head said.

    Attributes
    ----------
    form : Form or None
        None where no form explains the scores.
    w : (C, K) array
    b : (C,) array
    error : float
        The largest error of the form's identity on random f, as a fraction of the sizes of its terms.
    places_matter : bool
        The scores depend on where a unit fires; then w and b are None.
    """

    form: Form | None
    w: np.ndarray | None
    b: np.ndarray | None
    error: float = np.inf
    places_matter: bool = False


def ask(head, f, bits=24, cell=None):
    """Ask a head for w and b, and whether they are all there is to it.

    Parameters
    ----------
    head : callable
        Takes (n, K, H, W) to (n, C).
    f : (K, H, W) array
        What the network's body computed from some picture: an example of the strength with which
        units fire.
    bits : {24, 11, 8}
        The precision in which the head computes.
    cell : callable, optional
        Gives the same head from maps of one place on, (n, K, 1, 1) to (n, C), and what the 1 of a unit
        of f is there, (K,); or None. That is asked first, as its questions are small, but its answers
        are tried on `head`.

    Returns
    -------
    answer : Answer
    """
    v = strength(f)
    if where_matters(head, f, v, TRIED[bits]):
        return Answer(None, None, None, places_matter=True)
    b = bias(head, f.shape)
    if not np.isfinite(b).all():
        return Answer(None, None, None)
    forms = GSP if sums(head, f.shape, v, b) else GAP, GMP, GAP_GMP
    for guess in _guesses(head, f, v, b, bits, cell):
        answer = explain(head, f, *guess, bits, forms)
        if answer.form is not None:
            break
    return answer


def _guesses(head, f, v, b, bits, cell):
    """w and b as several ways to ask tell them, the quickest first."""
    if cell and (found := cell()):
        layer, a = found
        shape = (len(a), 1, 1)
        a = a * (f[0].size if sums(layer, shape, v, b) else 1)
        yield weights(layer, shape, v, b) * np.float32(a), b
    yield weights(head, f.shape, v, b), b
    if bits == 8:  # rounded scores hide what one unit adds
        yield weigh_together(head, f)


def strength(f):
    """How strongly a unit fires: the mean over the units of the strongest value, or 1."""
    with np.errstate(over="ignore"):
        v = float(np.abs(f).max(axis=(1, 2)).mean())
    return v if np.isfinite(v) and v > 0 else 1.0


def bias(head, shape):
    """b (C,): the scores when no unit fires."""
    return head(np.zeros((1, *shape), np.float32))[0]


def weights(head, shape, v, b):
    """w (C, K): what unit k adds to the scores when it fires alone, everywhere, per 1 of strength.

    Parameters
    ----------
    head : callable
    shape : (int, int, int)
        K, H, W.
    v : float
        The strength.
    b : (C,) array
    """
    K = shape[0]
    n = min(K, max(1, AT_ONCE // int(np.prod(shape))))
    f = np.zeros((n, *shape), np.float32)
    w = np.empty((len(b), K), np.float32)
    for first in range(0, K, n):
        units = np.arange(first, min(first + n, K))
        which = np.arange(len(units))
        f[which, units] = v
        # w_k^c = (S_c - b_c) / v
        w[:, units] = ((head(f[: len(units)]) - b) / v).T
        f[which, units] = 0
    return w


def weigh_together(head, f):
    """w and b of a head that rounds its scores: many units fire at once, and the rounding averages out.

    In map i unit k fires where the i-th row of a Hadamard matrix has +1 in column k. Its columns
    are orthogonal, so the sum of S_i over the maps, with the signs of column k, holds nothing but
    unit k. It is the old trick of weighing many things together on a pair of scales.

    Parameters
    ----------
    head : callable
    f : (K, H, W) array
        An example: integers reach no further than the values that they were calibrated for.
    """
    K, H, W = f.shape
    v = float(np.abs(f.mean(axis=(1, 2))).mean()) or 1.0
    N = 1 << K.bit_length()  # a power of 2, more than K
    w, total = 0.0, 0.0
    n = min(N, max(1, AT_ONCE // f.size))
    for first in range(0, N, n):
        rows = np.arange(first, min(first + n, N))
        sign = 1 - 2 * _parity(rows[:, None] & np.arange(1, K + 1))  # (-1)^(bits that i and k share)
        fires = np.broadcast_to((v * (sign > 0))[:, :, None, None], (len(rows), K, H, W))
        S = head(fires.astype(np.float32))
        w, total = w + S.T @ sign, total + S.sum(axis=0)
    # S_i = b + sum_k w_k v (1 + sign_ik) / 2: times sign_ik, summed over i, this is N v w_k / 2
    w = w / (N * v / 2)
    return w.astype(np.float32), (total / N - w.sum(axis=1) * v / 2).astype(np.float32)


def _parity(n):
    """Whether a number has an odd number of binary ones, for each of an array."""
    for shift in (16, 8, 4, 2, 1):
        n = n ^ (n >> shift)
    return n & 1


def where_matters(head, f, v, tolerance):
    """Whether the scores change when each unit's values change places."""
    rng = np.random.default_rng(1)
    K, H, W = f.shape
    # a few places fire, as in a photo, and for some units they are negative
    maps = v * rng.normal(size=(2, K, H * W)).astype(np.float32) * (rng.random((2, K, H * W)) < 0.5)
    moved = rng.permuted(maps, axis=2)
    S, same = (np.nan_to_num(head(m.reshape(-1, K, H, W))) for m in (maps, moved))
    return not (np.abs(S - same).max() <= 10 * tolerance * np.abs(S[0] - S[1]).max() + 1e-6 * np.abs(S).max())


def sums(head, shape, v, b):
    """Whether the head sums over places: a larger map of the same values then scores more."""
    K, H, W = shape
    maps = v * np.random.default_rng(2).random((1, K, 1, 1), np.float32)
    try:
        S, larger = (head(maps + np.zeros((1, K, *size), np.float32))[0] - b
                     for size in ((H, W), (H + 1, W + 2)))
    except ValueError:
        return False  # it takes maps of one size only: then the sum is H W times the mean
    times = (H + 1) * (W + 2) / (H * W)
    return bool(np.abs(larger - times * S).max() < 1e-2 * np.abs(larger - S).max())


def explain(head, f, w, b, bits, forms):
    """The form, of some, in which w and b best explain the scores of random f.

    Returns
    -------
    answer : Answer
    """
    maps = trials(f, bits)
    S = head(maps)
    if not (np.isfinite(S).all() and np.isfinite(w).all() and np.isfinite(b).all()):
        return Answer(None, w, b)

    def error(form):
        return max(float(form.deviation(m, own(form), b, s).max()) for m, s in zip(maps, S, strict=True))

    def own(form):  # S_c = sum_xy M_c + b_c: the sum over places is H W times the mean
        return w / (f.shape[1] * f.shape[2]) if form is GSP else w

    errors = [error(form) for form in forms]
    least = min(errors)
    form = forms[errors.index(least)]
    if least > TRIED[bits]:
        return Answer(None, w, b, least)
    return Answer(form if bits == 24 or least <= FLOAT32 else form.rounded(bits), own(form), b, least)


def trials(f, bits):
    """(n, K, H, W): random f on which an identity is tried."""
    rng, v = np.random.default_rng(3), strength(f)
    moved = rng.permuted(f.reshape(len(f), -1), axis=1).reshape(f.shape)
    if bits == 8:  # integers reach no further than the values that they were calibrated for
        return np.stack([f, *(rng.permutation(moved, axis=0) for _ in range(4))]).astype(np.float32) / 2
    own = rng.permutation(moved, axis=0)  # other units, as strong as f
    signs = v * rng.normal(size=(2, *f.shape))
    return np.stack([own, f, signs[0], signs[1] * 10]).astype(np.float32)


def ask_through_relu(layer, h):
    """w and b of a linear map at each place, where a ReLU may follow it.

    A ReLU hides what is negative. But where unit k pushes class c up, -f_k pushes it down; of the
    two the ReLU lets one through. So both are shown, and so strong that the bias plays no part.

    Parameters
    ----------
    layer : callable
        Takes (n, K, H, W) to (n, C, H, W), each place by itself.
    h : (K, H, W) array
        An example of what goes in.

    Returns
    -------
    w : (C, K) array
    b : (C,) array
    rectified : bool
        Whether there is a ReLU.
        All three are None where this is no such layer.
    """
    K, H, W = h.shape
    v = 1e3 * strength(h)
    columns = []
    for first in range(0, K, H * W):  # one unit at each place
        units = np.arange(first, min(first + H * W, K))
        f = np.zeros((4, K, H * W), np.float32)
        f[:, units, units - first] = np.array([v, 2 * v, -v, -2 * v])[:, None]
        g = layer(f.reshape(4, K, H, W))
        g = g.reshape(4, g.shape[1], -1)[:, :, : len(units)]
        # g(2v) - g(v) = w v where w > 0, else 0; g(-2v) - g(-v) = -w v where w < 0, else 0
        # (without a ReLU: w v and -w v)
        columns.append((g[1] - g[0], g[3] - g[2]))
    up, down = (np.concatenate(part, axis=1) / v for part in zip(*columns, strict=True))
    rectified = not np.allclose(up, -down, rtol=1e-3, atol=1e-4 * np.abs(up).max())
    w = up - down if rectified else up
    # b is what is left where the layer lets something through
    rng = np.random.default_rng(4)
    f = (strength(h) * rng.normal(size=(8, *h.shape))).astype(np.float32)
    g = layer(f)
    linear = np.einsum("ck,nkyx->ncyx", w, f, optimize=True)
    through = (g > 0) | (not rectified)
    rest = np.where(through, g - linear, 0).sum(axis=(0, 2, 3))
    b = rest / np.maximum(through.sum(axis=(0, 2, 3)), 1)
    M = linear + b[:, None, None]
    expected = np.maximum(M, 0) if rectified else M
    scale = np.linalg.norm(w, axis=1) * np.linalg.norm(f, axis=1).mean() + np.abs(b) + 1e-30
    if not (np.abs(g - expected).max(axis=(0, 2, 3)) <= 1e-3 * scale).all():
        return None, None, None
    return w.astype(np.float32), b.astype(np.float32), rectified
