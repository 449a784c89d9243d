"""The one door to onnxruntime."""

from __future__ import annotations

import os
import re
from numbers import Integral

import numpy as np

from ..errors import CamNotApplicable, InputError
from ..image.preprocessing import for_input
from ..input import unreadable
from . import onnx_writer

# off, unless the user says "0": "" says nothing, but onnxruntime takes it for "0"
TELEMETRY = os.environ.get("ORT_DISABLE_TELEMETRY") or "1"
os.environ["ORT_DISABLE_TELEMETRY"] = TELEMETRY  # must be set before the import
import onnxruntime  # noqa: E402 - see the line above

if TELEMETRY == "1":
    onnxruntime.disable_telemetry_events()  # in case that somebody imported it before us

# onnxruntime's name of a type: NumPy's, and the number that TensorProto.DataType gives it
TYPES = {
    "tensor(float)": (np.float32, 1), "tensor(uint8)": (np.uint8, 2), "tensor(int8)": (np.int8, 3),
    "tensor(int64)": (np.int64, 7), "tensor(float16)": (np.float16, 10), "tensor(double)": (np.float64, 11),
}
INPUTS = ("tensor(float)", "tensor(float16)", "tensor(uint8)")
THREADS = 4  # more do not help a small network, and leave a laptop usable


def open_session(model, path, threads=None):
    """A session of onnxruntime.

    Parameters
    ----------
    model : bytes
        A ModelProto.
    path : Path
        The file that it comes from: weights may lie in it, and beside it.
    threads : int, optional
        By default up to 4; never more than there are cores.

    Raises
    ------
    InputError
        onnxruntime cannot open it.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised anyway
    options.intra_op_num_threads = _count(threads)
    folder = str(path.resolve().parent)
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", folder)
    try:
        return onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"],
            enable_fallback=0,  # it would print and try again
        )
    except Exception as error:  # onnxruntime's exceptions share no base class
        raise InputError(f"{path.name} cannot be opened by onnxruntime {onnxruntime.__version__} "
                         f"({reason(error)}); export the network again, or update onnxruntime") from None


def _count(threads):
    """How many threads work at one photo: as many as were asked for, where there are as many cores."""
    cores = os.cpu_count() or 1
    if threads is None:
        return min(THREADS, cores)
    if not isinstance(threads, Integral) or threads < 1:
        raise InputError(f"threads is {threads!r}, not a positive integer; give 1 or more")
    return int(min(threads, cores))


def shape_of(tensor, model):
    """The shape of a session's input or output; a side is a number, a name, or None."""
    try:
        return tensor.shape
    except UnicodeDecodeError:
        raise InputError(f"{model} has a dimension whose name is not UTF-8; export it again") from None


def understand_input(session, metadata, preprocessing, name, hint=None):
    """A session's input, the preprocessing, and what had to be assumed."""
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise CamNotApplicable(f"it takes {len(inputs)} inputs ({', '.join(i.name for i in inputs)}); "
                               "the paper's networks take a picture", name)
    if inputs[0].type not in INPUTS:
        raise InputError(f"{name} takes {inputs[0].type}; give one that takes float, float16 or uint8")
    shape = [side if isinstance(side, int) and side > 0 else None for side in shape_of(inputs[0], name)]
    preprocessing, assumed = for_input(shape, metadata, preprocessing, name, hint)
    return inputs[0], preprocessing, assumed


def fed(session, x, preprocessing):
    """x (channels, h, w) as a session takes it, and the size of its batch."""
    (taken,) = session.get_inputs()
    x = x if preprocessing.channels_first else x.transpose(1, 2, 0)
    batch = taken.shape[0] if isinstance(taken.shape[0], int) else 1
    dtype = TYPES[taken.type][0]
    x = np.clip(np.rint(x), 0, 255) if dtype is np.uint8 else x
    return {taken.name: np.ascontiguousarray(np.repeat(x[None], batch, axis=0), dtype)}, batch


def run_session(session, tensors, x, preprocessing, name):
    """Some tensors for x (channels, h, w), each with the batch in front, and the size of the batch."""
    inputs, batch = fed(session, x, preprocessing)
    try:
        return session.run(tensors, inputs), batch
    except Exception as error:  # onnxruntime's exceptions share no base class
        (value,) = inputs.values()
        raise InputError(f"{name} cannot take an input of shape {value.shape} ({reason(error)}); "
                         "give its size as preprocessing") from None


def model_bytes(path):
    """The bytes of a file; those of a large one are mapped into memory rather than read.

    A mapped file must not get shorter while it is in use: the system would kill Python. So only the
    large ones are mapped, where it saves memory that counts.
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


def stamp_of(path):
    """What changes when a file is written to. None if it is gone: who has it mapped keeps its bytes."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def unchanged(file, stamp, name):
    """An InputError where a file was written to since `stamp_of` looked at it."""
    if stamp_of(file) not in (stamp, None):
        raise InputError(f"{name} has changed since it was opened; load it again")


def reason(error):
    """onnxruntime's message in one line, without its prefix, cut between two words."""
    text = " ".join(str(error).split(" : ")[-1].split()).rstrip(".")
    return text if len(text) <= 200 else re.match(r".{0,199}(?=\s)|\S+", text).group() + " …"
