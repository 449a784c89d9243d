"""The maps of a network's layers, from shallow to deep: Section 1, "what does a layer see?"

A layer is found by structure: an activation (Relu, Clip, SiLU, GELU ...) of a map with one axis of
units and two of places. Networks to which CAM does not apply have layers, too.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from .geometry import POINTWISE, Lost, Place, trace
from .runner import Runner
from .source import Source

ACTIVATIONS = {
    "Celu", "Clip", "Elu", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish", "PRelu", "Relu", "Selu",
    "Sigmoid", "Softplus", "Softsign", "Swish", "Tanh", "ThresholdedRelu",
}
BENT = ACTIVATIONS | {"Erf"}  # x times one of these of x is an activation of x: SiLU, GELU ...
LONGEST = 16  # nodes between x and x * g(x)


class Layer(NamedTuple):
    """A map of the body.

    Attributes
    ----------
    name : str
        The tensor's, in the network's file.
    shape : (int, int, int)
        (K, H, W) for a square photo.
    stride : (int, int) or None
        Pixels of the network's input from one cell to the next, in rows and columns; None where
        the graph does not tell.
    receptive_field : (int, int) or None
        How many rows and columns of the input a cell sees; None where the graph does not tell.
        It may be larger than the input.
    start : (int, int) or None
        The first row and column that cell (0, 0) sees; negative where that lies in the padding.
    gated : bool
        Besides its receptive field, all of the photo acts on a cell, through a global pooling
        (squeeze and excitation).
    """

    name: str
    shape: tuple
    stride: tuple | None
    receptive_field: tuple | None
    start: tuple | None
    gated: bool


class Body:
    """A network without its head: all its maps, in one forward pass.

    Parameters
    ----------
    path : Path
    preprocessing : Preprocessing, str, dict or None
        See `cam_numpy.load`.
    end : str, optional
        The tensor of f, which is the last layer; by default the last activation.
    units_first : callable, optional
        From the tensor of f to (K, H, W).
    threads : int, optional

    Attributes
    ----------
    layers : list of Layer
    preprocessing : Preprocessing
    f : str or None
        The last layer's name, where it is f.
    assumed : list of str
        Assumptions made where neither the file nor the caller gave a value.

    Raises
    ------
    InputError
        The file cannot be read, or its layers cannot be listed; the message says why.
    """

    def __init__(self, path, preprocessing=None, end=None, units_first=None, threads=None):
        source = Source(path)
        self.name, self._graph = source.name, source.graph
        self.f, self._units_first = end, units_first
        self._nodes = _before(self._graph, [end] if end else self._graph.outputs)
        self._found = found = activated(self._graph, self._nodes)
        reshaped = [tensor for node in self._nodes if node.op == "Reshape"
                    for tensor in (node.inputs[0], node.outputs[0])]
        self._inside = [t for t in dict.fromkeys([*found, *reshaped, *([end] if end else [])])
                        if t in self._graph.makers]
        self._runner = Runner(source, self._inside, preprocessing, threads)
        self.preprocessing, self.assumed = self._runner.preprocessing, self._runner.assumed

    @cached_property
    def layers(self):
        return [layer for layer, _ in self._placed]

    @cached_property
    def _placed(self):
        """Each layer with its place, as a run on an empty picture shows them."""
        x = np.zeros(self._runner.input_shape, np.float32)
        arrays = dict(zip(self._inside, self._runner.run(self._inside, x), strict=True))
        shapes = {tensor: array.shape for tensor, array in arrays.items()}
        axes = (2, 3) if self.preprocessing.channels_first else (1, 2)
        states = trace(self._graph, self._nodes, self._runner.input.name, axes, shapes)
        return self._listed(states, arrays) or self._refuse(states)

    def _listed(self, states, arrays):
        listed = []
        for tensor in self._found:
            place = states.get(tensor)
            if tensor != self.f and isinstance(place, Place) and _is_layer(place):
                listed.append((tensor, place))
        if self.f:
            listed.append((self.f, states.get(self.f)))
        return [(self._layer(tensor, place, arrays[tensor]), place) for tensor, place in listed]

    def _layer(self, name, place, array):
        shape = self._map(name, place, array).shape
        if not isinstance(place, Place):
            return Layer(name, shape, None, None, None, False)
        stride, start, size = (tuple(getattr(window, what) for window in (place.rows, place.columns))
                               for what in ("stride", "start", "size"))
        return Layer(name, shape, stride, size, start, place.gated)

    def _refuse(self, states):
        lost = next((state.node for state in states.values() if isinstance(state, Lost)), None)
        why = (f"behind {lost} it is not known where the cells of a map lie" if lost
               else "it has no activations")
        raise InputError(f"the layers of {self.name} cannot be listed: {why}; give a network of convolutions")

    def _map(self, name, place, array):
        """(K, H, W) of one photo."""
        if name == self.f:
            return self._units_first(array)
        array = array[0].astype(np.float32, copy=False)
        return array if place.axes == (2, 3) else np.moveaxis(array, -1, 0)

    def choose(self, layers=None):
        """The names of some layers, given by name or index, from shallow to deep.

        Raises
        ------
        InputError
            There is no such layer.
        """
        names = [layer.name for layer in self.layers]
        if layers is None:
            return names
        chosen = set()
        for one in [layers] if not isinstance(layers, (list, tuple)) else layers:
            if one in names:
                chosen.add(one)
            elif isinstance(one, (int, np.integer)) and -len(names) <= one < len(names):
                chosen.add(names[one])
            else:
                raise InputError(f"{self.name} has no layer {one!r}; it has {len(names)}, "
                                 f"such as {names[0]!r}; "
                                 "give a name or a number that network.layers() lists")
        return [name for name in names if name in chosen]

    def maps(self, x, names):
        """Some layers' maps, in one forward pass.

        Parameters
        ----------
        x : (3, h, w) float32 array
            An input that is preprocessed already.
        names : list of str

        Returns
        -------
        maps : list of (K, H, W) float32 array
        """
        places = {layer.name: place for layer, place in self._placed}
        arrays = self._runner.run(names, x)
        return [self._map(name, places[name], array) for name, array in zip(names, arrays, strict=True)]


def activated(graph, nodes):
    """The tensors that are an activation's output, in the order of computation.

    Also x * g(x), where g is an activation (SiLU is x * sigmoid(x)), in place of g(x) itself; and a
    Concat of such tensors, which is how branches end.
    """
    whole, inside = set(), set()
    for node in nodes:
        between = _gate(graph, node)
        if any(one.op in BENT for one in between):
            whole.add(node.outputs[0])
            inside.update(one.outputs[0] for one in between)
    found = []
    for node in nodes:
        tensor = node.outputs[0]
        branches = node.op == "Concat" and all(t in found for t in node.inputs)
        if tensor in whole or branches or (node.op in ACTIVATIONS and tensor not in inside):
            found.append(tensor)
    return found


def _gate(graph, node):
    """The nodes of g, where a node computes x * g(x) cell by cell; else none."""
    if node.op == "Mul" and not graph.constants.intersection(node.inputs):
        for x, g in (node.inputs, node.inputs[::-1]):
            between = _function_of(graph, g, _unscaled(graph, x))
            if between:
                return between
    return []


def _unscaled(graph, x):
    """x of x * constant: GELU is written 0.5 x * (1 + erf(...))."""
    node = graph.makers.get(x)
    data = [t for t in node.inputs if t not in graph.constants] if node and node.op in ("Mul", "Div") else []
    return data[0] if len(data) == 1 else x


def _function_of(graph, tensor, x):
    """The nodes between x and a tensor that is computed from x alone, cell by cell; else none."""
    between, waiting = [], [tensor]
    while waiting:
        tensor = waiting.pop()
        node = graph.makers.get(tensor)
        if tensor == x or tensor in graph.constants:
            continue
        if node is None or node.op not in POINTWISE or len(between) == LONGEST:
            return []
        between.append(node)
        waiting += node.inputs
    return between


def _before(graph, tensors):
    """The nodes that some tensors are computed from, in the order of computation."""
    needed, waiting = set(), list(tensors)
    while waiting:
        tensor = waiting.pop()
        if tensor not in needed and tensor in graph.makers:
            needed.add(tensor)
            waiting += graph.makers[tensor].inputs
    return [node for node in graph.nodes if needed.intersection(node.outputs)
            and node.outputs[0] not in graph.constants]


def _is_layer(place):
    """Whether a map has one axis of units, and its cells see more than a pixel: a convolution did that."""
    return place.rank == 4 and (place.rows.size, place.columns.size) != (1, 1)
