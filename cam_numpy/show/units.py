"""The figure and the text of `cam-numpy units`: the units of a class."""

from __future__ import annotations

import textwrap

import numpy as np

from ..names import cut, plain
from .figure import FAINT, GAP, INK, blank, own_settings
from .text import heading

SIDE, TEXT, HEAD, FOOT = 1.15, 3.3, 0.62, 0.45  # inches: a crop, the text, above, below


@own_settings()
def draw(found):
    """Draw the units of a class: a row a unit, the crops where it fires most.

    Parameters
    ----------
    found : ClassUnits
        With photos.

    Returns
    -------
    figure : matplotlib.figure.Figure
    """
    columns = max(len(unit.crops) for unit in found.units)
    pitch = SIDE + 0.24
    width = GAP + TEXT + columns * (SIDE + 0.08) + GAP
    footer = textwrap.wrap(
        f"{cut(found.model, 40)}: the {len(found.units)} of {found.K} units that come first by "
        f"{_ranked(found)}. A crop is half as wide as what the network sees, around the place where the "
        "unit fires most.", int((width - 2 * GAP) / 0.068))
    foot = FOOT + 0.14 * (len(footer) - 2)
    height = HEAD + len(found.units) * pitch + foot
    figure = blank((width, height))

    def say(x, y, text, **style):
        figure.text(x / width, y / height, text, va="top", **{"color": INK, "fontsize": 9, **style})

    say(GAP, height - 0.15, f"The units of “{cut(short(found.name), min(40, int((width - 2) / 0.13)))}”",
        fontsize=13, fontweight="bold")
    for row, unit in enumerate(found.units):
        top = height - HEAD - row * pitch
        say(GAP, top, f"unit {unit.k}", fontsize=11, fontweight="bold")
        numbers = f"mean w F = {unit.product:.3f},  w = {unit.w:.3f}"
        say(GAP + 0.85, top - 0.02, numbers, color=FAINT)
        say(GAP, top - 0.27, _wrapped("for", unit.speaks_for), linespacing=1.15)
        against = _wrapped("against", unit.speaks_against)
        say(GAP, top - 0.76, against, color=FAINT, linespacing=1.15)
        for column, crop in enumerate(unit.crops):
            left = GAP + TEXT + column * (SIDE + 0.08)
            axes = figure.add_axes((left / width, (top - SIDE) / height, SIDE / width, SIDE / height))
            axes.imshow(np.asarray(crop.picture), aspect="auto")
            axes.set_axis_off()
            say(left + SIDE / 2, top - SIDE - 0.02, f"f = {crop.f:.2f}",
                ha="center", color=FAINT, fontsize=7.5)
    say(GAP, foot - 0.1, "\n".join(footer), color=FAINT, fontsize=8)
    return figure


def _ranked(found):
    """What the units are ranked by."""
    if not found.photos:
        return "w_k^c"
    return f"the mean of w_k^c F_k over {found.photos} photo{'s' * (found.photos > 1)}"


def short(name):
    """The first synonym of a class."""
    return name.split(",")[0]


def names(vocabulary):
    """The classes of a vocabulary in one line."""
    return ", ".join(short(name) for name, _ in vocabulary)


def _wrapped(head, vocabulary):
    lines = textwrap.wrap(f"{head} {plain(names(vocabulary))}", 46)
    return "\n".join([*lines[:2][:-1], cut(" ".join(lines[min(1, len(lines) - 1):]), 46)])


def one_line(found):
    """The units of a class in one line: its best ones by their index."""
    best = ", ".join(str(unit.k) for unit in found.units[:5]) + ", ..." * (len(found.units) > 5)
    return (f"<ClassUnits of {cut(short(found.name), 30)} by {cut(found.model, 30)}: {len(found.units)} of "
            f"{found.K}, ranked by {_ranked(found)}: k = {best}>")


def as_text(found):
    """The units of a class for an 80-column terminal."""
    lines = [f"class    {found.c}, {cut(short(found.name), 60)}",
             heading("network", f"{cut(found.model, 34)}, {found.K} units, ranked by {_ranked(found)}"),
             *(heading("assumed", text) for text in found.assumed), ""]
    for unit in found.units:
        product = "" if unit.product is None else f"mean w_k^c F_k = {unit.product:.3f}   "
        lines.append(f"k = {unit.k:<5} {product}w_k^c = {unit.w:.3f}")
        for head, words in (("for", unit.speaks_for), ("against", unit.speaks_against)):
            lines.append(f"    {head:<9}{_listing([(short(name), f' {w:+.2f}') for name, w in words], 67)}")
    return "\n".join(lines)


def _listing(entries, room):
    """As many entries (name, number) as fit into one line: what does not fit is left out whole."""
    texts = [f"{cut(name, room - len(number) - 3)}{number}" for name, number in entries]
    for n in range(len(texts), 1, -1):
        line = ", ".join(texts[:n] + ["…"] * (n < len(texts)))
        if len(line) <= room:
            return line
    return ", ".join(texts[:1] + ["…"] * (len(texts) > 1))


def as_dict(found, files):
    """The same as a dict for JSON."""
    return {
        "class": {"index": found.c, "name": found.name},
        "model": found.model,
        "photos": found.photos,
        "assumed": found.assumed,
        "units": [{**unit._asdict(), "speaks_for": _listed(unit.speaks_for),
                   "speaks_against": _listed(unit.speaks_against),
                   "crops": [{"photo": crop.name, "f": crop.f, "box": list(crop.box)} for crop in unit.crops]}
                  for unit in found.units],
        "files": files,
    }


def _listed(vocabulary):
    return [{"name": name, "w": w} for name, w in vocabulary]
