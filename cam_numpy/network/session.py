"""The one door to onnxruntime."""

from __future__ import annotations

import os
import re
from numbers import Integral

import numpy as np

from ..errors import InputError

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


class Session(onnxruntime.InferenceSession):
    """A session that is alike in all versions of onnxruntime."""

    # 1.21 would print what went wrong, and try again; it has no option against that yet
    _enable_fallback = property(lambda self: False, lambda self, value: None)

    def run(self, output_names, input_feed, run_options=None):
        arrays = super().run(output_names, input_feed, run_options)
        # for an array that holds nothing, 1.21 may give None
        return [np.empty(0, np.float32) if array is None else array for array in arrays]


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
    # else idle threads keep their cores busy for some milliseconds, from the moment that they exist
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    folder = str(path.resolve().parent)
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", folder)
    try:
        return Session(model, options, providers=["CPUExecutionProvider"])
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


def reason(error):
    """onnxruntime's message in one line, without its prefix, cut between two words."""
    text = " ".join(str(error).split(" : ")[-1].split()).rstrip(".")
    return text if len(text) <= 200 else re.match(r".{0,199}(?=\s)|\S+", text).group() + " …"
