"""Find f, w and b in a network's graph: by its structure, never by names.

Eq. 2 is exact when the scores are an affine function of the pooled activations,

    f -> global average pooling -> F -> one affine map -> S (-> softmax -> P)

so we walk back from the output to the pooling. What enters the pooling is f:
there is no layer to choose. All that lies between folds into one w and one b
(`fold.py`). Two more forms have the linear map in front of the pooling, as a
1x1 convolution, and one takes the maximum instead of the average (`cam_numpy.paper.forms`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ..errors import CamNotApplicable, InputError
from ..paper.forms import GAP, GMP, NIN, SQUEEZENET, Form
from .onnx_reader import Node

PROBABILITIES = {"Softmax", "LogSoftmax", "Sigmoid"}
# a Gather behind the pooling is how exporters write x[:, :, 0, 0] and some flattenings; one
# that does mix the units is found out by the check of the scores
RESHAPING = {"Identity", "Dropout", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Cast", "Transpose", "Gather"}
LINEAR = {"Gemm", "MatMul", "Conv"}
AFFINE = LINEAR | {"Add", "Sub", "Mul", "Div", "BatchNormalization"}
AVERAGE = {"GlobalAveragePool", "ReduceMean", "AveragePool"}
MAXIMUM = {"GlobalMaxPool", "ReduceMax", "MaxPool"}
POOLING = AVERAGE | MAXIMUM
GLOBAL = POOLING - {"AveragePool", "MaxPool"}


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
    channels_last : bool
        f is (N, H, W, K) rather than (N, K, H, W).
    sigmoid : bool
        P_c = 1 / (1 + exp(-S_c)) for each class by itself, instead of a softmax.
    """

    form: Form
    f: str
    S: str
    output: str
    chain: list[Node]
    constants: list[str] = field(default_factory=list)
    channels_last: bool = False
    sigmoid: bool = False


def find_head(graph, name="the model", output=None):
    """Find the way from f to the scores.

    Parameters
    ----------
    graph : Graph
    name : str
        The model's, for the messages.
    output : str, optional
        The output of the graph that holds the scores; by default the only one
        to which CAM applies.

    Returns
    -------
    head : Head

    Raises
    ------
    CamNotApplicable
        CAM does not apply to this network; the message names the node in the way.
    InputError
        There is no such output, or several outputs are classifiers.
    """
    if output is not None and output not in graph.outputs:
        raise InputError(f"{name} has no output {output!r}; it has {', '.join(graph.outputs)}")
    heads, refusals = {}, []
    for candidate in graph.outputs if output is None else [output]:
        try:
            head = _walk(graph, candidate)
            heads.setdefault(head.S, head)
        except CamNotApplicable as refusal:
            refusals.append(refusal)
    trained = {S: head for S, head in heads.items() if head.constants}  # F itself may be an output too
    heads = trained or heads
    if len(heads) > 1:
        found = ", ".join(head.output for head in heads.values())
        raise InputError(f"{name} has several outputs that are classifiers ({found}); choose one with --output")
    if heads:
        return next(iter(heads.values()))
    raise CamNotApplicable(refusals[0].reason if refusals else "it has no outputs; give a classifier", name)


def _walk(graph, output):
    """Walk back from one output to the pooling, and to f."""
    S, sigmoid = _before_probabilities(graph, output)
    head, tensor = Head(GAP, "", S, output, [], sigmoid=sigmoid), S
    for _ in _steps(graph):
        node = graph.makers.get(tensor)
        if node is None or node.op not in RESHAPING | AFFINE | POOLING:
            raise _refusal(graph, node, tensor, head.chain)
        data = [t for t in node.inputs if t and t not in graph.constants]
        if node.op in POOLING | RESHAPING:
            data = node.inputs[:1]
        if len(data) != 1 or data[0] not in _data_inputs(node):
            raise _refusal(graph, node, tensor, head.chain)
        head.chain.insert(0, node)
        if node.op in AFFINE:
            head.constants += [t for t in node.inputs if t and t != data[0]]
        tensor = data[0]
        if node.op in POOLING:
            head.f, head.channels_last = tensor, _pools_channels_last(graph, node)
            return replace(head, form=GMP) if node.op in MAXIMUM else _linear_before_pooling(graph, head)
    raise _refusal(graph, None, S, head.chain)


def _steps(graph):
    """As many steps back as there are nodes: a damaged graph may run in a circle."""
    return range(len(graph.nodes))


def _data_inputs(node):
    """The inputs through which activations may come; a Conv's others are filters and bias."""
    return node.inputs[:1] if node.op == "Conv" else node.inputs[:2]


def _before_probabilities(graph, output):
    """The tensor of scores behind an output, and whether a sigmoid follows it."""
    S, sigmoid, tensor = output, False, output
    for _ in _steps(graph):
        node = graph.makers.get(tensor)
        if node is None or node.op not in PROBABILITIES | RESHAPING:
            break
        tensor = node.inputs[0]
        if node.op in PROBABILITIES:
            S, sigmoid = tensor, node.op == "Sigmoid"
    return S, sigmoid


def _pooled_axes(graph, node):
    """The axes of (N, K, H, W), or of (N, H, W, K), that a pooling takes together."""
    if node.op not in {"ReduceMean", "ReduceMax"}:
        return [2, 3]
    axes = node.attributes.get("axes")
    if axes is None and len(node.inputs) > 1:  # an input from opset 18 on
        axes = graph.integers.get(node.inputs[1])
    return sorted(axis % 4 for axis in axes or [])


def _pools_channels_last(graph, node):
    """Whether a pooling takes (N, H, W, K); a refusal where it takes other axes."""
    axes = _pooled_axes(graph, node)
    if axes not in ([2, 3], [1, 2]):
        raise CamNotApplicable(f"{node} pools over the axes {axes}, not over height and width; "
                         "the paper pools over all places of the last conv layer")
    return axes == [1, 2]


def _linear_before_pooling(graph, head):
    """The form with the linear map in front of the pooling, where nothing mixes units behind it."""
    if any(node.op in AFFINE for node in head.chain):
        return head
    between, tensor = [], head.f
    for _ in _steps(graph):
        node = graph.makers.get(tensor)
        if node is None or node.op not in {"Relu", "Identity", "Dropout", "Conv"}:
            break
        between.insert(0, node)
        tensor = node.inputs[0]
        if node.op == "Conv":
            break
    if not between or not _is_1x1(graph, between[0]):
        return head  # the pooled units themselves are the scores
    rectified = any(node.op == "Relu" for node in between)
    conv = between[0]
    return replace(
        head, form=SQUEEZENET if rectified else NIN, f=conv.inputs[0], chain=between + head.chain,
        constants=[t for t in conv.inputs[1:] if t],
    )


def _is_1x1(graph, node):
    if node.op != "Conv" or node.attributes.get("group", 1) != 1 or node.inputs[1] not in graph.constants:
        return False
    kernel = node.attributes.get("kernel_shape") or list(graph.initializers.get(node.inputs[1], ())[2:])
    return kernel == [1, 1] and set(node.attributes.get("strides", [1])) == {1}


def _refusal(graph, node, tensor, chain):
    """Say which node is in the way, and what the paper would do about it."""
    ancestors = _ancestors(graph, tensor)
    pooling = next((n for n in ancestors if n.op in GLOBAL and _pooled_axes(graph, n) in ([2, 3], [1, 2])), None)
    flatten = next((n for n in [*ancestors, *reversed(chain)] if n.op in {"Flatten", "Reshape"}), None)
    if any(n.op in {"Softmax", "Attention", "MultiHeadAttention"} for n in ancestors):
        return CamNotApplicable(f"attention stands before the scores (on the way back at {node}), not an average over "
                          "places; the paper has a last conv layer, global average pooling and one linear layer")
    if pooling is not None:
        return CamNotApplicable(f"{node} stands between the pooling ({pooling}) and the scores, so they are not "
                          "linear in F; the paper has one linear layer right behind the pooling, and trains it")
    if flatten is not None and any(n.op in LINEAR for n in chain):
        return CamNotApplicable(f"the last activations are flattened into the linear layer ({flatten}) without pooling, "
                          "so a unit has no single weight per class; the paper takes the fully connected layers "
                          "away, puts a conv layer, global average pooling and one linear layer there, and trains")
    where = f"{node} is neither linear nor a pooling" if node is not None else f"the way back ends at {tensor}"
    return CamNotApplicable(f"no global average pooling leads to the output ({where}); the paper needs a classifier: "
                      "a last conv layer, global average pooling and one linear layer")


def _ancestors(graph, tensor, most=60):
    """The nodes before a tensor, nearest first, not beyond convolutions."""
    found, waiting = [], [tensor]
    while waiting and len(found) < most:
        node = graph.makers.get(waiting.pop(0))
        if node is None or any(node is other for other in found):
            continue
        found.append(node)
        if node.op != "Conv":
            waiting += [t for t in node.inputs if t and t not in graph.constants]
    return found
