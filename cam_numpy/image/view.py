"""Which part of the photo did the network see? From the map back onto the photo.

Each way of resizing answers with a box in the photo's own pixels, and the map is laid into that
box, whatever the photo's aspect ratio.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..paper.boxes import THRESHOLD, boxes_above, largest_box
from ..paper.upsample import interpolate

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

    def lay(self, M, *, width=None, height=None, rows=slice(None)):
        """Lay a map onto the photo.

        Parameters
        ----------
        M : (H, W) array
            A map over the network's input.
        width, height : int, optional
            The size at which the photo is shown, in pixels; its own by default.
        rows : slice
            Only these rows of the result: a large photo needs little memory band by band.

        Returns
        -------
        M : (height, width) array
            Interpolated bilinearly, in the units of M; NaN where the network did
            not look.
        """
        left, top, right, bottom = self.box
        x = _centres(0, self.photo[0], width or self.photo[0])
        y = _centres(0, self.photo[1], height or self.photo[1])[rows]
        laid = self._at(M, x, y)
        laid[:, (x < left) | (x > right)] = np.nan
        laid[(y < top) | (y > bottom)] = np.nan
        return laid

    def _at(self, M, x, y):
        """The values of a map at columns x (w,) and rows y (h,) of the photo, in its pixels: (h, w)."""
        left, top, right, bottom = self.box
        columns = _in_cells((x - left) / (right - left), self.input[0], M.shape[1])
        rows = _in_cells((y - top) / (bottom - top), self.input[1], M.shape[0])
        return interpolate(interpolate(M, columns, axis=-1), rows, axis=-2)

    def boxes(self, M, thresholds, rule="paper"):
        """The boxes of all components of a map at several thresholds, in the photo's pixels.

        The map is laid onto what the network saw, at its own size or, where that is larger, at 224
        pixels on the long side; the components are found there.

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
        left, top, right, bottom = self.seen_pixels()
        width, height = right - left, bottom - top
        shrink = max(1, width / LONGEST, height / LONGEST)
        x = _centres(left, right, max(1, round(width / shrink)))
        y = _centres(top, bottom, max(1, round(height / shrink)))
        start, pixel = np.array([left, top] * 2), np.array([width / len(x), height / len(y)] * 2)
        found = []
        for boxes, cells in boxes_above(self._at(M, x, y), thresholds, rule):
            edges = start + np.rint((boxes + [0, 0, 1, 1]) * pixel).astype(int)
            found.append((edges - [0, 0, 1, 1], cells))  # from the edges to the last pixels inside
        return found

    def seen_pixels(self):
        """(left, top, right, bottom), the edges of the pixels whose centres the network saw.

        At least one pixel each way: the middle one, where it saw less.
        """
        def between(start, stop, pixels):
            first, last = math.ceil(start - 0.5), math.floor(stop + 0.5)
            return (first, last) if first < last else (pixels // 2, pixels // 2 + 1)

        (left, right), (top, bottom) = map(between, self.box[:2], self.box[2:], self.photo)
        return left, top, right, bottom

    def cells(self, H, W):
        """(left, top, right, bottom) of all cells of an (H, W) map together, in the photo's pixels.

        That can be a little more than the network saw, or less: see `_length`.
        """
        left, top, right, bottom = self.box
        return (left, top, left + (right - left) * W / _length(self.input[0], W),
                top + (bottom - top) * H / _length(self.input[1], H))

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


def _centres(start, stop, count):
    """The centres of `count` equal pieces of start..stop."""
    return start + (np.arange(count) + 0.5) * (stop - start) / count


def _in_cells(fraction, pixels, cells):
    """Where in a map lies what is at some fraction of the input's `pixels`; cell i has its centre at i."""
    return fraction * _length(pixels, cells) - 0.5


def _length(pixels, cells):
    """The input's length in cells.

    Networks halve their maps, again and again: a cell belongs to a power of two of pixels. Where
    that does not divide the input, the last cell lies partly beyond it, or the last pixels beyond
    the last cell. Where no power of two fits (convolutions without padding), all cells share the
    input evenly.
    """
    stride = 2 ** max(0, round(math.log2(pixels / cells)))
    return pixels / stride if cells in (pixels // stride, -(-pixels // stride)) else cells
