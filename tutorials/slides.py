"""The figures of the lessons: photos, maps and numbers side by side, in matplotlib."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import FuncNorm, ListedColormap
from PIL import Image

import cam_numpy as cam

INK, FAINT, ACCENT, TRUE = "#222222", "#6b6b6b", "#1b7fbd", "#ffffff"
EVIDENCE = "inferno"  # for maps that are mostly positive
# for maps whose sign matters: white is zero, red speaks for the class, blue against it, and a
# value four times as large is twice as strong a colour
SIGNED = ListedColormap(plt.get_cmap("RdBu_r")(np.linspace(0.1, 0.9, 256)))  # without the darkest ends
LONG_SIDE = 300  # pixels of a photo in a figure: notebooks stay small

plt.rcParams.update({
    "figure.dpi": 80, "savefig.dpi": 80, "font.size": 11, "axes.titlesize": 12, "text.color": INK,
    "axes.labelcolor": INK, "axes.edgecolor": FAINT, "axes.spines.top": False, "axes.spines.right": False,
})


def photo(name):
    """A photo that is on this machine already, as a PIL image.

    Parameters
    ----------
    name : {"grace_hopper", "chelsea", "coffee", "astronaut", "rocket"}
        The first comes with matplotlib (public domain), the others with scikit-image
        (CC0: chelsea by Stefan van der Walt, coffee by Rachel Michetti; NASA: astronaut;
        SpaceX, CC0: rocket).
    """
    if name == "grace_hopper":
        from matplotlib.cbook import get_sample_data

        return Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False)).convert("RGB")
    import skimage

    return Image.fromarray(getattr(skimage.data, name)())


def panels(pictures, titles=(), notes=(), columns=None, size=2.6):
    """Photos and maps in a grid.

    Parameters
    ----------
    pictures : list
        Of PIL images or (h, w, 3) arrays; of (H, W) arrays, drawn in grey; or of tuples
        (photo or None, map, scale): a map over a photo, or alone, in the colours of `scale`, a
        pair (low, high) in the units of the map. With low = -high the map is drawn in the
        colours of `SIGNED`, and the photo below it in grey.
    titles, notes : list of str
        A line above and a line below each.
    columns : int, optional
        By default all in one row.
    size : float
        Inches of a panel's side.

    Returns
    -------
    axes : list of matplotlib axes
    """
    columns = columns or len(pictures)
    rows = -(-len(pictures) // columns)
    tall = size * max(_aspect(picture) for picture in pictures) + 0.25 * (bool(titles) + bool(notes))
    figure, grid = plt.subplots(rows, columns, figsize=(columns * size, rows * tall), squeeze=False,
                                layout="constrained")
    axes = list(grid.flat)
    for axis in axes:
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[:].set_visible(False)
    for i, (axis, picture) in enumerate(zip(axes, pictures)):
        draw(axis, picture)
        if i < len(titles):
            axis.set_title(titles[i], fontsize=11)
        if i < len(notes):
            axis.set_xlabel(notes[i], fontsize=9.5, color=FAINT)
    return axes


def _aspect(picture):
    """Height over width of what `panels` takes."""
    if isinstance(picture, tuple):
        picture = picture[1] if picture[0] is None else picture[0]
    width, height = picture.size if isinstance(picture, Image.Image) else np.shape(picture)[1::-1]
    return height / width


def draw(axis, picture):
    """Draw a photo, a map, or a map over a photo; see `panels`."""
    if not isinstance(picture, tuple):
        picture = np.asarray(small(picture) if isinstance(picture, Image.Image) else picture)
        axis.imshow(picture, cmap="gray", interpolation="nearest" if picture.ndim == 2 else None)
        return
    under, M, (low, high) = picture
    signed = low == -high
    if signed:  # the colour grows with the square root of the value: small values stay visible
        looks = {"cmap": SIGNED, "norm": FuncNorm((signed_root, signed_square), vmin=low, vmax=high)}
    else:
        looks = {"cmap": EVIDENCE, "vmin": low, "vmax": high}
    if under is None:
        axis.imshow(M, interpolation="nearest", **looks)
        return
    under = small(under)
    if signed:  # two colours have a meaning: below them the photo is grey, and pale
        under = Image.blend(under.convert("L"), Image.new("L", under.size, 255), 0.35).convert("RGB")
    axis.imshow(under)
    M = cam.upsample(M, height=under.height, width=under.width)
    axis.imshow(M, alpha=0.6, **looks)


def signed_root(values):
    """The square root of the absolute value, with the sign: -4 -> -2, 9 -> 3."""
    return np.sign(values) * np.sqrt(np.abs(values))


def signed_square(values):
    """The inverse of `signed_root`."""
    return np.sign(values) * np.square(values)


def small(picture):
    """A copy of a photo whose long side is `LONG_SIDE` pixels."""
    picture = picture.copy()
    picture.thumbnail((LONG_SIDE, LONG_SIDE))
    return picture


def scale_of(*maps, signed=False):
    """One scale (low, high) for several maps; it always holds zero."""
    low, high = min(0.0, *(float(np.min(M)) for M in maps)), max(0.0, *(float(np.max(M)) for M in maps))
    return (-max(-low, high), max(-low, high)) if signed else (low, high)


def numbers(axis, M, form="{:g}"):
    """Write the value of each cell into a map that was drawn alone."""
    image = axis.images[-1]
    for (y, x), value in np.ndenumerate(M):
        red, green, blue, _ = image.cmap(image.norm(value))
        dark = 0.3 * red + 0.59 * green + 0.11 * blue < 0.5
        axis.text(x, y, form.format(value), ha="center", va="center", color="white" if dark else INK)


def box(axis, corners, size=None, color=ACCENT, dashed=False):
    """Draw a box (x0, y0, x1, y1), both ends included.

    Parameters
    ----------
    size : (int, int), optional
        (width, height) of the photo that the box belongs to, where the panel shows a small copy of it.
    """
    if corners is None:
        return
    height, width = axis.images[0].get_array().shape[:2]
    sx, sy = (width / size[0], height / size[1]) if size else (1, 1)
    x0, y0, x1, y1 = corners
    corner, width, height = (x0 * sx - 0.5, y0 * sy - 0.5), (x1 - x0 + 1) * sx, (y1 - y0 + 1) * sy
    axis.add_patch(plt.Rectangle(corner, width, height, fill=False, edgecolor=color, linewidth=2,
                                 linestyle="--" if dashed else "-"))
