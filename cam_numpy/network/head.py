"""Find the scores S and the activations f in a network's graph, and read what lies between.

Eq. 2 is exact when the scores are an affine function of the pooled activations,

    f -> global average pooling -> F -> one affine map -> S (-> softmax -> P)

Most networks say so in their graph: `read_head` walks back from the scores to the pooling, and
what enters the pooling is f: there is no layer to choose. All that lies between folds into one w
and one b (`fold.py`). Two more forms have the linear map in front of the pooling, as a 1x1
convolution, and one takes the maximum instead of the average (`cam_numpy.paper.forms`).

The names of operators serve speed, and the words of a refusal. A head that cannot be read is
asked (`ask.py`), and its answers decide.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ..errors import InputError
from ..paper.forms import GAP, GMP, NIN, SQUEEZENET, Form
from .onnx_reader import Node

PROBABILITIES = {"Softmax", "LogSoftmax", "Sigmoid"}
CHOOSING = {"ArgMax", "TopK", "ZipMap", "ArrayFeatureExtractor"}  # the best classes, or their names
QUANTISING = {"QuantizeLinear", "DequantizeLinear"}
RESHAPING = QUANTISING | {
    "Identity", "Dropout", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Cast", "Transpose",
}
QUANTISED = {"QGemm", "QLinearMatMul", "QLinearConv"}  # linear layers of 8-bit integers
LINEAR = {"Gemm", "MatMul", "Conv"} | QUANTISED
AFFINE = LINEAR | {"Add", "Sub", "Mul", "Div", "BatchNormalization"}
AVERAGE = {"GlobalAveragePool", "ReduceMean", "AveragePool", "QLinearGlobalAveragePool", "QLinearAveragePool"}
MAXIMUM = {"GlobalMaxPool", "ReduceMax", "MaxPool"}
POOLING = AVERAGE | MAXIMUM
EIGHT_BITS, SIXTEEN_BITS = {2, 3, 21, 22}, {10, 16}  # TensorProto.DataType of weights: int8 ..., float16 ...


class Scores(NamedTuple):
    """Where a network's scores are.

    Attributes
    ----------
    S : str
        The tensor, before any softmax.
    sigmoid : bool
        P_c = 1 / (1 + exp(-S_c)) for each class by itself, instead of a softmax.
    probabilities : bool
        A softmax or a sigmoid follows: S surely are the scores of classes.
    output : str
        The graph's output that they lead to.
    """

    S: str
    sigmoid: bool
    probabilities: bool
    output: str


@dataclass
class Head:
    """The way from f to the scores.

    Attributes
    ----------
    form : Form
    f : str
        The tensor of the activations.
    S : str
        The tensor of the scores, before any softmax.
    output : str
        The graph's output that we started from.
    chain : list of cam_numpy.network.onnx_reader.Node
        What lies between f and S, in the order of computation.
    constants : list of str
        The tensors of weights that the chain reads.
    axes : str
        The order of f's axes after the batch: "KHW", "HWK", or, where the places are tokens in a
        row, "KL", "LK".
    quantised : tuple of str
        The tensors of scale and zero point, where f holds integers q: f = scale (q - zero).
    stretch : float
        How many times as high as wide the cells of f are in the picture; only tokens in a row need it.
    sigmoid : bool
        P_c = 1 / (1 + exp(-S_c)) for each class by itself, instead of a softmax.
    asked : bool
        w and b are the head's own answers (`ask.py`), not read in the graph.
    """

    form: Form
    f: str
    S: str
    output: str
    chain: list[Node]
    constants: list[str] = field(default_factory=list)
    axes: str = "KHW"
    quantised: tuple = ()
    stretch: float = 1.0
    sigmoid: bool = False
    asked: bool = False

    @property
    def channels_last(self):
        """Whether f is (N, H, W, K) rather than (N, K, H, W)."""
        return self.axes.endswith("K")


def find_scores(graph, name="the model", output=None):
    """Where the scores are, for each output of a graph.

    Parameters
    ----------
    graph : Graph
    name : str
        The model's, for the messages.
    output : str, optional
        The output to look at; by default all.

    Returns
    -------
    found : list of Scores
        Each S once.

    Raises
    ------
    InputError
        There is no such output.
    """
    if output is not None and output not in graph.outputs:
        raise InputError(f"{name} has no output {output!r}; it has {', '.join(graph.outputs)}")
    found = {}
    for candidate in graph.outputs if output is None else [output]:
        scores = _scores_behind(graph, candidate)
        if scores.S not in found or scores.probabilities:
            found[scores.S] = scores
    return list(found.values())


def _scores_behind(graph, output):
    """The scores that an output shows: as they are, as probabilities, or the best of them."""
    found, tensor = Scores(output, False, False, output), output
    for _ in _steps(graph):
        node = graph.makers.get(tensor)
        if node is None or node.op not in PROBABILITIES | CHOOSING | RESHAPING | {"Clip", "Mul", "Div"}:
            break
        data = [t for t in node.inputs if t and t not in graph.constants]
        if node.op in RESHAPING | {"TopK"}:  # Reshape and TopK have inputs that are no activations
            data = node.inputs[:1]
        if len(data) != 1:
            break
        tensor = data[0]
        if node.op in PROBABILITIES:
            found = Scores(tensor, node.op == "Sigmoid", True, output)
        elif node.op in CHOOSING and not found.probabilities:
            found = found._replace(S=tensor)
    return found


def read_head(graph, scores):
    """Walk back from the scores to the pooling, and to f.

    Parameters
    ----------
    graph : Graph
    scores : Scores

    Returns
    -------
    head : Head or None
        None where the graph cannot be read in this way.
    """
    head, tensor = Head(GAP, "", scores.S, scores.output, [], sigmoid=scores.sigmoid), scores.S
    for _ in _steps(graph):
        node = graph.makers.get(tensor)
        if node is None or node.op not in RESHAPING | AFFINE | POOLING | {"Gather"}:
            return None
        data = [t for t in node.inputs if t and t not in graph.constants]
        if node.op not in AFFINE:
            data = node.inputs[:1]
        if len(data) != 1 or data[0] not in _data_inputs(node):
            return None
        head.chain.insert(0, node)
        if node.op in AFFINE:
            head.constants += [t for t in node.inputs if t and t != data[0]]
        tensor = data[0]
        if node.op in POOLING:
            return _from_pooling(graph, head, node)
    return None


def _from_pooling(graph, head, pooling):
    """The head whose pooling was found, or None."""
    axes = _pooled_axes(graph, pooling)
    if axes not in ([2, 3], [1, 2]) or pooling.attributes.get("ceil_mode"):
        return None
    head = replace(head, f=pooling.inputs[0], axes="HWK" if axes == [1, 2] else "KHW")
    if pooling.op.startswith("QLinear"):
        head = replace(head, quantised=tuple(pooling.inputs[1:3]))
        if head.quantised[0] not in graph.constants or pooling.attributes.get("channels_last"):
            return None
    if any(node.op in LINEAR for node in head.chain):
        return replace(head, form=GMP) if pooling.op in MAXIMUM else head
    return None if pooling.op in MAXIMUM else _linear_before_pooling(graph, head)


def _steps(graph):
    """As many steps back as there are nodes: a damaged graph may run in a circle."""
    return range(len(graph.nodes))


def _data_inputs(node):
    """The inputs through which activations may come; the others of a Conv are filters and bias."""
    if node.op == "QLinearMatMul":
        return node.inputs[:1]
    return node.inputs[:1] if "Conv" in node.op or node.op == "QGemm" else node.inputs[:2]


def _pooled_axes(graph, node):
    """The axes of (N, K, H, W), or of (N, H, W, K), that a pooling takes together."""
    if node.op not in {"ReduceMean", "ReduceMax"}:
        return [2, 3]
    axes = node.attributes.get("axes")
    if axes is None and len(node.inputs) > 1:  # an input from opset 18 on
        axes = graph.integers.get(node.inputs[1])
    return sorted(axis % 4 for axis in axes or [])


def _linear_before_pooling(graph, head):
    """The form with the linear map in front of the pooling, where nothing mixes units behind it."""
    if any(node.op in AFFINE for node in head.chain) or head.axes != "KHW":
        return None
    between, tensor = [], head.f
    for _ in _steps(graph):
        node = graph.makers.get(tensor)
        if node is None or node.op not in {"Relu", "Identity", "Dropout", "Conv", "QLinearConv"} | QUANTISING:
            return None
        between.insert(0, node)
        tensor = node.inputs[0]
        if "Conv" in node.op:
            break
    if not between or not _is_1x1(graph, between[0]):
        return None
    rectified = any(node.op == "Relu" for node in between)
    conv = between[0]
    return replace(
        head, form=SQUEEZENET if rectified else NIN, f=conv.inputs[0], chain=between + head.chain,
        constants=[t for t in conv.inputs[1:] if t],
        quantised=tuple(conv.inputs[1:3]) if conv.op == "QLinearConv" else (),
    )


def _is_1x1(graph, node):
    weights = node.inputs[3 if node.op == "QLinearConv" else 1]
    if "Conv" not in node.op or node.attributes.get("group", 1) != 1 or weights not in graph.constants:
        return False
    kernel = node.attributes.get("kernel_shape") or list(graph.initializers.get(weights, ())[2:])
    strides = set(node.attributes.get("strides", [1]))
    return kernel == [1, 1] and strides == {1} and "activation" not in node.attributes


def dominators(graph, S):
    """The tensors that every path from the input to S goes through.

    Parameters
    ----------
    graph : Graph
    S : str

    Returns
    -------
    tensors : list of str
        The nearest to S first.
    """
    # walking back through the nodes, `open` holds what must still be computed, or be given; where
    # it is a single tensor, that tensor alone decides S
    open, found = {S}, []
    for node in reversed(graph.nodes):
        if open.isdisjoint(node.outputs):
            continue
        open -= set(node.outputs)
        open |= {t for t in node.inputs if t and t not in graph.constants and t not in graph.sizes}
        if len(open) == 1 and (tensor := next(iter(open))) not in graph.inputs:
            found.append(tensor)
    return found


def between(graph, f, S):
    """The nodes that lead from f to S, and the tensors of which they ask the size alone.

    Parameters
    ----------
    graph : Graph
    f, S : str

    Returns
    -------
    nodes : list of Node
        In the order of computation.
    sized : list of str
    """
    needed, nodes, measured = {S}, [], []
    for node in reversed(graph.nodes):
        if f in node.outputs or needed.isdisjoint(node.outputs):
            continue
        nodes.insert(0, node)
        inputs = [t for t in node.inputs if t and t not in graph.constants]
        if node.op in {"Shape", "Size"}:
            measured += inputs
        else:
            needed.update(inputs)
    made = {f, *(t for node in nodes for t in node.outputs)}
    return nodes, sorted(set(measured) - made)


def bits(graph, nodes):
    """The precision of some nodes, by the types of their weights: 24 (float32), 11 (float16) or 8."""
    kinds = {graph.kinds.get(t) for node in nodes for t in node.inputs}
    if kinds & EIGHT_BITS:
        return 8
    return 11 if kinds & SIXTEEN_BITS else 24
