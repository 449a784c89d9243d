"""The figure of `cam-numpy explain`: a photo, the maps of a few classes, one scale."""

from __future__ import annotations

import logging
import textwrap

import numpy as np
from PIL import Image

from .classes import short_name
from .heatmap import overlay, palette, remark, scale_of

SLIDE = (11.6, 5.6)  # inches that the panels may take: a 16:9 slide less its margins
DPI = 120
TITLE, GAP, FOOT, BAR = 0.62, 0.25, 0.42, 1.15  # inches
INK, FAINT = "#222222", "#6b6b6b"


def draw(explanation, chosen, path, name="", colors="inferno"):
    """Draw the photo and the maps of some classes, on one common scale.

    Parameters
    ----------
    explanation : Explanation
    chosen : list of int
        The classes, in the order of the panels.
    path : path
        The PNG to write.
    name : str
        What the photo is called.
    colors : {"inferno", "jet", "diverging"}
    """
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # no notes on font caches
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    maps = explanation.M(chosen)
    scale = scale_of(maps, colors)
    columns, panel = _grid(len(chosen) + 1, explanation.photo.size)
    rows = -(-(len(chosen) + 1) // columns)
    wide = max(panel[0], 2.1)  # room for the text of a narrow panel
    width = GAP + columns * (wide + GAP) + BAR
    height = rows * (TITLE + panel[1]) + (rows - 1) * GAP / 2 + FOOT + GAP / 2
    figure = Figure(figsize=(max(width, 6.4), height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    width = figure.get_figwidth()

    def axes(i):
        """The axes of panel i, its title's place left free above."""
        x = GAP + (i % columns) * (wide + GAP) + (wide - panel[0]) / 2
        y = height - (i // columns + 1) * (TITLE + panel[1]) - (i // columns) * GAP / 2
        return figure.add_axes((x / width, y / height, panel[0] / width, panel[1] / height))

    pixels = tuple(max(1, round(side * DPI)) for side in panel)
    photo = explanation.photo.resize(pixels, Image.Resampling.BILINEAR)
    letters = int(wide / 0.085)
    what = "the network sees all of it" if explanation.view.whole else "grey: not seen by the network"
    _panel(axes(0), photo, textwrap.shorten(name, letters, placeholder="…") or "photo", what)
    for i, (c, M) in enumerate(zip(chosen, maps), 1):
        picture = overlay(photo, explanation.view.lay(M, pixels), scale, colors)
        title = textwrap.shorten(short_name(explanation.classes[c]), letters, placeholder="…")
        numbers = f"$P_c$ = {explanation.P[c]:.1%}   $S_c$ = {explanation.S[c]:.2f}"
        _panel(axes(i), picture, title, numbers, remark(M))

    tall = min(rows * (TITLE + panel[1]) - TITLE, 4.0)
    top = height - TITLE - max(0, (rows * (TITLE + panel[1]) - TITLE - tall) / 2)
    left = GAP + columns * (wide + GAP)
    _scale_bar(figure.add_axes((left / width, (top - tall) / height, 0.2 / width, tall / height)), scale, colors)
    K, H, W = explanation.f.shape
    figure.text(
        GAP / width, 0.14 / height,
        f"{explanation.model}: $f$ is {K} x {H} x {W}.   {_identity(explanation)}",
        color=FAINT, fontsize=8.5, va="bottom",
    )
    figure.savefig(path, format="png")


def _identity(explanation):
    if explanation.form.rectified:
        return "Approximate: $S_c$ = mean max(0, $M_c$ + $b_c$)"
    return (f"$S_c$ = mean $M_c$ + $b_c$ holds for all {len(explanation.S)} classes, "
            f"to {explanation.max_abs_error:.0e}")


def _grid(count, photo):
    """(columns, (width, height) in inches) that show `count` photos as large as a slide allows."""
    best = None
    for columns in range(1, count + 1):
        rows = -(-count // columns)
        room = (SLIDE[0] - columns * GAP) / columns, (SLIDE[1] - rows * TITLE) / rows
        inch = min(room[0] / photo[0], room[1] / photo[1], 4.2 / photo[1])
        if best is None or inch > best[0] * 1.02:
            best = inch, columns
    inch, columns = best
    return columns, tuple(max(side * inch, 0.1) for side in photo)


def _panel(axes, picture, title, numbers, note=""):
    axes.imshow(np.asarray(picture), interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    axes.annotate(title, (0.5, 1), (0, 22), xycoords="axes fraction", textcoords="offset points",
                  ha="center", va="bottom", fontsize=12, color=INK, fontweight="bold")
    axes.annotate(numbers, (0.5, 1), (0, 7), xycoords="axes fraction", textcoords="offset points",
                  ha="center", va="bottom", fontsize=10, color=INK if "=" in numbers else FAINT)
    if note:
        axes.text(0.5, 0.02, note, transform=axes.transAxes, ha="center", va="bottom", fontsize=9,
                  color=INK, bbox={"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 2})


def _scale_bar(axes, scale, colors):
    low, high = scale
    if low == high:
        axes.imshow(palette(colors)[:1, None], aspect="auto", extent=(0, 1, -1, 1))
        axes.set_yticks([0])
    else:
        axes.imshow(palette(colors)[::-1, None], aspect="auto", extent=(0, 1, low, high))
        if low < 0 < high:
            axes.axhline(0, color="white" if colors == "inferno" else INK, linewidth=1)
    axes.set_xticks([])
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    axes.tick_params(labelsize=9, colors=INK)
    axes.set_ylabel("$M_c(x, y)$, in units of $S_c$", fontsize=10, color=INK)
    axes.set_frame_on(False)
