"""The one door to onnxruntime: a network that shows f, w, b and its own scores."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path

import numpy as np

from ..paper.cam import check_scores
from .classes import read_labels
from ..errors import InputError, NotCamable
from .fold import fold
from .head import POOLING, find_head
from .onnx_reader import read_graph
from .onnx_writer import slim
from ..image.photo import read_photo
from ..image.preprocessing import View, for_input

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # must be set before the import
import onnxruntime  # noqa: E402 - see the line above

SHIPPED = ("tiny-imagenet-gap", "tiny-imagenet-gmp")  # with average pooling, and with max pooling to compare
THREADS = 4  # more do not help a small network, and leave a laptop usable
DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


def load(path=None, *, output=None, preprocessing=None, labels=None, threads=None):
    """Open a network.

    Parameters
    ----------
    path : path, optional
        An ONNX file, or the name of a network that comes with cam_numpy:
        "tiny-imagenet-gap" (the default) or "tiny-imagenet-gmp", which pools with
        the maximum.
    output : str, optional
        Which output holds the scores, where the network has several.
    preprocessing : Preprocessing, str or dict, optional
        How a photo becomes its input: see `cam_numpy.preprocessing.PRESETS` for
        the names. By default what the file itself says, else "imagenet"; a dict
        changes some attributes of that, such as ``{"size": 128}``.
    labels : path, optional
        A text file with the name of one class a line. By default the names in
        the file itself, else "class 0", "class 1" ...
    threads : int, optional
        How many threads work at one photo; 1 where photos are many and each
        thread shows the network one of its own. By default up to 4.

    Returns
    -------
    network : Network

    Raises
    ------
    NotCamable
        CAM does not apply to the network.
    InputError
        A file is missing, damaged or of another kind.

    Examples
    --------
    >>> network = load()
    >>> network.w.shape, network.b.shape, network.classes[:2]
    ((200, 256), (200,), ['Egyptian cat', 'reel'])
    """
    if path is None or (path in SHIPPED and not Path(path).exists()):
        path = shipped(path or SHIPPED[0])
    return Network(path, output, preprocessing, labels, threads)


def shipped(name=SHIPPED[0]):
    """The path of a network that comes with cam_numpy."""
    for folder in (resources.files("cam_numpy"), Path(__file__).parent.parent.parent):
        path = Path(str(folder)) / "weights" / f"{name}.onnx"  # installed, or a plain checkout
        if path.is_file():
            return path
    raise InputError(f"the shipped network {name} is missing; install cam_numpy again, or give --model FILE")


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
        Weights of the classifier, as onnxruntime reads them from the file.
    b : (C,) float32 array
        Its bias. A network with a single score has two classes here, for and
        against: the rows of w and b are -w, w and -b, b.
    classes : list of str
        The name of each class.
    named : bool
        Whether these names are known, or "class 0", "class 1" ...
    wnids : list of str, or None
        The WordNet id of each class, where known.
    preprocessing : Preprocessing
    form : Form
        How it gets from f to S, and which identity holds.
    sigmoid : bool
        Each class is judged by itself: P_c = 1 / (1 + exp(-S_c)).
    head : Head
        The way from f to S, node by node.
    assumed : list of str
        What the file does not say and nobody told.
    metadata : dict of str to str
        What the file says of itself: training data, licence, accuracy ...
    """

    def __init__(self, path, output=None, preprocessing=None, labels=None, threads=None):
        self.path = Path(path)
        self.name = self.path.name
        data = _mapped(self.path)
        self._file = self.path.resolve()  # a link leads to it; onnxruntime maps the weights in it
        self._stamp = _stamp(self._file)
        graph = read_graph(data, self.name)
        self.head = find_head(graph, self.name, output)
        self.form, self.sigmoid = self.head.form, self.head.sigmoid
        self.metadata = graph.metadata
        added = {self.head.f, self.head.S, *self.head.constants} - set(graph.outputs)
        model = slim(data, self._file.name, sorted(added))
        self._session = _session(model, self.path, threads or min(THREADS, os.cpu_count() or 1))
        self._input, self.preprocessing, self.assumed = self._understand_input(preprocessing)
        self._classifier = None  # w, b and whether there is a single score: read in the first run
        if labels is None:
            self._names, self.wnids = (_listed(self.metadata, key) for key in ("classes", "wnids"))
        else:
            self._names, self.wnids = read_labels(labels)
        if self._names is None:
            self.assumed.append("the names of the classes are not known (--labels FILE)")

    def _understand_input(self, preprocessing):
        """The session's input, the preprocessing, and what had to be assumed."""
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise NotCamable(f"it takes {len(inputs)} inputs ({', '.join(i.name for i in inputs)}); "
                             "the paper's networks take a picture", self.name)
        if inputs[0].type not in DTYPES:
            raise InputError(f"{self.name} takes {inputs[0].type}; give one that takes float or float16")
        shape = [side if isinstance(side, int) and side > 0 else None for side in inputs[0].shape]
        preprocessing, assumed = for_input(shape, self.metadata, preprocessing, self.name)
        return inputs[0], preprocessing, assumed

    @property
    def w(self):
        return self._read()[0]

    @property
    def b(self):
        return self._read()[1]

    @property
    def binary(self):
        """Whether the network has a single score, for one class and against it."""
        return self._read()[2]

    def _read(self):
        """w, b and whether there is a single score.

        onnxruntime runs the whole graph even when only weights are asked for, so
        they come along with the first photo; before that, with an empty one.
        """
        if self._classifier is None:
            width, height = self.preprocessing.view((100, 100)).input
            self.run(np.zeros((3, height, width), np.float32))
        return self._classifier

    @property
    def input_name(self):
        """The tensor that takes the picture."""
        return self._input.name

    def check_scores(self, f, S):
        """The largest error of the network's identity, by `cam_numpy.check_scores`.

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
        NotCamable
            The maps do not add up to the scores.
        """
        # as a part of max |S|: what the rounding of the network's own arithmetic explains
        tolerance = 1e-2 if self._input.type == "tensor(float16)" else 1e-4
        try:
            return check_scores(f, self.w, self.b, S, tolerance, self.form.pooled)
        except ValueError as refused:
            raise NotCamable(str(refused), self.name) from None

    @property
    def named(self):
        return self._names is not None

    @cached_property
    def classes(self):
        names = self._names or [f"class {c}" for c in range(len(self.b))]
        if self.binary and len(names) == 1:
            names = [f"not {names[0]}", names[0]]
        if len(names) != len(self.b):
            raise InputError(f"{self.name} has {len(self.b)} classes but {len(names)} names are given; "
                             "give --labels a file with one name per line, in the order of the scores")
        return names

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
        if self._classifier is None:
            f, S, *constants = self._fetch(x, self.head.constants)
            self._classifier = self._folded(f, S, constants)
        else:
            f, S = self._fetch(x)
        return f, np.concatenate([-S, S]) if S.size == 1 else S

    def _folded(self, f, S, constants):
        """w (C, K), b (C,), and whether there is a single score."""
        try:
            w, b = fold(self.head, dict(zip(self.head.constants, constants)), f.shape[0])
        except NotCamable as refusal:
            raise NotCamable(refusal.reason, self.name) from None
        if w.shape[1] != f.shape[0] or len(w) != S.size:
            raise NotCamable(f"{f.shape[0]} units and {S.size} scores do not fit a linear layer of {w.shape[1]} inputs "
                             f"and {len(w)} outputs, so the activations are flattened, not pooled; "
                             "the paper puts global average pooling there", self.name)
        binary = len(b) == 1
        if binary:
            w, b = np.concatenate([-w, w]), np.concatenate([-b, b])
        w.flags.writeable = b.flags.writeable = False
        return w, b, binary

    def _fetch(self, x, constants=()):
        """f (K, H, W), S as the network has it, and some constants, from x (3, h, w)."""
        if _stamp(self._file) not in (self._stamp, None):
            raise InputError(f"{self.name} has changed since it was opened; load it again")
        shape = self._input.shape
        x = x if self.preprocessing.channels_first else x.transpose(1, 2, 0)
        batch = shape[0] if isinstance(shape[0], int) else 1
        fed = np.ascontiguousarray(np.repeat(x[None], batch, axis=0), DTYPES[self._input.type])
        try:
            f, S, *rest = self._session.run([self.head.f, self.head.S, *constants], {self._input.name: fed})
        except Exception as error:  # onnxruntime's exceptions share no base class
            raise InputError(f"{self.name} cannot take an input of shape {fed.shape}: {_reason(error)}") from None
        S = S[0] if S.ndim > 1 or batch > 1 else S  # some networks drop a batch of one
        return self._units_first(f), S.reshape(-1).astype(np.float32, copy=False), *rest

    def _units_first(self, f):
        """f (K, H, W) as it enters the pooling, or a refusal where that is no global pooling."""
        if f.ndim != 4:
            raise NotCamable(f"an array of shape {f.shape} is pooled, not activations (1, K, H, W); "
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
            raise NotCamable(f"{pool} pools {kernel[0]} x {kernel[1]} cells of a {f.shape[1]} x {f.shape[2]} map, "
                             "and what is left is flattened; the paper pools the whole map", self.name)
        return f


def _listed(metadata, key):
    """A list of texts in the metadata of a file of ours; None where there is none."""
    try:
        names = json.loads(metadata.get(key, "null"))
    except ValueError:
        return None
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else None


def _mapped(path):
    """The bytes of a file, mapped into memory rather than read."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; give an .onnx file")
    try:
        return np.memmap(path, np.uint8, mode="r").data if path.stat().st_size else b""
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such model; check the name") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check its permissions") from None


def _stamp(path):
    """What changes when a file is written to. None if it is gone: who has it mapped keeps its bytes."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _session(model, path, threads):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised anyway
    options.intra_op_num_threads = threads
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
