"""Small networks of one body, each with another head: those that are met in the wild, node by node.

    python -m tests.exports.heads

writes heads/<name>.onnx next to this file, and heads/expected.json with the verdict on each and
what plain NumPy makes of one input: F, w, b and S. All are compared with onnxruntime first. Needs
onnx and onnxruntime; nothing of cam_numpy is used.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests import networks
from tests.networks import BODY, GAP, GEMM, STRIDE, C, K

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime  # noqa: E402 - see the line above

HERE = Path(__file__).parent / "heads"
H, W = 4, 5  # of f
PICTURE = (3, STRIDE * H, STRIDE * W)
RNG = np.random.default_rng(11)
WEIGHTS = networks.weights()
w, b = WEIGHTS["w"], WEIGHTS["b"]

STEP = {"ws": np.abs(w).max() / 127, "fs": 4 / 255, "Ss": 20 / 255}  # of integers: w, F, S
Q = np.rint(w / STEP["ws"]).astype(np.int8)
SQUARE = RNG.normal(size=(K, K)).astype(np.float32)
# scale, shift, mean and variance
NORM = dict(zip("ghmv", RNG.uniform(0.5, 2, (4, C)).astype(np.float32), strict=True))
ARRAYS = {
    **WEIGHTS, **NORM, **{name: np.array(value, np.float32) for name, value in STEP.items()},
    "grouped": RNG.normal(size=(2 * K, 1, 1, 1)).astype(np.float32), "square": SQUARE,
    "wT": np.ascontiguousarray(w.T), "w4": w[:, :, None, None], "b4": b[:, None, None],
    "places": RNG.normal(size=(K * H * W, C)).astype(np.float32),
    "axes": np.array([2, 3]), "m1": np.array([0, 0, -1]), "fixed": np.array([1, K, H * W]),
    **{name: np.array(value, np.float32) for name, value in
       {"area": H * W, "half": 0.5, "byte": 1 / 255, "three": 3, "third": 1 / 3}.items()},
    "top": np.array([2]), "zero": np.array(0), "cls": np.ones((1, 1, K), np.float32),
    "gray": WEIGHTS["body"][:, :1], "ones": np.ones(K, np.float32), "zeros": np.zeros(K, np.float32),
    "q": Q, "qT": np.ascontiguousarray(Q.T), "z8": np.array(0, np.int8),
    "zu": np.array(0, np.uint8), "zS": np.array(128, np.uint8),
    "b32": np.rint(b / (STEP["ws"] * STEP["fs"])).astype(np.int32),
    "w16": w.astype(np.float16), "b16": b.astype(np.float16),
}

POOL = [("GlobalAveragePool", ["s"], "p"), ("Flatten", ["p"], "S")]
CONV = [("Conv", ["f", "w4"], "c0")]
MEAN = [("ReduceMean", ["r"], "F", {"axes": [2], "keepdims": 0})]
TOKENS = [("Reshape", ["f", "m1"], "r"), ("Transpose", ["r"], "t", {"perm": [0, 2, 1]})]
MICROSOFT = {"domain": "com.microsoft"}
# the nodes behind f: (op, inputs, output, attributes)
SUM = {
    "sum": [("ReduceSum", ["f", "axes"], "F", {"keepdims": 0})] + GEMM,
    "sum-divided": [("ReduceSum", ["f", "axes"], "s", {"keepdims": 0}), ("Div", ["s", "area"], "F")] + GEMM,
    "einsum": [("Einsum", ["f", "w"], "s", {"equation": "nkyx,ck->nc"}), ("Add", ["s", "b"], "S")],
}
AVERAGE = {
    "two-means": [("ReduceMean", ["f"], "r", {"axes": [3], "keepdims": 0}),
                  ("ReduceMean", ["r"], "F", {"axes": [2], "keepdims": 0})] + GEMM,
    "flattened-places": [("Reshape", ["f", "m1"], "r"), *MEAN] + GEMM,
    "view": [("Reshape", ["f", "fixed"], "r"), *MEAN] + GEMM,
    "tokens": [*TOKENS, ("Relu", ["t"], "u"),
               ("ReduceMean", ["u"], "F", {"axes": [1], "keepdims": 0})] + GEMM,
    "ensemble": GAP + [("Gemm", ["F", "w", "b"], "s1", {"transB": 1}), ("MatMul", ["F", "wT"], "s2"),
                       ("Sum", ["s1", "s2"], "s3"), ("Mul", ["s3", "half"], "S")],
    "residual": GAP + [("MatMul", ["F", "square"], "r"), ("Add", ["F", "r"], "G"),
                       ("Gemm", ["G", "w", "b"], "S", {"transB": 1})],
    "group-convolution": [GAP[0], ("Conv", ["pooled", "grouped"], "g0", {"group": K}),
                          ("Flatten", ["g0"], "S")],
    "large-window": [("AveragePool", ["f"], "pooled", {"kernel_shape": [9, 9], "strides": [9, 9],
                                                       "ceil_mode": 1}), GAP[1]] + GEMM,
    "hundred-times": GAP + GEMM + [("Softmax", ["S"], "P0"), ("Mul", ["P0", "area"], "P")],
    "best": GAP + GEMM + [("Softmax", ["S"], "P0"), ("ArgMax", ["P0"], "P", {"axis": 1})],
    "best-two": GAP + GEMM + [("Softmax", ["S"], "P0"), ("TopK", ["P0", "top"], ["P", "which"])],
    "named": GAP + GEMM + [("Softmax", ["S"], "P0"), ("ZipMap", ["P0"], "P", {
        "domain": "ai.onnx.ml", "classlabels_strings": [f"n{c}" for c in range(C)]})],
    "clipped": GAP + GEMM + [("Sigmoid", ["S"], "P0"), ("Clip", ["P0"], "P")],
    "several-outputs": GAP + GEMM + [("Softmax", ["S"], "P"), ("Neg", ["conv"], "other")],
    "float16": GAP + [("Cast", ["F"], "G", {"to": 10}), ("Gemm", ["G", "w16", "b16"], "s", {"transB": 1}),
                      ("Cast", ["s"], "S", {"to": 1})],
}
INPUTS = {"grey": GAP + GEMM, "bytes": GAP + GEMM}  # of one channel, and of whole numbers from 0 to 255
ROUNDED = {
    "int8-dynamic": GAP + [
        ("DynamicQuantizeLinear", ["F"], ["Fq", "Fs", "Fz"]),
        ("MatMulInteger", ["Fq", "qT", "Fz", "z8"], "i"),
        ("Cast", ["i"], "j", {"to": 1}), ("Mul", ["Fs", "ws"], "scale"), ("Mul", ["j", "scale"], "s"),
        ("Add", ["s", "b"], "S")],
    "int8-qdq": GAP + [
        ("QuantizeLinear", ["F", "fs", "zu"], "Fq"), ("DequantizeLinear", ["Fq", "fs", "zu"], "G"),
        ("DequantizeLinear", ["q", "ws", "z8"], "wq"), ("Gemm", ["G", "wq", "b"], "s", {"transB": 1}),
        ("QuantizeLinear", ["s", "Ss", "zS"], "Sq"), ("DequantizeLinear", ["Sq", "Ss", "zS"], "S")],
    "int8-qoperator": GAP + [
        ("QuantizeLinear", ["F", "fs", "zu"], "Fq"),
        ("QGemm", ["Fq", "fs", "zu", "q", "ws", "z8", "b32", "Ss", "zS"], "Sq", {"transB": 1, **MICROSOFT}),
        ("DequantizeLinear", ["Sq", "Ss", "zS"], "S")],
}
RELU = {
    "relu-behind-a-bias": CONV + [("Add", ["c0", "b4"], "c1"), ("Relu", ["c1"], "s")] + POOL,
    "relu-behind-batchnorm": CONV + [("BatchNormalization", ["c0", *"ghmv"], "c1"),
                                     ("Relu", ["c1"], "s")] + POOL,
    "relu-fused": [("FusedConv", ["f", "w4", "b"], "s", {"activation": "Relu", **MICROSOFT})] + POOL,
}
MIXED = {
    "average-and-maximum": GAP + [("GlobalMaxPool", ["f"], "q0"), ("Flatten", ["q0"], "Q"),
                                  ("Add", ["F", "Q"], "G"), ("Gemm", ["G", "w", "b"], "S", {"transB": 1})],
    "batchnorm-no-relu": CONV + [("BatchNormalization", ["c0", *"ghmv"], "s")] + POOL,
}
REFUSED = {
    "hidden": (GAP + [("MatMul", ["F", "square"], "s"), ("Relu", ["s"], "G"),
                      ("Gemm", ["G", "w", "b"], "S", {"transB": 1})],
               "Relu -> G stands between the pooling"),
    "layer-norm": (GAP + [("LayerNormalization", ["F", "ones", "zeros"], "G"),
                          ("Gemm", ["G", "w", "b"], "S", {"transB": 1})],
                   "LayerNormalization -> G stands between the pooling"),
    "cosine": (GAP + [("LpNormalization", ["F"], "G", {"axis": 1}),
                      ("Gemm", ["G", "w", "b"], "S", {"transB": 1})],
               "F is divided by its own length"),
    "gem": ([("Pow", ["f", "three"], "g3"), ("GlobalAveragePool", ["g3"], "p3"),
             ("Pow", ["p3", "third"], "p1"), ("Flatten", ["p1"], "F")] + GEMM, "a mean of powers (GeM"),
    "flatten": ([("Flatten", ["f"], "F"), ("MatMul", ["F", "places"], "S")],
                "flattened into the linear layer"),
    "class-token": ([*TOKENS, ("Concat", ["cls", "t"], "t0", {"axis": 1}),
                     ("Transpose", ["t0"], "t1", {"perm": [0, 2, 1]}), ("MatMul", ["t0", "t1"], "a0"),
                     ("Softmax", ["a0"], "a"), ("MatMul", ["a", "t0"], "u"),
                     ("Gather", ["u", "zero"], "F", {"axis": 1})] + GEMM,
                    "a class token stands beside the places"),
    "one-cell": (GAP + GEMM, "a map of one cell: f is 5 x 1 x 1"),
    "features": (GAP, "it extracts features and has no classifier"),
}
ACCEPTED = SUM | AVERAGE | INPUTS | ROUNDED | RELU | MIXED
HEADS = ACCEPTED | {name: nodes for name, (nodes, _) in REFUSED.items()}
# the float heads that take any batch; "view" reshapes to a batch of one
ANY_BATCH = [name for name in SUM | AVERAGE | RELU | MIXED if name != "view"]
OWN_INPUT = {"grey": (1, *PICTURE[1:]), "one-cell": (3, STRIDE, STRIDE)}


def save(path, name, batch=1):
    """Write a network; returns the path."""
    body, nodes = list(BODY), HEADS[name]
    if name == "grey":
        body[0] = ("Conv", ["x", "gray", "body_b"], *BODY[0][2:])
    if name == "bytes":
        body = [("Cast", ["x"], "x1", {"to": 1}), ("Mul", ["x1", "byte"], "x2"),
                ("Conv", ["x2", "body", "body_b"], *BODY[0][2:]), *BODY[1:]]
    outputs = {"several-outputs": ("other", "P"), "best-two": ("P", "which")}.get(name, (nodes[-1][2],))
    x = (batch, *OWN_INPUT.get(name, PICTURE))
    opset = 17 if name == "layer-norm" else 13
    networks.save(path, body + nodes, ARRAYS, outputs, metadata=None, x=x, opset=opset)
    model = onnx.load(path)
    for domain in sorted({node.domain for node in model.graph.node if node.domain}):
        model.opset_import.append(helper.make_opsetid(domain, 1))
    for value in model.graph.output:
        if name == "best" or value.name == "which":
            value.type.tensor_type.elem_type = TensorProto.INT64
    if name == "named":
        P = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
        model.graph.output[0].type.CopyFrom(helper.make_sequence_type_proto(
            helper.make_map_type_proto(TensorProto.STRING, P)))
    if name == "bytes":
        model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    onnx.save(model, path)
    return path


def example(name):
    """An input (channels, h, w) that needs no file: the sine of 0, 1, 2, ..."""
    shape = OWN_INPUT.get(name, PICTURE)
    x = np.sin(np.arange(np.prod(shape))).reshape(shape).astype(np.float32)
    return np.rint(255 * np.abs(x)) if name == "bytes" else x


def activations(name):
    """f (K, H, W) in loops: a convolution whose windows lie side by side, and a ReLU."""
    x = example(name) / (255 if name == "bytes" else 1)
    body = ARRAYS["gray"] if name == "grey" else WEIGHTS["body"]
    f = np.empty((K, x.shape[1] // STRIDE, x.shape[2] // STRIDE))
    for k, y, i in np.ndindex(f.shape):
        window = x[:, STRIDE * y : STRIDE * (y + 1), STRIDE * i : STRIDE * (i + 1)]
        f[k, y, i] = max(0, np.sum(body[k] * window) + WEIGHTS["body_b"][k])
    return f


def truth(name):
    """form, w, b, F and S of a network to which CAM applies, as its head was meant."""
    f = activations(name)
    mean = f.mean(axis=(1, 2))
    scale = NORM["g"] / np.sqrt(NORM["v"] + 1e-5)
    shift = NORM["h"] - scale * NORM["m"]
    if name in SUM:
        A = w / (H * W) if name == "sum-divided" else w
        return "gsp", A, b, f.sum(axis=(1, 2)), A @ f.sum(axis=(1, 2)) + b
    if name in RELU or name == "batchnorm-no-relu":
        A, a = (scale[:, None] * w, shift) if "batchnorm" in name else (w, b)
        maps = np.einsum("ck,kyx->cyx", A, f) + a[:, None, None]
        maps, form = (maps, "nin") if name == "batchnorm-no-relu" else (np.maximum(maps, 0), "squeezenet")
        return form, A, a, mean, maps.mean(axis=(1, 2))
    if name == "average-and-maximum":
        F = (mean + f.max(axis=(1, 2))) / 2
        return "gap+gmp", 2 * w, b, F, 2 * w @ F + b
    A, a = {"ensemble": (w, b / 2), "residual": (w @ (np.eye(K) + SQUARE.T), b),
            "float16": (ARRAYS["w16"], ARRAYS["b16"]),
            "group-convolution": (_grouped(), np.zeros(2 * K))}.get(name, (w, b))
    return "gap", A, a, mean, A @ mean + a


def _grouped():
    """w of a group convolution: two scores a unit."""
    A = np.zeros((2 * K, K))
    A[np.arange(2 * K), np.arange(2 * K) // 2] = ARRAYS["grouped"][:, 0, 0, 0]
    return A


def expected(name):
    """A row of expected.json."""
    if name in REFUSED:
        return {"verdict": "refused", "reason": REFUSED[name][1]}
    form, A, a, F, S = truth(name)
    approximate = name in ROUNDED or form in ("squeezenet", "gap+gmp")
    row = {"verdict": "approximate" if approximate else "exact", "form": form,
           "bits": 8 if name in ROUNDED else 24}
    row["input"] = list(example(name).shape)
    return {**row, **{key: _digits(value) for key, value in {"w": A, "b": a, "F": F, "S": S}.items()}}


def _digits(values):
    return [_digits(v) if v.ndim else float(f"{v:.7g}") for v in np.asarray(values)]


def error(path, name):
    """Between onnxruntime's scores and ours, as a fraction of the largest."""
    model = onnx.load(path)
    made = {tensor for node in model.graph.node for tensor in node.output}
    if "S" not in {value.name for value in model.graph.output}:
        model.graph.output.append(helper.make_tensor_value_info("S", TensorProto.FLOAT, None))
    assert "S" in made
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    dtype = np.uint8 if name == "bytes" else np.float32
    (S,) = session.run(["S"], {"x": example(name)[None].astype(dtype)})
    return np.abs(S.ravel() - truth(name)[4]).max() / np.abs(S).max()


def main():
    HERE.mkdir(exist_ok=True)
    rows = {}
    for name in HEADS:
        path = save(HERE / f"{name}.onnx", name)
        rows[name] = expected(name)
        off = 0 if name in REFUSED else error(path, name)
        print(f"{name:24}{path.stat().st_size:6} bytes  {rows[name]['verdict']:12}{off:.1e}")
        assert off < (2e-2 if name in ROUNDED else 1e-3 if name == "float16" else 1e-5)
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in rows.items())
    (HERE / "expected.json").write_text("{\n" + lines + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
