"""The one door to onnxruntime: a network that shows f, w, b and its own scores."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path

import numpy as np

from .errors import InputError
from .head import find_head, fold
from .onnx_file import read_graph, with_outputs
from .photo import read_photo
from .preprocessing import RESIZES, Preprocessing, View

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # must be set before the import
import onnxruntime  # noqa: E402 - see the line above

SHIPPED = "tiny-imagenet-gap.onnx"
THREADS = 4  # more do not help a small network, and leave a laptop usable


def load(path=None):
    """Open a network.

    Parameters
    ----------
    path : path, optional
        An ONNX file; by default the network that comes with cam_numpy.

    Returns
    -------
    network : Network

    Raises
    ------
    InputError
        The file is missing, damaged or no model, or CAM does not apply to it.

    Examples
    --------
    >>> network = load()
    >>> network.w.shape, network.b.shape, network.classes[:2]
    ((200, 256), (200,), ['Egyptian cat', 'reel'])
    """
    return Network(shipped() if path is None else Path(path))


def shipped():
    """The path of the network that comes with cam_numpy."""
    for folder in (resources.files("cam_numpy"), Path(__file__).parent.parent):
        path = Path(str(folder)) / "weights" / SHIPPED  # installed, or a plain checkout
        if path.is_file():
            return path
    raise InputError(f"the shipped network {SHIPPED} is missing; install cam_numpy again, or give --model FILE")


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
    """A classifier to which CAM applies.

    Parameters
    ----------
    path : path
        An ONNX file.

    Attributes
    ----------
    path : Path
    name : str
        The file's name.
    w : (C, K) float32 array
        Weights of the classifier, as stored in the file.
    b : (C,) float32 array
        Its bias.
    classes : list of str
        The name of each class.
    preprocessing : Preprocessing
    metadata : dict of str to str
        What the file says of itself: training data, licence, accuracy ...
    """

    def __init__(self, path):
        self.path = Path(path)
        self.name = self.path.name
        data = _read(self.path)
        graph = read_graph(data, self.name)
        self._head = find_head(graph, self.name)
        self.metadata = graph.metadata
        self.preprocessing = _preprocessing(graph.metadata, self.name)
        self._input = next(iter(graph.inputs))
        constants = self._head.constants
        added = {self._head.f, self._head.S, *constants} - set(graph.outputs)
        self._session = _session(with_outputs(data, sorted(added)), self.path)

    @property
    def w(self):
        return self._classifier[0]

    @property
    def b(self):
        return self._classifier[1]

    @cached_property
    def classes(self):
        if "classes" not in self.metadata:
            return [f"class {c}" for c in range(len(self.b))]
        names = json.loads(self.metadata["classes"])
        if len(names) != len(self.b):
            raise InputError(f"{self.name} has {len(self.b)} scores but names {len(names)} classes; "
                             "write its metadata again")
        return names

    @cached_property
    def _classifier(self):
        # onnxruntime runs the whole graph even when only weights are asked for
        size = self.preprocessing.size
        f, _, *constants = self.run(np.zeros((3, size, size), np.float32), self._head.constants)
        w, b = fold(self._head, dict(zip(self._head.constants, constants)), f.shape[0])
        w.flags.writeable = b.flags.writeable = False
        return w, b

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
        f, S = self.run(x)
        return Seen(f, S, view)

    def run(self, x, constants=()):
        """Run the network on an input that is preprocessed already.

        Parameters
        ----------
        x : (3, h, w) float32 array
        constants : sequence of str
            Further tensors of the graph to return.

        Returns
        -------
        f : (K, H, W) float32 array
        S : (C,) float32 array
        *constants : arrays

        Raises
        ------
        InputError
            The network does not take an input of this size.
        """
        try:
            f, S, *rest = self._session.run([self._head.f, self._head.S, *constants], {self._input: x[None]})
        except Exception as error:  # onnxruntime's exceptions share no base class
            raise InputError(f"{self.name} cannot take an input of {x.shape[2]} x {x.shape[1]} pixels: "
                             f"{_reason(error)}") from None
        if f.ndim != 4:
            raise InputError(f"{self.name} pools an array of shape {f.shape}; CAM needs (1, K, H, W)")
        return f[0], S.reshape(-1), *rest


def _read(path):
    if path.is_dir():
        raise InputError(f"{path} is a folder; give an .onnx file")
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such model; check the name") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check its permissions") from None


def _session(data, path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.intra_op_num_threads = min(THREADS, os.cpu_count() or 1)
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.resolve().parent))
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no base class
        raise InputError(f"{path.name} cannot be opened by onnxruntime {onnxruntime.__version__}: "
                         f"{_reason(error)}") from None


def _reason(error):
    """onnxruntime's message in one line, without its prefix."""
    return " ".join(str(error).split(" : ")[-1].split())[:200]


def _preprocessing(metadata, name):
    """What the file says of its preprocessing; else what ImageNet networks expect."""
    if "mean" not in metadata:
        return Preprocessing(224, "crop", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), short=256)
    try:
        resize = metadata["resize"]
        if resize not in RESIZES:
            raise ValueError(f"resize is {resize!r}")
        return Preprocessing(
            int(metadata["size"]), resize, tuple(json.loads(metadata["mean"])),
            tuple(json.loads(metadata["std"])), int(metadata.get("stride", 1)),
        )
    except (KeyError, ValueError) as error:
        raise InputError(f"{name} describes its preprocessing badly ({error}); write its metadata again") from None
