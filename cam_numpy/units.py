"""The units of a class: Section 5, with photos of your own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from .errors import InputError, refused
from .image.photo import read_photo
from .network.network import Network, load
from .paper._checks import positive_integer
from .paper.units import rank_units, unit_contributions, vocabulary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CROPS = 6  # photos of a unit
WINDOW = 0.5  # of the short side of what the network saw


class Crop(NamedTuple):
    """Where in a photo a unit fires most: the photo's name, f_k there, and a window around it."""

    name: str
    f: float
    box: tuple[int, int, int, int]
    picture: Image.Image


class ClassUnit(NamedTuple):
    """A unit of a class: w_k^c, the mean of w_k^c F_k over the photos, and what it speaks for.

    `speaks_for` and `speaks_against` are (name, w) of the classes with the largest and the smallest
    weight; `product` is None and `crops` is empty where there are no photos.
    """

    k: int
    w: float
    product: float | None
    speaks_for: list[tuple[str, float]]
    speaks_against: list[tuple[str, float]]
    crops: list[Crop]


@dataclass(frozen=True, kw_only=True, repr=False)
class ClassUnits:
    """The units of a class, the most important first; `class_units` makes it.

    Attributes
    ----------
    c : int
    name, model : str
        What the class and the network are called.
    units : list of ClassUnit
    K : int
        How many units there are.
    photos : int
        How many photos were seen.
    assumed : list of str
        Assumptions made where neither the network's file nor the caller gave a value.
    """

    c: int
    name: str
    model: str
    units: list[ClassUnit]
    K: int
    photos: int
    assumed: list[str]

    def __repr__(self):
        from .show.units import one_line

        return one_line(self)

    def show(self) -> Figure:
        """The figure of `cam-numpy units`: a row a unit, the crops where it fires most.

        Returns
        -------
        figure : matplotlib.figure.Figure
        """
        if not self.photos:
            raise InputError("there are no photos to show units in; give some")
        from .show.units import draw

        return draw(self)


def class_units(c: int | str, photos: Sequence[str | Path | Image.Image | np.ndarray] = (),
                network: Network | str | Path | None = None, n: int = 8,
                progress: Callable[[int, int], None] | None = None) -> ClassUnits:
    """The units that matter most for a class, and what each speaks for.

    Parameters
    ----------
    c : int or str
        A class.
    photos : list of path, PIL.Image.Image or (h, w, 3) uint8 array
        Units are ranked by the mean of w_k^c F_k over these photos; without any, by w_k^c.
    network : Network, path or str, optional
        A network from `load`, or whatever `load` takes.
    n : int
        How many units.
    progress : callable, optional
        Called with (photos done, photos in all).

    Returns
    -------
    units : ClassUnits

    Raises
    ------
    InputError
        There is no such class, a photo cannot be read, or `n` is not a positive integer.

    Examples
    --------
    >>> best = class_units("Persian cat").units[0]
    >>> [name for name, w in best.speaks_for][:2]
    ['Persian cat', 'standard poodle']
    """
    with refused():
        n = positive_integer("n", n)
    network = load(network)
    c = network.find_class(c)
    if not isinstance(photos, (str, Path, Image.Image, Iterable)):
        raise InputError(f"photos is {photos!r}; give a list of photos, or leave it out")
    photos = [photos] if isinstance(photos, (str, Path, Image.Image, np.ndarray)) else list(photos)
    seen = []
    for done, photo in enumerate(photos, 1):
        seen.append(_Peaks(photo, done, network))
        if progress:
            progress(done, len(photos))
    products = None
    if seen:
        # the mean over the photos of w_k^c F_k
        products = unit_contributions(np.stack([one.F for one in seen]), network.w, c).mean(axis=0)
    order = rank_units(network.w[c] if products is None else products)[:n]
    units = [ClassUnit(int(k), float(network.w[c, k]), None if products is None else float(products[k]),
                       *_vocabulary(network, k), _crops(seen, k)) for k in order]
    return ClassUnits(c=c, name=network.classes[c], model=network.name, units=units, K=network.w.shape[1],
                      photos=len(photos), assumed=network.assumed)


class _Peaks:
    """F of a photo, and of each unit the largest f_k and its cell; not the maps, photos may be many."""

    def __init__(self, photo, number, network):
        self.photo = photo
        self.name = Path(photo).name if isinstance(photo, (str, Path)) else f"photo {number}"
        seen = network.see(photo)
        self.view, (K, self.H, self.W) = seen.view, seen.f.shape
        self.F = network.form.pool(seen.f)
        self.cell = seen.f.reshape(K, -1).argmax(axis=1)
        self.f = seen.f.reshape(K, -1).max(axis=1)

    def box(self, k):
        """A square around the strongest cell of unit k, inside what the network saw."""
        left, top, right, bottom = self.view.box
        y, x = divmod(int(self.cell[k]), self.W)
        side = WINDOW * min(right - left, bottom - top)
        x0 = np.clip(left + (x + 0.5) * (right - left) / self.W - side / 2, left, right - side)
        y0 = np.clip(top + (y + 0.5) * (bottom - top) / self.H - side / 2, top, bottom - side)
        return int(x0), int(y0), math.ceil(x0 + side), math.ceil(y0 + side)


def _vocabulary(network, k):
    """What a unit speaks for and against: two lists of (name, w)."""
    return [[(network.classes[c], float(network.w[c, k])) for c in classes]
            for classes in vocabulary(network.w, k)]


def _crops(seen, k):
    """The crops of the photos in which unit k fires most."""
    found = []
    for i in rank_units([one.f[k] for one in seen])[:CROPS] if seen else []:
        box = seen[i].box(k)
        picture = read_photo(seen[i].photo).crop(box)
        picture.thumbnail((160, 160))
        found.append(Crop(seen[i].name, float(seen[i].f[k]), box, picture))
    return found
