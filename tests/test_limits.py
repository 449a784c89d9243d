"""Models and options that are hostile or unlucky: an answer soon, in one line, in little memory."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import onnx
import pytest
from onnx import AttributeProto

from cam_numpy import explain, inspect, load
from cam_numpy.__main__ import main
from cam_numpy.errors import InputError
from cam_numpy.image.preprocessing import PRESETS, Preprocessing
from cam_numpy.network import onnx_reader, onnx_writer, session, source
from cam_numpy.network.onnx_reader import read_graph
from tests import networks
from tests.networks import BODY, GAP, GEMM, K


def complaint(action, *arguments, **options):
    with pytest.raises(InputError) as caught:
        action(*arguments, **options)
    assert len(str(caught.value).splitlines()) == 1 and "; " in str(caught.value)
    return str(caught.value)


# --- scores --------------------------------------------------------------------------------------------

def test_a_single_raw_score_is_judged_by_a_sigmoid(tmp_path, photo):
    """P = 1 / (1 + exp(-S)): not exp(S) / (exp(S) + exp(-S)), which is the same of 2 S."""
    rng = np.random.default_rng(0)
    arrays = {"w1": rng.normal(size=(1, K)).astype(np.float32), "b1": np.float32([0.3])}
    gemm = ("Gemm", ["F", "w1", "b1"], "S", {"transB": 1})
    names = {**networks.METADATA, "classes": '["no", "yes"]'}
    raw = networks.save(tmp_path / "raw.onnx", BODY + GAP + [gemm], arrays, metadata=names)
    nodes = BODY + GAP + [gemm, ("Sigmoid", ["S"], "P")]
    judged = networks.save(tmp_path / "judged.onnx", nodes, arrays, ("P",), metadata=names)
    e, other = (explain(photo, load(path)) for path in (raw, judged))
    S = float(e.F @ arrays["w1"][0] + 0.3)
    np.testing.assert_allclose(e.P, [1 / (1 + np.exp(S)), 1 / (1 + np.exp(-S))], rtol=1e-5)
    np.testing.assert_allclose(e.P, other.P, rtol=1e-6)
    assert e.P.sum() == pytest.approx(1) and e.S.tolist() == [-e.S[1], e.S[1]]


@pytest.mark.filterwarnings("error")
def test_a_sigmoid_of_a_huge_score_overflows_nowhere(tmp_path, photo):
    arrays = {"w1": np.full((1, K), 3e3, np.float32)}
    nodes = BODY + GAP + [("Gemm", ["F", "w1"], "S", {"transB": 1}), ("Sigmoid", ["S"], "P")]
    e = explain(photo, load(networks.save(tmp_path / "n.onnx", nodes, arrays, ("P",), networks.METADATA | {
        "classes": '["no", "yes"]'})))
    assert e.S[1] > 100 and e.P.tolist() == [0, 1]


# --- preprocessing -------------------------------------------------------------------------------------

@pytest.mark.parametrize("given, says", [
    (["caffe"], "preprocessing is ['caffe']; give a dict, or the name of a preset"),
    (5, "preprocessing is 5; give"), ({5: 1}, "preprocessing has no 5; give"),
    ({"sizes": 3}, "preprocessing has no sizes; give some of size, resize"),
    ({"size": "9"}, "the input's size is '9' pixels"), ({"size": None}, "the input's size is None"),
    ({"size": (8, 8, 8)}, "the input's size is (8, 8, 8)"), ({"size": True}, "size is True"),
    ({"stride": 0.5}, "its stride 0.5"), ({"mean": 5}, "mean is 5 and"), ({"mean": "abc"}, "mean is 'abc'"),
    ({"std": (1, 2)}, "std (1, 2); give three"), ({"std": (1, 1, None)}, "give three numbers each"),
    ({"mean": (0, 0, float("nan"))}, "give three"), ({"margin": "1"}, "margin is '1'"),
    ({"margin": 0.5}, "margin is 0.5"), ({"resize": ["fit"]}, "resize is ['fit']; give one of fit"),
    ("keras", "preprocessing 'keras' is not known"),
])
def test_a_wrong_preprocessing_is_refused(small, given, says):
    assert says in complaint(load, small, preprocessing=given)


def test_a_crop_never_leaves_the_photo():
    """Rounding could take its box out by a hair, in one of twenty sizes."""
    crop = Preprocessing(224, "crop", (0, 0, 0), (1, 1, 1))
    rng = np.random.default_rng(0)
    for width, height in rng.integers(1, 3000, (20_000, 2)).tolist():
        left, top, right, bottom = crop.view((width, height)).box
        assert 0 <= left < right <= width and 0 <= top < bottom <= height


def test_the_input_has_a_limit(small, tmp_path, capsys):
    fit = Preprocessing(4096, "fit", (0, 0, 0), (1, 1, 1))
    assert "at 32768 x 4096 pixels, more than" in complaint(fit.view, (8, 1))
    batch = networks.classifier(tmp_path / "batch.onnx", x=(64, 3, 1024, 1024))
    assert "takes 64 pictures of 1024 x 1024 pixels at once" in complaint(load, batch)
    assert fit.view((100, 100)).input == (4096, 4096)
    PRESETS["imagenet"].changed({"size": 4096})


# --- model files ---------------------------------------------------------------------------------------

def field(number, value):
    return onnx_writer._bytes_field(number, value)


def test_field_number_0_is_no_field():
    """A file of zeros, as a broken download leaves it, is refused at once; it took minutes."""
    began = time.perf_counter()
    assert "field number 0 at byte 0" in complaint(read_graph, bytes(20_000_000), "m.onnx")
    assert time.perf_counter() - began < 1


def test_a_message_has_a_limit_of_fields():
    began = time.perf_counter()
    message = complaint(read_graph, b"\x08\x08" * 10_000_000, "m.onnx")
    assert f"more than {onnx_reader.MOST:,} fields" in message
    assert time.perf_counter() - began < 10


def test_empty_outputs_take_no_memory():
    model = field(7, field(12, b"") * 2_000_000)
    assert "more than 1000 outputs" in complaint(read_graph, model, "m.onnx")


def test_a_network_whose_scores_are_its_units_has_a_limit(tmp_path):
    """w would be the identity: 6 GB for 40,000 of them."""
    many = 40_000
    body = {"many": np.ones((many, 3, 4, 4), np.float32)}
    nodes = [("Conv", ["x", "many"], "c", {"strides": [4, 4]}), ("Relu", ["c"], "f")]
    alone = [*nodes, ("GlobalAveragePool", ["f"], "p"), ("Flatten", ["p"], "S")]
    path = networks.save(tmp_path / "n.onnx", alone, body, metadata=None)
    message = complaint(load, path, preprocessing={"size": 16})
    assert "1,600,000,000 weights; at most 67,108,864" in message
    path = networks.save(tmp_path / "n.onnx", [*nodes, *GAP, ("Mul", ["F", "two"], "S")],
                         {**body, "two": np.float32([2])}, metadata=None)
    assert "1,600,000,000 weights" in complaint(load, path, preprocessing={"size": 16})


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", float("nan"), [1]])
def test_threads_that_are_no_number(small, threads):
    assert f"threads is {threads!r}, not a positive integer" in complaint(load, small, threads=threads)


def test_a_million_threads_are_as_many_as_there_are_cores(small, monkeypatch):
    assert session._count(10**6) == session._count(np.int64(10**6)) == os.cpu_count()
    load(small, threads=10**6)


def broken(path, change):
    model = onnx.load(path)
    change(model)
    onnx.save(model, path)
    return path


def patched(path, old, new):
    data = path.read_bytes()
    assert old in data and len(old) == len(new)
    path.write_bytes(data.replace(old, new))
    return path


def test_a_dimension_whose_name_is_not_utf_8(tmp_path):
    path = networks.classifier(tmp_path / "n.onnx", x=("batch", 3, "h", "w"))
    message = complaint(load, patched(path, b"batch", b"bat\xff\xfe"))
    assert "has a dimension whose name is not UTF-8" in message


def test_a_tensor_whose_name_is_not_utf_8(tmp_path):
    path = patched(networks.classifier(tmp_path / "n.onnx"), b"pooled", b"pool\xff\xfe")
    assert "n.onnx is not a whole ONNX model ('utf-8' codec" in complaint(load, path)


@pytest.mark.parametrize("key", ["classes", "wnids", "mean"])
def test_json_that_is_nested_too_deeply(tmp_path, key):
    path = networks.classifier(tmp_path / "n.onnx", metadata={**networks.METADATA, key: "[" * 100_000})
    if key == "mean":
        assert "describes its preprocessing badly" in complaint(load, path)
    else:
        assert load(path).classes


@pytest.mark.parametrize("name", ["transB", "strides", "axes", "group", "alpha"])
def test_an_attribute_of_another_type(tmp_path, name):
    def change(model):
        for node in model.graph.node:
            kept = [attribute for attribute in node.attribute if attribute.name != name]
            del node.attribute[:]
            node.attribute.extend(kept)
            if node.op_type in ("Gemm", "Conv", "ReduceMean"):
                node.attribute.append(AttributeProto(name=name, type=AttributeProto.STRING, s=b"text"))

    nodes = BODY + [("ReduceMean", ["f"], "F", {"axes": [2, 3], "keepdims": 0})] + GEMM
    path = broken(networks.save(tmp_path / "n.onnx", nodes, opset=13), change)
    assert f"the attribute {name} of a node is 'text'" in complaint(load, path)


def test_a_file_that_is_cut_short_while_it_is_opened(small, monkeypatch):
    """A mapped file would take Python with it; a small one is read, and what was read stays."""
    opened = session.open_session

    def cut(*arguments, **options):
        os.truncate(small, 100)
        return opened(*arguments, **options)

    monkeypatch.setattr("cam_numpy.network.source.open_session", cut)
    network = load(small)
    assert network.w.shape == (networks.C, K)
    message = complaint(network.run, np.zeros((3, 16, 16), np.float32))
    assert "has changed since it was opened; load it again" in message


def leases(path):
    """Whether this system lets nobody write to a file for a while."""
    fcntl = pytest.importorskip("fcntl")
    with open(path, "rb") as file:
        try:
            return fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK) == 0
        except (AttributeError, OSError):
            return False


def test_a_large_file_cannot_be_cut_short_while_it_is_opened(small, monkeypatch):
    """Who tries, waits: it is mapped, and would take Python with it."""
    if not leases(small):
        pytest.skip("this system has no leases")
    monkeypatch.setattr(onnx_writer, "WHOLE", 100)
    opened, cutters = session.open_session, []

    def cut(*arguments, **options):
        if not cutters:
            code = f"import os; print(flush=True); os.truncate({str(small)!r}, 100)"
            cutters.append(subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE))
            cutters[0].stdout.readline()
            with pytest.raises(subprocess.TimeoutExpired):
                cutters[0].wait(0.5)
        return opened(*arguments, **options)

    monkeypatch.setattr("cam_numpy.network.source.open_session", cut)
    network = load(small)
    assert cutters[0].wait(20) == 0 and small.stat().st_size == 100
    cutters[0].stdout.close()
    assert "has changed since it was opened; load it again" in complaint(
        network.run, np.zeros((3, 16, 16), np.float32))


def test_large_files_are_mapped_and_small_ones_are_not(small, monkeypatch):
    assert isinstance(source.model_bytes(small), bytes)
    monkeypatch.setattr(onnx_writer, "WHOLE", 100)
    assert not isinstance(source.model_bytes(small), bytes)


def test_messages_of_onnxruntime_end_in_advice(small, tmp_path, capsys):
    message = complaint(load(small).run, np.zeros((4, 16, 16), np.float32))
    assert message.endswith("); give its size as preprocessing")
    bad = broken(small, lambda model: setattr(model.opset_import[0], "version", 9999))
    assert complaint(load, bad).endswith("); export the network again, or update onnxruntime")
    assert main(["inspect", str(bad)]) == 2 and capsys.readouterr().err.count("\n") == 1


# --- telemetry -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("given, before, left", [
    (None, "", "1"), ("", "", "1"), ("0", "", "0"), ("1", "", "1"), (None, "import onnxruntime", "1"),
])
def test_telemetry_is_off_unless_the_user_wants_it(given, before, left):
    """And events are off, too, where onnxruntime was imported first."""
    code = f"""
import os
{before}
import unittest.mock
patch = unittest.mock.patch("onnxruntime.disable_telemetry_events")
with patch if {bool(before)} else unittest.mock.MagicMock() as off:
    import cam_numpy.network.session
print(os.environ["ORT_DISABLE_TELEMETRY"], {bool(before)} and off.called)
"""
    env = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60,
                          env=env if given is None else {**env, "ORT_DISABLE_TELEMETRY": given})
    assert done.stdout == f"{left} {bool(before)}\n", done.stderr


def test_inspection_as_json_has_the_true_names(tmp_path):
    path = networks.classifier(tmp_path / "n\x1b.onnx")
    assert json.dumps(inspect(path).as_dict()) and "\x1b" not in str(inspect(path))
