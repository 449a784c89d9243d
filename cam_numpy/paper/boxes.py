"""Section 3 of the paper: from a map to a bounding box.

A box is (x0, y0, x1, y1): the first and the last column and row that belong to
it, all included, as the ILSVRC benchmark counts. One pixel is (x, y, x, y).
"""

from __future__ import annotations

import numpy as np

from ._checks import array

# what is kept of a map M, given thresholds t: the cells above a level
RULES = {
    # the paper: 20 % of the maximum
    "paper": lambda M, t: t * M.max(),
    # what many tools do: 20 % of the way from the minimum up. The paper's rule
    # only where the minimum is 0; negative evidence lowers it, and the box grows
    "min-max": lambda M, t: M.min() + t * (M.max() - M.min()),
    # the paper misread: the top 20 % of the pixels, however large the object is
    "top-pixels": lambda M, t: np.quantile(M, 1 - t),
}


def bounding_box(M, threshold=0.2, connectivity=8, rule="paper"):
    """The box around the largest part of a map above a part of its maximum.

    Parameters
    ----------
    M : (H, W) array
        A map; for a box in the photo's pixels, upsample it first (`upsample`).
    threshold : float
        t, 0 <= t < 1.
    connectivity : {8, 4}
        Whether cells that touch at a corner belong together. The paper does not say.
    rule : {"paper", "min-max", "top-pixels"}
        What is kept: with "paper" what exceeds ``t * M.max()``, with "min-max"
        what exceeds ``M.min() + t * (M.max() - M.min())``, with "top-pixels" the
        part t of all cells that is largest. The last two are there to compare.

    Returns
    -------
    box : (int, int, int, int) or None
        (x0, y0, x1, y1), both ends included. None where nothing is kept; by the
        paper's rule, where no cell is positive: a map that speaks against its
        class everywhere shows no place for it.

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
    caller. The code that its authors released does something else: several
    thresholds, and several boxes for one map.

    Examples
    --------
    >>> M = [[0., -2.], [0., 6.]]
    >>> bounding_box(M)
    (1, 1, 1, 1)
    >>> bounding_box(M, rule="min-max")  # the -2 lets the zeros in
    (0, 0, 1, 1)
    """
    M = array("M", M, "H W")
    boxes, cells, _ = component_boxes(masks_above(M, [threshold], rule), connectivity)
    return tuple(int(side) for side in boxes[cells.argmax()]) if len(boxes) else None


def masks_above(M, thresholds, rule="paper"):
    """What a rule keeps of a map, for each of several thresholds.

    Parameters
    ----------
    M : (H, W) array
        NaN where the network did not look; that is not kept.
    thresholds : (T,) sequence of float
        0 <= t < 1.
    rule : {"paper", "min-max", "top-pixels"}
        See `bounding_box`.

    Returns
    -------
    masks : (T, H, W) bool array

    Raises
    ------
    ValueError
        There is no such rule, or a threshold is out of range.

    Examples
    --------
    >>> masks_above(np.array([[1., 2., 4.]]), [0.2, 0.5])
    array([[[ True,  True,  True]],
    <BLANKLINE>
           [[False, False,  True]]])
    """
    if rule not in RULES:
        raise ValueError(f"rule is {rule!r}; it says what of a map is kept; give one of {', '.join(RULES)}")
    for t in thresholds:
        if not 0 <= t < 1:
            raise ValueError(f"threshold is {t!r}; it is a part of the map's maximum; give 0 <= threshold < 1")
    seen = M[~np.isnan(M)]
    if not seen.size or rule == "paper" and seen.max() <= 0:
        return np.zeros((len(thresholds), *M.shape), bool)
    levels = RULES[rule](seen, np.asarray(thresholds)).astype(M.dtype)
    with np.errstate(invalid="ignore"):  # comparing NaN, in older NumPy
        return M > levels[:, None, None]


def component_boxes(masks, connectivity=8):
    """The boxes of all connected components of some masks.

    Parameters
    ----------
    masks : (T, H, W) bool array
    connectivity : {8, 4}

    Returns
    -------
    boxes : (n, 4) int array
        (x0, y0, x1, y1), both ends included; the components of the first mask
        in reading order, then those of the second ...
    cells : (n,) int array
        How many cells each component has.
    of : (n,) int array
        Which mask it belongs to.

    Raises
    ------
    ValueError
        connectivity is neither 8 nor 4.
    """
    T, H, W = masks.shape
    # all masks in one: one above another, an empty row between
    sheet = np.zeros((T, H + 1, W), bool)
    sheet[:, :H] = masks
    runs, part = connected_runs(sheet.reshape(-1, W), connectivity)
    if not len(runs):
        return np.empty((0, 4), int), np.empty(0, int), np.empty(0, int)
    order = np.argsort(part, kind="stable")
    y, start, stop = runs[order].T
    first = np.flatnonzero(np.diff(part[order], prepend=-1))  # where each component begins
    boxes = np.stack([
        np.minimum.reduceat(start, first), y[first] % (H + 1),
        np.maximum.reduceat(stop, first) - 1, np.maximum.reduceat(y, first) % (H + 1),
    ], axis=1)
    return boxes, np.add.reduceat(stop - start, first), y[first] // (H + 1)


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
    return np.stack([y, start - y * (W + 2) - 1, stop - y * (W + 2) - 1], axis=1), _components(len(start), above, below)


def _components(n, a, b):
    """Number the components of n things of which a[i] and b[i] hang together."""
    root = np.arange(n)  # of each thing the lowest one that it is known to hang together with
    while len(a):
        low, high = np.minimum(root[a], root[b]), np.maximum(root[a], root[b])
        np.minimum.at(root, high, low)
        while (root[root] != root).any():
            root = root[root]
        apart = root[a] != root[b]
        a, b = a[apart], b[apart]
    return (np.cumsum(root == np.arange(n)) - 1)[root]


def iou(a, b):
    """Intersection over union of boxes.

    Parameters
    ----------
    a, b : (..., 4) array of int
        (x0, y0, x1, y1), both ends included: a box has (x1 - x0 + 1) (y1 - y0 + 1)
        pixels, the convention of the ILSVRC benchmark. The axes before the last
        are broadcast against each other.

    Returns
    -------
    iou : float, or (...) float array
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
    a, b = np.asarray(a), np.asarray(b)
    pixels = []
    for name, box in (("a", a), ("b", b)):
        sides = box[..., 2:] - box[..., :2] + 1 if box.shape[-1:] == (4,) else np.zeros(1)
        if (sides < 1).any():
            wrong = box if box.ndim == 1 else box.reshape(-1, box.shape[-1])[(sides < 1).any(axis=-1).argmax()]
            raise ValueError(f"box {name} is {tuple(wrong.tolist())}; a box is (x0, y0, x1, y1), both ends included; "
                             "give x0 <= x1 and y0 <= y1")
        pixels.append(sides[..., 0] * sides[..., 1])
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]) + 1
    common = np.maximum(sides, 0).prod(axis=-1)
    shared = common / (pixels[0] + pixels[1] - common)
    return float(shared) if shared.ndim == 0 else shared
