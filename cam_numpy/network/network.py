"""The one door to onnxruntime: a network that shows f, w, b and its own scores."""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path

import numpy as np

from ..errors import Assumed, CamNotApplicable, InputError
from ..image.photo import read_photo
from ..image.preprocessing import View, for_input, preset
from ..input import unreadable
from .catalogue import LABELS, find_model, is_fetched, local_path, model_in
from .classes import find_class, name_that_is_an_index, read_labels
from .fold import fold
from .head import POOLING, find_head
from .onnx_reader import read_graph
from .onnx_writer import part, slim

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # must be set before the import
import onnxruntime  # noqa: E402 - see the line above

SHIPPED = ("tiny-imagenet-gap", "tiny-imagenet-gmp")  # with average pooling, and with max pooling to compare
THREADS = 4  # more do not help a small network, and leave a laptop usable
DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


def load(model=None, *, output=None, preprocessing=None, labels=None, threads=None):
    """Open a network.

    Parameters
    ----------
    model : path or str, optional
        An ONNX file; or the name of a network that comes with cam_numpy,
        "tiny-imagenet-gap" (the default) or "tiny-imagenet-gmp", which pools with the
        maximum; or the name of a public network that was fetched, such as "squeezenet1.1"
        (`cam_numpy.fetch`). A public network brings its own preprocessing and class names,
        by name or as a file.
    output : str, optional
        Which output holds the scores, where the network has several.
    preprocessing : Preprocessing, str or dict, optional
        How a photo becomes the input: the name of a preset, "imagenet", "caffe", "zero-one",
        "minus-one-one" or "efficientnet-lite"; or a dict that changes some attributes of
        `cam_numpy.image.preprocessing.Preprocessing`, such as ``{"size": 128}``. By default
        what the file itself says, else "imagenet".
    labels : path, optional
        A text file with the name of one class per line. By default the names in the file
        itself, else "class 0", "class 1" ...
    threads : int, optional
        How many threads work at one photo; 1 where photos are many and each thread shows the
        network a photo of its own. By default up to 4.

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
            labels = local_path(LABELS)
    return path, preprocessing, labels


def _find(model):
    """The path of a network, and its entry in the catalogue where it is one of those."""
    if model is None or (model in SHIPPED and not os.path.exists(model)):
        return shipped(model or SHIPPED[0]), None
    path = Path(model)
    if os.path.exists(path) or path.suffix == ".onnx":
        return path, model_in(path)
    public = find_model(str(model))
    if not is_fetched(public):
        raise InputError(f"{public.name} is not on this machine yet; fetch it first: "
                         f'cam-numpy fetch {public.name}, or cam_numpy.fetch("{public.name}")')
    path = local_path(public)
    if model_in(path) is None:
        raise InputError(f"{path} is damaged: it is not the file that was published; delete it and fetch it again")
    return path, public


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
        data = mapped(self.path)
        self._file = self.path.resolve()  # a link leads to it; onnxruntime maps the weights in it
        self._stamp = stamp_of(self._file)
        graph = read_graph(data, self.name)
        self.metadata = graph.metadata
        self.head = find_head(graph, self.name, output)
        self.form, self.sigmoid = self.head.form, self.head.sigmoid
        added = sorted({self.head.f, self.head.S} - set(graph.outputs))
        self._threads = threads
        self._session = open_session(slim(data, self._file.name, added), self.path, threads)
        self._input, self.preprocessing, self.assumed = understand_input(
            self._session, self.metadata, preprocessing, self.name)
        self.w, self.b, self.binary = self._read_classifier(data, graph)
        self.classes, self.wnids, self.named = self._name_classes(labels)

    def __repr__(self):
        C, K = self.w.shape
        return f"<Network {self.name}: {K} units, {C} classes, {self.form.verdict} ({self.form.name})>"

    def _read_classifier(self, data, graph):
        """w (C, K), b (C,), and whether there is a single score."""
        constants = []
        if self.head.constants:
            session = open_session(part(data, graph, self.head.constants), self.path, threads=1)
            constants = session.run(self.head.constants, {})
        try:
            w, b = fold(self.head, dict(zip(self.head.constants, constants, strict=True)), self._units)
        except CamNotApplicable as refusal:
            raise CamNotApplicable(refusal.reason, self.name) from None
        binary = len(b) == 1
        if self._units() != w.shape[1]:
            K = len(self._seen_nothing())  # a more exact reason may come up there
            raise CamNotApplicable(f"{K} units do not fit a linear layer of {w.shape[1]} inputs, so the "
                                   "activations are flattened, not pooled; the paper puts global average pooling there",
                                   self.name)
        if binary:
            w, b = np.concatenate([-w, w]), np.concatenate([-b, b])
        w.flags.writeable = b.flags.writeable = False
        return w, b, binary

    def _units(self):
        """K, as onnxruntime infers it from the graph; where it cannot, from a run on an empty picture."""
        (shape,) = (tensor.shape for tensor in self._session.get_outputs() if tensor.name == self.head.f)
        K = shape[3 if self.head.channels_last else 1] if len(shape) == 4 else None
        return K if isinstance(K, int) else len(self._seen_nothing())

    def _seen_nothing(self):
        """f (K, H, W) of an empty picture."""
        width, height = self.preprocessing.view((100, 100)).input
        return self._fetch(np.zeros((3, height, width), np.float32))[0]

    def _name_classes(self, labels):
        """The names of the classes, their WordNet ids or None, and whether the names are known."""
        if labels is None:
            names, wnids = (_listed(self.metadata, key) for key in ("classes", "wnids"))
        else:
            names, wnids = read_labels(labels)
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

    def find_class(self, wanted):
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

    @property
    def input_name(self):
        """The tensor that takes the picture."""
        return self._input.name

    def check_scores(self, f, S):
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
        # eleven bits of precision, or twenty-four
        tolerance = 1e-2 if self._input.type == "tensor(float16)" else 1e-4
        try:
            return self.form.check(f, self.w, self.b, S, tolerance)
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

    def run(self, x):
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
        f, S = self._fetch(x)
        C, K = self.w.shape
        if f.shape[0] != K or S.size != (1 if self.binary else C):
            raise CamNotApplicable(f"it has {f.shape[0]} units and {S.size} scores, which do not fit a linear layer of {K} "
                                   f"inputs and {C} outputs; the paper has one linear layer behind the pooling",
                                   self.name)
        return f, np.concatenate([-S, S]) if self.binary else S

    def _fetch(self, x):
        """f (K, H, W), and S as the network has it, from x (3, h, w)."""
        unchanged(self._file, self._stamp, self.name)
        (f, S), batch = run_session(self._session, [self.head.f, self.head.S], x, self.preprocessing, self.name)
        S = S[0] if S.ndim > 1 or batch > 1 else S  # some networks drop a batch of one
        return self._units_first(f), S.reshape(-1).astype(np.float32, copy=False)

    def _units_first(self, f):
        """f (K, H, W) as it enters the pooling, or a refusal where that is no global pooling."""
        if f.ndim != 4:
            raise CamNotApplicable(f"an array of shape {f.shape} is pooled, not activations (1, K, H, W); "
                             "the paper pools the last conv layer over all places", self.name)
        f = f[0].astype(np.float32, copy=False)
        if self.head.channels_last:
            f = np.ascontiguousarray(f.transpose(2, 0, 1))
        first = self.head.chain[0]
        if first.op == "Conv" and first.attributes.get("pads"):  # zeros around f, as the 1x1 conv sees it
            top, left, bottom, right = first.attributes["pads"]
            f = np.pad(f, ((0, 0), (top, bottom), (left, right)))
        pool = next(node for node in self.head.chain if node.op in POOLING)
        kernel = pool.attributes.get("kernel_shape")
        if kernel and (list(kernel) != list(f.shape[1:]) or any(pool.attributes.get("pads") or [])):
            raise CamNotApplicable(f"{pool} pools {kernel[0]} x {kernel[1]} cells of a {f.shape[1]} x {f.shape[2]} map, "
                             "and what is left is flattened; the paper pools the whole map", self.name)
        return f


def understand_input(session, metadata, preprocessing, name):
    """A session's input, the preprocessing, and what had to be assumed."""
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise CamNotApplicable(f"it takes {len(inputs)} inputs ({', '.join(i.name for i in inputs)}); "
                               "the paper's networks take a picture", name)
    if inputs[0].type not in DTYPES:
        raise InputError(f"{name} takes {inputs[0].type}; give one that takes float or float16")
    shape = [side if isinstance(side, int) and side > 0 else None for side in inputs[0].shape]
    preprocessing, assumed = for_input(shape, metadata, preprocessing, name)
    return inputs[0], preprocessing, assumed


def run_session(session, tensors, x, preprocessing, name):
    """Some tensors for x (3, h, w), each with the batch in front, and the size of the batch."""
    (taken,) = session.get_inputs()
    x = x if preprocessing.channels_first else x.transpose(1, 2, 0)
    batch = taken.shape[0] if isinstance(taken.shape[0], int) else 1
    fed = np.ascontiguousarray(np.repeat(x[None], batch, axis=0), DTYPES[taken.type])
    try:
        return session.run(tensors, {taken.name: fed}), batch
    except Exception as error:  # onnxruntime's exceptions share no base class
        raise InputError(f"{name} cannot take an input of shape {fed.shape}: {_reason(error)}") from None


def unchanged(file, stamp, name):
    """An InputError where a file was written to since `stamp_of` looked at it."""
    if stamp_of(file) not in (stamp, None):
        raise InputError(f"{name} has changed since it was opened; load it again")


def _listed(metadata, key):
    """A list of texts in the metadata of a file of ours; None where there is none, or an empty one."""
    try:
        names = json.loads(metadata.get(key, "null"))
    except ValueError:
        return None
    return names if isinstance(names, list) and names and all(isinstance(name, str) for name in names) else None


def mapped(path):
    """The bytes of a file, mapped into memory rather than read."""
    if os.path.isdir(path):
        raise InputError(f"{path} is a folder; give an .onnx file")
    try:
        return np.memmap(path, np.uint8, mode="r").data if path.stat().st_size else b""
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such model; check the name") from None
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None


def stamp_of(path):
    """What changes when a file is written to. None if it is gone: who has it mapped keeps its bytes."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def open_session(model, path, threads=None):
    """Open a slim copy of the model at `path`."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised anyway
    options.intra_op_num_threads = threads or min(THREADS, os.cpu_count() or 1)
    folder = str(path.resolve().parent)  # where weights lie, in the model's file and beside it
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", folder)
    try:
        return onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"], enable_fallback=0  # it would print and try again
        )
    except Exception as error:  # onnxruntime's exceptions share no base class
        raise InputError(f"{path.name} cannot be opened by onnxruntime {onnxruntime.__version__}: "
                         f"{_reason(error)}") from None


def _reason(error):
    """onnxruntime's message in one line, without its prefix."""
    return " ".join(str(error).split(" : ")[-1].split())[:200]
