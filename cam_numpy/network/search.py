"""Which tensor is f, where the graph alone does not say: the head is cut off and asked.

f is the tensor nearest to the scores that has places and through which every path from the
picture goes. The nodes from f to S are a small network of their own; `ask.py` asks it for w and b.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..errors import CamNotApplicable
from ..paper.forms import GAP, NIN, SQUEEZENET
from .ask import ask, ask_through_relu, strength
from .fold import MOST_WEIGHTS
from .head import POOLING, Head, between, bits, dominators
from .layout import as_stored, axes_of, layouts, units_first, unrolled
from .refuse import refusal
from .session import TYPES

NEAREST = 32  # tensors before the scores among which f is looked for
PASSING = {"ReorderOutput", "QuantizeLinear", "DequantizeLinear", "Identity", "Dropout", "Transpose", "Cast"}
FLOATS = ("tensor(float)", "tensor(float16)", "tensor(double)")
INTEGERS = ("tensor(uint8)", "tensor(int8)")


class Found(NamedTuple):
    """A head that was asked, and what it answered."""

    head: Head
    w: np.ndarray
    b: np.ndarray
    numbers: tuple | None = None  # scale and zero, where f holds integers


class Unfit(NamedTuple):
    """Why a tensor is not f (see `cam_numpy.network.refuse.refusal`)."""

    f: str | None
    reason: str
    error: float | None = None


def candidates(graph, scores):
    """The tensors among which f is, the nearest to the scores first, and others whose size is asked."""
    everything = dominators(graph, scores.S)
    tensors = everything[:NEAREST]
    sized = {t for f in tensors for t in between(graph, f, scores.S)[1]} | set(_convolved(graph, everything))
    return tensors, sorted(sized - set(tensors))


def _convolved(graph, tensors):
    """The last outputs of convolutions among some tensors: they show how tokens in a row lie."""
    return [t for t in tensors if t in graph.makers and graph.makers[t].op == "Conv"][:4]


class Cut:
    """The nodes between two tensors as a network of their own.

    Parameters
    ----------
    source : Source
    first, last : str
        The tensors.
    seen : dict of str to Tensor
        What the whole network computed.
    axes : str
        See `Head`.
    quantised : (scale, zero) or None
        Numbers, where the first tensor holds integers.
    """

    def __init__(self, source, first, last, seen, axes="KHW", quantised=None):
        self.first, self.last, self.axes, self.quantised = first, last, axes, quantised
        self.nodes, self.sized = between(source.graph, first, last)
        self.seen, self.batch = seen, None
        inputs = {t: TYPES[seen[t].type][1] for t in (first, *self.sized)}
        self.session = source.open_part([last], inputs)

    def __call__(self, maps):
        """The last tensor (n, ...) for maps (n, K, H, W) of the first."""
        if len(maps) > 1 and self.batch is None:
            self.batch = self.takes_a_batch(maps)
        if self.batch:
            return self._run(maps, len(maps))
        return np.concatenate([self._run(m[None], 1) for m in maps])

    def scores(self, maps):
        """The same for a cut that ends with the scores: (n, C)."""
        return self(maps).reshape(len(maps), -1)

    def takes_a_batch(self, maps):
        """Whether several maps at once give what they give one by one."""
        try:
            together = self._run(maps[:2], 2)
            alone = np.concatenate([self._run(m[None], 1) for m in maps[:2]])
        except ValueError:
            return False
        scale = np.abs(alone).max()
        with np.errstate(invalid="ignore"):  # inf - inf
            return together.shape == alone.shape and bool(np.abs(together - alone).max() <= 1e-5 * scale)

    def _run(self, maps, n):
        first, last = self.seen[self.first], self.seen[self.last].value
        copies = len(first.value)  # a batch of fixed size is filled with the same picture
        fed = {self.first: as_stored(maps, self.axes, TYPES[first.type][0], copies, self.quantised)}
        for tensor in self.sized:  # only its size is asked
            value = self.seen[tensor].value
            fed[tensor] = np.zeros((n * len(value), *value.shape[1:]), value.dtype)
        try:
            (out,) = self.session.run([self.last], fed)
        except Exception as error:  # onnxruntime's exceptions share no base class
            raise ValueError(str(error)) from None
        own = last.shape[1:] if last.ndim > 1 else last.shape
        if out.size != n * copies * int(np.prod(own)) // (1 if last.ndim > 1 else copies):
            raise ValueError(f"{self.last} has shape {out.shape} for {n} maps")
        return out.reshape(n, -1, *own)[:, 0].astype(np.float32, copy=False)


def search(source, scores, seen, picture, known):
    """Ask for the head of some scores.

    Parameters
    ----------
    source : Source
    scores : Scores
    seen : dict of str to Tensor
        What the network computed from a made-up picture: all of `candidates`, and S.
    picture : (int, int)
        (width, height) of it, in pixels.
    known : int or None
        How many classes the network is known to have.

    Returns
    -------
    found : Found

    Raises
    ------
    CamNotApplicable
        Why CAM does not apply, or that this head cannot be followed.
    """
    graph, name, S = source.graph, source.name, seen[scores.S]
    if S.type not in FLOATS + INTEGERS:
        raise CamNotApplicable(f"its output {scores.output} holds {S.type[7:-1]}, not scores; "
                               "the paper needs the scores of the classes, before the softmax", name)
    if S.value.ndim == 0 or S.value.size == 0 or sum(side > 1 for side in S.value.shape[1:]) > 1:
        raise CamNotApplicable(f"its output {scores.S} is an array of shape {S.value.shape}, not one score "
                               "per class; the paper has a classifier: a last conv layer, global average "
                               "pooling and one linear layer", name)
    stretch = _stretch(graph, scores, seen, picture)
    picture = (picture[0] * stretch, picture[1])
    why = []
    for f, axes, size in _with_places(graph, scores, seen, picture):
        try:
            answer = _ask_one(source, scores, seen, f, axes, size)
        except CamNotApplicable:
            raise
        except (ValueError, KeyError):
            answer = Unfit(f, "unclear")
        if isinstance(answer, Found):
            answer.head.stretch = stretch
            return _classifier(source, scores, seen, answer, known)
        why.append(answer)
    why = why or [Unfit(None, "no places")]
    unfit = next((one for one in why if one.reason == "linear"), why[-1])
    if unfit.reason in ("places", "no places"):
        unfit = _token(graph, scores, seen, picture) or unfit
    raise CamNotApplicable(refusal(graph, scores.S, *unfit, seen), name)


def _stretch(graph, scores, seen, picture):
    """How many times as high as wide the cells of a map are in the picture, where they are no squares."""
    width, height = picture
    for t in _convolved(graph, dominators(graph, scores.S)):
        shape = seen[t].value.shape if t in seen else ()
        if len(shape) == 4 and shape[2] * shape[3] > 1:
            H, W = shape[2:]
            return 1.0 if unrolled(H * W, picture) == (H, W) else (height / H) / (width / W)
    return 1.0


def _with_places(graph, scores, seen, picture):
    """The tensors that may be f, with their axes and their (H, W): the nearest, and it in other shapes."""
    tensors = [t for t in dominators(graph, scores.S)[:NEAREST] if t in seen and t != scores.S]
    shapes = {t: seen[t].value.shape for t in tensors if seen[t].type in FLOATS + INTEGERS}
    places = [t for t in shapes if layouts(shapes[t], picture)]
    if not places:
        return
    # rather a tensor with height and width than tokens, or means of rows, that are computed from it
    whole = next((t for t in places if len(shapes[t]) == 4 and min(layouts(shapes[t], picture)[0][1]) > 1),
                 places[0])
    tried = set()
    for start in (whole, places[0]):
        values = np.sort(seen[start].value, axis=None)
        for t in sorted(places, key=lambda t: -len(shapes[t])):  # the same values, laid out in another order
            if t not in tried and np.array_equal(np.sort(seen[t].value, axis=None), values):
                tried.add(t)
                for axes, size in layouts(shapes[t], picture):
                    yield t, axes, size


def _token(graph, scores, seen, picture):
    """The tokens among which one is a class token that alone leads to the scores; or None."""
    tokens = [t for t in dominators(graph, scores.S) if t in seen and seen[t].value.ndim == 3]
    if tokens and _with_a_token(seen[tokens[0]].value.shape, picture):
        nodes, _ = between(graph, tokens[0], scores.S)
        if not any(node.op in POOLING for node in nodes):
            return Unfit(tokens[0], "token")
    return None


def _with_a_token(shape, picture):
    """Whether a shape is that of tokens (N, L, K) with one or two more than the places of a map."""
    return len(shape) == 3 and shape[1] > 4 and unrolled(shape[1], picture) is None and any(
        unrolled(shape[1] - more, picture) for more in (1, 2))


def _ask_one(source, scores, seen, f, axes, size):
    """What one tensor's head answers: Found, or Unfit."""
    graph = source.graph
    nodes, _ = between(graph, f, scores.S)
    head = Head(GAP, f, scores.S, scores.output, nodes, _weights(graph, nodes), axes,
                sigmoid=scores.sigmoid, asked=True)
    numbers = None
    if seen[f].type in INTEGERS:
        head.quantised = _scale_and_zero(graph, f, nodes)
        if not head.quantised:
            return Unfit(f, "unclear")
        numbers = tuple(np.float32(value).item() for value in source.values(head.quantised).values())
    cut = Cut(source, f, scores.S, seen, axes, numbers)
    example = units_first(seen[f].value, axes, size, numbers)
    C, K = seen[scores.S].value.size // len(seen[scores.S].value), example.shape[0]
    if C * K > MOST_WEIGHTS:
        raise CamNotApplicable(f"{C} classes of {K} units have {C * K:,} weights; at most "
                               f"{MOST_WEIGHTS:,} are asked for; the paper has about a million", source.name)
    precision = 11 if seen[f].type == "tensor(float16)" else 24
    answer = ask(cut.scores, example, min(precision, bits(graph, nodes)),
                 lambda: _cell(source, cut, seen, example))
    if answer.form is None:
        return Unfit(f, "places") if answer.places_matter else Unfit(f, "linear", answer.error)
    if not answer.w.any():
        return Unfit(f, "constant")
    head.form = answer.form
    return Found(head, answer.w, answer.b, numbers)


def _cell(source, cut, seen, f):
    """The head from maps of one place on, where it takes many at once (see `ask`); or None.

    It starts with the first tensor behind f that has the same units and takes any batch: often the
    pooled units themselves, while f has as many places as a Reshape says.
    """
    K, rng = len(f), np.random.default_rng(5)
    tensors = dominators(source.graph, cut.last)
    for t in tensors[tensors.index(cut.first) :: -1]:
        axes = axes_of(seen[t].value.shape, K) if t in seen and seen[t].type in FLOATS else None
        if axes is None or t == cut.last:
            continue
        layer = Cut(source, t, cut.last, seen, axes)
        if layer.takes_a_batch(rng.normal(size=(2, K, 1, 1)).astype(np.float32)):
            return layer.scores, np.ones(K) if t == cut.first else _reached(source, cut, t, axes, seen, f)
    return None


def _reached(source, cut, tensor, axes, seen, f):
    """How much of a unit of f that fires with 1, everywhere, arrives at another tensor of the same units."""
    v = strength(f)
    way = Cut(source, cut.first, tensor, seen, cut.axes, cut.quantised)
    off, on = (way(np.full((1, *f.shape), value, np.float32))[0] for value in (0, v))
    on = np.moveaxis(on - off, 0 if axes.startswith("K") else -1, 0)
    return on.reshape(len(f), -1).mean(axis=1) / v


def _weights(graph, nodes):
    """The weights that some nodes read."""
    return [t for node in nodes for t in node.inputs if t in graph.initializers and t not in graph.integers]


def _scale_and_zero(graph, f, nodes):
    """The names of the scale and the zero point of integers: they follow f where it is read."""
    for node in nodes:
        for first, scale, zero in zip(node.inputs, node.inputs[1:], node.inputs[2:]):
            if first == f and scale in graph.constants and zero in graph.constants:
                return scale, zero
    return ()


def _classifier(source, scores, seen, found, known):
    """The head, one step further back where its units are the scores; a refusal where it is no classifier."""
    head, w, b, numbers = found
    name = source.name
    if not (w.shape[0] == w.shape[1] and np.abs(w - np.eye(len(w))).max() < 1e-3 and np.abs(b).max() < 1e-3):
        return found
    example = seen[head.f].value - (numbers[1] if numbers else 0)
    if head.form is GAP and head.axes == "KHW":
        back = _through_linear_layer(source, scores, seen, head)
        if back is not None:
            return back
    linear = _is_linear(source.graph, head.f) and example.min() < 0
    if not (scores.probabilities or known == len(w) or linear):
        raise CamNotApplicable(
            f"it ends with the {len(w)} pooled units of {head.f}: it extracts features and has no "
            "classifier; the paper has one linear layer behind the pooling, so export the network together "
            f"with it (if these {len(w)} are classes, name them: labels)", name)
    return Found(head, np.eye(len(w), dtype=np.float32), np.zeros(len(w), np.float32), numbers)


def _mixes_units(w):
    """Whether each class has weights for several units."""
    return len(w) != len(w.T) or np.abs(w - np.diag(np.diag(w))).max() > 1e-4 * np.abs(w).max()


def _is_linear(graph, tensor):
    """Whether a linear layer made a tensor, and no activation stands behind it."""
    while (node := graph.makers.get(tensor)) is not None and node.op in PASSING:
        tensor = node.inputs[0]
    if node is None or "activation" in node.attributes:
        return False
    return "Conv" in node.op or node.op in {"Add", "BatchNormalization", "Gemm", "MatMul"}


def _through_linear_layer(source, scores, seen, head):
    """The Network in Network form, or the one with a ReLU before the pooling; None where it is neither."""
    graph, g, found = source.graph, seen[head.f].value, None
    for h in [t for t in dominators(graph, head.f)[:6] if t in seen]:
        value = seen[h].value
        if seen[h].type not in FLOATS or value.ndim != 4 or value.shape[2:] != g.shape[2:]:
            break
        size = value.shape[2:]
        try:
            layer = Cut(source, h, head.f, seen)
            w, b, rectified = ask_through_relu(layer, units_first(value, "KHW", size))
        except ValueError:
            break
        if w is None and found is not None:
            break
        if w is None:  # between the layer and its ReLU
            continue
        if not _mixes_units(w):
            continue  # each unit by itself, as a bias or BatchNormalization does
        chain, _ = between(graph, h, scores.S)
        form = SQUEEZENET if rectified else NIN
        weights = _weights(graph, chain)
        deeper = Head(form, h, scores.S, scores.output, chain, weights, sigmoid=scores.sigmoid, asked=True)
        found = Found(deeper, w, b)
    return found  # the furthest: BatchNormalization or a bias may stand behind the layer
