"""What a file says of its photos and classes, in the words of the tools that write such files."""

from __future__ import annotations

import ast
import json
from dataclasses import replace

import numpy as np

from ..image.preprocessing import PRESETS

ARITHMETIC = {"Add", "Sub", "Mul", "Div"}
LAYOUT = {"Cast", "Transpose", "Identity"}


def names(graph):
    """The names of the classes and their WordNet ids, each a list or None."""
    metadata = graph.metadata
    classes, wnids = (_listed(metadata.get(key, "null")) for key in ("classes", "wnids"))
    if classes is not None:
        return classes, wnids
    if "names" in metadata and "task" in metadata:  # Ultralytics: {0: 'cat', 1: 'dog'}
        try:
            found = ast.literal_eval(metadata["names"])
            return [str(found[c]) for c in range(len(found))], None
        except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError):
            pass
    if "character" in metadata:  # Paddle
        return metadata["character"].splitlines(), None
    for node in graph.nodes:  # scikit-learn's and Azure Custom Vision's exporters
        labels = node.attributes.get("classlabels_strings")
        if node.op == "ZipMap" and isinstance(labels, list) and labels:
            return [str(label) for label in labels], None
    return None, None


def _listed(text):
    """A list of texts in JSON; None where it is none, or an empty one."""
    try:
        names = json.loads(text)
    except (ValueError, RecursionError):
        return None
    found = isinstance(names, list) and names and all(isinstance(name, str) for name in names)
    return names if found else None


def preprocessing(source, x):
    """How photos are to be prepared, and which words of the file say so.

    Parameters
    ----------
    source : Source
    x : onnxruntime.NodeArg
        The tensor that takes the picture.

    Returns
    -------
    found : Preprocessing or None
    """
    metadata = source.graph.metadata
    if "task" in metadata and "names" in metadata:  # Ultralytics: a square crop, values from 0 to 1
        return replace(PRESETS["zero-one"], margin=1.0)
    pixels = metadata.get("Image.BitmapPixelFormat", "")  # Azure Custom Vision, Windows ML
    if pixels:
        scale = {"Normalized_0_1": "zero-one", "Normalized_1_1": "minus-one-one"}.get(
            metadata.get("Image.NominalPixelRange", ""), "raw")
        return replace(PRESETS[scale], margin=1.0, bgr=pixels.startswith("Bgr"))
    if x.type == "tensor(uint8)":
        return PRESETS["raw"]
    return _inside(source, x.name)


def _inside(source, tensor):
    """The preprocessing that is left to do where the graph itself normalises its input."""
    # x -> a x + c, as the first nodes compute it
    graph = source.graph
    a, c, arithmetic = np.float32([1]), np.float32([0]), 0
    for _ in range(12):
        users = [node for node in graph.nodes if tensor in node.inputs and node.op not in {"Shape", "Size"}]
        if len(users) != 1 or users[0].op not in ARITHMETIC | LAYOUT | {"BatchNormalization"}:
            break
        (node,) = users
        if node.op not in LAYOUT:
            constants = [t for t in node.inputs if t != tensor]
            if not all(t in graph.constants for t in constants):
                break
            values = source.values(constants)
            a, c = _applied(node, tensor, a, c, [values[t] for t in constants])
            arithmetic += 1
        tensor = node.outputs[0]
    if not arithmetic:
        return None
    # what the network then works on lies about between -3 and 3; the factor says what goes in
    factor = float(np.abs(a).mean())
    if 1 / 300 < factor < 1 / 20:
        return PRESETS["raw"]
    return PRESETS["zero-one"] if 1.9 < factor < 10 else None


def _applied(node, tensor, a, c, values):
    """a and c behind one more node."""
    values = [np.asarray(value, np.float32).reshape(-1) for value in values]
    if any(value.size > 4 for value in values):
        return a, c
    if node.op == "BatchNormalization":
        scale, shift, mean, variance = values
        factor = scale / np.sqrt(variance + node.attributes.get("epsilon", 1e-5))
        return a * factor, (c - mean) * factor + shift
    (value,) = values
    if node.op == "Mul":
        return a * value, c * value
    if node.op == "Div":
        return (a / value, c / value) if node.inputs[0] == tensor and value.all() else (a, c)
    return a, c  # a shift does not tell what goes in
