"""Which part of the photo did the network see? From the map back onto the photo.

Each way of resizing answers with a box in the photo's own pixels, and the map is laid into that
box, whatever the photo's aspect ratio.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..paper.boxes import THRESHOLD, boxes_above, largest_box
from ..paper.upsample import interpolation

LONGEST = 224  # pixels of the long side on which boxes are found


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

    def lay(self, M, *, width=None, height=None):
        """Lay a map onto the photo.

        Parameters
        ----------
        M : (H, W) array
            A map over the network's input.
        width, height : int, optional
            The size at which the photo is shown, in pixels; its own by default.

        Returns
        -------
        M : (height, width) array
            Interpolated bilinearly, in the units of M; NaN where the network did
            not look.
        """
        width, height = width or self.photo[0], height or self.photo[1]
        left, top, right, bottom = self.box
        rows = _inside(height, self.photo[1], top, bottom, M.shape[0])
        columns = _inside(width, self.photo[0], left, right, M.shape[1])
        return rows.astype(M.dtype) @ M @ columns.astype(M.dtype).T

    def boxes(self, M, thresholds, rule="paper"):
        """The boxes of all components of a map at several thresholds, in the photo's pixels.

        The map is laid onto the photo at its own size or, where that is larger, at 224 pixels on
        the long side; the components are found there.

        Parameters
        ----------
        M : (H, W) array
        thresholds : (T,) sequence of float
        rule : str
            See `cam_numpy.bounding_box`.

        Returns
        -------
        found : list of T pairs
            boxes, (n, 4) int array: (x0, y0, x1, y1), both ends included; cells, (n,) int array:
            the size of each component.
        """
        shrink = max(1, max(self.photo) / LONGEST)
        width, height = grid = tuple(max(1, round(side / shrink)) for side in self.photo)
        found = boxes_above(self.lay(M, width=width, height=height), thresholds, rule)
        if grid == self.photo:
            return found
        return [(self._in_pixels(boxes, grid), cells) for boxes, cells in found]

    def _in_pixels(self, boxes, grid):
        """Boxes on a grid of (width, height) cells over the photo, in the photo's pixels."""
        pixel = np.array([*self.photo, *self.photo]) / [*grid, *grid]
        edges = boxes + [0, 0, 1, 1]  # from the first and last cell to the edges, and back
        boxes = np.rint(edges * pixel).astype(int) - [0, 0, 1, 1]
        left, top, right, bottom = self.box  # a cell at the rim of what was seen extends beyond it
        first, last = np.floor([left, top]).astype(int), np.ceil([right, bottom]).astype(int) - 1
        return np.clip(boxes, [*first, *first], [*last, *last])

    def largest_box(self, M, threshold=THRESHOLD, rule="paper"):
        """The box of the largest component in the photo's pixels, or None where there is none.

        Parameters
        ----------
        M : (H, W) array
        threshold, rule : float, str
            See `cam_numpy.bounding_box`.

        Returns
        -------
        box : (int, int, int, int) or None
            (x0, y0, x1, y1), both ends included.
        """
        ((boxes, cells),) = self.boxes(M, [threshold], rule)
        return largest_box(boxes, cells)


@lru_cache(maxsize=32)  # photos of one size are many
def _inside(pixels, length, start, stop, cells):
    """Interpolate `cells` spread over start..stop of `length`, shown on `pixels`: NaN outside."""
    centre = (np.arange(pixels) + 0.5) * length / pixels  # of each pixel, in the photo's pixels
    A = interpolation((centre - start) / (stop - start) * cells - 0.5, cells)
    A[(centre < start) | (centre > stop)] = np.nan
    A.flags.writeable = False
    return A
