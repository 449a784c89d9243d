"""The file of a network: its bytes, its graph, and sessions of all of it or of a part."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..input import unreadable
from . import onnx_writer
from .onnx_reader import read_graph
from .session import open_session

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


class Source:
    """A file that holds a network.

    Parameters
    ----------
    path : path or str

    Attributes
    ----------
    path : Path
    name : str
        The file's name.
    file : Path
        Where the file is: a link leads to it, and onnxruntime maps the weights in it.
    data : bytes-like
        A ModelProto: all of the file.
    graph : cam_numpy.network.onnx_reader.Graph

    Raises
    ------
    InputError
        The file cannot be read as a network.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.name, self.file = self.path.name, self.path.resolve()
        self.data = model_bytes(self.path)
        self._stamp = _stamp_of(self.file)
        self.graph = read_graph(self.data, self.path)

    def check_weights(self):
        """A MissingWeights that names a file of weights that is not there."""
        folder = self.file.parent
        missing = sorted({file for file in self.graph.files.values() if not (folder / file).is_file()})
        if missing:
            raise MissingWeights(f"{self.name} keeps its weights in {missing[0]}, which is not in {folder}; "
                                 "put the file beside the model, or export the network with its weights "
                                 "inside")

    def unchanged(self):
        """An InputError where the file was written to since it was read."""
        if _stamp_of(self.file) not in (self._stamp, None):
            raise InputError(f"{self.name} has changed since it was opened; load it again")

    def open(self, tensors, threads=None):
        """A session of the whole network, which shows some inner tensors besides its outputs."""
        inner = sorted(set(tensors) - set(self.graph.outputs) - set(self.graph.inputs))
        return open_session(onnx_writer.slim(self.data, self.file.name, inner), self.path, threads)

    def open_part(self, outputs, inputs=None):
        """A session of what computes some tensors (see `cam_numpy.network.onnx_writer.part`)."""
        return open_session(onnx_writer.part(self.data, self.graph, outputs, inputs), self.path, threads=1)

    def values(self, tensors):
        """The values of constants: a dict of str to array."""
        tensors = list(dict.fromkeys(tensors))
        return dict(zip(tensors, self.open_part(tensors).run(tensors, {}), strict=True))

    def release(self):
        """Let go of the bytes and the graph, once all that is needed was read; nodes keep no bytes."""
        for node in self.graph.nodes:
            node.message = None
        del self.data, self.graph


class MissingWeights(InputError):
    """The file of weights beside a model is not there."""


def model_bytes(path):
    """The bytes of a file; those of a large one are mapped into memory rather than read.

    A mapped file must not get shorter while it is in use: the system would kill Python. So only the
    large ones are mapped, where it saves memory that counts, and `uncut` guards them.
    """
    if os.path.isdir(path):
        raise InputError(f"{path} is a folder; give an .onnx file")
    try:
        if path.stat().st_size <= onnx_writer.WHOLE:
            return path.read_bytes()
        return np.memmap(path, np.uint8, mode="r").data
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such model; check the name") from None
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None


@contextmanager
def uncut(path):
    """Within, who wants to write to a large file, or to cut it short, has to wait, where the system helps.

    Linux does, with a lease on a file of one's own that lies on a disk of this machine. Windows
    never lets a mapped file be cut short. See `onnx_writer.WHOLE`.
    """
    try:
        file = open(path, "rb") if os.path.getsize(path) > onnx_writer.WHOLE else None
    except (OSError, ValueError):  # whoever reads it next says so
        file = None
    if file is None:
        yield
        return
    with file:
        with suppress(AttributeError, OSError):  # another system, or a file of somebody else
            # that somebody waits, a signal tells: one that nobody minds, as the usual one would end Python
            fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        yield


def _stamp_of(path):
    """What changes when a file is written to. None if it is gone: who has it mapped keeps its bytes."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
