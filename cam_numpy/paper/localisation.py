"""Section 3 of the paper: how often does the map show where the object is?

`measure` turns one picture into one row of numbers; `summarise` turns many rows into the error
measures of the paper and of later benchmarks. Only boxes and numbers come in: no network, no file.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .boxes import iou

RIGHT = 0.5  # the IoU from which a box counts as right
CURVE = np.arange(20) / 20  # thresholds t = 0, 0.05 ... 0.95 of the curve
DELTAS = (0.3, 0.5, 0.7)  # the overlaps that MaxBoxAccV2 asks for
CENTRE = 0.8  # of each side: the centre box

ROW = np.dtype([
    ("picture", np.int32),  # its number in the data set
    ("rank", np.int32),  # how many classes come before the true one; ties go to the lower index
    ("known", np.float32),  # IoU of the true class's box, at the threshold reported
    ("largest", np.float32, CURVE.shape),  # the same, at each threshold of the curve
    ("any", np.float32, CURVE.shape),  # IoU of the best of all components' boxes, likewise
    ("whole", np.float32),  # IoU of the whole image
    ("centre", np.float32),  # IoU of the centre box
])


def measure(found: list[tuple[np.ndarray, np.ndarray]], true_boxes: ArrayLike,
            size: tuple[int, int]) -> np.ndarray:
    """What one picture says of the map of its true class: a row, without picture and rank.

    Parameters
    ----------
    found : list of 1 + T pairs (boxes, cells)
        The components of the map in the photo's pixels, as `boxes_above` gives them: first at
        the threshold that is reported, then at each threshold of CURVE.
    true_boxes : (B, 4) array of int
        B >= 1; the best overlap with any of them counts.
    size : (int, int)
        (width, height) of the photo.

    Returns
    -------
    row : () array of dtype ROW
    """
    boxes = np.concatenate([[whole_image(size), centre_box(size)], *(boxes for boxes, _ in found)])
    overlap = iou(boxes[:, None], np.asarray(true_boxes)[None]).max(axis=1)  # (n, 4), (B, 4) -> (n,)
    row, start = np.zeros((), ROW), 2
    row["whole"], row["centre"] = overlap[:2]
    largest, best = np.zeros(len(found)), np.zeros(len(found))  # 0 where there is no box
    for i, (_, cells) in enumerate(found):
        if len(cells):
            of_each = overlap[start : start + len(cells)]
            largest[i], best[i] = of_each[cells.argmax()], of_each.max()
            start += len(cells)
    row["known"], row["largest"], row["any"] = largest[0], largest[1:], best[1:]
    return row


def whole_image(photo):
    """The box of a whole photo of size (width, height)."""
    return 0, 0, photo[0] - 1, photo[1] - 1


def centre_box(photo):
    """The box in the centre of a photo; each of its sides is CENTRE times that of the photo."""
    width, height = (max(1, round(CENTRE * side)) for side in photo)
    left, top = (photo[0] - width) // 2, (photo[1] - height) // 2
    return left, top, left + width - 1, top + height - 1


@dataclass(frozen=True)
class Measure:
    """One number of the summary.

    Attributes
    ----------
    key : str
        For programs.
    name : str
        For people.
    definition : str
        In one line.
    values : (N,) array
        Of each picture, 0 to 1.
    value : float
        Their mean.
    interval : (float, float)
        The 95 % interval.
    whole, centre : float or None
        The same measure for two baselines: the box of the whole image, and the centre box.
    thresholds : tuple of float
        The thresholds that were chosen, each on the other half of the pictures.
    """

    key: str
    name: str
    definition: str
    values: np.ndarray
    value: float
    interval: tuple
    whole: float | None = None
    centre: float | None = None
    thresholds: tuple = ()


def summarise(rows: np.ndarray) -> list[Measure]:
    """The error measures of many pictures.

    Parameters
    ----------
    rows : (N,) array of dtype ROW
        N >= 2, in the order of the data set.

    Returns
    -------
    measures : list of Measure

    Notes
    -----
    Section 3.2 and the ILSVRC benchmark: the error of a picture with k guesses is
    min_j max(d_j, m_j). d_j = 0 where guess j is the true class; m_j = 0 where its box has
    IoU >= 0.5 with a true box (the benchmark writes f_j, which would be a unit here). Only one
    class is true, so only the guess of the true class can count, and its box is that of the true
    class's map.

    MaxBoxAcc and MaxBoxAccV2: Choe et al., "Evaluating Weakly Supervised Object Localization
    Methods Right", CVPR 2020, and its extension of 2020. There the threshold is the best one for
    the very pictures that are reported. Here the pictures are split into two halves (every other
    one), and each half gets the threshold that is best for the other half.
    """
    first, five = rows["rank"] < 1, rows["rank"] < 5
    located = {name: rows[name] >= RIGHT for name in ("known", "whole", "centre")}
    measures = [
        _share("top1_classification_error", "classification error, top-1",
               "the true class does not have the highest score", ~first),
        _share("top5_classification_error", "classification error, top-5",
               "the true class is not among the five best", ~five),
        _share("top1_localisation_error", "localisation error, top-1",
               "the best class is wrong, or its box has IoU < 0.5 with every true box",
               *(~(first & located[name]) for name in located)),
        _share("top5_localisation_error", "localisation error, top-5",
               "no class of the five best is both right and has a box of IoU >= 0.5",
               *(~(five & located[name]) for name in located)),
        _share("gt_known", "GT-known localisation",
               "the box of the true class's map has IoU >= 0.5 with a true box", *located.values()),
    ]
    hits, chosen = _chosen_on_the_other_half(rows["largest"] >= RIGHT)
    measures.append(_share("max_box_acc", "MaxBoxAcc",
                           "GT-known at the threshold that is best on the other half of the pictures",
                           hits, located["whole"], located["centre"], thresholds=chosen))
    parts = [_chosen_on_the_other_half(rows["any"] >= delta) for delta in DELTAS]
    baselines = (np.mean([rows[name] >= delta for delta in DELTAS], axis=0) for name in ("whole", "centre"))
    measures.append(_share("max_box_acc_v2", "MaxBoxAccV2",
                           "the same with any component's box, averaged over IoU >= 0.3, 0.5 and 0.7",
                           np.mean([hits for hits, _ in parts], axis=0),
                           *baselines,
                           thresholds=tuple(t for _, chosen in parts for t in chosen)))
    return measures


def _chosen_on_the_other_half(hits):
    """The hit of each picture at the other half's best threshold, (N, T) -> (N,), and both thresholds."""
    out, chosen = np.zeros(len(hits), bool), []
    for half in (0, 1):
        best = int(hits[1 - half :: 2].mean(axis=0).argmax())
        out[half::2] = hits[half::2, best]
        chosen.append(float(CURVE[best]))
    return out, tuple(chosen)


def _share(key, name, definition, values, whole=None, centre=None, thresholds=()):
    """The mean of 0..1 values as a Measure."""
    baselines = (None if other is None else float(np.mean(other)) for other in (whole, centre))
    value = float(np.mean(values))
    return Measure(key, name, definition, values, value, interval(values), *baselines, thresholds)


def interval(values: ArrayLike, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % interval of a mean of numbers from 0 to 1.

    Parameters
    ----------
    values : (N,) array
        Of 0 and 1, or of anything between.
    z : float
        Standard errors to each side.

    Returns
    -------
    interval : (float, float)

    Notes
    -----
    Wilson's score interval (1927). It is right for hits and misses, near 0 and 1 too; for numbers
    in between it is a little too wide.

    Examples
    --------
    >>> low, high = interval(np.array([1, 0]))
    >>> round(low, 3), round(high, 3)
    (0.095, 0.905)
    """
    n, p = len(values), float(np.mean(values))
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    reach = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return float(middle - reach), float(middle + reach)


def curve(rows: np.ndarray) -> dict[str, np.ndarray]:
    """How well each threshold does on all pictures: for drawing, not for choosing.

    Parameters
    ----------
    rows : (N,) array of dtype ROW

    Returns
    -------
    table : dict of str to (T,) array
        "threshold"; "largest", the fraction of the pictures whose largest component's
        box has IoU >= 0.5; "any 0.3", "any 0.5" and "any 0.7", the same for the
        best component and each IoU of MaxBoxAccV2.
    """
    table = {"threshold": CURVE, "largest": (rows["largest"] >= RIGHT).mean(axis=0)}
    return {**table, **{f"any {delta}": (rows["any"] >= delta).mean(axis=0) for delta in DELTAS}}
