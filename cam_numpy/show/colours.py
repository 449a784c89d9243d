"""From a map to colours, with a scale that is stated and nothing clipped.

A scale is a pair (low, high) in score units and always holds zero, so that a
colour says which way the evidence points: a map that is negative everywhere
never looks like evidence for its class.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from ..errors import InputError

# Each colour map as a few colours, evenly spaced, linear in between. "inferno" is
# perceptually even (S. van der Walt and N. Smith for matplotlib, 2015, CC0): 17 of
# its values. "jet" is the paper's. "diverging" has zero in its middle (C. Brewer's
# RdBu, 2002, Apache 2.0).
COLORS = {
    "inferno": (
        "000004", "0b0724", "210c4a", "3d0965", "57106e", "71196e", "8a226a", "a32c61", "bc3754",
        "d04545", "e35933", "f1711f", "f98c0a", "fcaa0f", "f9c932", "f2e865", "fcffa4",
    ),
    "jet": ("000080", "0000ff", "0080ff", "00ffff", "80ff80", "ffff00", "ff8000", "ff0000", "800000"),
    "diverging": (
        "053061", "2166ac", "4393c3", "92c5de", "d1e5f0", "f7f7f7",
        "fddbc7", "f4a582", "d6604d", "b2182b", "67001f",
    ),
}
BAND = 128  # rows of a photo that are painted at a time
UNSEEN = (0.85, 0.85, 0.85)  # what the network did not look at fades towards this


def palette(colors):
    """The 256 colours of a colour map.

    Parameters
    ----------
    colors : {"inferno", "jet", "diverging"}

    Returns
    -------
    table : (256, 3) uint8 array
        R, G, B, from the low end of the scale to the high one.

    Raises
    ------
    InputError
        There is no such colour map.
    """
    if not isinstance(colors, str) or colors not in COLORS:
        raise InputError(f"colors is {colors!r}, which is not a colour map here; give one of "
                         + ", ".join(COLORS))
    stops = np.array([list(bytes.fromhex(stop)) for stop in COLORS[colors]], float)
    position = np.linspace(0, len(stops) - 1, 256)
    channels = [np.interp(position, np.arange(len(stops)), channel) for channel in stops.T]
    return np.rint(np.stack(channels, axis=1)).astype(np.uint8)


def scale_of(maps, colors="inferno", most=None):
    """The common scale of some maps: the smallest that holds them all, and zero.

    Parameters
    ----------
    maps : (..., H, W) array
        In score units.
    colors : str
        With "diverging" the scale reaches as far below zero as above.
    most : float, optional
        Where the scale ends, whatever the maps hold: what lies beyond gets the last colour.

    Returns
    -------
    low, high : float
    """
    low, high = min(0.0, float(np.min(maps))), max(0.0, float(np.max(maps)))
    if most is not None:
        low, high = max(low, -most), most
    if colors == "diverging":
        low, high = -max(-low, high), max(-low, high)
    return low, high


def remark(M):
    """What a reader must know of an unusual map, or "".

    Parameters
    ----------
    M : (H, W) array
        The raw map, in score units.
    """
    if M.min() == M.max():
        return f"constant: {M.flat[0]:.3g} everywhere"
    return "negative everywhere: evidence against only" if M.max() <= 0 else ""


def paint(M, scale, colors="inferno"):
    """A map in colours.

    Parameters
    ----------
    M : (height, width) array
        In score units; NaN where the network did not look.
    scale : (float, float)
        The values at the two ends of the colour map.
    colors : str

    Returns
    -------
    image : (height, width, 3) uint8 array
        Grey where M is NaN.
    """
    low, high = scale
    if low == high:  # zero alone: it keeps its colour, the first one or the middle one
        low, high = (low - 1, high + 1) if colors == "diverging" else (low, high + 1)
    index = M - np.asarray(low, M.dtype)  # a new array, worked on in place: photos are large
    index *= 255 / (high - low)
    seen = np.isfinite(index)
    index[~seen] = 0
    np.rint(index, out=index)
    np.clip(index, 0, 255, out=index)
    image = palette(colors)[index.astype(np.uint8)]
    image[~seen] = np.rint(255 * np.array(UNSEEN))
    return image


def overlay(photo, view, M, scale, colors="inferno", weight=0.6, onto=None):
    """A photo with its map on top: (1 - weight) photo + weight colours.

    Parameters
    ----------
    photo : PIL.Image.Image
        Mode RGB, of any size.
    view : View
        What the network saw of it.
    M : (H, W) array
        The map over the network's input, in score units.
    scale : (float, float)
        See `scale_of`.
    colors : str
    weight : float
        0 shows the photo alone, 1 the map alone.
    onto : PIL.Image.Image, optional
        An image of the same mode and size to paint onto, by default a new one. It may be the
        photo: one of 100 megapixels takes 400 MB.

    Returns
    -------
    image : PIL.Image.Image
        Mode RGB. Greyish where the network did not look.
    """
    image = Image.new("RGB", photo.size) if onto is None else onto
    width, height = photo.size
    for top in range(0, height, BAND):  # band by band: the laid map needs more memory than the photo
        bottom = min(top + BAND, height)
        laid = view.lay(M, width=width, height=height, rows=slice(top, bottom))
        band = Image.fromarray(paint(laid, scale, colors))
        image.paste(Image.blend(photo.crop((0, top, width, bottom)), band, weight), (0, top))
    return image


def outline(image, boxes, color):
    """Draw boxes onto an image, in place, with lines as wide as 1/150 of its short side.

    Parameters
    ----------
    image : PIL.Image.Image
        Mode RGB.
    boxes : list of (int, int, int, int)
        (x0, y0, x1, y1) in its pixels, both ends included.
    color : str
        Such as "#ffffff".
    """
    for box in boxes:
        ImageDraw.Draw(image).rectangle(box, outline=color, width=max(1, round(min(image.size) / 150)))
