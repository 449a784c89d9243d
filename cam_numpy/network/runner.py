"""Show a network a picture, and see any of its tensors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..errors import CamNotApplicable, InputError
from ..image.preprocessing import for_input
from . import hints
from .session import INPUTS, TYPES, reason, shape_of


class Tensor(NamedTuple):
    """What a network computed from one picture: the values, and onnxruntime's name of their type."""

    value: np.ndarray
    type: str


class Runner:
    """A network that takes pictures.

    Parameters
    ----------
    source : Source
    tensors : iterable of str
        The inner tensors that it shows, besides the outputs.
    preprocessing : Preprocessing, str, dict or None
        See `cam_numpy.load`.
    threads : int, optional

    Attributes
    ----------
    input : onnxruntime.NodeArg
        The tensor that takes the picture.
    batch : int
        How many pictures it takes at once; it is shown the same one as often.
    preprocessing : Preprocessing
    assumed : list of str
        Assumptions made where neither the file nor the caller gave a value.

    Raises
    ------
    InputError
        onnxruntime cannot open it, or it takes no pictures.
    """

    def __init__(self, source, tensors, preprocessing=None, threads=None):
        self._source, self._session = source, source.open(tensors, threads)
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise CamNotApplicable(f"it takes {len(inputs)} inputs ({', '.join(i.name for i in inputs)}); "
                                   "the paper's networks take a picture", source.name)
        (self.input,) = inputs
        if self.input.type not in INPUTS:
            raise InputError(f"{source.name} takes {self.input.type}; "
                             "give one that takes float, float16 or uint8")
        shape = [side if isinstance(side, int) and side > 0 else None
                 for side in shape_of(self.input, source.name)]
        self.preprocessing, self.assumed = for_input(
            shape, source.graph.metadata, preprocessing, source.name, hints.preprocessing(source, self.input))
        self.batch = shape[0] or 1

    def run(self, tensors, x):
        """Some tensors for x (channels, h, w), each with the batch in front."""
        self._source.unchanged()
        return self._run(tensors, self._fed(x))

    def _run(self, tensors, fed):
        try:
            return self._session.run(tensors, {self.input.name: fed})
        except Exception as error:  # onnxruntime's exceptions share no base class
            raise InputError(f"{self._source.name} cannot take an input of shape {fed.shape} "
                             f"({reason(error)}); give its size as preprocessing") from None

    def _fed(self, x):
        """x (channels, h, w) as the network takes it."""
        x = x if self.preprocessing.channels_first else x.transpose(1, 2, 0)
        dtype = TYPES[self.input.type][0]
        x = np.clip(np.rint(x), 0, 255) if dtype is np.uint8 else x
        return np.ascontiguousarray(np.repeat(x[None], self.batch, axis=0), dtype)

    def seen(self, tensors):
        """What the network computes from a made-up picture: a dict of str to Tensor."""
        types = {t.name: t.type for t in [*self._session.get_outputs(), self.input]}
        values = {self.input.name: self._fed(self.noise())}
        inner = [t for t in tensors if t in types and t not in values]
        values |= zip(inner, self._run(inner, values[self.input.name]), strict=True)
        return {t: Tensor(values[t], types[t]) for t in values}

    def noise(self):
        """A made-up input, (channels, h, w): noise of the size that the network takes."""
        return 4 * np.random.default_rng(0).random(self.input_shape, np.float32) - 2

    @property
    def input_shape(self):
        """(channels, h, w) for a square photo."""
        width, height = self.input_size
        return self.preprocessing.channels, height, width

    @property
    def input_size(self):
        """(width, height) for a square photo, in pixels."""
        return self.preprocessing.view((100, 100)).input

    def type_of(self, tensor):
        """onnxruntime's name of the type of a tensor that it shows."""
        return self._shown(tensor).type

    def shape_of(self, tensor):
        """The shape of a tensor that it shows, as far as onnxruntime infers it from the graph."""
        return shape_of(self._shown(tensor), self._source.name)

    def _shown(self, tensor):
        return next(one for one in self._session.get_outputs() if one.name == tensor)
