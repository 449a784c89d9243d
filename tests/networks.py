"""Small ONNX networks, built node by node with the onnx package.

Every one starts with the same body, x -> conv -> relu -> f, of stride 4; what
follows is up to the test. K, C, H, W are all different.
"""

import json

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

K, C, STRIDE = 5, 7, 4
METADATA = {
    "classes": json.dumps([f"thing {c}, Res {c}" for c in range(C)]),
    "mean": "[0.5, 0.4, 0.3]", "std": "[0.2, 0.3, 0.4]", "size": "16", "resize": "fit", "stride": str(STRIDE),
}


def weights(seed=0):
    """The arrays that every network may use, as float32."""
    rng = np.random.default_rng(seed)
    arrays = {
        "body": rng.normal(size=(K, 3, STRIDE, STRIDE)) * 0.3, "body_b": rng.normal(size=K) * 0.1,
        "w": rng.normal(size=(C, K)), "b": rng.normal(size=C),
    }
    return {name: array.astype(np.float32) for name, array in arrays.items()}


BODY = [
    ("Conv", ["x", "body", "body_b"], "conv", {"strides": [STRIDE, STRIDE]}),
    ("Relu", ["conv"], "f"),
]
GAP = [("GlobalAveragePool", ["f"], "pooled"), ("Flatten", ["pooled"], "F")]
GEMM = [("Gemm", ["F", "w", "b"], "S", {"transB": 1})]


def save(path, nodes, extra=None, outputs=("S",), metadata=METADATA, x=(None, 3, None, None), opset=17, ir=8):
    """Write a model of (op, inputs, output[s], attributes) rows; returns the path.

    Only the arrays that some node reads are stored.
    """
    arrays = {**weights(), **(extra or {})}
    made = []
    for op, inputs, output, *attributes in nodes:
        outs = [output] if isinstance(output, str) else output
        made.append(helper.make_node(op, inputs, outs, **(attributes[0] if attributes else {})))
    read = {name for node in made for name in node.input}
    graph = helper.make_graph(
        made, "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(x))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in arrays.items() if name in read],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)
    helper.set_model_props(model, metadata or {})
    onnx.save(model, path)
    return path


def classifier(path, **options):
    """The plain case: body, global average pooling, one linear layer."""
    return save(path, BODY + GAP + GEMM, **options)
