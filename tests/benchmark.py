"""Where the time and the memory go: `python -m tests.benchmark [PART ...]`.

Every figure that can be a ratio is one: ours against the least that any program would need for the
same, the two sides run in turn, so that what else the machine does meets both. Printed are the
median and, in brackets, the smallest and the largest of all rounds. The networks of ResNet-18's
size and of many small layers are made up here; their weights are random, time does not depend on
them.
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
import warnings
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper, save
from PIL import Image

from cam_numpy import class_activation_map, evaluate, load, open_dataset, softmax
from cam_numpy.errors import Assumed
from cam_numpy.image.photo import portrait, read_photo
from tests import networks
from tests.conftest import scene

# what any program needs that explains a portrait and draws a figure
LEAST = """
import sys, numpy as np
from PIL import Image
import onnxruntime
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
photo = Image.open(sys.argv[2]).convert("RGB").resize((96, 112))
x = np.asarray(photo, np.float32).transpose(2, 0, 1)[None] / 255
onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"]).run(None, {"x": x})
figure = Figure(figsize=(11, 4), dpi=120)
FigureCanvasAgg(figure)
figure.savefig(sys.argv[3])
"""


def main(parts):
    warnings.simplefilter("ignore", Assumed)
    names = ("numpy", "onnxruntime", "pillow", "matplotlib")
    packages = ", ".join(f"{name} {version(name)}" for name in names)
    print(f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}, "
          f"Python {platform.python_version()}, {packages}")
    with tempfile.TemporaryDirectory() as folder:
        for part in parts or PARTS:
            PARTS[part](Path(folder))


def equations(folder):
    """What is computed after the backbone has run, against the forward pass."""
    for name, network in (("the shipped network", load()),
                          ("a network of ResNet-18's size", load(resnet18(folder / "resnet18.onnx")))):
        x, _ = network.preprocessing(read_photo(portrait()))
        f, S = network.run(x)

        def after(network=network, f=f, S=S):
            """F, S, P, one M, and the check of all classes: what `explain` computes."""
            network.check_scores(f, S)
            network.form.pool(f)
            return class_activation_map(f, network.w, int(softmax(S).argmax()))

        print(f"{name}, f {f.shape}, {len(S)} classes")
        ours, theirs = in_turn(after, lambda network=network, x=x: network.run(x), rounds=50)
        report("forward pass", theirs, 1000, "ms")
        report("after the backbone", ours, 1000, "ms")
        report("ratio", ratios(ours, theirs), 100, "%")


def throughput(folder, count=400, rounds=7):
    """Pictures a second of `evaluate`, and of onnxruntime alone on the same arrays and threads."""
    folder = folder / "photos"
    folder.mkdir()
    lines = ["path,label,x0,y0,x1,y1"]
    for i in range(count):
        Image.fromarray(scene(64, 64, i)).save(folder / f"{i}.jpg")
        lines.append(f"{i}.jpg,{i % 200},{i % 30},10,{i % 30 + 30},50")
    (folder / "boxes.csv").write_text("\n".join(lines), encoding="utf-8")
    dataset, network, workers = open_dataset(folder / "boxes.csv"), load(threads=1), os.cpu_count()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(network.path, options, providers=["CPUExecutionProvider"])
    arrays = [network.preprocessing(case.photo)[0][None] for case in dataset]
    with ThreadPoolExecutor(workers) as pool:
        def alone():
            list(pool.map(lambda x: session.run(["S"], {"x": x}), arrays))

        ours, theirs = in_turn(lambda: evaluate(dataset, network), alone, rounds)
    print(f"the shipped network, {count} pictures of 64 x 64 pixels, on {workers} cores")
    report("evaluate", [count / t for t in ours], 1, "pictures/s")
    report("onnxruntime alone", [count / t for t in theirs], 1, "pictures/s")
    report("ratio of the rates", ratios(theirs, ours), 1, "times")


def command(folder):
    """The command as a whole, against the least that such a command needs."""
    out = str(folder)
    explain = [sys.executable, "-m", "cam_numpy", "explain", "--out", out]
    least = [sys.executable, "-c", LEAST, str(load().path), portrait(), str(folder / "empty.png")]
    print("cam-numpy explain, against a script that runs the network and saves an empty figure")
    processes({"cam-numpy explain": explain, "the script": least})
    print("processes")
    for name, code in (("python -c pass", "pass"), ("import numpy", "import numpy"),
                       ("import cam_numpy", "import cam_numpy")):
        processes({name: [sys.executable, "-c", code]})
    processes({"explain --plain": [*explain, "--plain"]})


def opening(folder):
    """Opening a network, against onnxruntime alone; less what the imports take."""
    large = resnet18(folder / "large.onnx", widen=1.5)
    many = many_layers(folder / "many.onnx")
    imports = "import warnings, cam_numpy.network.network as n, onnxruntime as o, time; "
    quiet = "warnings.simplefilter('ignore'); "
    timed = "t = time.perf_counter(); {}; print(time.perf_counter() - t)"
    for path, what in ((large, "weights"), (many, "1600 small layers")):
        print(f"opening a network of {path.stat().st_size / 1e6:.0f} MB, {what}")
        ours = imports + quiet + timed.format(f"n.load({str(path)!r})")
        alone = imports + quiet + timed.format(f"o.InferenceSession({str(path)!r})")
        processes({"cam_numpy.load": [sys.executable, "-c", ours],
                   "onnxruntime alone": [sys.executable, "-c", alone]}, own_clock=True)


def asking(folder, K=2048, C=1000):
    """Opening heads that are asked, and one that is read: seconds of CPU time, with the body's."""
    rng = np.random.default_rng(0)
    arrays = {"body": rng.normal(size=(K, 3, 4, 4)), "body_b": np.zeros(K), "w": rng.normal(size=(C, K)),
              "b": rng.normal(size=C)}
    arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
    arrays |= {"axes": np.array([2, 3]), "fixed": np.array([1, K, 49])}
    rows = [("Reshape", ["f", "fixed"], "r")]
    heads = {
        "read": networks.GAP + networks.GEMM,
        "a sum": [("ReduceSum", ["f", "axes"], "F", {"keepdims": 0})] + networks.GEMM,
        "a Reshape to (1, K, 49)": rows + [("ReduceMean", ["r"], "F", {"axes": [2], "keepdims": 0})]
        + networks.GEMM,
        "a Reshape and an Einsum": rows + [("Einsum", ["r", "w"], "s", {"equation": "nkp,ck->nc"}),
                                           ("Add", ["s", "b"], "S")],
    }
    print(f"opening a network of {K} units and {C} classes, f {(K, 7, 7)}, by its head")
    for name, head in heads.items():
        path = networks.save(folder / "head.onnx", networks.BODY + head, arrays, metadata=None,
                             x=(1, 3, 28, 28), opset=13)
        times = []
        for _ in range(5):
            start = time.process_time()
            load(path)
            times.append(time.process_time() - start)
        report(name, times, 1, "s")


PARTS = {part.__name__: part for part in (equations, throughput, command, opening, asking)}


def in_turn(ours, theirs, rounds):
    """The seconds of two calls, run in turn."""
    times = ([], [])
    for call in (ours, theirs):
        call()
    for i in range(rounds):
        for side in ((0, 1), (1, 0))[i % 2]:
            start = time.perf_counter()
            (ours, theirs)[side]()
            times[side].append(time.perf_counter() - start)
    return times


def ratios(ours, theirs):
    return [a / b for a, b in zip(ours, theirs, strict=True)]


def report(name, values, unit, of):
    low, middle, high = (unit * value for value in (min(values), statistics.median(values), max(values)))
    print(f"  {name:<24}{middle:10.2f} {of:<11}({low:.2f} to {high:.2f})", flush=True)


def processes(commands, rounds=9, own_clock=False):
    """Seconds and peak memory of one command or two, in processes of their own, run in turn."""
    # an installed package is compiled already, whatever this process was told
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}

    def run(command):
        start = time.perf_counter()
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        return float(done.stdout.split()[-1]) if own_clock else time.perf_counter() - start

    names, times = list(commands), {name: [] for name in commands}
    for command in commands.values():
        run(command)
    for i in range(rounds):
        for name in names[:: (1, -1)[i % 2]]:
            times[name].append(run(commands[name]))
    for name in names:
        report(name, times[name], 1, "s")
    peaks = [peak(commands[name]) for name in names]
    if all(peaks):
        print(f"  {'peak memory':<24}" + " against ".join(f"{mib:.0f} MiB" for mib in peaks))
    if len(names) == 2:
        report("ratio", ratios(*times.values()), 1, "times")


def peak(command):
    """Peak memory of a command in MiB; None where the system does not tell."""
    if not importlib.util.find_spec("resource"):  # Windows
        return None
    code = (f"import resource, subprocess; subprocess.run({command!r}, check=True, capture_output=True); "
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return int(done.stdout) * unit / 2**20


def many_layers(path, layers=800, channels=16):
    """A 3x3 convolution and a ReLU, many times over, on small pictures: 2 nodes a layer."""
    rng = np.random.default_rng(0)
    nodes, arrays, tensor, inputs = [], [], "x", 3
    for i in range(layers):
        kernel = rng.normal(size=(channels, inputs, 3, 3)).astype(np.float32) / (3 * inputs**0.5)
        arrays.append(numpy_helper.from_array(kernel, f"kernel{i}"))
        nodes.append(helper.make_node("Conv", [tensor, f"kernel{i}"], [f"c{i}"], pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"c{i}"], [f"r{i}"]))
        tensor, inputs = f"r{i}", channels
    return _with_head(path, nodes, arrays, tensor, channels, classes=10, side=8)


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
    return _with_head(path, nodes, arrays, tensor, channels, classes=1000, side=224)


def _with_head(path, nodes, arrays, tensor, channels, classes, side):
    """Write a network that ends in global average pooling and one linear layer."""
    rng = np.random.default_rng(1)
    for name, shape in (("w", (classes, channels)), ("b", (classes,))):
        arrays.append(numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name))
    nodes += [
        helper.make_node("GlobalAveragePool", [tensor], ["p"]),
        helper.make_node("Flatten", ["p"], ["F"]),
        helper.make_node("Gemm", ["F", "w", "b"], ["S"], transB=1),
    ]
    graph = helper.make_graph(
        nodes, "network", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info("S", TensorProto.FLOAT, [1, classes])], arrays)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


if __name__ == "__main__":
    unknown = set(sys.argv[1:]) - set(PARTS)
    if unknown:
        sys.exit(f"no part {', '.join(sorted(unknown))}; give some of {', '.join(PARTS)}")
    main(sys.argv[1:])
