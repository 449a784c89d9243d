"""From a photo to the network's input, and from the map back onto the photo.

The two are one question: which part of the photo does the network see? Each way
of resizing answers with a box in the photo's own pixels, and the map is laid
into that box, whatever the photo's aspect ratio.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from .cam import interpolation

RESIZES = ("fit", "crop", "squash")


@dataclass(frozen=True)
class View:
    """What the network saw of a photo.

    Attributes
    ----------
    photo : (int, int)
        (width, height) of the photo, in pixels.
    input : (int, int)
        (width, height) of the network's input, in pixels.
    box : (float, float, float, float)
        (left, top, right, bottom) of what it saw, in the photo's pixels.
    """

    photo: tuple
    input: tuple
    box: tuple

    @property
    def whole(self):
        """Whether the network saw all of the photo."""
        return self.box == (0, 0, *self.photo)

    def lay(self, M, size=None):
        """Lay a map onto the photo.

        Parameters
        ----------
        M : (H, W) array
            A map over the network's input.
        size : (int, int), optional
            (width, height) at which the photo is shown; its own by default.

        Returns
        -------
        M : (height, width) array
            Interpolated bilinearly, in the units of M; NaN where the network did
            not look.
        """
        width, height = self.photo if size is None else size
        left, top, right, bottom = self.box
        rows = _inside(height, self.photo[1], top, bottom, M.shape[0])
        columns = _inside(width, self.photo[0], left, right, M.shape[1])
        return rows.astype(M.dtype) @ M @ columns.astype(M.dtype).T


def _inside(pixels, length, start, stop, cells):
    """Interpolate `cells` spread over start..stop of `length`, shown on `pixels`: NaN outside."""
    centre = (np.arange(pixels) + 0.5) * length / pixels  # of each pixel, in the photo's pixels
    A = interpolation((centre - start) / (stop - start) * cells - 0.5, cells)
    A[(centre < start) | (centre > stop)] = np.nan
    return A


@dataclass(frozen=True)
class Preprocessing:
    """How a photo becomes the network's input.

    Attributes
    ----------
    size : int
        Side of the input, in pixels: the short side ("fit") or both.
    resize : {"fit", "crop", "squash"}
        "fit": the whole photo, its short side brought to `size`, both sides
        rounded to multiples of `stride`. "crop": the short side brought to
        `short`, then the central square. "squash": the whole photo, made square.
    mean, std : (float, float, float)
        Taken off and divided by, R G B; the photo's values run from 0 to 1.
    stride : int
        Input pixels per cell of the map ("fit" only).
    short : int, optional
        See "crop"; `size` by default.
    """

    size: int
    resize: str
    mean: tuple
    std: tuple
    stride: int = 1
    short: int | None = None

    LONGEST = 8  # times the short side: beyond, the photo is squashed, not grown

    def view(self, photo):
        """What the network will see of a photo of size (width, height)."""
        width, height = photo
        whole = (0, 0, width, height)
        if self.resize == "squash":
            return View(photo, (self.size, self.size), whole)
        if self.resize == "fit":
            sides = (self.size * side / min(photo) for side in photo)
            rounded = (max(1, round(side / self.stride)) * self.stride for side in sides)
            return View(photo, tuple(min(side, self.LONGEST * self.size) for side in rounded), whole)
        side = min(photo) * self.size / (self.short or self.size)
        left, top = (width - side) / 2, (height - side) / 2
        return View(photo, (self.size, self.size), (left, top, left + side, top + side))

    def __call__(self, photo):
        """The network's input for a photo.

        Parameters
        ----------
        photo : PIL.Image.Image
            Mode RGB.

        Returns
        -------
        x : (3, h, w) float32 array
        view : View
            Which part of the photo x shows.
        """
        view = self.view(photo.size)
        small = photo.resize(view.input, Image.Resampling.BILINEAR, box=view.box)
        x = np.asarray(small, np.float32) / 255
        x = (x - np.float32(self.mean)) / np.float32(self.std)
        return np.ascontiguousarray(x.transpose(2, 0, 1)), view
