"""What a cell of each map sees of the network's input: stride and receptive field, from the graph.

Along each axis a cell sees a window of the input. We follow the windows node by node, from the
input on: a convolution makes them wider, a stride moves them further apart, and where two branches
meet, a cell sees what it saw in either. What has no place any more (a pooled vector), and what a
node does that is not known here, is kept apart.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce

# cell by cell: what is in other cells does not matter
POINTWISE = {
    "Abs", "Add", "BatchNormalization", "Cast", "Ceil", "Celu", "Clip", "DequantizeLinear", "Div",
    "Dropout", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "Identity", "LRN",
    "LeakyRelu", "Log", "Max", "Mean", "Min", "Mish", "Mul", "Neg", "PRelu", "Pow", "QuantizeLinear",
    "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Softplus", "Softsign", "Sqrt", "Sub",
    "Sum", "Swish", "Tanh", "ThresholdedRelu", "Where",
}
GLOBAL = "a value for all of the photo"  # the state of a tensor behind a global pooling


@dataclass(frozen=True)
class Window:
    """Along one axis, cell i sees the `size` pixels from start + stride * i on."""

    stride: int = 1
    start: int = 0
    size: int = 1

    def behind(self, kernel, stride, dilation, pad):
        """The window of a cell behind a convolution or a pooling."""
        # cell j reads the cells stride * j - pad + dilation * (0 ... kernel - 1)
        return Window(self.stride * stride, self.start - self.stride * pad,
                      self.size + self.stride * dilation * (kernel - 1))

    def joined(self, other):
        """The smallest window that holds both, which must be equally far apart."""
        if self.stride != other.stride:
            return None
        start = min(self.start, other.start)
        return Window(self.stride, start, max(self.start + self.size, other.start + other.size) - start)


@dataclass(frozen=True)
class Place:
    """Where the cells of a map lie on the input.

    Attributes
    ----------
    rows, columns : Window
    axes : (int, int)
        Which axes of the tensor are height and width.
    rank : int
        How many axes it has.
    gated : bool
        All of the photo acts on each cell, through a global pooling (squeeze and excitation, a
        normalization over places); `rows` and `columns` are what the cell sees besides.
    """

    rows: Window = Window()
    columns: Window = Window()
    axes: tuple = (2, 3)
    rank: int = 4
    gated: bool = False

    def joined(self, other):
        """Two maps taken together cell by cell; None where their cells do not match."""
        rows, columns = self.rows.joined(other.rows), self.columns.joined(other.columns)
        if rows is None or columns is None or (self.axes, self.rank) != (other.axes, other.rank):
            return None
        return replace(self, rows=rows, columns=columns, gated=self.gated or other.gated)

    def keeps(self, axes):
        """Whether none of these axes, counted from the end where negative, is height or width."""
        return not {axis % self.rank for axis in axes} & set(self.axes)


@dataclass(frozen=True)
class Lost:
    """Behind `node` it is not known where the cells lie."""

    node: object


def trace(graph, nodes, image, axes, shapes):
    """Where the cells of each tensor lie on the input.

    Parameters
    ----------
    graph : Graph
    nodes : list of Node
        In the order of computation.
    image : str
        The tensor that takes the picture.
    axes : (int, int)
        Its height and width.
    shapes : dict of str to tuple
        Of the tensors that a Reshape takes and makes, for a picture of some size.

    Returns
    -------
    states : dict of str to (Place, Lost, or GLOBAL)
        Of each tensor that depends on the picture's content.
    """
    states = {image: Place(axes=axes)}
    for node in nodes:
        given = [states.get(tensor) for tensor in node.inputs]
        known = [state for state in given if state is not None]
        if not known or node.op in ("Shape", "Size"):
            continue  # the same for every photo of this size
        state = next((one for one in known if isinstance(one, Lost)), None)
        if state is None:
            state = GLOBAL if all(one == GLOBAL for one in known) else _behind(graph, node, given, shapes)
        states.update(dict.fromkeys(node.outputs, state or Lost(node)))
    return states


def _behind(graph, node, given, shapes):
    """The state behind a node that takes at least one map; None where it is not known."""
    if node.op in POINTWISE:
        return _together(given)
    place, others = given[0], [state for state in given[1:] if state is not None]
    if node.op == "Concat":
        joined = _together(given)
        return joined if joined and joined.keeps([node.attributes["axis"]]) else None
    if not isinstance(place, Place) or others:
        return None
    rule = _RULES.get(node.op)
    return rule(graph, node, place, shapes) if rule else None


def _together(given):
    """Several maps, and values for all of the photo, taken together cell by cell."""
    places = [state for state in given if isinstance(state, Place)]
    joined = reduce(lambda one, other: one and one.joined(other), places)
    return replace(joined, gated=True) if joined and GLOBAL in given else joined


def _window(graph, node, place, shapes):
    """Conv and the poolings: attributes kernel_shape, strides, dilations, pads or auto_pad."""
    kernel = node.attributes.get("kernel_shape") or graph.initializers.get(node.inputs[1], ())[2:]
    if (place.axes, place.rank, len(kernel)) != ((2, 3), 4, 2):
        return None
    strides, dilations = (node.attributes.get(name) or [1, 1] for name in ("strides", "dilations"))
    pads = node.attributes.get("pads") or [0, 0]
    how = node.attributes.get("auto_pad", "NOTSET")
    if how.startswith("SAME"):  # as much as a side that the stride divides needs
        needed = [max(d * (k - 1) + 1 - s, 0) for k, s, d in zip(kernel, strides, dilations)]
        pads = [n // 2 if how == "SAME_UPPER" else n - n // 2 for n in needed]
    rows, columns = (window.behind(*numbers) for window, *numbers in
                     zip((place.rows, place.columns), kernel, strides, dilations, pads))
    return replace(place, rows=rows, columns=columns)


def _reduced(graph, node, place, shapes):
    """ReduceMean and the like, over all places or over the units."""
    axes = node.attributes.get("axes")
    if axes is None and len(node.inputs) > 1:  # an input from opset 18 on
        axes = graph.integers.get(node.inputs[1])
    taken = {axis % place.rank for axis in axes} if axes else set(range(place.rank))
    if taken >= set(place.axes):
        return GLOBAL
    return place if place.keeps(taken) and node.attributes.get("keepdims", 1) else None


def _transposed(graph, node, place, shapes):
    order = node.attributes.get("perm")
    return replace(place, axes=tuple(order.index(axis) for axis in place.axes)) if order else None


def _reshaped(graph, node, place, shapes):
    """A Reshape that leaves height and width alone, at the end or right behind the batch."""
    before, after = shapes.get(node.inputs[0], ()), shapes.get(node.outputs[0], ())
    if len(before) != place.rank or len(after) < 3:
        return None
    if place.axes == (place.rank - 2, place.rank - 1) and before[-2:] == after[-2:]:
        return replace(place, axes=(len(after) - 2, len(after) - 1), rank=len(after))
    return replace(place, rank=len(after)) if place.axes == (1, 2) and before[:3] == after[:3] else None


def _product(graph, node, place, shapes):
    """MatMul with a matrix: a linear layer at each place, where the units come last."""
    flat = len(graph.initializers.get(node.inputs[1], (0, 0))) == 2
    return place if flat and place.keeps([-1]) else None


def _padded(graph, node, place, shapes):
    """Zeros around the map: a cell's number changes, not what it sees."""
    pads = node.attributes.get("pads")
    if pads is None and len(node.inputs) > 1:  # an input from opset 11 on
        pads = graph.integers.get(node.inputs[1])
    if node.attributes.get("mode", "constant") != "constant" or len(pads or ()) != 2 * place.rank:
        return None
    rows, columns = (window.behind(1, 1, 1, pads[axis]) for window, axis in
                     zip((place.rows, place.columns), place.axes))
    return replace(place, rows=rows, columns=columns)


def _normalized(graph, node, place, shapes):
    """LayerNormalization over the axes from `axis` on."""
    first = node.attributes.get("axis", -1) % place.rank
    return place if place.keeps(range(first, place.rank)) else replace(place, gated=True)


def _sliced(graph, node, place, shapes):
    axes = node.attributes.get("axes")
    if axes is None and len(node.inputs) > 3:  # an input from opset 10 on
        axes = graph.integers.get(node.inputs[3])
    return place if axes and place.keeps(axes) else None


def _along(default):
    """The rule of a node that works along one axis, which must not be height or width."""
    def rule(graph, node, place, shapes):
        return place if place.keeps([node.attributes.get("axis", default)]) else None

    return rule


_RULES = {
    **dict.fromkeys(["Conv", "MaxPool", "AveragePool", "LpPool"], _window),
    **dict.fromkeys(["GlobalAveragePool", "GlobalMaxPool"], lambda *_: GLOBAL),
    **dict.fromkeys(["ReduceMean", "ReduceMax", "ReduceSum", "ReduceL2"], _reduced),
    **dict.fromkeys(["InstanceNormalization", "GroupNormalization"],
                    lambda graph, node, place, shapes: replace(place, gated=True)),
    "LayerNormalization": _normalized,
    "MatMul": _product,
    "Pad": _padded,
    "Reshape": _reshaped,
    "Slice": _sliced,
    "Split": _along(0),
    "Softmax": _along(-1),
    "Transpose": _transposed,
}
