"""Broken model files, and random heads: `python -m tests.fuzz KIND [COUNT] [SEED]`.

KIND is "files" or "heads". Every broken file is a small good one with bytes changed, cut out, doubled
or cut off. Each must load, or be refused by an InputError in one line, soon and in little memory.

Every head is made of random layers, pooled and written in random ways. Where it has a form that
CAM explains, it must load, and its maps must add up to onnxruntime's own scores for other
pictures; where it has none, it must be refused. Some have arrays of odd shapes (1-D weights, a batch
axis in constants, scalars, nothing at all): of these any may be refused.
"""

from __future__ import annotations

import atexit
import shutil
import sys
import tempfile
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import onnx

from cam_numpy import load
from cam_numpy.errors import Assumed, InputError
from cam_numpy.network import onnx_writer
from tests import networks
from tests.fuzzing import run
from tests.networks import BODY, GAP, GEMM, K


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


class RandomHead:
    """A random head: its nodes, its arrays, and whether it has one of the forms that CAM explains.

    It has none of them for sure where it is `odd`.
    """

    def __init__(self, rng):
        self.rng, self.nodes, self.arrays, self.explained, self.made = rng, [], {}, True, 0
        self.odd = rng.random() < 0.25
        self.output = self.behind(self.scores())

    def node(self, op, *inputs, **attributes):
        self.made += 1
        self.nodes.append((op, list(inputs), f"t{self.made}", attributes))
        return f"t{self.made}"

    def constant(self, values):
        self.made += 1
        self.arrays[f"a{self.made}"] = values
        return f"a{self.made}"

    def numpy_rng(self):
        return np.random.default_rng(self.rng.randrange(1 << 30))

    def normal(self, *shape):
        return self.constant(self.numpy_rng().normal(size=shape).astype(np.float32))

    def positive(self, *shape):
        return self.constant(self.numpy_rng().uniform(0.5, 2, shape).astype(np.float32))

    def scores(self):
        classes = self.rng.randint(2, 9)
        first = self.rng.choice(("pool", "pool", "pool", "conv", "flatten"))
        if first == "conv":
            return self.conv_first(classes)
        if first == "flatten":
            self.explained = False
            return self.node("MatMul", self.node("Flatten", "f"), self.normal(K * 20, classes))
        F, n = self.pooled(), K
        for _ in range(self.rng.randint(0, 2)):
            F, n = self.layer(F, n)
        if self.odd:
            return self.oddly(F, n, classes)
        return self.node("Gemm", F, self.normal(n, classes), self.normal(classes))

    def conv_first(self, classes):
        maps = self.node("Conv", "f", self.normal(classes, K, 1, 1))
        if self.rng.random() < 0.5:
            maps = self.node("Add", maps, self.normal(classes, 1, 1))
        if self.rng.random() < 0.5:
            maps = self.node("BatchNormalization", maps, *(self.positive(classes) for _ in range(4)))
        if self.rng.random() < 0.5:
            maps = self.node("Relu", maps)
        return self.node("Flatten", self.node("GlobalAveragePool", maps))

    def pooled(self):
        """F (N, K), in one of the ways to write it."""
        how = self.rng.choice(("gap", "mean", "sum", "two means", "rows", "tokens", "max", "both", "cubes",
                               "apart"))
        if how == "mean":
            return self.node("ReduceMean", "f", axes=[2, 3], keepdims=0)
        if how == "sum":
            total = self.node("ReduceSum", "f", self.constant(np.array([2, 3])), keepdims=0)
            return self.node("Div", total, self.positive(1)) if self.rng.random() < 0.5 else total
        if how == "two means":
            rows = self.node("ReduceMean", "f", axes=[2], keepdims=0)
            return self.node("ReduceMean", rows, axes=[2], keepdims=0)
        if how in ("rows", "tokens"):
            rows, axis = self.node("Reshape", "f", self.constant(np.array([0, 0, -1]))), 2
            if how == "tokens":
                rows, axis = self.node("Transpose", rows, perm=[0, 2, 1]), 1
            return self.node("ReduceMean", rows, axes=[axis], keepdims=0)
        strongest = self.node("Flatten", self.node("GlobalMaxPool", "f"))
        if how == "max":
            return strongest
        f = "f"
        if how == "cubes":
            self.explained = False
            f = self.node("Pow", "f", self.constant(np.array(3, np.float32)))
        average = self.node("Flatten", self.node("GlobalAveragePool", f))
        if how == "cubes":
            return self.node("Pow", average, self.constant(np.array(1 / 3, np.float32)))
        if how == "both":
            return self.node("Add", average, strongest)
        if how == "apart":
            self.explained = False
            both = self.node("Concat", average, strongest, axis=1)
            return self.node("MatMul", both, self.normal(2 * K, K))
        return average

    def layer(self, F, n):
        """One more layer behind n units: its output, and how many there are."""
        how = self.rng.choice(("linear", "residual", "two", "by unit", "norm", "hidden", "length"))
        m = self.rng.randint(4, 8)
        if how == "linear":
            return self.node("Gemm", F, self.normal(m, n), self.normal(m), transB=1, alpha=0.5), m
        if how == "residual":
            return self.node("Add", F, self.node("MatMul", F, self.normal(n, n))), n
        if how == "two":
            op = self.rng.choice(("Add", "Sub", "Sum", "Mean"))
            return self.node(op, *(self.node("MatMul", F, self.normal(n, m)) for _ in range(2))), m
        if how == "by unit":
            return self.node(self.rng.choice(("Mul", "Add", "Sub", "Div")), F, self.positive(n)), n
        if how == "norm":
            return self.node("BatchNormalization", F, *(self.positive(n) for _ in range(4))), n
        self.explained = False
        if how == "hidden":
            hidden = self.node("MatMul", F, self.normal(n, m))
            return self.node(self.rng.choice(("Relu", "Tanh", "Sigmoid", "HardSwish", "Elu")), hidden), m
        return self.node("LpNormalization", F, axis=1, p=2), n

    def oddly(self, F, n, classes):
        """A linear layer and steps before it and behind it whose arrays have shapes that nobody expects."""
        F = self.step(F, n)
        how = self.rng.choice(("vector", "row", "Gemm", "batch", "empty", "no layer"))
        if how == "Gemm":
            S = self.node("Gemm", F, self.normal(n, classes), self.normal(*self.shape(classes)))
        elif how == "no layer":
            S, classes = F, n
        else:
            shapes = {"vector": (n,), "row": (1, n, classes), "batch": (2, n, classes), "empty": (n, 0)}
            S = self.node("MatMul", F, self.normal(*shapes[how]))
        return self.step(S, classes)

    def step(self, x, n):
        """A step by unit or by class, or another shape."""
        op = self.rng.choice(("Add", "Sub", "Mul", "Div", "Squeeze", "Unsqueeze", "Reshape", "Identity"))
        if op in ("Squeeze", "Unsqueeze"):
            return self.node(op, x, self.constant(np.array([self.rng.choice((0, 1, -1))])))
        if op == "Reshape":
            shape = self.rng.choice(([-1], [1, -1], [-1, 1], [0, 1, -1], [n], [2, -1]))
            return self.node(op, x, self.constant(np.array(shape)))
        if op == "Identity":
            return self.node(op, x)
        both = [x, self.positive(*self.shape(n))]
        return self.node(op, *(both[::-1] if self.rng.random() < 0.3 else both))

    def shape(self, n):
        return self.rng.choice((
            (), (1,), (n,), (1, n), (n, 1), (2, n), (1, 1, n), (1, n, 1, 1), (0,), (2, 1)))

    def behind(self, S):
        """The output: the scores, or something made of them."""
        how = self.rng.choice(("scores", "scores", "softmax", "sigmoid", "times", "clip"))
        if how == "scores":
            return S
        P = self.node("Sigmoid", S) if how == "sigmoid" else self.node("Softmax", S, axis=1)
        if how == "times":
            return self.node("Mul", P, self.positive(1))
        return self.node("Clip", P) if how == "clip" else P


def attempt_head(path, rng):
    """The form of a random head, or "refused"; a wrong verdict or a wrong map goes through as an error."""
    head = RandomHead(rng)
    batch = rng.choice((None, 1, 2))
    networks.save(path, BODY + head.nodes, head.arrays, (head.output,), None, (batch, 3, 16, 20), opset=14)
    try:
        network = load(path)
    except InputError as refused:
        assert "\n" not in str(refused)
        if head.explained and not head.odd:
            raise AssertionError(f"a head that CAM explains is refused: {refused}") from None
        return "refused"
    if not head.explained and not head.odd:
        raise AssertionError(f"a head that CAM does not explain is accepted: {network}")
    for _ in range(2):
        x = np.random.default_rng(rng.randrange(1 << 30)).normal(size=(3, 16, 20)).astype(np.float32)
        try:
            seen = network.run(x)
        except InputError as refused:  # onnxruntime finds the fault when it comes there
            assert head.odd and "\n" not in str(refused), refused
            return "refused when run"
        network.check_scores(*seen)
    return network.form.name


@cache
def folder():
    """A folder for the file that is tried, and the contents of some good ones."""
    here = Path(tempfile.mkdtemp(prefix="fuzz-"))
    atexit.register(shutil.rmtree, here, ignore_errors=True)
    return here, list(originals(here))


def file(rng):
    """A broken file is loaded or refused."""
    path = folder()[0] / "fuzzed.onnx"
    path.write_bytes(mutated(rng.choice(folder()[1]), rng))
    return attempt(path)


def head(rng):
    return attempt_head(folder()[0] / "fuzzed.onnx", rng)


KINDS = {"files": file, "heads": head}

if __name__ == "__main__":
    # bytes: of these small files, too, some arrays shall be mapped
    onnx_writer.WHOLE, onnx_writer.LARGE = 0, 64
    warnings.simplefilter("ignore", Assumed)
    warnings.simplefilter("error", RuntimeWarning)  # of numbers that overflow: they are refused instead
    folder()
    run(lambda rng: rng, KINDS[sys.argv[1]], sys.argv[2:])
