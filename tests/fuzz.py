"""Broken model files, thousands of them: `python -m tests.fuzz [COUNT] [SEED]`.

Every file is a small good one with bytes changed, cut out, doubled or cut off.
Each must load, or be refused by an InputError in one line, soon and in little
memory. A traceback, a stall or a crash ends the run with the seed that made it.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
import warnings
from pathlib import Path

import onnx

from cam_numpy import load
from cam_numpy.errors import Assumed, InputError
from cam_numpy.network import onnx_writer
from tests import networks
from tests.networks import BODY, GAP, GEMM

SECONDS = 10  # for one file; a good one takes some milliseconds


def originals(folder):
    """The bytes of a few good models, with as little weight and as much structure as possible."""
    names = {
        "gap": GAP + GEMM,
        "mean": [("ReduceMean", ["f"], "F", {"axes": [2, 3], "keepdims": 0}), *GEMM, ("Softmax", ["S"], "P")],
        "nin": [("Conv", ["f", "w4", "b"], "s"), ("GlobalAveragePool", ["s"], "p"), ("Flatten", ["p"], "S")],
    }
    for name, nodes in names.items():
        extra = {"w4": networks.weights()["w"][:, :, None, None]}
        path = networks.save(folder / f"{name}.onnx", BODY + nodes, extra, opset=13)
        yield path.read_bytes()
        model = onnx.load(path)  # without weights every other byte is structure
        model.graph.ClearField("initializer")
        yield model.SerializeToString()


def mutated(data, rng):
    """The bytes, damaged in one to four ways."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data)) if data else 0
        length = rng.choice((1, 1, 2, 8, 64))
        kind = rng.randrange(6)
        if kind == 0:
            data[at : at + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            data[at : at + length] = rng.randbytes(length)
        elif kind == 2:
            del data[at : at + length]
        elif kind == 3:
            data[at:at] = data[at : at + length]
        elif kind == 4:
            data[at : at + 5] = b"\xff\xff\xff\xff\x7f"  # a length of 32 GiB
        else:
            del data[at:]
    return bytes(data)


def attempt(path):
    """"loaded" or "refused"; anything else is a bug and goes through."""
    try:
        load(path)
        return "loaded"
    except InputError as error:
        if "\n" in str(error) or path.name not in str(error):
            raise AssertionError(f"not one line about the file: {error}") from None
        return "refused"


def main(count, seed):
    onnx_writer.LARGE = 64  # bytes: of these small files, too, onnxruntime shall map some arrays
    warnings.simplefilter("ignore", Assumed)
    rng = random.Random(seed)
    counts, slowest = {"loaded": 0, "refused": 0}, 0.0
    with tempfile.TemporaryDirectory() as folder:
        goods = list(originals(Path(folder)))
        path = Path(folder) / "fuzzed.onnx"
        for i in range(count):
            path.write_bytes(mutated(rng.choice(goods), rng))
            start = time.perf_counter()
            try:
                counts[attempt(path)] += 1
            except Exception:
                kept = Path(tempfile.gettempdir()) / f"fuzzed-{seed}-{i}.onnx"
                kept.write_bytes(path.read_bytes())
                print(f"file {i} of seed {seed} is kept as {kept}", file=sys.stderr)
                raise
            slowest = max(slowest, time.perf_counter() - start)
            assert slowest < SECONDS, f"file {i} of seed {seed} took {slowest:.1f} s"
    print(f"{count} files: {counts['loaded']} loaded, {counts['refused']} refused; "
          f"slowest {slowest:.2f} s{peak()}")


def peak():
    """Peak memory of this process, where the system tells it."""
    try:
        import resource
    except ImportError:  # Windows
        return ""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return f", peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20:.0f} MiB"


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:3]]
    main(*given, *(3000, 0)[len(given) :])
