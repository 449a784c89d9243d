"""Find f, w and b in a network's graph: by its structure, never by names.

Eq. 2 is exact when the scores are an affine function of the pooled activations,

    f -> global average pooling -> F -> one affine map -> S (-> softmax -> P)

so we walk back from the output to the pooling. What enters the pooling is f:
there is no layer to choose. What lies between folds into one w and one b.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .errors import InputError

AFTER_SCORES = {"Softmax", "LogSoftmax"}
SAME_VALUES = {"Identity", "Dropout", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Cast"}
AFFINE = {"Gemm", "MatMul", "Conv", "Add", "Sub", "Mul", "Div", "BatchNormalization"}
POOLING = {"GlobalAveragePool", "ReduceMean"}
CONSTANT = {"Identity", "Transpose", "Cast", "Unsqueeze", "Squeeze", "Reshape", "DequantizeLinear"}


@dataclass
class Head:
    """The way from f to the scores.

    Attributes
    ----------
    f : str
        The tensor that enters the pooling, (N, K, H, W).
    S : str
        The tensor of the scores, before any softmax.
    chain : list of Node
        What lies between, the pooling first.
    constants : list of str
        The tensors of weights that the chain reads.
    """

    f: str
    S: str
    chain: list
    constants: list


def find_head(graph, name="the model"):
    """Walk back from the first output to the pooling.

    Raises
    ------
    InputError
        CAM does not apply to this network; the message names the node in the way.
    """
    if not graph.outputs or not graph.inputs:
        raise InputError(f"{name} has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; "
                         "give a classifier, from pictures to scores")
    tensor = graph.outputs[0]
    node = graph.maker(tensor)
    while node is not None and node.op in AFTER_SCORES | SAME_VALUES:
        if node.op in AFTER_SCORES:
            tensor = node.inputs[0]
        node = graph.maker(node.inputs[0])
    S, chain, constants = tensor, [], []
    while True:
        node = graph.maker(tensor)
        if node is None:
            raise _refusal(name, "there is no global average pooling on the way back from the scores")
        if node.op not in SAME_VALUES | AFFINE | POOLING:
            raise _refusal(name, _in_the_way(node, chain))
        chain.insert(0, node)
        data = [t for t in node.inputs if t and not _constant(graph, t)]
        if node.op in POOLING or node.op in SAME_VALUES:
            data = node.inputs[:1]
        if len(data) != 1:
            raise _refusal(name, f"{node} brings {len(data)} paths together")
        if node.op not in SAME_VALUES:
            constants += [t for t in node.inputs if t and t != data[0]]
        tensor = data[0]
        if node.op in POOLING:
            return Head(tensor, S, chain, constants)


def _constant(graph, tensor):
    """Whether a tensor is the same for every photo."""
    if tensor in graph.initializers:
        return True
    node = graph.maker(tensor)
    if node is None or node.op == "Constant":
        return node is not None
    return node.op in CONSTANT and all(_constant(graph, t) for t in node.inputs if t)


def _in_the_way(node, chain):
    if any(later.op in ("Gemm", "MatMul", "Conv") for later in chain):
        return f"{node} stands before the last linear layer, and no pooling between the two"
    return f"{node} stands between the pooling and the scores"


def _refusal(name, reason):
    return InputError(
        f"CAM does not apply to {name}: {reason}; Eq. 2 needs scores that are linear in the pooled "
        "activations - the paper puts global average pooling and one linear layer there and trains again"
    )


def fold(head, constants, units):
    """All that lies between F and S as one w and one b.

    Parameters
    ----------
    head : Head
    constants : dict of str to array
        The tensors named in ``head.constants``.
    units : int
        K, the channels of f.

    Returns
    -------
    w : (C, K) array
    b : (C,) array

    Raises
    ------
    InputError
        A step is not one number, or one column, per unit; or the pooling does
        not take the whole map.
    """
    w, b = None, np.float32(0)  # S = w F + b; None stands for the identity
    for node in head.chain:
        values = [constants[t] for t in node.inputs if t in constants]
        if node.op == "ReduceMean":
            axes = values[0].tolist() if values else node.attributes.get("axes") or []
            if sorted(axis % 4 for axis in axes) != [2, 3]:
                raise InputError(f"{node} pools over the axes {axes}; CAM needs the mean over height and width")
        elif node.op in ("Gemm", "MatMul", "Conv"):
            A, a = _linear(node, values)
            w = A if w is None else A @ w
            b = A @ np.broadcast_to(b, A.shape[1]) + a
        elif node.op == "BatchNormalization":
            scale, shift, mean, variance = values
            factor = scale / np.sqrt(variance + node.attributes.get("epsilon", 1e-5))
            w, b = _scaled(w, factor, units), (b - mean) * factor + shift
        elif node.op in ("Mul", "Div"):
            factor = values[0].reshape(-1)
            if node.op == "Div":
                if node.inputs[0] in constants:
                    raise InputError(f"{node} divides by the activations; CAM needs a linear step there")
                factor = 1 / factor
            w, b = _scaled(w, factor, units), b * factor
        elif node.op in ("Add", "Sub"):
            sign = -1 if node.op == "Sub" else 1
            if sign < 0 and node.inputs[0] in constants:
                w, b, sign = _scaled(w, np.float32([-1]), units), -b, 1
            b = b + sign * values[0].reshape(-1)
    w = np.eye(units, dtype=np.float32) if w is None else w
    return np.ascontiguousarray(w), np.array(np.broadcast_to(b, len(w)), w.dtype)


def _linear(node, values):
    """A (outputs, inputs) and a (outputs,) or 0 of a linear layer."""
    A, a = values[0], values[1].reshape(-1) if len(values) > 1 else 0
    if node.op == "Gemm":  # alpha x A + beta a, A as (inputs, outputs) unless transB
        A = A if node.attributes.get("transB") else A.T
        return node.attributes.get("alpha", 1.0) * A, node.attributes.get("beta", 1.0) * a
    if node.op == "MatMul":  # x A
        return A.T, 0
    if A.shape[2:] != (1, 1) or node.attributes.get("group", 1) != 1:
        raise InputError(f"{node} has filters of shape {A.shape}; behind the pooling CAM needs 1 x 1")
    return A[:, :, 0, 0], a


def _scaled(w, factor, units):
    """Each row of w (None: the identity) times its factor."""
    w = np.eye(units, dtype=np.float32) if w is None else w
    return w * factor[:, None] if factor.size > 1 else w * factor
