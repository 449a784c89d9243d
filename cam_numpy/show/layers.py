"""The figure of `cam-numpy layers`: a row a layer, the photo first, then some of its units."""

from __future__ import annotations

import textwrap

import numpy as np
from PIL import Image

from ..names import cut, plain
from .colours import paint, scale_of
from .figure import BOX, DPI, FAINT, GAP, INK, blank, own_settings

WIDE, TEXT, HEAD, FOOT = 1.15, 2.1, 0.55, 0.45  # inches: a square panel, the text, above, below
# what a layer of such a receptive field, in parts of the input's short side, is known for
LOOK_FOR = (
    (0.1, "look for: edges, colours,\nlight against dark"),
    (0.35, "look for: corners, stripes,\ntextures"),
    (0.8, "look for: eyes, wheels,\nother parts of things"),
    (np.inf, "look for: whole things,\nwhat surrounds them"),
)


@own_settings()
def draw(maps, rows, colors="inferno"):
    """Draw some layers of one photo.

    Parameters
    ----------
    maps : LayerMaps
        The maps of each layer by name, with photo, name, model, view, layers and f.
    rows : list of (str, list of int)
        The names of layers from shallow to deep, and the units to show of each.
    colors : {"inferno", "jet", "diverging"}

    Returns
    -------
    figure : matplotlib.figure.Figure
    """
    seen = maps.photo.crop(tuple(round(side) for side in maps.view.box))
    inch = min(WIDE / np.sqrt(np.prod(seen.size)), 2 * WIDE / max(seen.size))
    panel = tuple(max(side * inch, 0.2) for side in seen.size)
    columns = 1 + max(len(units) for _, units in rows)
    pitch = panel[0] + 0.06, max(panel[1], 1.05) + 0.12
    width = GAP + TEXT + columns * pitch[0] + GAP
    title = _lines(f"What each layer of {cut(maps.model, 60)} sees in {cut(maps.name, 60)}", width, 0.12)
    footer = _lines(_footer(maps, len(rows)), width, 0.068)
    head, foot = HEAD + 0.2 * (len(title) - 1), FOOT + 0.14 * (len(footer) - 1)
    height = head + len(rows) * pitch[1] + foot
    figure = blank((width, height))
    pixels = tuple(max(1, round(side * DPI)) for side in panel)
    picture = np.asarray(seen.resize(pixels, Image.Resampling.BILINEAR))

    def axes(row, column):
        left, top = GAP + TEXT + column * pitch[0], height - head - row * pitch[1]
        added = figure.add_axes((left / width, (top - panel[1]) / height,
                                 panel[0] / width, panel[1] / height))
        added.set_axis_off()
        return added

    def say(x, y, text, **style):
        figure.text(x / width, y / height, text, va="top", **{"color": INK, "fontsize": 9, **style})

    say(GAP, height - 0.14, "\n".join(title), fontsize=12, fontweight="bold")
    numbers = {layer.name: i for i, layer in enumerate(maps.layers)}
    for row, (name, units) in enumerate(rows):
        layer = maps.layers[numbers[name]]._replace(shape=maps[name].shape)
        top = height - head - row * pitch[1]
        scale = scale_of(maps[name][units], colors)
        title = f"layer {numbers[name]}" + (", f" if name == maps.f else "")
        say(GAP, top, title, fontweight="bold", fontsize=10)
        say(GAP, top - 0.19, facts(layer, scale), color=FAINT, fontsize=8, linespacing=1.25)
        say(GAP, top - 0.70, look_for(layer, maps.view.input, name == maps.f), linespacing=1.15)
        photo = axes(row, 0)
        photo.imshow(picture, aspect="auto")
        _draw_window(photo, layer, maps.view.input, picture.shape)
        for column, k in enumerate(units, 1):
            unit = axes(row, column)
            unit.imshow(paint(maps[name][k], scale, colors), interpolation="nearest", aspect="auto")
            unit.text(0.03, 0.97, f"{k}", transform=unit.transAxes, va="top", fontsize=7, color="white",
                      bbox={"facecolor": "black", "alpha": 0.55, "edgecolor": "none", "pad": 1})
    say(GAP, foot - 0.08, "\n".join(footer), color=FAINT, fontsize=8)
    return figure


def _lines(text, width, letter):
    """A text in lines that fit a figure of `width` inches, a letter being that wide."""
    return textwrap.wrap(plain(text), int((width - 2 * GAP) / letter), break_on_hyphens=False)


def facts(layer, scale):
    """A layer's numbers, in three short lines."""
    K, H, W = layer.shape
    return (f"{K} x {H} x {W}, {stride_of(layer)}\n"
            f"a cell sees {field_of(layer)}\ncolours: {scale[0]:.2g} to {scale[1]:.2g}")


def stride_of(layer):
    """The stride of a layer in words."""
    return "stride unknown" if layer.stride is None else f"stride {_by(layer.stride)}"


def field_of(layer):
    """The receptive field of a layer in words."""
    if layer.receptive_field is None:
        return "unknown"
    rows, columns = layer.receptive_field
    return f"{rows} x {columns} pixels{' + gate' if layer.gated else ''}"


def look_for(layer, size, is_f=False):
    """What to look for in the maps of a layer, in two short lines.

    Parameters
    ----------
    layer : Layer
    size : (int, int)
        Of the network's input.
    is_f : bool
    """
    if is_f:
        return "look for: what the\nclasses are made of"
    if layer.receptive_field is None:
        return "look for: what the\nbright places share"
    fraction = max(layer.receptive_field) / min(size)
    return next(text for most, text in LOOK_FOR if fraction <= most)


def _by(pair):
    return f"{pair[0]}" if pair[0] == pair[1] else f"{pair[0]} x {pair[1]}"


def _draw_window(axes, layer, size, shape):
    """The pixels that the cell in the middle of the map sees, as a box on the photo."""
    if layer.receptive_field is None:
        return
    from matplotlib.patches import Rectangle

    scale = np.array(shape[:2]) / size[::-1]  # rows before columns
    middle = np.array(layer.shape[1:]) // 2
    top, left = (np.array(layer.start) + middle * layer.stride) * scale - 0.5
    tall, wide = np.array(layer.receptive_field) * scale
    for line, ink in ((2.6, "#000000"), (1.3, BOX)):
        axes.add_patch(Rectangle((left, top), wide, tall, fill=False, edgecolor=ink, linewidth=line))
    axes.set_xlim(-0.5, shape[1] - 0.5)
    axes.set_ylim(shape[0] - 0.5, -0.5)


def shown(maps, count):
    """How many layers are drawn, where some are not."""
    return f"{count} of {len(maps)} layers" if count < len(maps) else ""


def _footer(maps, count):
    size = maps.view.input
    gated = "; + gate: all of the photo acts on it, too" if any(layer.gated for layer in maps.layers) else ""
    return (f"Box: what the cell in the middle sees of the input of {size[0]} x {size[1]} pixels{gated}. "
            "Beside it the units that vary most, a row on one scale."
            + (f" Shown: {shown(maps, count)}." if shown(maps, count) else ""))
