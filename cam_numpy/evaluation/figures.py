"""The pictures of `cam-numpy evaluate --out`: the threshold curve, and a page of examples."""

from __future__ import annotations

import numpy as np

from ..names import cut
from ..network.classes import ClassFinder, short_name
from ..paper.localisation import RIGHT, curve
from ..show.colours import overlay, scale_of
from ..show.figure import FAINT, INK, blank, draw_boxes, own_settings, save
from .run import map_of

EXAMPLES = 4  # of each sort
SIDE = 2.05  # inches from one example to the next
LONGEST = 400  # pixels of a picture's long side, as it is drawn


@own_settings()
def draw_curve(evaluation, settings, path):
    """Draw how good each threshold would be.

    Parameters
    ----------
    evaluation : Evaluation
    settings : dict
        As for the report.
    path : path
        The PNG to write.
    """
    table, rows = curve(evaluation.rows), evaluation.rows
    figure = blank((8.0, 4.6))
    axes = figure.add_axes((0.085, 0.12, 0.55, 0.76))
    for name, style in (("largest", "-"), ("any 0.3", ":"), ("any 0.5", "--"), ("any 0.7", "-.")):
        largest = name == "largest"
        label = f"largest component, IoU ≥ {RIGHT}" if largest else f"best component, IoU ≥ {name[4:]}"
        # thin dark lines on a thick light one: where they coincide, both are seen
        axes.plot(table["threshold"], 100 * table[name], style, color="#a8a8a8" if largest else INK,
                  linewidth=4 if largest else 1.2, label=label)
    for name, box, color, style in (("whole", "whole image", "#1f77b4", "-"),
                                    ("centre", "centre box", "#d95f02", (0, (4, 4)))):
        share = 100 * (rows[name] >= RIGHT).mean()
        axes.axhline(share, color=color, linestyle=style, linewidth=1, label=f"{box}, IoU ≥ {RIGHT}")
    t = settings["threshold"]
    axes.axvline(t, color=FAINT, linewidth=0.8)
    axes.annotate(f"t = {t:.2f},\nreported", (t, 100), (4, -2), textcoords="offset points", va="top",
                  fontsize=8.5, color=FAINT)
    axes.set_xlim(0, 1)
    axes.set_ylim(-2, 102)  # lines at 0 and 100 % are not hidden by the frame
    axes.set_xlabel(f"threshold t (rule: {settings['rule']})")
    axes.set_ylabel("pictures, %")
    title = f"{cut(settings['model'], 34)} on {len(rows)} pictures of {cut(settings['dataset'], 26)}"
    axes.set_title(title, fontsize=10.5, loc="left")
    figure.legend(loc="upper left", bbox_to_anchor=(0.645, 0.88), frameon=False, fontsize=9)
    save(figure, path)


@own_settings()
def draw_examples(evaluation, dataset, network, settings, path):
    """Draw the best, the median and the worst pictures, with the map of the true class.

    Parameters
    ----------
    evaluation : Evaluation
    dataset : DataSet
    network : Network
    settings : dict
        As for the report.
    path : path
        The PNG to write.
    """
    ranked = evaluation.rows[np.argsort(-evaluation.rows["known"], kind="stable")]
    count = min(EXAMPLES, max(1, len(ranked) // 3))
    middle = (len(ranked) - count) // 2
    sorts = {"best": ranked[:count], "median": ranked[middle : middle + count], "worst": ranked[-count:]}
    # a column of each sort: three columns hold the caption, however few the pictures are
    width, height = 0.2 + SIDE * len(sorts), 0.85 + SIDE * count
    figure = blank((width, height))
    class_of = ClassFinder(network, dataset.labels)
    for column, (sort, rows) in enumerate(sorts.items()):
        left = 0.2 + SIDE * column
        figure.text((left + 0.925) / width, 1 - 0.27 / height, sort, ha="center", fontsize=12, color=INK)
        for line, row in enumerate(rows):
            axes = figure.add_axes((left / width, 1 - (0.4 + SIDE * (line + 1)) / height,
                                    1.85 / width, 1.75 / height))
            _example(axes, dataset[int(row["picture"])], row, class_of, network, settings)
    caption = "the map of the true class; its box (blue) and the true ones (white, dashed)"
    figure.text(0.5, 0.15 / height, caption, ha="center", fontsize=9, color=FAINT)
    save(figure, path)


def _example(axes, case, row, class_of, network, settings):
    c, seen = class_of(case.label), network.see(case.photo)
    M = map_of(case.photo, seen, c, network, settings["method"])
    shrink = max(1, max(case.photo.size) / LONGEST)
    photo = case.photo.resize(tuple(max(1, round(side / shrink)) for side in case.photo.size))
    axes.imshow(np.asarray(overlay(photo, seen.view, M, scale_of(M), weight=0.5)))
    axes.set_axis_off()
    box = seen.view.largest_box(M, settings["threshold"], settings["rule"])
    draw_boxes(axes, box, case.boxes, np.array(photo.size * 2) / (case.photo.size * 2))
    title = cut(f"IoU {row['known']:.2f} {short_name(network.classes[c])}", 28)
    axes.set_title(title, fontsize=8.5, color=INK, pad=3)
