"""Section 3 of the paper: from a map to a bounding box.

A box is (x0, y0, x1, y1): the first and the last column and row that belong to
it, all included, as the ILSVRC benchmark counts. One pixel is (x, y, x, y).
"""

from __future__ import annotations

import numpy as np

from .checks import array


def bounding_box(M, threshold=0.2, connectivity=8):
    """The box around the largest part of a map above a part of its maximum.

    Parameters
    ----------
    M : (H, W) array
        A map; for a box in the photo's pixels, upsample it first (`upsample`).
    threshold : float
        Kept is what exceeds ``threshold * M.max()``; 0 <= threshold < 1.
    connectivity : {8, 4}
        Whether cells that touch at a corner belong together. The paper does not say.

    Returns
    -------
    box : (int, int, int, int) or None
        (x0, y0, x1, y1), both ends included. None where no cell is positive: a
        map that speaks against its class everywhere shows no place for it.

    Raises
    ------
    ValueError
        The map's shape or a value is wrong, or an option is.

    Notes
    -----
    Section 3: what is above 20 % of the map's maximum (not the top 20 % of its
    pixels) is kept, and the box covers the largest connected component. Of two
    that are equally large it is the one that comes first in reading order. The
    paper does not say whether upsampling comes first; so that is left to the
    caller.

    Examples
    --------
    >>> bounding_box([[0., -2.], [0., 6.]])
    (1, 1, 1, 1)
    """
    M = array("M", M, "H W")
    if not 0 <= threshold < 1:
        raise ValueError(f"threshold is {threshold!r}; it is a part of the map's maximum; give 0 <= threshold < 1")
    if M.max() <= 0:
        return None
    # keep M_c(x, y) > t max_xy M_c(x, y), then the largest part that hangs together
    runs, part = connected_runs(M > threshold * M.max(), connectivity)
    cells = np.bincount(part, weights=runs[:, 2] - runs[:, 1])
    y, start, stop = runs[part == cells.argmax()].T
    return int(start.min()), int(y.min()), int(stop.max()) - 1, int(y.max())


def connected_runs(mask, connectivity=8):
    """The connected components of a mask, as runs of cells in its rows.

    Parameters
    ----------
    mask : (H, W) bool array
    connectivity : {8, 4}

    Returns
    -------
    runs : (n, 3) int array
        (y, start, stop): the cells start <= x < stop of row y, in reading order.
    part : (n,) int array
        Which component a run belongs to: 0, 1, ... in reading order.

    Raises
    ------
    ValueError
        connectivity is neither 8 nor 4.

    Examples
    --------
    >>> runs, part = connected_runs(np.array([[1, 1, 0, 1], [0, 1, 0, 0]], bool))
    >>> runs.tolist(), part.tolist()
    ([[0, 0, 2], [0, 3, 4], [1, 1, 2]], [0, 1, 0])
    """
    if connectivity not in (4, 8):
        raise ValueError(f"connectivity is {connectivity!r}; cells have 4 or 8 neighbours; give 4 or 8")
    H, W = mask.shape
    # a run starts where the mask rises and stops where it falls; with the mask laid out
    # in one line, rows W + 2 apart, no run reaches into the next row
    line = np.zeros((H, W + 2), np.int8)
    line[:, 1:-1] = mask
    step = np.diff(line.ravel(), prepend=0)
    start, stop = np.flatnonzero(step == 1), np.flatnonzero(step == -1)
    # the runs of the row below that a run touches are neighbours in the list, first to last
    reach = connectivity == 8  # one cell further on both sides
    first = np.searchsorted(stop, start + W + 2 - reach, side="right")
    last = np.searchsorted(start, stop + W + 2 + reach, side="left")
    count = np.maximum(last - first, 0)
    above = np.repeat(np.arange(len(start)), count)
    below = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + np.repeat(first, count)
    runs = np.stack([start // (W + 2), start % (W + 2) - 1, stop - start // (W + 2) * (W + 2) - 1], axis=1)
    return runs, _components(len(start), above, below)


def _components(n, a, b):
    """Number the components of n things of which a[i] and b[i] hang together."""
    root = np.arange(n)
    while True:
        lowest = np.minimum(root[a], root[b])
        before = root.copy()
        np.minimum.at(root, before[a], lowest)  # hang each root below the lowest that it touches
        np.minimum.at(root, before[b], lowest)
        while (root[root] != root).any():
            root = root[root]
        if (root == before).all():
            return np.unique(root, return_inverse=True)[1]


def iou(a, b):
    """Intersection over union of two boxes.

    Parameters
    ----------
    a, b : (int, int, int, int)
        (x0, y0, x1, y1), both ends included: a box has (x1 - x0 + 1) (y1 - y0 + 1)
        pixels, the convention of the ILSVRC benchmark.

    Returns
    -------
    iou : float
        0 (apart) to 1 (the same).

    Raises
    ------
    ValueError
        A box ends before it starts.

    Examples
    --------
    >>> iou((0, 0, 1, 1), (1, 1, 2, 2))  # one pixel of seven
    0.14285714285714285
    """
    for name, box in (("a", a), ("b", b)):
        if len(box) != 4 or box[2] < box[0] or box[3] < box[1]:
            raise ValueError(f"box {name} is {tuple(box)}; a box is (x0, y0, x1, y1), both ends included; "
                             "give x0 <= x1 and y0 <= y1")
    width = min(a[2], b[2]) - max(a[0], b[0]) + 1
    height = min(a[3], b[3]) - max(a[1], b[1]) + 1
    common = max(0, width) * max(0, height)
    return common / (_pixels(a) + _pixels(b) - common)


def _pixels(box):
    return (box[2] - box[0] + 1) * (box[3] - box[1] + 1)
