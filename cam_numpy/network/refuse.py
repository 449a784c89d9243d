"""Say why CAM does not apply to a network, and what the paper would do about it.

What is wrong is known from the head's own answers. Here the node that is to blame is looked for in
the graph, by its name; where none is found, the words are "I cannot follow".
"""

from __future__ import annotations

import numpy as np

from .head import AFFINE, AVERAGE, LINEAR, MAXIMUM, POOLING, PROBABILITIES, QUANTISING, between, bits

ACTIVATIONS = {
    "BiasGelu", "Celu", "Clip", "Elu", "Erf", "Exp", "FastGelu", "FusedGemm", "Gelu", "HardSigmoid",
    "HardSwish", "LeakyRelu", "Mish", "PRelu", "QuickGelu", "Relu", "Selu", "Sigmoid", "Softplus", "Softsign",
    "Swish", "Tanh", "ThresholdedRelu",
}
NORMS = {
    "GroupNormalization", "InstanceNormalization", "LayerNormalization", "MeanVarianceNormalization",
    "RMSNormalization", "SimplifiedLayerNormalization", "SkipLayerNormalization",
}
LENGTHS = {"LpNormalization", "ReduceL2"}
ATTENTION = {"Attention", "MultiHeadAttention", "Softmax"}
HARMLESS = AFFINE | POOLING | QUANTISING | {
    "Cast", "Concat", "Constant", "DynamicQuantizeLinear", "Dropout", "Flatten", "Gather", "Identity",
    "MatMulInteger", "QLinearAdd", "Reshape", "Shape", "Slice", "Squeeze", "Sum", "Transpose", "Unsqueeze",
}
ONE_LAYER = "the paper has one linear layer right behind the pooling, and trains it"
THREE_STEPS = "the paper has a last conv layer, global average pooling and one linear layer"


def refusal(graph, S, f, reason, error, seen):
    """The reason in words.

    Parameters
    ----------
    graph : Graph
    S, f : str
        f is None where there is none.
    reason : {"places", "token", "linear", "constant", "unclear", "no places"}
        What the head's answers show.
    error : float or None
        How far the scores are from those of the nearest linear layer, as a fraction of its terms.
    seen : dict of str to Tensor
        For the shapes.

    Returns
    -------
    text : str
        "...; the paper ...".
    """
    nodes = between(graph, f, S)[0] if f is not None else []
    pools = [node for node in nodes if node.op in POOLING | {"ReduceSum"}
             and node.attributes.get("kernel_shape") != [1, 1]]
    if reason == "linear":
        return _not_linear(graph, nodes, pools, f, error)
    if reason == "places":
        return _places(graph, nodes, pools, f)
    if reason == "token":
        shape = " x ".join(map(str, seen[f].value.shape[1:]))
        return (f"{f} holds {shape} values, more tokens than the places of a map: a class token stands "
                f"beside the places, and attention brings to it what the scores are made of; {THREE_STEPS}")
    if reason == "constant":
        return f"the scores are the same whatever {f} is: no photo changes them; {THREE_STEPS}"
    if reason == "no places":
        return f"no tensor with places alone leads to the scores, so there is no map to show; {THREE_STEPS}"
    return _cannot_follow(nodes, f)


def _first(nodes, test):
    return next((node for node in nodes if test(node)), None)


def _not_linear(graph, nodes, pools, f, error):
    """The scores are a function of the pooled units, but not a linear one."""
    where = f"the pooling ({pools[0]})" if pools else f"f ({f})"
    behind = nodes[nodes.index(pools[0]) + 1 :] if pools else nodes
    made = {t for node in nodes for t in node.outputs if t not in graph.sizes} | {f}
    divided = _first(behind, lambda node: node.op in {"Div", "Reciprocal"} and node.inputs[-1] in made)
    length = _first(behind, lambda node: node.op in LENGTHS)
    if length:
        return (f"F is divided by its own length ({length}) before the scores, so that a unit counts "
                f"differently in each photo; {ONE_LAYER}")
    norm = _first(behind, lambda node: node.op in NORMS)
    if norm is None and _first(behind, lambda node: node.op == "Sqrt"):  # written out
        norm = divided
    if norm:
        return (f"{norm} stands between {where} and the scores and normalises F, photo by photo, so a unit "
                f"has no single weight per class; {ONE_LAYER}")
    power = _first(nodes, lambda node: node.op == "Pow")
    if power and pools:
        return (f"the pooling is a mean of powers (GeM, {power}), which counts strong places more than weak "
                "ones, so the mean of a map is not its score; the paper pools with the plain average, and "
                "trains the network with it")
    if nodes and nodes[-1].op == "FusedGemm" and nodes[-1].attributes.get("activation") in PROBABILITIES:
        return (f"{nodes[-1]} holds the linear layer and its {nodes[-1].attributes['activation']} in one "
                "node, so the file has no scores before the probabilities; the paper's linear layer gives "
                "scores: take the file as it was before onnxruntime optimised it")
    squared = _first(behind, lambda node: node.op == "Mul" and len(set(node.inputs)) == 1)
    hidden = _first(behind, lambda node: node.op in ACTIVATIONS) or _first(
        behind, lambda node: node.op not in HARMLESS | QUANTISING)
    what = {" and squares": squared, " and divides by the activations": divided, "": hidden}
    for does, node in what.items():
        if node:
            return (f"{node} stands between {where} and the scores{does}, so they are not linear in F; "
                    f"{ONE_LAYER}")
    if {node.op for node in pools} & MAXIMUM and {node.op for node in pools} & AVERAGE:
        return ("the average and the maximum of each unit have weights of their own, so a unit has no single "
                f"weight per class; {ONE_LAYER}")
    if bits(graph, nodes) == 8 and np.isfinite(error):
        return ("the head computes with integers of 8 bits, and its scores differ from those of the nearest "
                f"linear layer by {error:.0%} of the sizes of the terms: too much to tell rounding from "
                "another kind of head; the paper computes with floats: take the file as it was before it was "
                "quantised")
    return _cannot_follow(nodes, f)


def _places(graph, nodes, pools, f):
    """It matters where a unit fires."""
    pooled = list(dict.fromkeys(node.inputs[0] for node in pools))
    pooled = [tensor for tensor in pooled if not _behind(nodes, pools, tensor)]
    if len(pooled) > 1:
        return (f"the scores come from several activations ({', '.join(pooled)}), each pooled by itself, so "
                "there is no single f; the paper pools one, the last conv layer")
    attention = _first(nodes, lambda node: node.op in ATTENTION)
    if attention:
        return f"attention stands before the scores ({attention}), not an average over places; {THREE_STEPS}"
    picked = _first(nodes, lambda node: f in node.inputs and node.op in {"Gather", "Slice"})
    if picked:
        return (f"the scores are read off single places of {f} ({picked}), not off an average over places; "
                f"{THREE_STEPS}")
    flatten = _first(nodes, lambda node: node.op in {"Flatten", "Reshape"})
    if flatten and not pools and _first(nodes, lambda node: node.op in LINEAR):
        maker = graph.makers.get(f)
        partly = maker is not None and maker.op in POOLING | {"ReduceSum"}
        what = "the last activations are"
        if partly:
            what = f"{maker} pools a part of the map, and what is left is"
        return (f"{what} flattened into the linear layer ({flatten}) without global pooling, so a unit has "
                "no single weight per class; the paper takes the fully connected layers away, puts a conv "
                "layer, global average pooling and one linear layer there, and trains")
    conv = _first(nodes, lambda node: node.op == "Conv")
    if conv and not pools:
        return (f"{conv} takes all places of the map together, each with weights of its own, instead of a "
                "pooling; the paper puts global average pooling and one linear layer there, and trains")
    return ("the scores depend on where in f a unit fires, not only on how much it fires on average "
            f"(f is {f}); {THREE_STEPS}")


def _behind(nodes, pools, tensor):
    """Whether a tensor is computed from something pooled already."""
    made = {t for node in pools for t in node.outputs}
    for node in nodes:
        if made.intersection(node.inputs):
            made.update(node.outputs)
    return tensor in made


def _cannot_follow(nodes, f):
    """Nothing is found to blame."""
    if not nodes:
        return f"I cannot follow how the scores come about; {THREE_STEPS}"
    operators = list(dict.fromkeys(node.op for node in nodes))
    shown = ", ".join(operators[:6]) + (" ..." if len(operators) > 6 else "")
    return (f"I cannot follow how the scores come from {f} ({shown}): not as an average, a sum or a maximum "
            f"over places and one linear layer would; {THREE_STEPS}")
