"""Export the look-alikes of families.py to ONNX, by both of torch's exporters.

    python -m tests.exports.make [FOLDER] [--keep]

Every export is compared with torch, and its end is shown. With --keep the
smallest of each family becomes a fixture of the tests, <family>.onnx next to
this file; of the families in BOTH the two exporters' where their heads differ,
<family>-dynamo.onnx too. expected.json says what torch computes.
Needs torch, onnx, onnxscript and onnxruntime.
"""

import argparse
import contextlib
import json
import logging
import os
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import nn

from .families import FAMILIES, build

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime  # noqa: E402 - see the line above

HERE = Path(__file__).parent
EXPORTERS = [("torchscript", 11), ("torchscript", 17), ("dynamo", 18), ("dynamo", 20)]
BOTH = {"resnet", "gmp", "mobilenetv2", "shufflenetv2", "squeezenet", "nin", "swin"}
SHOWN = {"axes", "axis", "keepdims", "kernel_shape", "noop_with_empty_axes", "perm", "transA", "transB",
         "allowzero"}


def numbers(shape, start=0):
    """An input that needs no file: the sine of 0, 1, 2, ..."""
    return np.sin(np.arange(start, start + np.prod(shape))).reshape(shape).astype(np.float32)


def export(model, path, exporter, opset):
    """Write one export, with as many free sizes as the exporter can do; returns them, and what failed."""
    failures = []
    for free in [model.free, {0: "batch"}, {}] if model.free else [{}]:
        x = torch.from_numpy(numbers((2 if free else 1, *model.input)))  # a batch of 1 is taken for fixed
        how = {"opset_version": opset, "input_names": ["x"], "output_names": ["output"]}
        if exporter == "dynamo":
            how |= {"dynamo": True, "external_data": False, "verbose": False, "dynamic_shapes": {"x": free}}
        else:
            how |= {"dynamo": False, "dynamic_axes": {"x": free}}
        try:
            with _silence():
                torch.onnx.export(model, (x,), str(path), **how)
        except Exception as error:  # the exporters raise all sorts
            failures.append(f"not with free axes {list(free)}: {' '.join(str(error).split())[:160]}")
            continue
        onnx.save(stripped(onnx.load(path)), path)
        return free, failures
    return None, failures


@contextlib.contextmanager
def _silence():
    """The exporters print whole graphs when they fail, partly from C++."""
    saved = os.dup(1), os.dup(2)
    sys.stdout.flush()
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        for descriptor, copy in enumerate(saved, 1):
            os.dup2(copy, descriptor)
            os.close(copy)


def stripped(model):
    """The model without stack traces, shapes of inner tensors and all else that does not compute."""
    model.ClearField("metadata_props")
    graph = model.graph
    for thing in [graph, *graph.node, *graph.initializer, *graph.input, *graph.output]:
        for name in {"doc_string", "metadata_props", "value_info"} & set(thing.DESCRIPTOR.fields_by_name):
            thing.ClearField(name)
    return model


def largest_error(path, model, free):
    """Between onnxruntime and torch, on two sizes if the export takes them."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    channels, height, width = model.input
    errors = []
    for shape in [(1, channels, height, width)] + [(3, channels, 2 * height, width - 4)] * (2 in free):
        x = numbers(shape, start=7)
        want = model(torch.from_numpy(x)).detach().numpy()
        errors.append(np.abs(session.run(None, {"x": x})[0] - want).max())
    return max(errors)


def way_back(graph, most=7):
    """The last nodes before the output, along the activations, in the order of computation."""
    makers = {tensor: node for node in graph.node for tensor in node.output}
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    chain, tensor = [], graph.output[0].name
    while tensor in makers and len(chain) < most:
        node = makers[tensor]
        chain.insert(0, _described(node, makers, constants))
        tensor = next((t for t in node.input if t not in constants), None)
    return chain


def _described(node, makers, constants):
    """An operation with what matters of its attributes, and its small or computed further inputs."""
    said = []
    weighted = node.op_type in {"Conv", "Gemm", "MatMul", "BatchNormalization"}
    if node.op_type != "Conv":
        said = [f"{a.name}={helper.get_attribute_value(a)}" for a in node.attribute if a.name in SHOWN]
    for tensor in node.input[1:]:
        if tensor in constants:
            said += [str(constants[tensor].tolist())] * (constants[tensor].size <= 4 and not weighted)
        elif tensor:
            said.append(f"<-{makers[tensor].op_type}" if tensor in makers else f"<-{tensor}")
    return node.op_type + (f"({' '.join(said)})" if said else "")


def expected(model, exporter, opset):
    """What torch computes of ``numbers``, as far as CAM applies: a row of expected.json."""
    with torch.no_grad():
        f = model.features(torch.from_numpy(numbers((1, *model.input))))
        S = model.head(f)[0]
    row = {"verdict": model.verdict, "form": model.form, "exporter": exporter, "opset": opset,
           "input": list(model.input), "S": _digits(S)}
    if model.verdict == "refused":
        return row
    classifier = [layer for layer in model.modules() if isinstance(layer, (nn.Linear, nn.Conv2d))][-1]
    F = f[0].amax((1, 2)) if model.form == "gmp" else f[0].mean((1, 2))
    return {**row, "f_shape": list(f.shape[1:]), "F": _digits(F),
            "w": _digits(classifier.weight.flatten(1)), "b": _digits(classifier.bias)}


def _digits(tensor):
    return [_digits(t) if t.ndim else float(f"{t.item():.7g}") for t in tensor]


def exports(family, model, folder):
    """All exports of a family that agree with torch, smallest first: bytes, exporter, opset, path, chain."""
    made = []
    for exporter, opset in EXPORTERS:
        path = folder / f"{family}-{exporter}-{opset}.onnx"
        free, failures = export(model, path, exporter, opset)
        print(f"{family:12} {exporter:11} {opset}", *failures, sep="\n    ")
        if free is None:
            continue
        written, error = onnx.load(path), largest_error(path, model, free)
        opset = written.opset_import[0].version  # not always the one asked for
        chain, size = " -> ".join(way_back(written.graph)), path.stat().st_size
        print(f"    opset {opset}, IR {written.ir_version}, {size} bytes, free axes {list(free)}, "
              f"error {error:.1e}\n    {chain}")
        if error < 1e-4:
            made.append((size, exporter, opset, path, chain))
    return sorted(made)


def chosen(family, made):
    """The fixtures among them: name, export."""
    smallest = {}
    for row in made:
        smallest.setdefault(row[1], row)
    if family in BOTH and len({row[4] for row in smallest.values()}) == 2:
        return [(family, smallest["torchscript"]), (f"{family}-dynamo", smallest["dynamo"])]
    return [(family, made[0])]


def main():
    parser = argparse.ArgumentParser(description="Export the look-alikes by both of torch's exporters.")
    parser.add_argument("folder", nargs="?", type=Path, help="of all exports; default: a temporary one")
    parser.add_argument("--keep", action="store_true", help="write the fixtures of the tests")
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")  # the older exporter is deprecated
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    rows, total = [], 0
    for family in FAMILIES:
        model = build(family)
        for name, (size, exporter, opset, path, _) in chosen(family, exports(family, model, folder)):
            row = json.dumps(expected(model, exporter, opset))
            rows.append(f'"{name}": {row}')
            total += size
            if arguments.keep:
                (HERE / f"{name}.onnx").write_bytes(path.read_bytes())
                print(f"    kept as {name}.onnx ({exporter} {opset})")
    print(f"all exports: {folder}; the smallest: {len(rows)} files, {total} bytes")
    if arguments.keep:
        (HERE / "expected.json").write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
