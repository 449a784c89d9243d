"""The forward pass: from an input to f (K, H, W) and the network's own scores S."""

from __future__ import annotations

import numpy as np

from ..errors import CamNotApplicable
from .head import POOLING
from .layout import size_of, units_first


class Forward:
    """A network whose head is known.

    Parameters
    ----------
    runner : Runner
        Shows f and S.
    head : Head
    numbers : (scale, zero), optional
        Where f holds integers.
    name : str
        The network's, for the messages.
    """

    def __init__(self, runner, head, numbers, name):
        self.runner, self.head, self.numbers, self._name = runner, head, numbers, name

    def __call__(self, x):
        """f (K, H, W), and S (C,) as the network has it, from x (channels, h, w)."""
        f, S = self.runner.run([self.head.f, self.head.S], x)
        S = S[0] if S.ndim > 1 or self.runner.batch > 1 else S  # some networks drop a batch of one
        return self.units_first(f, x.shape[:0:-1]), S.reshape(-1).astype(np.float32, copy=False)

    def units_first(self, value, picture=None):
        """f (K, H, W) as it enters the pooling.

        Parameters
        ----------
        value : array
            The tensor of f, as the network stores it.
        picture : (int, int), optional
            (width, height) of the picture; by default those of a square photo.

        Raises
        ------
        CamNotApplicable
            What is pooled has no places, or is not pooled whole.
        """
        picture = picture or self.runner.input_size
        f = _padded(self.head, self._laid_out(value, picture))
        if f.shape[1] * f.shape[2] == 1 and self.runner.preprocessing.resize != "fit":  # so for every photo
            raise self.one_cell(len(f), picture)
        self._check_pooling(f)
        return f

    def _laid_out(self, value, picture):
        head = self.head
        if value.ndim != (4 if "H" in head.axes else 3):
            raise CamNotApplicable(f"an array of shape {value.shape} is pooled, not activations "
                                   "(1, K, H, W); the paper pools the last conv layer over all places",
                                   self._name)
        size = size_of(value.shape, head.axes, (picture[0] * head.stretch, picture[1]))
        if size is None:
            raise CamNotApplicable(f"{head.f} of shape {value.shape} does not fill a map of the picture's "
                                   "shape; the paper has one unit value for each place", self._name)
        return units_first(value, head.axes, size, self.numbers)

    def _check_pooling(self, f):
        """A refusal where windows are pooled, not the whole of f."""
        if self.head.asked:
            return
        pool, kernel, pads = self._pooling()
        if kernel and (list(kernel) != list(f.shape[1:]) or any(pads)):
            raise CamNotApplicable(f"{pool} pools {kernel[0]} x {kernel[1]} cells of a {f.shape[1]} x "
                                   f"{f.shape[2]} map, and what is left is flattened; the paper pools the "
                                   "whole map", self._name)

    def _pooling(self):
        """The pooling that was read in the graph, its window and its padding."""
        pool = next(node for node in self.head.chain if node.op in POOLING)
        return pool, pool.attributes.get("kernel_shape"), pool.attributes.get("pads") or []

    def pools_all(self):
        """Whether the pooling is as large as f, as far as onnxruntime can infer f's size."""
        pool, kernel, pads = self._pooling()
        size = self.inferred_size()
        if not kernel or not size or self.head.chain[0] is not pool:
            return not (kernel and any(pads))
        return not any(pads) and (size == kernel or not all(isinstance(side, int) for side in size))

    def inferred_size(self):
        """[H, W], as far as onnxruntime infers them from the graph."""
        shape = self.runner.shape_of(self.head.f)
        return (shape[1:3] if self.head.channels_last else shape[2:]) if len(shape) == 4 else []

    def count_units(self):
        """K, as onnxruntime infers it from the graph; where it cannot, from a run on an empty picture."""
        shape = self.runner.shape_of(self.head.f)
        K = shape[3 if self.head.channels_last else 1] if len(shape) == 4 else None
        return K if isinstance(K, int) else len(self(np.zeros(self.runner.input_shape, np.float32))[0])

    def one_cell(self, K, picture):
        return OneCell(f"a map of one cell: {self.head.f} is {K} x 1 x 1 for a picture of "
                       f"{picture[0]} x {picture[1]}, so there are no places to show; the paper "
                       "takes a layer with places: show larger pictures (size), where the network "
                       "takes them", self._name)


class OneCell(CamNotApplicable):
    """A map without places."""


def _padded(head, f):
    """f with the zeros around it that a 1x1 convolution before the pooling sees."""
    first = head.chain[0] if head.chain else None
    if head.asked or first.op != "Conv" or not first.attributes.get("pads"):
        return f
    top, left, bottom, right = first.attributes["pads"]
    return np.pad(f, ((0, 0), (top, bottom), (left, right)))
