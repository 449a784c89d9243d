"""From the trained torch network to one ONNX file that is the whole network.

The tensors that matter carry the paper's names, f, F, w, b and S; the class
names, the preprocessing, the origin and the accuracy travel as metadata. The
file is put in place only when onnxruntime and NumPy agree with torch.
"""

from __future__ import annotations

import io
import json
import warnings

import numpy as np
import onnx
import torch

from cam_numpy.network.network import Network
from cam_numpy.output import whole_file

from .measure import measure
from .network import STRIDE

OPSET, IR_VERSION = 17, 8  # read by onnxruntime 1.19 and later


def export(network, path, metadata, images, labels):
    """Write the network to `path`, checked, with its accuracy in it.

    Parameters
    ----------
    network : PooledNetwork
    path : path
    metadata : dict
        Texts, or anything that JSON holds.
    images : (N, h, w, 3) uint8 array
        Pictures to measure the accuracy on, seen through the tool's own
        preprocessing.
    labels : (N,) int array

    Returns
    -------
    accuracy : dict
        "top1" and "top5", 0 to 1.
    """
    model = _convert(network.eval().float())
    _describe(model, metadata)
    with whole_file(path) as unfinished:
        onnx.save(model, unfinished)
        exported = Network(unfinished)
        _compare(network, exported)
        accuracy = measure(exported, images, labels)
        del exported  # it has the file mapped, which is written again now
        _describe(model, {"accuracy": f"top-1 {accuracy['top1']:.1%}, top-5 {accuracy['top5']:.1%} "
                                      f"of {len(images)} validation pictures"})
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, unfinished)
    return accuracy


def _convert(network):
    """The ONNX model, its tensors named as in the paper."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the newer exporter ignores the opset
        torch.onnx.export(
            network, (torch.zeros(1, 3, 2 * STRIDE, 3 * STRIDE),), buffer, dynamo=False,
            opset_version=OPSET, input_names=["x"], output_names=["S"],
            dynamic_axes={"x": {0: "N", 2: "height", 3: "width"}, "S": {0: "N"}},
        )
    model = onnx.load_from_string(buffer.getvalue())
    model.ir_version = IR_VERSION
    pool = next(node for node in model.graph.node if node.op_type.startswith("Global"))
    gemm = next(node for node in model.graph.node if node.op_type == "Gemm")
    names = dict(zip((pool.input[0], gemm.input[0], gemm.input[1], gemm.input[2]), "fFwb"))
    for node in model.graph.node:
        node.input[:] = [names.get(tensor, tensor) for tensor in node.input]
        node.output[:] = [names.get(tensor, tensor) for tensor in node.output]
    for weights in model.graph.initializer:
        weights.name = names.get(weights.name, weights.name)
    return model


def _describe(model, metadata):
    entries = {entry.key: entry.value for entry in model.metadata_props}
    for key, value in metadata.items():
        entries[key] = value if isinstance(value, str) else json.dumps(value)
    onnx.helper.set_model_props(model, entries)


@torch.no_grad()
def _compare(network, exported):
    """torch against onnxruntime and NumPy, on two sizes: f, w, b and S, to float32."""
    generator = torch.Generator().manual_seed(0)
    for height, width in ((6 * STRIDE, 9 * STRIDE), (12 * STRIDE, 5 * STRIDE)):
        x = torch.randn(1, 3, height, width, generator=generator)
        f, S = exported.run(x[0].numpy())
        by_equations = exported.form.scores(f, exported.w, exported.b)
        pairs = {
            "f": (f, network.body(x)[0]), "S": (S, network(x)[0]), "S by the equations": (by_equations, S),
            "w": (exported.w, network.classifier.weight), "b": (exported.b, network.classifier.bias),
        }
        for name, (ours, theirs) in pairs.items():
            theirs = np.asarray(theirs)
            error = np.abs(ours - theirs).max() / np.abs(theirs).max()
            if error > 1e-4:
                raise RuntimeError(f"{name} of the exported file differs by {error:.1e} of its largest value")
