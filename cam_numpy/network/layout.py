"""How a network stores f: the order of the axes, tokens in a row, integers.

The order of f's axes after the batch is "KHW" or "HWK" or, where the places are tokens in a row,
"KL" or "LK", with L = H W; "K" has one place.
"""

from __future__ import annotations

import numpy as np


def layouts(shape, picture):
    """How a shape could be units and places.

    Parameters
    ----------
    shape : tuple of int
        With the batch in front.
    picture : (int, int)
        (width, height) of the picture, in pixels.

    Returns
    -------
    found : list of (axes, (H, W))
    """
    if len(shape) == 4 and 1 not in (shape[1], shape[3]):
        found = [("KHW", shape[2:]), ("HWK", shape[1:3])]
    elif len(shape) == 4:
        found = [("KHW", shape[2:])] if shape[1] > 1 else [("HWK", shape[1:3])] if shape[3] > 1 else []
    elif len(shape) == 3:
        found = [("LK", unrolled(shape[1], picture)), ("KL", unrolled(shape[2], picture))]
    else:
        found = []
    return [(axes, tuple(size)) for axes, size in found if size and size[0] * size[1] > 1]


def unrolled(L, picture):
    """(H, W) of L tokens that fill a picture as equal squares; None where no grid does, or several do.

    A square of s pixels a side goes H = height / s times into the picture and W = width / s times,
    both rounded down, or both rounded up.
    """
    width, height = picture
    found = []
    for H in (H for H in range(1, L + 1) if L % H == 0):
        W = L // H
        # is there an s with height / (H + 1) < s <= height / H, and the same for the width?
        down = max(height / (H + 1), width / (W + 1)) < min(height / H, width / W)
        # or one with height / H <= s < height / (H - 1)?
        least = max(height / H, width / W)
        up = least * (H - 1) < height and least * (W - 1) < width
        if down or up:
            found.append((H, W))
    return found[0] if len(found) == 1 else None


def axes_of(shape, K):
    """The order of the axes of an array of K units, also where they have one place; None of another one."""
    first, last = {2: ("K", "K"), 3: ("KL", "LK"), 4: ("KHW", "HWK")}.get(len(shape), (None, None))
    return first if shape[1:2] == (K,) else last if shape[-1:] == (K,) else None


def size_of(shape, axes, picture):
    """(H, W) of f, stored with this shape and these axes; None where tokens do not fill a grid."""
    if "H" in axes:
        return shape[1:3] if axes == "HWK" else shape[2:]
    return unrolled(shape[1 if axes == "LK" else 2], picture)


def units_first(value, axes, size, quantised=None):
    """f (K, H, W) of a tensor as the network stores it.

    Parameters
    ----------
    value : array
        With the batch in front.
    axes : str
    size : (int, int)
        H and W.
    quantised : (scale, zero), optional
        Of integers q: f = scale (q - zero).
    """
    f = value[0].astype(np.float32, copy=False)
    if quantised:
        f = (f - quantised[1]) * np.float32(quantised[0])
    if axes.endswith("K"):
        f = np.moveaxis(f, -1, 0)
    return np.ascontiguousarray(f.reshape(len(f), *size))


def as_stored(maps, axes, dtype, copies=1, quantised=None):
    """Maps (n, K, H, W) as a network stores them, each as often as `copies` says."""
    n, K, H, W = maps.shape
    if quantised:
        scale, zero = quantised
        limits = np.iinfo(dtype)
        maps = np.clip(np.rint(maps / scale) + zero, limits.min, limits.max)
    if axes == "K":
        maps = maps.reshape(n, K)
    elif "H" not in axes:
        maps = maps.reshape(n, K, H * W)
    if axes in ("HWK", "LK"):
        maps = np.moveaxis(maps, 1, -1)
    return np.ascontiguousarray(maps if copies == 1 else np.repeat(maps, copies, axis=0), dtype)
