"""Where the time and the memory go: `python -m tests.benchmark`.

Medians of repeated runs. The network of ResNet-18's size is made up here (its
weights are random: time does not depend on them).
"""

from __future__ import annotations

import importlib.util
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save
from PIL import Image

from cam_numpy import check_scores, class_activation_map, class_scores, global_average_pool, load, softmax
from cam_numpy.evaluation.datasets import open_dataset
from cam_numpy.evaluation.run import evaluate
from cam_numpy.image.photo import portrait, read_photo
from tests.conftest import scene


def main():
    print(f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}, "
          f"Python {platform.python_version()}, "
          + ", ".join(f"{name} {version(name)}" for name in ("numpy", "onnxruntime", "pillow", "matplotlib")))
    photo = read_photo(portrait())
    with tempfile.TemporaryDirectory() as folder:
        one_photo("the shipped network", load(), photo)
        many_photos(Path(folder) / "photos")
        one_photo("a network of ResNet-18's size", load(resnet18(Path(folder) / "resnet18.onnx")), photo)
        large = resnet18(Path(folder) / "large.onnx", widen=1.5)
        command = [sys.executable, "-m", "cam_numpy", "explain", "--out", folder]
        process("python -c pass", [sys.executable, "-c", "pass"])
        process("import numpy", [sys.executable, "-c", "import numpy"])
        process("import cam_numpy", [sys.executable, "-c", "import cam_numpy"])
        process("cam-numpy explain", command)
        process("cam-numpy explain --plain", [*command, "--plain"])
        print(f"opening a network of {large.stat().st_size / 1e6:.0f} MB")
        imports = "import cam_numpy.network.network as n, onnxruntime as o, time; "
        python = [sys.executable, "-c"]
        process("  onnxruntime alone", [*python, f"{imports} o.InferenceSession({str(large)!r})"])
        process("  cam_numpy.load", [*python, f"{imports} n.load({str(large)!r})"])
        process("  (the imports alone)", [*python, imports])


def many_photos(folder, count=400, repeats=5):
    """Pictures a second of `evaluate`, and of onnxruntime alone on the same arrays and threads."""
    folder.mkdir()
    lines = ["path,label,x0,y0,x1,y1"]
    for i in range(count):
        Image.fromarray(scene(64, 64, i)).save(folder / f"{i}.jpg")
        lines.append(f"{i}.jpg,{i % 200},{i % 30},10,{i % 30 + 30},50")
    (folder / "boxes.csv").write_text("\n".join(lines), encoding="utf-8")
    dataset, network, workers = open_dataset(folder / "boxes.csv"), load(threads=1), os.cpu_count()
    session, wanted = network._session, [network.head.S]
    arrays = [network.preprocessing(case.photo)[0][None] for case in dataset]
    rates = {"evaluate": [], "onnxruntime alone": []}
    with ThreadPoolExecutor(workers) as pool:
        for _ in range(repeats):
            start = time.perf_counter()
            list(pool.map(lambda x: session.run(wanted, {network.input_name: x}), arrays))
            rates["onnxruntime alone"].append(count / (time.perf_counter() - start))
            start = time.perf_counter()
            evaluate(dataset, network)
            rates["evaluate"].append(count / (time.perf_counter() - start))
    print(f"the shipped network, {count} pictures of 64 x 64 pixels, on {workers} cores")
    for name, values in rates.items():
        print(f"  {name:<20}{statistics.median(values):8.0f} pictures a second")
    ratio = statistics.median(ours / alone for ours, alone in zip(*rates.values()))
    print(f"  {'the ratio':<20}{ratio:8.2f}")


def one_photo(name, network, photo):
    """The share of each step of one photo, in milliseconds."""
    x, _ = network.preprocessing(photo)
    f, S = network.run(x)
    w, b = network.w, network.b

    def equations():
        F = global_average_pool(f)
        P = softmax(class_scores(F, w, b))
        return class_activation_map(f, w, int(P.argmax()))

    forward = milliseconds(lambda: network.run(x))
    ours = milliseconds(equations)
    check = milliseconds(lambda: check_scores(f, w, b, S))
    print(f"{name}, f {f.shape}, {len(S)} classes")
    print(f"  preprocessing           {milliseconds(lambda: network.preprocessing(photo)):8.2f} ms")
    print(f"  onnxruntime             {forward:8.2f} ms")
    print(f"  F, S, P and one M       {ours:8.2f} ms")
    print(f"  check of all classes    {check:8.2f} ms")
    print(f"  NumPy / onnxruntime     {(ours + check) / forward:8.1%}")


def milliseconds(call, repeats=30):
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def process(name, command, repeats=7):
    """Seconds and peak memory of a command, in a process of its own."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    print(f"{name:<26}{statistics.median(times):7.2f} s {peak(command)}")


def peak(command):
    """Peak memory of a command, where the system tells it."""
    if not importlib.util.find_spec("resource"):  # Windows
        return ""
    code = ("import resource, subprocess; "
            f"subprocess.run({command!r}, check=True, stdout=subprocess.DEVNULL); "
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return f"{int(done.stdout) * unit / 2**20:6.0f} MiB"


def resnet18(path, widen=1):
    """The convolutions of ResNet-18 in a row (no shortcuts), 1000 classes, 224 x 224."""
    rng = np.random.default_rng(0)
    nodes, arrays, tensor, channels = [], [], "x", 3
    layers = [(64, 7, 2), (64, 3, 2), *[(64, 3, 1)] * 3, (128, 3, 2), *[(128, 3, 1)] * 3,
              (256, 3, 2), *[(256, 3, 1)] * 3, (512, 3, 2), *[(512, 3, 1)] * 3]

    def constant(name, *shape):
        values = rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))
        arrays.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    for i, (width, side, stride) in enumerate(layers):
        units = int(width * widen)
        kernel = constant(f"kernel{i}", units, channels, side, side)
        nodes.append(helper.make_node("Conv", [tensor, kernel], [f"c{i}"],
                                      strides=[stride] * 2, pads=[side // 2] * 4))
        nodes.append(helper.make_node("Relu", [f"c{i}"], [f"r{i}"]))
        tensor, channels = f"r{i}", units
    nodes += [
        helper.make_node("GlobalAveragePool", [tensor], ["p"]),
        helper.make_node("Flatten", ["p"], ["F"]),
        helper.make_node("Gemm", ["F", constant("w", 1000, channels), constant("b", 1000)], ["S"], transB=1),
    ]
    graph = helper.make_graph(
        nodes, "resnet18", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 224, 224])],
        [helper.make_tensor_value_info("S", TensorProto.FLOAT, [1, 1000])], arrays)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


if __name__ == "__main__":
    main()
