"""Does CAM apply to a network? The way from f to the scores, and the verdict."""

from __future__ import annotations

import textwrap
from dataclasses import asdict, dataclass, field

import numpy as np

from ..errors import CamNotApplicable
from .network import load


@dataclass(frozen=True)
class Inspection:
    """The verdict on a network; printed, it is a drawing of the way from f to the scores.

    Attributes
    ----------
    verdict : {"exact", "approximate", "refused"}
        "exact": the mean of a map, plus the bias, is the score. "approximate": the score has an
        identity of its own, which holds, but its map shows more or less than the score counted.
    form : str or None
        The name of the form, see `cam_numpy.paper.forms`; this and what follows are None where
        the verdict is "refused".
    reason : str
    activation, weight, bias : str or None
        The names of tensors in the file.
    units, classes : int or None
        K and C.
    input : dict or None
        name, size (width, height), preprocessing.
    """

    verdict: str
    form: str | None = None
    reason: str | None = None
    activation: str | None = None
    weight: str | None = None
    bias: str | None = None
    units: int | None = None
    classes: int | None = None
    input: dict | None = None
    drawing: str = field(default="", repr=False)

    def __str__(self):
        return self.drawing

    __repr__ = __str__

    def as_dict(self):
        """The same for JSON, without the drawing."""
        record = asdict(self)
        del record["drawing"]
        return record


def inspect(model=None, **options):
    """Read a network's head, and try its identity on one made-up picture.

    Parameters
    ----------
    model : path or str
        An ONNX file, or whatever else `load` takes.
    **options
        Those of `load`.

    Returns
    -------
    inspection : Inspection

    Raises
    ------
    InputError
        The file cannot be read as a network.

    Examples
    --------
    >>> inspect().verdict
    'exact'
    """
    try:
        network = load(model, **options)
        error, f, S = _try(network)
    except CamNotApplicable as refusal:
        drawing = f"{refusal.model}: refused\n\n{_wrapped(refusal.reason)}"
        return Inspection("refused", reason=refusal.reason, drawing=drawing)
    head, shown = network.head, network.preprocessing.view((100, 100)).input
    linear = [node for node in head.chain if node.op in ("Gemm", "MatMul", "Conv")]
    names = [[t for t in node.inputs if t in head.constants] for node in linear]
    reason = f"{network.form.identity} holds for all {len(S)} classes; largest error {error:.1e}."
    return Inspection(
        verdict=network.form.verdict,
        form=network.form.name,
        reason=reason,
        activation=head.f,
        weight=names[0][0] if names else None,
        bias=names[0][1] if names and len(names[0]) > 1 else None,
        units=f.shape[0],
        classes=len(S),
        input={"name": network.input_name, "size": list(shown), "preprocessing": network.preprocessing.describe()},
        drawing=_drawing(network, f, S, shown, reason),
    )


def _try(network):
    """The error of the identity on one noisy picture, whose f and S are returned as well."""
    width, height = network.preprocessing.view((100, 100)).input
    x = np.random.default_rng(0).normal(size=(3, height, width)).astype(np.float32)
    f, S = network.run(x)
    return network.check_scores(f, S), f, S


def _drawing(network, f, S, shown, reason):
    """The chain of nodes from the input to the scores."""
    K, H, W = f.shape
    stride = f"one cell for {shown[0] / W:g} x {shown[1] / H:g} pixels"
    lines = [
        f"{network.name}: {network.form.verdict} ({network.form.name})",
        "",
        f"    x  {network.input_name}  (3, {shown[1]}, {shown[0]})",
        "    |      " + network.preprocessing.describe(),
        "    ...    the body",
        f"    f  {network.head.f}  (K, H, W) = ({K}, {H}, {W}), {stride}",
    ]
    for node in network.head.chain:
        weights = ", ".join(t for t in node.inputs if t in network.head.constants)
        lines.append(f"    |  {node.op}" + (f" with {weights}" if weights else ""))
    lines += [
        f"    S  {network.head.S}  (C,) = ({len(S)},)",
        "",
        _wrapped(reason),
    ]
    lines.append(_wrapped(network.form.meaning))
    lines += [f"assumed: {text}" for text in network.assumed]
    return "\n".join(lines)


def _wrapped(text):
    return textwrap.fill(text, 79)
