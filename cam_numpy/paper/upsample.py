"""From the cells of a map to pixels: interpolation, of which the paper says nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ._checks import array, positive_integer


def upsample(M: ArrayLike, *, height: int, width: int) -> np.ndarray:
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
        In the same units; each map stays within its own range.

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
    rows, columns = _centres(height, M.shape[-2]), _centres(width, M.shape[-1])
    large = interpolate(interpolate(M, columns, axis=-1), rows, axis=-2)
    # a value between two others is in their range; rounding must not take it out
    return np.clip(large, M.min(axis=(-2, -1), keepdims=True), M.max(axis=(-2, -1), keepdims=True))


def _centres(pixels, cells):
    """Where the centres of `pixels` lie, in cells: the first cell's centre is 0."""
    return (np.arange(pixels) + 0.5) * cells / pixels - 0.5


def interpolate(M, position, axis):
    """The values of M between its cells, linearly along one axis.

    Parameters
    ----------
    M : (..., H, W) array
    position : (n,) float array
        Where to interpolate; cell i has its centre at i. Beyond the outermost centres the value
        stays constant.
    axis : {-2, -1}
        Along the rows or along the columns.

    Returns
    -------
    M : array
        With n values along that axis.

    Examples
    --------
    >>> interpolate(np.array([[0., 4.]]), np.array([-0.5, 0.25, 1.]), axis=-1)
    array([[0., 1., 4.]])
    """
    cells = M.shape[axis]
    position = np.clip(position, 0, cells - 1)
    before = np.floor(position).astype(int)
    after = np.minimum(before + 1, cells - 1)
    # the nearer of the two cells counts for more: at `before` it is all, at `after` nothing
    t = (position - before).astype(np.result_type(M, np.float32))
    t = t[:, None] if axis == -2 else t
    return (1 - t) * M.take(before, axis) + t * M.take(after, axis)
