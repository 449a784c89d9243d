"""Section 3 of the paper: from a map to a bounding box.

A box is (x0, y0, x1, y1): the first and the last column and row that belong to it, all
included, as the ILSVRC benchmark counts. One pixel is (x, y, x, y).

The rule has three steps: keep the cells above 20 % of the map's maximum, take the largest
connected component, and draw the tightest box around it. In a few lines, one flood fill after
another:

>>> import numpy as np
>>> def components(mask):
...     left, found = set(zip(*np.nonzero(mask))), []
...     while left:
...         component, waiting = [], [left.pop()]
...         while waiting:
...             y, x = waiting.pop()
...             component.append((y, x))
...             around = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
...             left -= around
...             waiting += around
...         found.append(component)
...     return found
>>> M = np.array([[9., 0, 0, 0], [0, 0, 7, 1], [0, 6, 8, 0]])
>>> y, x = np.transpose(max(components(M > 0.2 * M.max()), key=len))
>>> [int(side) for side in (x.min(), y.min(), x.max(), y.max())]
[1, 1, 2, 2]

`bounding_box` gives the same. It finds the components with `_components.py`, which is faster.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ._checks import array, fraction, shown, unmasked
from ._components import component_boxes

THRESHOLD = 0.2  # the paper's: a fraction of the map's maximum


@dataclass(frozen=True)
class Rule:
    """What is kept of a map: the cells above a level.

    Attributes
    ----------
    level : callable
        From the values of a map and a threshold t (or an array of them) to the level (or levels).
    keeps : str
        The same in words, with {t} for the threshold.
    """

    level: Callable
    keeps: str


RULES = {
    # the paper: 20 % of the maximum
    "paper": Rule(lambda M, t: t * M.max(), "what exceeds {t} of the map's maximum"),
    # what many tools do: 20 % of the way from the minimum up. The same only where the minimum
    # is 0; negative evidence lowers the level, and the box grows
    "min-max": Rule(lambda M, t: M.min() + t * (M.max() - M.min()),
                    "what exceeds the map's minimum by {t} of its range"),
    # the paper misread: the top 20 % of the pixels, however large the object is
    "top-pixels": Rule(lambda M, t: np.quantile(M, 1 - t), "the largest {t} of all pixels"),
}


def bounding_box(M: ArrayLike, threshold: float = THRESHOLD, connectivity: int = 8,
                 rule: str = "paper") -> tuple[int, int, int, int] | None:
    """The box around the largest connected component above a fraction of the map's maximum.

    Parameters
    ----------
    M : (H, W) array
        A map. For a box in pixels of the photo use `cam_numpy.Explanation.box`, or upsample the
        map first.
    threshold : float
        t, 0 <= t < 1.
    connectivity : {8, 4}
        Whether cells that touch at a corner are connected (8) or not (4). The paper does not say.
    rule : {"paper", "min-max", "top-pixels"}
        What is kept: with "paper" the cells above ``t * M.max()``, with "min-max" those above
        ``M.min() + t * (M.max() - M.min())``, with "top-pixels" the fraction t of all cells with
        the largest values. The last two are there to compare.

    Returns
    -------
    box : (int, int, int, int) or None
        (x0, y0, x1, y1), both ends included, in cells of M. None where nothing is kept; by the
        paper's rule, where no cell is positive: such a map has evidence against its class only.

    Raises
    ------
    ValueError
        The map's shape or a value is wrong, or an option is.

    Notes
    -----
    Section 3: 20 % of the map's maximum, not the top 20 % of its pixels. Of two components of
    equal size the first in reading order counts. The paper does not say whether upsampling comes
    first, so that is left to the caller. The code that its authors released does something else:
    several thresholds, and several boxes for one map.

    Examples
    --------
    >>> M = [[0., -2.], [0., 6.]]
    >>> bounding_box(M)
    (1, 1, 1, 1)
    >>> bounding_box(M, rule="min-max")  # the -2 lets the zeros in
    (0, 0, 1, 1)
    """
    ((boxes, cells),) = boxes_above(array("M", M, "H W"), [threshold], rule, connectivity)
    return largest_box(boxes, cells)


def boxes_above(M, thresholds, rule="paper", connectivity=8):
    """The boxes of all components of what a rule keeps, for each of several thresholds.

    Parameters
    ----------
    M : (H, W) array
        NaN where the network did not look; that is not kept.
    thresholds : (T,) sequence of float
    rule, connectivity : str, int
        See `bounding_box`.

    Returns
    -------
    found : list of T pairs
        boxes, (n, 4) int array: (x0, y0, x1, y1), both ends included, in reading order;
        cells, (n,) int array: how many cells each component has.

    Raises
    ------
    ValueError
        An option is wrong.
    """
    return component_boxes(masks_above(M, thresholds, rule), connectivity)


def largest_box(boxes, cells):
    """The box of the component with the most cells, the first of them; None where there is none."""
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
    if not isinstance(rule, str) or rule not in RULES:
        raise ValueError(f"rule is {shown(rule)}; it says what of a map is kept; "
                         f"give one of {', '.join(RULES)}")
    thresholds = [fraction("threshold", t, "the map's maximum") for t in thresholds]
    seen = M[~np.isnan(M)]
    if not seen.size or rule == "paper" and seen.max() <= 0:
        return np.zeros((len(thresholds), *M.shape), bool)
    levels = RULES[rule].level(seen, np.asarray(thresholds)).astype(M.dtype)
    with np.errstate(invalid="ignore"):  # comparing NaN, in older NumPy
        return M > levels[:, None, None]


def iou(a: ArrayLike, b: ArrayLike) -> float | np.ndarray:
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
        A box ends before it starts, or is not four finite numbers.

    Examples
    --------
    >>> iou((0, 0, 1, 1), (1, 1, 2, 2))  # one pixel of seven
    0.14285714285714285
    """
    a, b = checked_boxes("box a", a), checked_boxes("box b", b)
    # what two boxes share begins where the later one begins, and ends where the first one ends
    shared = _pixels(np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:]))
    # what two boxes cover together: what they share is counted once
    covered = _pixels(a[..., :2], a[..., 2:]) + _pixels(b[..., :2], b[..., 2:]) - shared
    overlap = shared / covered
    return float(overlap) if overlap.ndim == 0 else overlap


def checked_boxes(name, boxes):
    """Boxes (..., 4) in float64, in which no product overflows, or a ValueError."""
    boxes = unmasked(name, boxes)
    if boxes.dtype.kind not in "fiu" or boxes.shape[-1:] != (4,):
        raise ValueError(f"{name} is {shown(boxes.tolist())}; a box is (x0, y0, x1, y1), "
                         "both ends included; give four numbers")
    boxes = boxes.astype(np.float64)
    good = np.isfinite(boxes).all(axis=-1) & (boxes[..., :2] <= boxes[..., 2:]).all(axis=-1)
    if not good.all():
        wrong = boxes.reshape(-1, 4)[good.argmin()]
        raise ValueError(f"{name} is ({', '.join(f'{side:g}' for side in wrong)}); "
                         "a box is (x0, y0, x1, y1), both ends included; "
                         "give finite numbers, x0 <= x1 and y0 <= y1")
    return boxes


def _pixels(first, last):
    """How many pixels lie from column and row `first` to `last`, (..., 2) both: 0 where none do."""
    return np.maximum(last - first + 1, 0).prod(axis=-1)
