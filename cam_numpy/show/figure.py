"""The figure of `cam-numpy explain`: a photo, the maps of a few classes, one scale."""

from __future__ import annotations

import io
import logging
import os
import sys
import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..errors import InputError
from ..names import cut
from ..output import PNG_LEVEL
from .colours import overlay, paint, palette, remark, scale_of

DPI = 120
SLIDE = (11.6, 5.6)  # inches that the panels may take: a 16:9 slide less its margins
TALLEST, NARROWEST = 4.2, 2.1  # inches, of a panel; a narrower one still gets this room, for its text
TITLE, GAP, FOOT, BAR = 0.62, 0.25, 0.42, 1.15  # inches
INK, FAINT, ALERT = "#222222", "#6b6b6b", "#b03000"
BOX, TRUE_BOX = "#35e0ff", "#ffffff"  # the map's box; the true one is dashed


@dataclass(frozen=True)
class Layout:
    """Where the panels go, in inches: `columns` of them a row, each of size `panel`.

    The origin is below left, as matplotlib has it.
    """

    count: int
    columns: int
    panel: tuple

    @classmethod
    def best(cls, count, photo):
        """The grid that shows `count` photos of size (width, height) as large as a slide allows."""
        choices = []
        for columns in range(1, count + 1):
            rows = -(-count // columns)
            room = (SLIDE[0] - columns * GAP) / columns, (SLIDE[1] - rows * TITLE) / rows
            inch = min(room[0] / photo[0], room[1] / photo[1], TALLEST / photo[1])
            choices.append((round(inch * max(photo), 1), -columns, inch))
        _, columns, inch = max(choices)
        return cls(count, -columns, tuple(max(side * inch, 0.1) for side in photo))

    @property
    def room(self):
        """The width that a panel and its text may take."""
        return max(self.panel[0], NARROWEST)

    @property
    def rows(self):
        return -(-self.count // self.columns)

    @property
    def size(self):
        """(width, height) of the figure."""
        width = GAP + self.columns * (self.room + GAP) + BAR
        return max(width, 6.4), self._down(self.rows) + FOOT

    def _down(self, rows):
        return rows * (TITLE + self.panel[1]) + (rows - 1) * GAP / 2

    def place(self, i):
        """(left, bottom, width, height) of panel i, its title above it."""
        row, column = divmod(i, self.columns)
        left = GAP + column * (self.room + GAP) + (self.room - self.panel[0]) / 2
        return left, self.size[1] - self._down(row + 1), *self.panel

    def bar(self):
        """(left, bottom, width, height) of the colour bar, beside the panels' middle."""
        tall = min(self._down(self.rows) - TITLE, 4.0)
        bottom = FOOT + (self._down(self.rows) - TITLE - tall) / 2
        return GAP + self.columns * (self.room + GAP), bottom, 0.2, tall


@contextmanager
def own_settings():
    """Draw with matplotlib's own settings, whatever the user's are; everything here draws within it.

    A matplotlibrc may change fonts, sizes and colour maps, or typeset with TeX. Within, texts are
    shown letter by letter, so that a name such as "$5 or $6" is no formula. (Formulas would also
    take their time: matplotlib builds a parser for the first one.) Letters that no font has are
    shown as boxes, without a warning.

    >>> @own_settings()
    ... def draw_something(path):
    ...     figure = blank((6, 4))
    ...     ...
    ...     save(figure, path)
    """
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # no notes on font caches
    matplotlib = _matplotlib()
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        matplotlib.rcdefaults()
        matplotlib.rcParams["text.parse_math"] = False
        yield


def _matplotlib():
    """matplotlib, even where MPLBACKEND names a backend that is missing; Jupyter sets it for shells, too."""
    new, backend = "matplotlib" not in sys.modules, os.environ.get("MPLBACKEND")
    if new:
        os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    except (OSError, ValueError) as error:
        raise InputError(f"matplotlib cannot read its settings ({error}); mend your matplotlibrc") from None
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    if new and backend:
        with suppress(ValueError):  # so that pyplot finds it, should the user import that later
            matplotlib.rcParams["backend"] = backend
    return matplotlib


@own_settings()
def draw(explanation, chosen, colors=None, boxes=None, true_boxes=(), minus=None, most=None):
    """Draw the photo and the maps of some classes, on one common scale.

    Parameters
    ----------
    explanation : Explanation
    chosen : list of int
        The classes, in the order of the panels.
    colors : {"inferno", "jet", "diverging"}, optional
        By default "inferno", or "diverging" where another class is subtracted.
    boxes : list, optional
        The box of each class in the photo's pixels (x0, y0, x1, y1), or None.
    true_boxes : list
        Likewise, to be drawn on every panel.
    minus : int, optional
        Another class, whose map is subtracted from each.
    most : float, optional
        Where the colours end, in score units.

    Returns
    -------
    figure : matplotlib.figure.Figure
    """
    e = explanation
    colors = colors or default_colors(minus)
    layout = Layout.best(len(chosen) + 1, e.photo.size)
    figure = blank(layout.size)

    def axes(place):
        width, height = layout.size
        return figure.add_axes((place[0] / width, place[1] / height, place[2] / width, place[3] / height))

    pixels = tuple(max(1, round(side * DPI)) for side in layout.panel)
    photo = e.photo.resize(pixels, Image.Resampling.BILINEAR)
    letters = int(layout.room / 0.085)
    seen = "the network sees all of it" if e.view.whole else "grey: not seen by the network"
    scale_of_box = np.array([*pixels, *pixels]) / [*e.photo.size, *e.photo.size]

    def panel(i, picture, *texts, box=None, **options):
        place = axes(layout.place(i))
        _panel(place, picture, *texts, **options)
        draw_boxes(place, box, true_boxes, scale_of_box)

    panel(0, photo, cut(e.name, letters), seen, color=FAINT)

    maps = e.M(chosen, minus)
    scale = scale_of(maps, colors, most)
    for i, (c, M) in enumerate(zip(chosen, maps, strict=True), 1):
        picture = overlay(ground(photo, minus), e.view, M, scale, colors)
        name, numbers = e.class_name(c), f"P = {e.P[c]:.1%}   S = {_number(e.S[c])}"
        if minus is not None:
            half = letters // 2 - 1
            name = f"{cut(name, half)} − {cut(e.class_name(minus), half)}"
            less = f"({_number(e.S[minus])})" if e.S[minus] < 0 else _number(e.S[minus])
            numbers = f"S_a - S_b = {_number(e.S[c])} − {less} = {_number(e.S[c] - e.S[minus])}"
        panel(i, picture, cut(name, letters), numbers, remark(M), box=boxes[i - 1] if boxes else None)
    label = "M(x, y)" if minus is None else "M_a - M_b"
    _scale_bar(axes(layout.bar()), scale, colors, f"{label}, in units of S")
    warning = _warning(e)
    for text, height, color in ((warning, 0.24, ALERT), (_footer(e), 0.07 if warning else 0.14, FAINT)):
        letters = int(layout.size[0] / 0.062)
        at = GAP / layout.size[0], height / layout.size[1]
        figure.text(*at, cut(text, letters), color=color, fontsize=8.5)
    return figure


def _number(x):
    """With the minus sign that the colour bar and mathtext have."""
    return f"{x:.2f}".replace("-", "−")


def default_colors(minus):
    """The colour map where none is chosen: a difference has two signs that matter alike."""
    return "inferno" if minus is None else "diverging"


def ground(photo, minus):
    """The photo under a map; grey where the map's own red and blue have a meaning."""
    return photo if minus is None else photo.convert("L").convert("RGB")


def save(figure, path):
    """Write a figure as a PNG file."""
    figure.savefig(path, format="png", pil_kwargs={"compress_level": PNG_LEVEL})


def blank(size):
    """An empty figure of (width, height) inches, which needs no screen; draw on it within `own_settings`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    class Shown(Figure):
        """A figure that Jupyter shows although pyplot does not know it; it stays in our settings."""

        @own_settings()
        def draw(self, renderer):
            super().draw(renderer)

        @own_settings()
        def savefig(self, *where, **options):
            super().savefig(*where, **options)

        def _repr_png_(self):
            png = io.BytesIO()
            save(self, png)
            return png.getvalue()

    figure = Shown(figsize=size, dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _footer(e):
    K, H, W = e.f.shape
    approximate = "" if e.form.verdict == "exact" else "; the maps are approximate"
    silent = f", without the units {', '.join(map(str, e.silent))}" if e.silent else ""
    identity = e.form.scoring if approximate else f"S_c = {e.form.formula}"
    return (f"{cut(e.model, 40)}: f is {K} x {H} x {W}{cut(silent, 60)}.   {identity} "
            f"holds for all {len(e.S)} classes, to {e.max_abs_error:.0e}{approximate}")


def _warning(e):
    """What was assumed, and whether the network is unsure: beside the maps, where nobody misses it."""
    assumed = [text.split(", so ")[-1].split(" (to change")[0]
               for text in e.assumed if "preprocessing" in text]
    return "; ".join([*assumed, *([e.doubt] if e.doubt else [])])


def _panel(axes, picture, title, numbers, note="", color=INK):
    axes.imshow(np.asarray(picture), interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    above = {"xycoords": "axes fraction", "textcoords": "offset points", "ha": "center", "va": "bottom"}
    axes.annotate(title, (0.5, 1), (0, 22), fontsize=12, color=INK, fontweight="bold", **above)
    axes.annotate(numbers, (0.5, 1), (0, 7), fontsize=10, color=color, **above)
    if note:
        axes.text(0.5, 0.02, note, transform=axes.transAxes, ha="center", va="bottom", fontsize=9,
                  color=INK, bbox={"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 2})


def draw_boxes(axes, box, true_boxes, scale):
    """Draw a map's box and the true ones onto a picture.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        That shows the picture.
    box : (int, int, int, int) or None
        In the photo's pixels, both ends included.
    true_boxes : list of such boxes
    scale : (4,) array
        Pixels of the picture shown for one of the photo, in x, y, x, y.
    """
    from matplotlib.patches import Rectangle

    styles = ([(box, BOX, "-")] if box else []) + [(true, TRUE_BOX, (0, (4, 3))) for true in true_boxes]
    for (x0, y0, x1, y1), color, style in styles:
        left, top, right, bottom = np.array([x0, y0, x1 + 1, y1 + 1]) * scale - 0.5
        for width, ink in ((3.2, "#000000"), (1.8, color)):  # a dark seam shows on any ground
            axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=ink,
                                     linewidth=width, linestyle=style if ink == color else "-",
                                     alpha=1 if ink == color else 0.45))


def _scale_bar(axes, scale, colors, label):
    low, high = scale
    if low == high:
        axes.imshow(paint(np.zeros((1, 1)), scale, colors), aspect="auto", extent=(0, 1, -1, 1))
        axes.set_yticks([0])
    else:
        axes.imshow(palette(colors)[::-1, None], aspect="auto", extent=(0, 1, low, high))
        if low < 0 < high:
            axes.axhline(0, color="white" if colors == "inferno" else INK, linewidth=1)
    axes.set_xticks([])
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    axes.tick_params(labelsize=9, colors=INK)
    axes.set_ylabel(label, fontsize=10, color=INK)
    axes.set_frame_on(False)
