"""One explanation as a page: HTML that opens from disk, needs no network, and computes every number itself.

The folder web/ has the text (page.html), the looks (page.css) and the scripts: the equations
(paper.js), what is shown and what was chosen (explanation.js), the photo with its map (picture.js),
the five steps (steps.js) and what happens when something is pressed (page.js). Here they become one
file, with the arrays of the explanation in it.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from importlib import resources

import numpy as np
from PIL import Image

from ..errors import InputError
from ..image.view import LONGEST
from ..paper.boxes import THRESHOLD
from ..paper.cam import class_activation_maps
from ..paper.localisation import CENTRE
from .colours import palette

STYLE = "page.css"
SCRIPTS = ("paper.js", "explanation.js", "picture.js", "steps.js", "page.js")
SCALE = ("The maps of all classes share one linear colour scale, the diverging one of the figures. It ends "
         "at the strongest value of any map. Stripes mark what is below 0, however little.")
LARGEST_PHOTO = 960  # pixels of the long side; a larger photo is shown smaller
MOST_EXACT = 2**17  # numbers of an array that is stored in 32 bits; a larger one takes 16 bits each


def page(explanation, classes=()):
    """The page of an explanation.

    Parameters
    ----------
    explanation : Explanation
    classes : sequence of int
        The class that the page shows first, and the one that it is compared with; by default
        the two best.

    Returns
    -------
    html : str
        A whole HTML file. It requests nothing: its Content-Security-Policy allows only what is
        inside.

    Raises
    ------
    InputError
        More than two classes are given.

    Notes
    -----
    f, w, b and the network's own S are stored in float32, an array of more than 131,072 numbers
    in float16: each number is then rounded by at most 1/2048 of itself.
    """
    if len(classes) > 2:
        raise InputError(f"{len(classes)} classes are given; a page shows one and compares it with another; "
                         "give one or two")
    parts = {name: _read(name) for name in (STYLE, *SCRIPTS)}
    parts["policy"] = _policy(parts)
    parts["data"] = _as_json(_record(explanation, [int(c) for c in classes]))
    return re.sub(r"<!-- (\S+) -->", lambda found: parts[found[1]], _read("page.html"))


def _read(name):
    return resources.files(__package__).joinpath("web", name).read_text(encoding="utf-8")


def _policy(parts):
    """Allow the scripts and the style of this very page, pictures that are part of it, and nothing else."""
    def allowed(*names):
        hashes = (hashlib.sha256(parts[name].encode()).digest() for name in names)
        return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in hashes)

    return (f"default-src 'none'; img-src data:; style-src {allowed(STYLE)}; "
            f"script-src {allowed(*SCRIPTS)}; base-uri 'none'; form-action 'none'")


def _as_json(record):
    """JSON that can stand in HTML: no "<", so a name cannot end the script that it is in."""
    return json.dumps(record, separators=(",", ":")).replace("<", "\\u003c")


def _record(e, classes):
    """What the scripts of the page read."""
    arrays = {name: getattr(e, name) for name in ("f", "w", "b", "S")}
    sums = e.form.name == "gsp"  # the page has the means and w H W for both, and shows the sums
    if sums:
        arrays["w"] = e.w * e.f[0].size
    rounded = [name for name, array in arrays.items() if array.size > MOST_EXACT]
    return {
        "photo": {"name": e.name, "width": e.photo.width, "height": e.photo.height, "jpeg": _jpeg(e.photo)},
        # in the photo's pixels: what the network saw, the pixels whose centres it saw, the map's cells
        "view": [float(side) for side in e.view.box],
        "seen": [int(side) for side in e.view.seen_pixels()],
        "cells": [float(side) for side in e.view.cells(*e.f.shape[1:])],
        "model": e.model, "classes": e.classes, "form": "gap" if sums else e.form.name, "sum": int(sums),
        "sigmoid": bool(e.sigmoid),
        **{name: _packed(array) for name, array in arrays.items()},
        "notes": [e.form.meaning, SCALE, _rounding(rounded), *_silenced(e),
                  *(f"Assumed: {text}" for text in e.assumed)],
        # one scale for the maps of all classes, in score units: zero is in its middle
        "scale": float(np.abs(class_activation_maps(e.f, arrays["w"])).max()),
        "palette": base64.b64encode(palette("diverging")).decode(),
        "doubt": e.doubt, "silent": list(e.silent),
        "start": classes,
        "threshold": THRESHOLD, "longest": LONGEST, "centre": CENTRE,
    }


def _silenced(e):
    if e.silent:
        yield f"Units silenced: {', '.join(map(str, e.silent))}. The scores are not the network's own."


def _rounding(rounded):
    if not rounded:
        return "All arrays are stored in float32, as the network computes."
    which = f"{' and '.join(rounded)} {'is' if len(rounded) == 1 else 'are'}"
    return (f"To keep the file small, {which} rounded to float16, each number by at most 1/2048 of itself; "
            "what is computed from them can differ from the network in the fourth digit.")


def _packed(array):
    """An array for the page: base64 of little-endian numbers, divided by 2 ** exponent.

    The division is exact. It brings the largest number near 2 ** 15, so that float16 neither
    overflows nor loses small numbers.
    """
    bits = 16 if array.size > MOST_EXACT else 32
    exponent = int(np.frexp(np.abs(array).max())[1]) - 15 if bits == 16 else 0
    stored = np.ldexp(array, -exponent).astype(f"<f{bits // 8}")
    return {"shape": list(array.shape), "bits": bits, "exponent": exponent,
            "base64": base64.b64encode(stored).decode()}


def _jpeg(photo):
    shrink = max(1, max(photo.size) / LARGEST_PHOTO)
    small = photo.resize([max(1, round(side / shrink)) for side in photo.size], Image.Resampling.BICUBIC)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=85)
    return base64.b64encode(file.getvalue()).decode()
