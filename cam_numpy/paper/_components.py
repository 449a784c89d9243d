"""Connected components of a mask, quickly: runs of cells instead of single cells.

The meaning stands in the docstring of `boxes`; a test holds the two together.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ._checks import shown


def component_boxes(masks, connectivity=8):
    """The boxes of all connected components of some masks.

    Parameters
    ----------
    masks : (T, H, W) bool array
    connectivity : {8, 4}

    Returns
    -------
    found : list of T pairs
        For each mask boxes, (n, 4) int array: (x0, y0, x1, y1), both ends included, in reading
        order; and cells, (n,) int array: how many cells each component has.

    Raises
    ------
    ValueError
        connectivity is neither 8 nor 4.
    """
    T, H, W = masks.shape
    # all masks in one, so that the work is done once: one above another, an empty row between
    sheet = np.zeros((T, H + 1, W), bool)
    sheet[:, :H] = masks
    runs, component = connected_runs(sheet.reshape(-1, W), connectivity)
    if not len(runs):
        return [(np.empty((0, 4), int), np.empty(0, int))] * T
    order = np.argsort(component, kind="stable")
    y, start, stop = runs[order].T
    first = np.flatnonzero(np.diff(component[order], prepend=-1))  # where each component begins
    boxes = np.stack([
        np.minimum.reduceat(start, first), y[first] % (H + 1),
        np.maximum.reduceat(stop, first) - 1, np.maximum.reduceat(y, first) % (H + 1),
    ], axis=1)
    cells = np.add.reduceat(stop - start, first)
    bounds = np.searchsorted(y[first] // (H + 1), np.arange(T + 1))  # where each mask's components begin
    return [(boxes[start:end], cells[start:end]) for start, end in pairwise(bounds)]


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
    component : (n,) int array
        Which component a run belongs to: 0, 1, ... in reading order.

    Raises
    ------
    ValueError
        connectivity is neither 8 nor 4.

    Examples
    --------
    >>> runs, component = connected_runs(np.array([[1, 1, 0, 1], [0, 1, 0, 0]], bool))
    >>> runs.tolist(), component.tolist()
    ([[0, 0, 2], [0, 3, 4], [1, 1, 2]], [0, 1, 0])
    """
    if not isinstance(connectivity, (int, np.integer)) or connectivity not in (4, 8):
        raise ValueError(f"connectivity is {shown(connectivity)}; cells have 4 or 8 neighbours; give 4 or 8")
    H, W = mask.shape
    # a run starts and stops where the mask changes; with the mask laid out in one
    # line, rows W + 2 apart, no run reaches into the next row
    line = np.zeros((H, W + 2), bool)
    line[:, 1:-1] = mask
    line = line.ravel()
    start, stop = (np.flatnonzero(line[1:] != line[:-1]) + 1).reshape(-1, 2).T
    # the runs of the row below that a run touches are neighbours in the list, first to last
    reach = connectivity == 8  # one cell further on both sides
    first = np.searchsorted(stop, start + (W + 2 - reach), side="right")
    last = np.searchsorted(start, stop + (W + 2 + reach), side="left")
    count = np.maximum(last - first, 0)
    above = np.repeat(np.arange(len(start)), count)
    below = np.arange(count.sum()) + np.repeat(first - np.cumsum(count) + count, count)
    y = start // (W + 2)
    runs = np.stack([y, start - y * (W + 2) - 1, stop - y * (W + 2) - 1], axis=1)
    return runs, _components(len(start), above, below)


def _components(n, a, b):
    """Number the components of n runs, of which a[i] and b[i] are connected."""
    root = np.arange(n)  # for each run the lowest one that it is known to be connected to
    while len(a):
        low, high = np.minimum(root[a], root[b]), np.maximum(root[a], root[b])
        np.minimum.at(root, high, low)
        while (root[root] != root).any():
            root = root[root]
        apart = root[a] != root[b]
        a, b = a[apart], b[apart]
    return (np.cumsum(root == np.arange(n)) - 1)[root]
