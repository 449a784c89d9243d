"""Does CAM apply to a network? The way from f to the scores, and the verdict."""

from __future__ import annotations

import textwrap
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

from ..errors import CamNotApplicable
from ..image.photo import read_photo
from ..image.preprocessing import PRESETS
from ..names import plain
from ..paper.cam import sigmoid, softmax
from .classes import short_name
from .head import LINEAR, find_scores, read_head
from .locate import resolve
from .network import Network, load
from .source import MissingWeights, Source


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
    assumed : list of str
        Assumptions made where neither the network's file nor the caller gave a value.
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
    assumed: list[str] = field(default_factory=list)
    drawing: str = field(default="", repr=False)

    def __str__(self):
        return self.drawing

    __repr__ = __str__

    def as_dict(self):
        """The same for JSON, without the drawing."""
        record = asdict(self)
        del record["drawing"]
        return record


def inspect(model: str | Path | Network | None = None, **options) -> Inspection:
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
        drawing = f"{plain(refusal.model)}: refused\n\n{_wrapped(refusal.reason)}"
        return Inspection("refused", reason=refusal.reason, drawing=drawing)
    except MissingWeights as missing:
        return _by_graph(model, options.get("output"), missing)
    head, shown = network.head, network.preprocessing.view((100, 100)).input
    linear = [node for node in head.chain if node.op in LINEAR]
    names = [found for node in linear if (found := [t for t in node.inputs if t in head.constants])]
    reason = f"{network.form.identity} holds for all {len(S)} classes; largest error {error:.1e}."
    if network.form.bits < 24:
        reason = (f"{network.form.identity} holds for all {len(S)} classes as far as {network.form.bits} "
                  f"bits allow; largest error {error:.1e}, {error / abs(S).max():.1%} of the largest score.")
    return Inspection(
        verdict=network.form.verdict,
        form=network.form.name,
        reason=reason,
        activation=head.f,
        weight=names[0][0] if names else None,
        bias=names[0][1] if names and len(names[0]) > 1 else None,
        units=f.shape[0],
        classes=len(S),
        input={"name": network.input_name, "size": list(shown),
               "preprocessing": network.preprocessing.describe()},
        assumed=list(network.assumed),
        drawing=_drawing(network, f, S, shown, reason),
    )


class Trial(NamedTuple):
    """What a network says of a photo that was prepared in one way: its best class."""

    preprocessing: str
    index: int
    name: str
    P: float


def try_presets(photo, model=None, **options):
    """Show a photo to a network under every preset: the right one often stands out by its P.

    Parameters
    ----------
    photo : path, PIL.Image.Image, or (h, w, 3) uint8 array
    model : path or str
        See `load`.
    **options
        Those of `load`, without the preprocessing.

    Returns
    -------
    trials : list of (preprocessing, index, name, P)
        The first with the preprocessing that `load` takes by itself ("default"), then one for
        each preset, in the order of `cam_numpy.image.preprocessing.PRESETS`.

    Raises
    ------
    InputError
        The network or the photo cannot be read.
    """
    options.pop("preprocessing", None)
    photo, found = read_photo(photo), []
    for name in ("default", *PRESETS):
        network = load(model, preprocessing=None if name == "default" else name, **options)
        S = network.see(photo).S
        P = sigmoid(S) if network.sigmoid else softmax(S)
        c = int(S.argmax())
        found.append(Trial(name, c, short_name(network.classes[c]), float(P[c])))
    return found


def as_table(trials):
    """The trials side by side, for a terminal."""
    rows = [f"{one.preprocessing:<19} {one.P:>7.1%}  {plain(one.name)}" for one in trials]
    return "\n".join([f"{'preprocessing':<19} {'P':>7}  best class", *rows])


def _try(network):
    """The error of the identity on one made-up picture, whose f and S are returned as well."""
    f, S = network.run(network.noise())
    return network.check_scores(f, S), f, S


def _by_graph(model, output, missing):
    """The verdict on a network whose weights are not there, as far as its graph tells."""
    path, _, _ = resolve(model)
    graph = Source(path).graph
    heads = [head for scores in find_scores(graph, path.name, output) if (head := read_head(graph, scores))]
    if len(heads) != 1:
        raise missing
    (head,) = heads
    linear = next(node for node in head.chain if node.op in LINEAR)
    names = [t for t in linear.inputs if t in head.constants]
    shape = graph.initializers.get(names[0], ())
    by_row = "Conv" in linear.op or linear.attributes.get("transB")
    C, K = shape[:2] if by_row else shape[1::-1] if len(shape) == 2 else (None, None)
    reason = f"{head.form.identity}, by the graph alone: nothing was computed, for {missing}."
    return Inspection(head.form.verdict, head.form.name, reason, head.f, names[0],
                      names[1] if len(names) > 1 else None, K, C,
                      drawing=f"{plain(path.name)}: {head.form.verdict} ({head.form.name})\n\n"
                              f"{_wrapped(reason)}")


def _drawing(network, f, S, shown, reason):
    """The chain of nodes from the input to the scores."""
    K, H, W = f.shape
    stride = f"one cell for {shown[0] / W:g} x {shown[1] / H:g} pixels"
    lines = [
        f"{network.name}: {network.form.verdict} ({network.form.name})",
        "",
        f"    x  {network.input_name}  ({network.preprocessing.channels}, {shown[1]}, {shown[0]})",
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
    ]
    lines = [plain(line) for line in lines]
    assumed = [_wrapped(f"assumed: {text}", " " * 9) for text in network.assumed]
    return "\n".join([*lines, _wrapped(reason), _wrapped(network.form.meaning), *assumed])


def _wrapped(text, indent=""):
    return textwrap.fill(plain(text), 79, subsequent_indent=indent)
