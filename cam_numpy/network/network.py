"""A network that shows f, w, b and its own scores."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path

import numpy as np

from ..errors import Assumed, CamNotApplicable, InputError
from ..image.photo import read_photo
from ..image.preprocessing import Preprocessing, View, preset
from ..names import plain
from ..paper._checks import shown
from ..paper.forms import NIN, SQUEEZENET
from . import hints
from .ask import explain
from .catalogue import LABELS, SHIPPED, bare, checked_path, find_model, is_fetched, model_in, suggestion
from .classes import find_class, name_that_is_an_index, read_labels
from .fold import fold
from .head import POOLING, between, bits, find_scores, read_head
from .onnx_reader import read_graph
from .onnx_writer import part, slim, with_classifier
from .search import Cut, Found, Tensor, candidates, search, units_first, unrolled
from .session import (
    TYPES,
    fed,
    model_bytes,
    open_session,
    run_session,
    shape_of,
    stamp_of,
    unchanged,
    understand_input,
)


def load(model: str | Path | Network | None = None, *, output: str | None = None,
         preprocessing: Preprocessing | str | dict | None = None,
         labels: str | Path | list[str] | None = None, threads: int | None = None) -> Network:
    """Open a network.

    Parameters
    ----------
    model : path, str or Network, optional
        An ONNX file; or the name of a network that comes with cam_numpy,
        "tiny-imagenet-gap" (the default) or "tiny-imagenet-gmp", which pools with the
        maximum; or the name of a public network that was fetched, such as "squeezenet1.1"
        (`cam_numpy.fetch`). A public network brings its own preprocessing and class names,
        by name or as a file. A Network that is open already is returned as it is.
    output : str, optional
        Which output holds the scores, where the network has several.
    preprocessing : Preprocessing, str or dict, optional
        How a photo becomes the input: the name of a preset, "imagenet", "caffe", "zero-one",
        "minus-one-one" or "efficientnet-lite"; or a dict that changes some attributes of
        `cam_numpy.image.preprocessing.Preprocessing`, such as ``{"size": 128}``. By default
        what the file itself says, else "imagenet".
    labels : path, or list of str, optional
        A text file with the name of one class per line, or a list of the names. By default the
        names in the file itself, else "class 0", "class 1" ...
    threads : int, optional
        How many threads work at one photo; 1 where photos are many and each thread shows the
        network a photo of its own. By default up to 4, and never more than there are cores.

    Returns
    -------
    network : Network

    Raises
    ------
    CamNotApplicable
        CAM does not apply to the network.
    InputError
        A file is missing, damaged or of another kind, or no network has this name.

    Warns
    -----
    Assumed
        Neither the file nor the caller says how photos are to be prepared, or what the classes
        are called; the same texts are in ``network.assumed``.

    Examples
    --------
    >>> network = load()
    >>> network.w.shape, network.b.shape, network.classes[:2]
    ((200, 256), (200,), ['Egyptian cat', 'reel'])
    """
    if isinstance(model, Network):
        if (output, preprocessing, labels, threads) != (None,) * 4:
            raise InputError(f"{model.name} is open already, and its options are fixed; give its file")
        return model
    path, preprocessing, labels = resolve(model, preprocessing, labels)
    network = Network(path, output, preprocessing, labels, threads)
    for text in network.assumed:
        warnings.warn(f"{network.name}: {text}", Assumed, stacklevel=2)
    return network


def resolve(model, preprocessing=None, labels=None):
    """The path of a network, with the preprocessing and the labels that the catalogue has for it."""
    path, public = _find(model)
    if public is not None:
        if not isinstance(preprocessing, str) and (preprocessing is None or isinstance(preprocessing, dict)):
            preprocessing = preset(public.preprocessing).changed(preprocessing or {})
        if labels is None and is_fetched(LABELS):
            labels = checked_path(LABELS)
    return path, preprocessing, labels


def _find(model):
    """The path of a network, and its entry in the catalogue where it is one of those."""
    if model is None:
        return shipped(), None
    if not isinstance(model, (str, os.PathLike)):
        raise InputError(f"the model is of type {type(model).__name__}; give the path of an .onnx file, "
                         "a name, or a Network from load")
    path = Path(model)
    if os.path.exists(path):
        return path, model_in(path)
    if bare(str(model)) in SHIPPED:
        return shipped(bare(str(model))), None
    try:
        public = find_model(str(model))
    except InputError:
        raise InputError(f"{model}: there is no such file, and no network of that name; "
                         + suggestion(str(model))) from None
    if not is_fetched(public):
        raise InputError(f"{public.name} is not on this machine yet; fetch it first: "
                         f'cam-numpy fetch {public.name}, or cam_numpy.fetch("{public.name}")')
    return checked_path(public), public


def shipped(name=SHIPPED[0]):
    """The path of a network that comes with cam_numpy."""
    for folder in (resources.files("cam_numpy"), Path(__file__).parent.parent.parent):
        path = Path(str(folder)) / "weights" / f"{name}.onnx"  # installed, or a plain checkout
        if path.is_file():
            return path
    raise InputError(f"the shipped network {name} is missing; install cam_numpy again, or give an .onnx file")


@dataclass(frozen=True)
class Seen:
    """What the network computed from one photo.

    Attributes
    ----------
    f : (K, H, W) float32 array
        Activations of the last convolutional layer.
    S : (C,) float32 array
        The network's own class scores, before the softmax.
    view : View
        Which part of the photo it saw.
    """

    f: np.ndarray
    S: np.ndarray
    view: View


class Network:
    """A classifier to which CAM applies; `load` opens one.

    Attributes
    ----------
    path : Path
    name : str
        The file's name.
    w : (C, K) float32 array
        Weights of the classifier.
    b : (C,) float32 array
        Its bias. A network with a single score has two classes here, for and
        against: the rows of w and b are -w, w and -b, b.
    binary : bool
        Whether the network has a single score.
    classes : list of str
        The name of each class.
    named : bool
        Whether these names are known, or "class 0", "class 1" ...
    wnids : list of str, or None
        The WordNet id of each class, where known.
    preprocessing : Preprocessing
    form : cam_numpy.paper.forms.Form
        How it gets from f to S, and which identity holds.
    sigmoid : bool
        Each class is judged by itself: P_c = 1 / (1 + exp(-S_c)).
    head : Head
        The way from f to S, node by node.
    assumed : list of str
        Assumptions made where neither the file nor the caller gave a value.
    metadata : dict of str to str
        What the file says of itself: training data, licence, accuracy ...
    """

    def __init__(self, path, output=None, preprocessing=None, labels=None, threads=None):
        self.path = Path(path)
        self.name = self.path.name
        self._threads = threads
        data = model_bytes(self.path)
        self._file = self.path.resolve()  # a link leads to it; onnxruntime maps the weights in it
        self._stamp = stamp_of(self._file)
        graph = read_graph(data, self.path)
        self._source = (data, graph, self.path)
        _check_files(graph, self.path)
        self.metadata = graph.metadata
        self._names = hints.names(graph) if labels is None else read_labels(labels)
        scores = find_scores(graph, self.name, output)
        found = self._read_head(scores, preprocessing) or self._ask_head(scores, preprocessing)
        self.head, self.form, self.sigmoid = found.head, found.head.form, found.head.sigmoid
        if output is None and len(scores) > 1:
            self.assumed.append(f"of its outputs ({', '.join(graph.outputs)}), {self.head.output} is taken "
                                "for the scores (to change this: output)")
        self.w, self.b, self.binary = _two_classes(found.w, found.b)
        # S and -S are the scores for and against, so that P = 1 / (1 + exp(-S)), as for any single score
        self.sigmoid = self.sigmoid or self.binary
        self.classes, self.wnids, self.named = self._name_classes()
        del self._source  # the file's bytes, which each node would keep, too
        for node in self.head.chain:
            node.message = None

    def __repr__(self):
        C, K = self.w.shape
        assumed = "; assumed: preprocessing" if self.assumes_preprocessing else ""
        form = f"{self.form.verdict} ({self.form.name})"
        return f"<Network {plain(self.name)}: {K} units, {C} classes, {form}{assumed}>"

    @property
    def assumes_preprocessing(self):
        """Whether neither the file nor the caller says how photos are to be prepared."""
        return any("preprocessing" in text for text in self.assumed)

    def _open(self, tensors, chosen):
        """Open the session, with inner tensors as outputs."""
        data, graph, path = self._source
        inner = sorted(set(tensors) - set(graph.outputs) - set(graph.inputs))
        self._session = open_session(slim(data, self._file.name, inner), path, self._threads)
        self._input, self.preprocessing, self.assumed = understand_input(
            self._session, self.metadata, chosen, self.name, hints.preprocessing(self._source, self._session))

    def _read_head(self, scores, chosen):
        """The head as the graph says it, with w and b; None where it must be asked."""
        heads = [head for one in scores if (head := read_head(self._source[1], one))]
        if len(heads) > 1:
            raise _several(heads, self.name)
        if not heads:
            return None
        (head,) = heads
        self.head = head
        data, graph, path = self._source
        precision = bits(graph, head.chain)
        self._open([head.f, head.S, *(between(graph, head.f, head.S)[1] if precision < 24 else [])], chosen)
        wanted = [*head.constants, *head.quantised]
        constants = dict(zip(wanted, open_session(part(data, graph, wanted), path, threads=1).run(wanted, {}),
                             strict=True))
        self._numbers = tuple(np.float32(constants[t]).item() for t in head.quantised) or None
        try:
            w, b = fold(head, constants, self._units)
            if w.shape[1] != self._units() or not self._pools_all(head):
                return None
            if self._size() == [1, 1]:
                raise self._one_cell(w.shape[1], self.preprocessing.view((100, 100)).input)
            if any(node.op == "Gather" for node in head.chain):  # it may have mixed the units
                f, S = self._fetch(self.noise())
                head.form.check(f, w, b, S)
        except OneCell:
            raise
        except (ValueError, IndexError, TypeError):
            return None
        return Found(head, w, b) if precision == 24 or self._rounds(head, w, b, precision) else None

    def _rounds(self, head, w, b, precision):
        """Whether w and b explain the scores of a head of few bits; its form then says so."""
        tensors = [head.f, head.S, *between(self._source[1], head.f, head.S)[1]]
        cut = Cut(self._source, head.f, head.S, self._seen(tensors), head.axes, self._numbers)
        # where integers are cut off at zero, no ReLU is written
        forms = (NIN, SQUEEZENET) if head.form in (NIN, SQUEEZENET) else (head.form,)
        head.form = explain(cut.scores, self._fetch(self.noise())[0], w, b, precision, forms).form
        return head.form is not None

    def _ask_head(self, scores, chosen):
        """The head as it answers when it is asked."""
        graph = self._source[1]
        tensors = {one.S for one in scores}
        for one in scores:
            tensors.update(*candidates(graph, one))
        self._open(tensors, chosen)
        made = {t for t in tensors if t in graph.makers or t in graph.inputs}
        seen, (width, height) = self._seen(made), self.preprocessing.view((100, 100)).input
        C = None if self._names[0] is None else len(self._names[0])
        answers, refusals = [], []
        for one in scores:
            try:
                answers.append(search(self._source, one, seen, (width, height), C))
            except CamNotApplicable as refused:
                refusals.append(refused)
        if len(answers) > 1:
            raise _several([found.head for found in answers], self.name)
        if not answers:
            nothing = CamNotApplicable("it has no outputs; give a classifier", self.name)
            raise refusals[0] if refusals else nothing
        (found,) = answers
        self.head, self._numbers = found.head, found.numbers
        self._open([found.head.f, found.head.S], chosen)
        return found

    def _seen(self, tensors):
        """What the network computes from a made-up picture."""
        types = {t.name: t.type for t in [*self._session.get_outputs(), *self._session.get_inputs()]}
        x = self.noise()
        values, _ = fed(self._session, x, self.preprocessing)
        inner = [t for t in tensors if t in types and t not in values]
        arrays, _ = run_session(self._session, inner, x, self.preprocessing, self.name)
        values |= zip(inner, arrays, strict=True)
        return {t: Tensor(values[t], types[t]) for t in values}

    def noise(self):
        """A made-up input, (channels, h, w): noise of the size that the network takes."""
        return 4 * np.random.default_rng(0).random(self._input_shape(), np.float32) - 2

    def _input_shape(self):
        """(channels, h, w) for a square photo."""
        width, height = self.preprocessing.view((100, 100)).input
        return self.preprocessing.channels, height, width

    def _size(self):
        """[H, W], as far as onnxruntime infers them from the graph."""
        (shape,) = (shape_of(tensor, self.name) for tensor in self._session.get_outputs()
                    if tensor.name == self.head.f)
        return (shape[1:3] if self.head.channels_last else shape[2:]) if len(shape) == 4 else []

    def _one_cell(self, K, picture):
        return OneCell(f"a map of one cell: {self.head.f} is {K} x 1 x 1 for a picture of "
                       f"{picture[0]} x {picture[1]}, so there are no places to show; the paper "
                       "takes a layer with places: show larger pictures (size), where the network "
                       "takes them", self.name)

    def _pools_all(self, head):
        """Whether the pooling is as large as f, as far as onnxruntime can infer f's size."""
        pool = next(node for node in head.chain if node.op in POOLING)
        kernel, pads = (pool.attributes.get(key) for key in ("kernel_shape", "pads"))
        size = self._size()
        if not kernel or not size or head.chain[0] is not pool:
            return not (kernel and any(pads or []))
        return not any(pads or []) and (size == kernel or not all(isinstance(side, int) for side in size))

    def _units(self):
        """K, as onnxruntime infers it from the graph; where it cannot, from a run on an empty picture."""
        (shape,) = (shape_of(tensor, self.name) for tensor in self._session.get_outputs()
                    if tensor.name == self.head.f)
        K = shape[3 if self.head.channels_last else 1] if len(shape) == 4 else None
        return K if isinstance(K, int) else len(self._fetch(np.zeros(self._input_shape(), np.float32))[0])

    def _name_classes(self):
        """The names of the classes, their WordNet ids or None, and whether the names are known."""
        names, wnids = self._names
        if names is None:
            self.assumed.append('it does not name its classes, so they are called "class 0", "class 1" ... '
                                "(to change this: labels)")
            return [f"class {c}" for c in range(len(self.b))], None, False
        if self.binary and len(names) == 1:
            names = [f"not {names[0]}", names[0]]
        if len(names) != len(self.b):
            raise InputError(f"{self.name} has {len(self.b)} classes but {len(names)} names are given; "
                             "give as labels a file with one name per line, in the order of the scores")
        if (c := name_that_is_an_index(names)) is not None:
            self.assumed.append(f'its class {c} is called "{names[c]}", which is also the index of another '
                                "class: in words, the name is meant")
        return names, wnids, True

    def find_class(self, wanted: int | str) -> int:
        """The index of a class, from its index, one of its names, or words that only one class has.

        Raises
        ------
        InputError
            No class is meant, or several are.
        """
        return find_class(self.classes, wanted)

    @cached_property
    def body(self):
        """The maps of all layers (`cam_numpy.network.layers.Body`), in a session of its own."""
        from .layers import Body

        unchanged(self._file, self._stamp, self.name)
        body = Body(self.path, self.preprocessing, self.head.f, self._units_first, self._threads)
        body.assumed = self.assumed
        return body

    def layers(self):
        """The maps of the body, from shallow to deep; the last is f.

        Returns
        -------
        layers : list of cam_numpy.network.layers.Layer
            (name, shape (K, H, W), stride, receptive_field, start, gated), for a square photo.

        Raises
        ------
        InputError
            They cannot be listed; the message says why.
        """
        return self.body.layers

    def with_classifier(self, w, b, metadata):
        """The bytes of an .onnx file with the same body, which pools with the average.

        Parameters
        ----------
        w : (C, K) array
        b : (C,) array
        metadata : dict of str to str
            What the file says of itself, besides the preprocessing.

        Returns
        -------
        model : bytes
        """
        data = model_bytes(self.path)
        unchanged(self._file, self._stamp, self.name)
        types = {tensor.name: tensor.type for tensor in self._session.get_outputs()}
        kind = TYPES[types[self.head.f]][1]
        return with_classifier(data, read_graph(data, self.name), self.head, kind, w, b,
                               {**self.preprocessing.as_metadata(), **metadata}, self._file.parent)

    @property
    def input_name(self):
        """The tensor that takes the picture."""
        return self._input.name

    def check_scores(self, f: np.ndarray, S: np.ndarray) -> float:
        """The largest error of the network's identity, `form.identity`.

        Parameters
        ----------
        f : (K, H, W) array
        S : (C,) array
            As `run` returns them.

        Returns
        -------
        error : float
            In score units.

        Raises
        ------
        CamNotApplicable
            The maps do not add up to the scores.
        """
        try:
            return self.form.check(f, self.w, self.b, S)
        except ValueError as refused:
            raise CamNotApplicable(str(refused), self.name) from None

    def see(self, photo):
        """Show the network a photo.

        Parameters
        ----------
        photo : path, PIL.Image.Image, or (h, w, 3) uint8 array

        Returns
        -------
        seen : Seen

        Raises
        ------
        InputError
            The photo cannot be read.
        """
        x, view = self.preprocessing(read_photo(photo))
        return Seen(*self.run(x), view)

    def run(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Run the network on an input that is preprocessed already.

        Parameters
        ----------
        x : (3, h, w) float32 array

        Returns
        -------
        f : (K, H, W) float32 array
        S : (C,) float32 array

        Raises
        ------
        InputError
            The network does not take an input of this size.
        """
        if not isinstance(x, np.ndarray) or x.ndim != 3 or x.dtype.kind not in "fiu":
            given = f"of shape {x.shape}" if isinstance(x, np.ndarray) else shown(x)
            raise InputError(f"x is {given}; run takes an input (3, h, w) that is preprocessed already; "
                             "give a photo to see instead")
        f, S = self._fetch(x)
        C, K = self.w.shape
        if f.shape[0] != K or S.size != (1 if self.binary else C):
            raise CamNotApplicable(f"it has {f.shape[0]} units and {S.size} scores, which do not fit a "
                                   f"linear layer of {K} inputs and {C} outputs; the paper has one linear "
                                   "layer behind the pooling",
                                   self.name)
        return f, np.concatenate([-S, S]) if self.binary else S

    def _fetch(self, x):
        """f (K, H, W), and S as the network has it, from x (channels, h, w)."""
        unchanged(self._file, self._stamp, self.name)
        tensors = [self.head.f, self.head.S]
        (f, S), batch = run_session(self._session, tensors, x, self.preprocessing, self.name)
        S = S[0] if S.ndim > 1 or batch > 1 else S  # some networks drop a batch of one
        return self._units_first(f, x.shape[:0:-1]), S.reshape(-1).astype(np.float32, copy=False)

    def _units_first(self, f, picture=None):
        """f (K, H, W) as it enters the pooling, or a refusal where that is no global pooling."""
        head, picture = self.head, picture or self.preprocessing.view((100, 100)).input
        if f.ndim != (4 if "H" in head.axes else 3):
            raise CamNotApplicable(f"an array of shape {f.shape} is pooled, not activations (1, K, H, W); "
                                   "the paper pools the last conv layer over all places", self.name)
        size = f.shape[1:3] if head.axes == "HWK" else f.shape[2:] if head.axes == "KHW" else unrolled(
            f.shape[1 if head.axes == "LK" else 2], picture)
        if size is None:
            raise CamNotApplicable(f"{head.f} of shape {f.shape} does not fill a map of the picture's shape; "
                                   "the paper has one unit value for each place", self.name)
        f = units_first(f, head.axes, size, self._numbers)
        first = head.chain[0]
        if not head.asked and first.op == "Conv" and first.attributes.get("pads"):
            # zeros around f, as the 1x1 conv sees it
            top, left, bottom, right = first.attributes["pads"]
            f = np.pad(f, ((0, 0), (top, bottom), (left, right)))
        if f.shape[1] * f.shape[2] == 1 and self.preprocessing.resize != "fit":  # so for every photo
            raise self._one_cell(len(f), picture)
        pool = next((node for node in head.chain if node.op in POOLING), None)
        kernel = None if head.asked or pool is None else pool.attributes.get("kernel_shape")
        if kernel and (list(kernel) != list(f.shape[1:]) or any(pool.attributes.get("pads") or [])):
            raise CamNotApplicable(f"{pool} pools {kernel[0]} x {kernel[1]} cells of a {f.shape[1]} x "
                                   f"{f.shape[2]} map, "
                             "and what is left is flattened; the paper pools the whole map", self.name)
        return f


def _two_classes(w, b):
    """w and b, of at least two classes, read-only; and whether there is a single score."""
    binary = len(b) == 1
    if binary:
        w, b = np.concatenate([-w, w]), np.concatenate([-b, b])
    w.flags.writeable = b.flags.writeable = False
    return w, b, binary


def _several(heads, name):
    found = ", ".join(head.output for head in heads)
    return InputError(f"{name} has several outputs that are classifiers ({found}); choose one (output)")


def _check_files(graph, path):
    """An InputError that names a missing file of weights."""
    missing = sorted({file for file in graph.files.values() if not (path.resolve().parent / file).is_file()})
    if missing:
        raise MissingWeights(f"{path.name} keeps its weights in {missing[0]}, which is not in "
                             f"{path.resolve().parent}; put the file beside the model, or export the network "
                             "with its weights inside")


class OneCell(CamNotApplicable):
    """A map without places."""


class MissingWeights(InputError):
    """The file of weights beside a model is not there."""
