"""From the cells of a map to pixels: interpolation, of which the paper says nothing."""

from __future__ import annotations

import numpy as np

from ._checks import array, positive_integer


def upsample(M, *, height, width):
    """Enlarge maps: bilinear, half-pixel centres.

    Each cell of the map covers an equal rectangle of the photo, and its value holds at the
    centre of that rectangle. Beyond the outermost centres the value stays constant.

    Parameters
    ----------
    M : (..., H, W) array
        One map, or a stack.
    height, width : int
        The size wanted, in pixels; by name, so that they cannot be swapped.

    Returns
    -------
    M : (..., height, width) array
        In the same units, never outside the range of M.

    Raises
    ------
    ValueError
        M has fewer than 2 axes, an empty one, or values that are not finite;
        `height` or `width` is not a positive integer.

    Notes
    -----
    The paper names no method. This is the bilinear interpolation that torch
    calls ``align_corners=False``. To a smaller size it picks values and does not average them.

    Examples
    --------
    >>> upsample(np.array([[0., 4.]]), height=1, width=4)
    array([[0., 1., 3., 4.]])
    """
    M = array("M", M, "H W", batch=True)
    height, width = positive_integer("height", height), positive_integer("width", width)
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
