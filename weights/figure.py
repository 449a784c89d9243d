"""Draw average against max pooling on some photos: `python -m weights.figure FILE PHOTO=CLASS ...`.

So the figure of tutorials/localisation.md was made, from three photos without
copyright: Grace Hopper (matplotlib's sample data), and `chelsea` and `coffee` of
scikit-image (CC0: Stefan van der Walt, Rachel Michetti).
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from cam_numpy import explain, load
from cam_numpy.errors import InputError
from cam_numpy.image.photo import read_photo
from cam_numpy.network.classes import short_name
from cam_numpy.network.network import SHIPPED
from cam_numpy.output import whole_file
from cam_numpy.show.colours import overlay, scale_of
from cam_numpy.show.figure import DPI, FAINT, INK, blank, draw_boxes, save

TALL = 2.3  # inches of a photo
UNITS = 10
TITLES = {"gap": "average pooling", "gmp": "max pooling"}


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m weights.figure", description=__doc__.split("\n")[0])
    parser.add_argument("file", help="the PNG to write")
    parser.add_argument("photos", nargs="+", metavar="PHOTO=CLASS")
    options = parser.parse_args(arguments)
    try:
        networks = [load(name) for name in SHIPPED]
        rows = []
        for given in options.photos:
            name, _, wanted = given.rpartition("=")
            photo = read_photo(name)
            photo.thumbnail((round(2 * TALL * DPI), round(TALL * DPI)))
            rows.append((photo, networks[0].find_class(wanted)))
        with whole_file(options.file) as unfinished:
            draw(rows, networks, unfinished)
    except InputError as error:
        parser.error(str(error))


def draw(rows, networks, path):
    """One row a photo: the photo, then its map by each network with its box and its strongest units.

    Parameters
    ----------
    rows : list of (PIL.Image.Image, int)
        Photos and classes.
    networks : list of Network
    path : path
        The PNG to write.
    """
    wide = max(photo.width for photo, _ in rows) / DPI
    width, height = (1 + len(networks)) * (wide + 0.2) + 0.2, len(rows) * (TALL + 0.45) + 0.75
    figure = blank((width, height))
    for i, (photo, c) in enumerate(rows):
        bottom = height - (i + 1) * (TALL + 0.45) - 0.05
        for j, network in enumerate([None, *networks]):
            left = 0.2 + j * (wide + 0.2) + (wide - photo.width / DPI) / 2
            axes = figure.add_axes((left / width, bottom / height,
                                    photo.width / DPI / width, photo.height / DPI / height))
            axes.set_axis_off()
            if network is None:
                axes.imshow(np.asarray(photo))
                axes.set_title(short_name(networks[0].classes[c]), fontsize=11, color=INK, fontweight="bold")
            else:
                _panel(axes, explain(photo, network), c)
    text = ("each map has a scale of its own; "
            "blue: its box, the largest connected component above 20 % of its maximum\n"
            f"dots: where the {UNITS} units that raise the score most are strongest, "
            "all that max pooling counts of them")
    figure.text(0.5, 0.12 / height, text, ha="center", fontsize=9, color=FAINT)
    save(figure, path)


def _panel(axes, e, c):
    M = e.M(c)
    axes.imshow(np.asarray(overlay(e.photo, e.view, M, scale_of(M))), interpolation="nearest")
    draw_boxes(axes, e.box(c), (), np.ones(4))
    H, W = M.shape
    for k in np.argsort(-e.w[c] * e.F)[:UNITS]:
        y, x = np.unravel_index(e.f[k].argmax(), (H, W))
        axes.plot((x + 0.5) * e.photo.width / W, (y + 0.5) * e.photo.height / H, "o", markersize=4,
                  markerfacecolor="white", markeredgecolor="black", markeredgewidth=0.8)
    axes.set_xlim(-0.5, e.photo.width - 0.5)
    axes.set_ylim(e.photo.height - 0.5, -0.5)
    axes.set_title(f"{TITLES[e.form.name]}   $P_c$ = {e.P[c]:.0%}", fontsize=10.5, color=INK)


if __name__ == "__main__":
    sys.exit(main())
