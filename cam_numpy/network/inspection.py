"""What `cam-numpy inspect` shows: the way from f to the scores, and the verdict."""

from __future__ import annotations

import textwrap

import numpy as np

from ..errors import NotCamable
from .network import load

REFUSED = {"verdict": "refused", "form": None, "reason": None, "activation": None, "weight": None, "bias": None,
           "units": None, "classes": None, "input": None}
WHY_APPROXIMATE = {
    "rectified": "The ReLU between the map and the pooling hides what speaks against a class: "
                 "its map shows more than the score counted.",
    "max": "A score counts each unit once, where it is strongest; a map shows it wherever it fires. "
           "So no map adds up to its score, which is why the paper pools with the average.",
}


def inspect(path, **options):
    """Read a network's head and try its identity on one made-up picture.

    Parameters
    ----------
    path : path
        An ONNX file.
    **options
        Those of `load`.

    Returns
    -------
    record : dict
        verdict ("exact", "approximate" or "refused"), form, reason, activation,
        weight and bias (names of tensors), units K, classes C, input (name,
        size, preprocessing); all but verdict and reason are None when refused.
    text : str
        The same as a drawing.

    Raises
    ------
    InputError
        The file cannot be read as a network.
    """
    try:
        network = load(path, **options)
        error, f, S = _try(network)
    except NotCamable as refusal:
        return {**REFUSED, "reason": refusal.reason}, f"{refusal.model}: refused\n\n{_wrapped(refusal.reason)}"
    head, shown = network.head, network.preprocessing.view((100, 100)).input
    linear = [node for node in head.chain if node.op in ("Gemm", "MatMul", "Conv")]
    names = [[t for t in node.inputs if t in head.constants] for node in linear]
    record = {
        "verdict": network.form.verdict,
        "form": network.form.name,
        "reason": f"{network.form.identity} holds for all {len(S)} classes; largest error {error:.1e}",
        "activation": head.f,
        "weight": names[0][0] if names else None,
        "bias": names[0][1] if names and len(names[0]) > 1 else None,
        "units": f.shape[0],
        "classes": len(S),
        "input": {"name": network.input_name, "size": list(shown), "preprocessing": network.preprocessing.describe()},
    }
    return record, _drawing(network, record, f, shown)


def _try(network):
    """The error of the identity on one noisy picture, whose f and S are returned as well."""
    width, height = network.preprocessing.view((100, 100)).input
    x = np.random.default_rng(0).normal(size=(3, height, width)).astype(np.float32)
    f, S = network.run(x)
    return network.check_scores(f, S), f, S


def _drawing(network, record, f, shown):
    """The chain of nodes from the input to the scores."""
    K, H, W = f.shape
    stride = f"one cell for {shown[0] / W:g} x {shown[1] / H:g} pixels"
    lines = [
        f"{network.name}: {network.form.verdict} ({network.form.name})",
        "",
        f"    x  {record['input']['name']}  (3, {shown[1]}, {shown[0]})",
        "    |      " + network.preprocessing.describe(),
        "    ...    the body",
        f"    f  {network.head.f}  (K, H, W) = ({K}, {H}, {W}), {stride}",
    ]
    for node in network.head.chain:
        weights = ", ".join(t for t in node.inputs if t in network.head.constants)
        lines.append(f"    |  {node.op}" + (f" with {weights}" if weights else ""))
    lines += [
        f"    S  {network.head.S}  (C,) = ({record['classes']},)",
        "",
        _wrapped(record["reason"]),
    ]
    if network.form.pooled in WHY_APPROXIMATE:
        lines.append(_wrapped(WHY_APPROXIMATE[network.form.pooled]))
    lines += [f"assumed: {text}" for text in network.assumed]
    return "\n".join(lines)


def _wrapped(text):
    return textwrap.fill(text, 79)
