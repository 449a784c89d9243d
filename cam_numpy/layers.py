"""What every layer of a network sees in a photo: Section 1, from edges to concepts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from .errors import refused
from .image.photo import portrait, read_photo
from .network.layers import Body
from .network.network import Network, open_body
from .paper._checks import positive_integer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROWS, UNITS = 8, 8  # of the figure


class LayerMaps(dict):
    """The maps of some layers for one photo, by name, from shallow to deep; `layer_maps` makes it.

    In a notebook it shows itself as a figure.

    Attributes
    ----------
    photo : PIL.Image.Image
    name, model : str
        What the photo and the network are called.
    view : View
        Which part of the photo the network saw.
    layers : list of cam_numpy.network.layers.Layer
        All of the network's, also those whose maps are not here.
    f : str or None
        The name of the last conv layer; None where CAM does not apply to the network.
    assumed : list of str
        Assumptions made where neither the network's file nor the caller gave a value.
    """

    def __init__(self, maps, *, photo, name, model, view, layers, f, assumed):
        super().__init__(maps)
        self.photo, self.name, self.model, self.view = photo, name, model, view
        self.layers, self.f, self.assumed = layers, f, assumed

    def show(self, rows: int = ROWS, units: int = UNITS, colors: str = "inferno") -> Figure:
        """The figure of `cam-numpy layers`: a row a layer, the photo and the units that vary most.

        Parameters
        ----------
        rows : int
            How many layers, evenly spread; more where there are more resolutions, because one of each
            is always shown.
        units : int
            How many maps of each.
        colors : {"inferno", "jet", "diverging"}

        Returns
        -------
        figure : matplotlib.figure.Figure
        """
        from .show.layers import draw

        with refused():
            rows, units = positive_integer("rows", rows), positive_integer("units", units)
        return draw(self, [(name, most_varied(self[name], units)) for name in self.rows(rows)], colors)

    def rows(self, n: int = ROWS) -> list[str]:
        """The names of the layers that `show` draws, from shallow to deep, where n rows are asked for."""
        names = list(self)
        return [names[i] for i in spread([f.shape[1:] for f in self.values()], n)]

    def __repr__(self):
        return f"<LayerMaps of {self.name} by {self.model}: {len(self)} layers>"

    def _repr_png_(self):
        """What Jupyter shows."""
        return self.show()._repr_png_()


def layer_maps(photo: str | Path | Image.Image | np.ndarray | None = None,
               network: Network | Body | str | Path | None = None,
               layers: str | int | Sequence[str | int] | None = None) -> LayerMaps:
    """The maps of a network's layers for a photo, in one forward pass.

    Parameters
    ----------
    photo : path, PIL.Image.Image, or (h, w, 3) uint8 array, optional
        By default the portrait of Grace Hopper that comes with matplotlib.
    network : Network, path or str, optional
        A network from `load`, or whatever `load` takes. CAM need not apply to it.
    layers : str, int, or list of them, optional
        Names or numbers in the order of ``network.layers()``, -1 for the last; by default all.

    Returns
    -------
    maps : LayerMaps
        A dict from each layer's name to its map, (K, H, W) float32; the last is f.

    Raises
    ------
    InputError
        The photo or the network cannot be read, there is no such layer, or the layers cannot be
        listed.

    Examples
    --------
    >>> maps = layer_maps()
    >>> len(maps), maps["f"].shape
    (12, (256, 14, 12))
    """
    body = open_body(network)
    photo = portrait() if photo is None else photo
    name = Path(photo).name if isinstance(photo, (str, Path)) else "photo"
    photo = read_photo(photo)
    x, view = body.preprocessing(photo)
    names = body.choose(layers)
    maps = dict(zip(names, body.maps(x, names)))
    return LayerMaps(maps, photo=photo, name=name, model=body.name, view=view, layers=body.layers,
                     f=body.f, assumed=body.assumed)


def spread(resolutions, n):
    """About n layers, evenly spread: the last, and one of each resolution at least.

    Parameters
    ----------
    resolutions : list
        Of each layer, from shallow to deep.
    n : int

    Returns
    -------
    chosen : list of int

    Examples
    --------
    >>> spread([48, 24, 24, 24, 24, 12, 12, 12], 5)
    [0, 2, 4, 5, 7]
    >>> spread([48, 24, 12, 12, 12, 12, 12, 12], 4)
    [0, 1, 5, 7]
    """
    end = len(resolutions) - 1
    chosen = {end, *(round(end * i / max(n - 1, 1)) for i in range(n))}
    for resolution in set(resolutions) - {resolutions[i] for i in chosen}:
        chosen.add(end - resolutions[::-1].index(resolution))
    while len(chosen) > n:  # leave out the closest to another one, where its resolution stays
        spare = [i for i in sorted(chosen - {end})
                 if any(resolutions[j] == resolutions[i] for j in chosen - {i})]
        if not spare:
            break
        chosen.remove(min(spare, key=lambda i: min(abs(i - j) for j in chosen - {i})))
    return sorted(chosen)


def most_varied(f, n):
    """The n units whose maps vary most from place to place, the most varied first."""
    return np.argsort(-f.std(axis=(1, 2)), kind="stable")[:n].tolist()
