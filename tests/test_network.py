"""Networks: what is read out of the file is what onnxruntime computes with."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from cam_numpy import check_scores, class_scores, explain, global_average_pool, load
from cam_numpy.errors import CamNotApplicable, InputError
from tests import networks
from tests.conftest import scene
from tests.networks import BODY, GAP, GEMM, C, K

W = networks.weights()


def test_w_and_b_are_the_files_own(small):
    network = load(small)
    np.testing.assert_array_equal(network.w, W["w"])
    np.testing.assert_array_equal(network.b, W["b"])
    assert network.classes[2] == "thing 2, Res 2" and network.preprocessing.size == 16


def test_f_is_what_enters_the_pooling_and_S_the_networks_own(small):
    seen = load(small).see(scene(32, 48))
    assert seen.f.shape == (K, 4, 6) and seen.S.shape == (C,) and (seen.f >= 0).all()
    assert check_scores(seen.f, W["w"], W["b"], seen.S) < 1e-5


def test_the_body_computes_what_a_loop_computes(small):
    """f of the network, from the photo's pixels, without onnxruntime."""
    network, pixels = load(small), scene(16, 20)
    f = network.see(pixels).f
    x = ((pixels / 255 - [0.5, 0.4, 0.3]) / [0.2, 0.3, 0.4]).transpose(2, 0, 1)
    for k in range(K):
        for i in range(4):
            for j in range(5):
                patch = x[:, 4 * i : 4 * i + 4, 4 * j : 4 * j + 4]
                want = max(0.0, float((W["body"][k] * patch).sum() + W["body_b"][k]))
                assert f[k, i, j] == pytest.approx(want, abs=1e-4)  # float32 in onnxruntime


def test_nobody_can_change_the_networks_weights(small):
    network = load(small)
    with pytest.raises(ValueError, match="read-only"):
        network.w[0, 0] = 1


HEADS = {
    "Gemm transB": GAP + GEMM,
    "Gemm": GAP + [("Gemm", ["F", "wT", "b"], "S")],
    "Gemm alpha beta": GAP + [("Gemm", ["F", "w", "b"], "S", {"transB": 1, "alpha": 0.5, "beta": 2.0})],
    "MatMul": GAP + [("MatMul", ["F", "wT"], "S")],
    "MatMul Add": GAP + [("MatMul", ["F", "wT"], "s"), ("Add", ["s", "b"], "S")],
    "Add on the left": GAP + [("MatMul", ["F", "wT"], "s"), ("Add", ["b", "s"], "S")],
    "Conv 1x1": [GAP[0], ("Conv", ["pooled", "w4", "b"], "s"), ("Flatten", ["s"], "S")],
    "4-D output": [GAP[0], ("Conv", ["pooled", "w4"], "S")],
    "ReduceMean": [("ReduceMean", ["f"], "F", {"axes": [2, 3], "keepdims": 0})] + GEMM,
    "ReduceMean from behind": [("ReduceMean", ["f"], "F", {"axes": [-1, -2], "keepdims": 0})] + GEMM,
    "softmax": GAP + GEMM + [("Softmax", ["S"], "P")],
    "dropout and reshape": [GAP[0], ("Dropout", ["pooled"], "d"), ("Reshape", ["d", "flat"], "F")] + GEMM,
    "transposed weights": GAP + [("Transpose", ["w"], "t"), ("MatMul", ["F", "t"], "S")],
    "two linear layers": GAP + [("Gemm", ["F", "square"], "G"),
                                ("Gemm", ["G", "w", "b"], "S", {"transB": 1})],
    "BatchNormalization": [GAP[0], ("BatchNormalization", ["pooled", "g", "h", "m", "v"], "n"),
                           ("Flatten", ["n"], "F")] + GEMM,
    "Mul and Sub": GAP + [("Mul", ["F", "g"], "G"), ("Sub", ["G", "h"], "H"),
                          ("Gemm", ["H", "w", "b"], "S", {"transB": 1})],
    "Sub from a constant": GAP + [("Sub", ["h", "F"], "G"), ("Gemm", ["G", "w", "b"], "S", {"transB": 1})],
    "Div": GAP + GEMM[:0] + [("Gemm", ["F", "w", "b"], "s", {"transB": 1}), ("Div", ["s", "two"], "S")],
}
RNG = np.random.default_rng(9)
EXTRA = {
    "wT": np.ascontiguousarray(W["w"].T), "w4": W["w"][:, :, None, None], "flat": np.array([-1, K]),
    "square": RNG.normal(size=(K, K)).astype(np.float32), "two": np.array([2], np.float32),
    **{name: RNG.uniform(0.5, 2, K).astype(np.float32) for name in "ghmv"},
}


@pytest.mark.parametrize("form", HEADS)
def test_every_form_of_head_folds_into_w_and_b(tmp_path, form):
    outputs = ("P",) if form == "softmax" else ("S",)
    path = networks.save(tmp_path / "n.onnx", BODY + HEADS[form], EXTRA, outputs, opset=13)
    network = load(path)
    seen = network.see(scene(24, 16))
    assert network.w.shape == (C, K) and network.b.shape == (C,)
    S = class_scores(global_average_pool(seen.f), network.w, network.b)
    np.testing.assert_allclose(S, seen.S, rtol=1e-4, atol=1e-4)
    check_scores(seen.f, network.w, network.b, seen.S)


BETWEEN = r"stands between the pooling \(GlobalAveragePool -> pooled\) and the scores"
FLATTENED = r"flattened into the linear layer \(Flatten -> F\) without global pooling"
TWO_LAYERS = [
    ("Gemm", ["F", "square"], "h1"), ("Relu", ["h1"], "h2"), ("Gemm", ["h2", "w", "b"], "S", {"transB": 1}),
]
LAYER_NORM = [
    ("ReduceMean", ["F"], "mean", {"axes": [-1]}), ("Sub", ["F", "mean"], "d"), ("Mul", ["d", "d"], "d2"),
    ("ReduceMean", ["d2"], "variance", {"axes": [-1]}), ("Sqrt", ["variance"], "deviation"),
    ("Div", ["d", "deviation"], "n"), ("Mul", ["n", "g"], "n2"),
    ("Gemm", ["n2", "w", "b"], "S", {"transB": 1}),
]
REFUSED = {
    "flatten and one layer (AlexNet)": ([("Flatten", ["f"], "F"), ("Gemm", ["F", "big"], "S")], FLATTENED),
    "flatten and three layers (VGG)": (
        [("AveragePool", ["f"], "p", {"kernel_shape": [1, 1]}), ("Flatten", ["p"], "F"),
         ("Gemm", ["F", "big"], "hidden"), ("Relu", ["hidden"], "r"), ("Gemm", ["r", "seven"], "S")],
        FLATTENED),
    "an activation between (MobileNetV3)": (GAP + TWO_LAYERS, "Relu -> h2 " + BETWEEN),
    "a hard swish between": (
        GAP + [("HardSwish", ["F"], "hidden"), ("Gemm", ["hidden", "w", "b"], "S", {"transB": 1})],
        "HardSwish -> hidden " + BETWEEN),
    "a layer norm between (ConvNeXt)": (GAP + LAYER_NORM, "Div -> n " + BETWEEN),
    "an activation behind": (
        GAP + [("Gemm", ["F", "w"], "s", {"transB": 1}), ("Tanh", ["s"], "S")], "Tanh -> S " + BETWEEN),
    "an activation behind max pooling": (
        [("GlobalMaxPool", ["f"], "pooled"), GAP[1]] + TWO_LAYERS,
        r"Relu -> h2 stands between the pooling \(GlobalMaxPool"),
    "a class token": (
        [("Reshape", ["f", "tokens"], "t"), ("Transpose", ["t"], "k", {"perm": [0, 2, 1]}),
         ("MatMul", ["k", "t"], "q"), ("Softmax", ["q"], "a"), ("MatMul", ["a", "k"], "u"),
         ("Gather", ["u", "zero"], "F", {"axis": 1})] + GEMM,
        r"the scores are read off single places of u \(Gather -> F\), not off an average over places"),
    "no classifier at all (a detector)": (
        [("Conv", ["f", "w4"], "boxes"), ("Concat", ["boxes", "f"], "S", {"axis": 1})],
        r"its output S is an array of shape \(1, 12, 4, 4\), not one score per class"),
    "two paths": (
        GAP + [("Gemm", ["F", "w", "b"], "s", {"transB": 1}), ("Mul", ["s", "s"], "S")],
        "Mul -> S " + BETWEEN + " and squares"),
    "the mean over half of the map": (
        [("ReduceMean", ["f"], "rows", {"axes": [2]}), ("Flatten", ["rows"], "F"),
         ("Gemm", ["F", "big4"], "S")],
        "ReduceMean -> rows pools a part of the map, and what is left is flattened"),
}


def random(*shape):
    return np.random.default_rng(8).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("form", REFUSED)
def test_a_head_that_is_not_linear_is_refused_by_name(tmp_path, form):
    nodes, message = REFUSED[form]
    extra = {**EXTRA, "big": random(K * 16, C), "big4": random(K * 4, C), "seven": random(C, C),
             "tokens": np.array([1, K, -1]), "zero": np.array(0)}
    path = networks.save(tmp_path / "odd.onnx", BODY + nodes, extra, x=(1, 3, 16, 16), opset=14)
    pattern = rf"^CAM does not apply to odd\.onnx: .*{message}.*; the paper "
    with pytest.raises(CamNotApplicable, match=pattern) as refused:
        load(path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("form, nodes, message", [
    ("a pooling of half the size",
     [("AveragePool", ["f"], "p", {"kernel_shape": [2, 2], "strides": [2, 2]}), ("Flatten", ["p"], "F"),
      ("Gemm", ["F", "big4"], "S")],
     "AveragePool -> p pools a part of the map, and what is left is flattened"),
    ("a max pooling of half the size, as in front of the layers of AlexNet",
     [("MaxPool", ["f"], "p", {"kernel_shape": [2, 2], "strides": [2, 2]}), ("Flatten", ["p"], "F"),
      ("Gemm", ["F", "big4"], "S")],
     "MaxPool -> p pools a part of the map, and what is left is flattened"),
    ("one over F", GAP + [("Div", ["two", "F"], "G"), ("Gemm", ["G", "w", "b"], "S", {"transB": 1})],
     "Div -> G stands between the pooling .* and divides by the activations, so they are not linear in F"),
])
def test_what_only_the_numbers_show_is_refused_too(tmp_path, form, nodes, message):
    extra = {**EXTRA, "big4": random(4 * K, C)}
    path = networks.save(tmp_path / "odd.onnx", BODY + nodes, extra, x=(1, 3, 16, 16), opset=14)
    with pytest.raises(CamNotApplicable, match=rf"^CAM does not apply to odd\.onnx: .*{message}"):
        load(path)


def test_a_head_read_wrongly_cannot_pass(small, monkeypatch):
    """The identity is checked on every run, against the network's own output."""
    network = load(small)
    monkeypatch.setattr(network, "b", network.b + 0.01)
    with pytest.raises(InputError, match="CAM does not apply to small.onnx: the maps do not add up"):
        explain(scene(16, 16), network)


def test_without_metadata_imagenet_is_assumed(tmp_path):
    network = load(networks.classifier(tmp_path / "n.onnx", metadata=None))
    assert network.preprocessing.view((640, 512)).input == (224, 224)
    assert network.classes[3] == "class 3"


@pytest.mark.parametrize("change, message", [
    ({"classes": json.dumps(["one", "two"])}, "has 7 classes but 2 names are given"),
    ({"size": "big"}, "describes its preprocessing badly"),
    ({"size": "99999999"}, "describes its preprocessing badly .the input's size is 99999999 pixels"),
    ({"size": "0"}, "describes its preprocessing badly"),
    ({"mean": "0.5"}, "describes its preprocessing badly"),
    ({"std": "[0, 1, 1]"}, "describes its preprocessing badly .mean is .* none of std zero"),
    ({"resize": "stretch"},
     "describes its preprocessing badly .resize is 'stretch'; give one of fit, crop, squash"),
])
def test_metadata_that_does_not_fit_is_refused(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        load(networks.classifier(tmp_path / "n.onnx", metadata={**networks.METADATA, **change}))


@pytest.mark.parametrize("metadata", [
    {"classes": "not json", "mean": "of another tool"}, {"classes": '{"a": 1}'}, {},
])
def test_metadata_of_other_tools_is_left_alone(tmp_path, metadata):
    network = load(networks.classifier(tmp_path / "n.onnx", metadata=metadata))
    assert network.classes[6] == "class 6" and len(network.assumed) == 2


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [0, 2, 1, 3, 4], [4, 3, 2, 1, 1]])
def test_a_gather_may_flatten_or_mix_the_units(tmp_path, order):
    nodes = BODY + GAP[:1] + [("Flatten", ["pooled"], "G"),
                              ("Gather", ["G", "order"], "F", {"axis": 1})] + GEMM
    network = load(networks.save(tmp_path / "n.onnx", nodes, {"order": np.array(order)}, opset=13))
    np.testing.assert_allclose(network.w, W["w"] @ np.eye(K)[order], rtol=1e-4, atol=1e-5)
    explain(scene(16, 16), network)


@pytest.mark.parametrize("x", [(1, 3, 10**6, 10**6), (10**9, 3, 16, 16), (1, 4, 16, 16)])
def test_an_input_that_is_no_picture_is_refused_before_it_eats_memory(tmp_path, x):
    networks.save(tmp_path / "n.onnx", [("GlobalAveragePool", ["x"], "S")], x=x, metadata=None)
    with pytest.raises(InputError, match="n.onnx takes"):
        load(tmp_path / "n.onnx")


def test_scores_without_a_batch_axis(tmp_path):
    nodes = BODY + GAP + [("Gemm", ["F", "w", "b"], "s", {"transB": 1}), ("Squeeze", ["s", "first"], "S")]
    network = load(networks.save(tmp_path / "n.onnx", nodes, {"first": np.array([0])}, opset=13))
    assert network.see(scene(16, 16)).S.shape == (C,)


BAD_MODELS = {
    "missing": (lambda p: None, "there is no such file, and no network of that name; give one of"),
    "folder": (lambda p: p.mkdir(), "is a folder; give an .onnx file"),
    "empty": (lambda p: p.write_bytes(b""), "is empty"),
    "web page": (lambda p: p.write_text("<html>404", encoding="utf-8"), "is a web page"),
    "pointer": (lambda p: p.write_text("version https://git-lfs.github.com/spec/v1", encoding="utf-8"),
                "Git-LFS pointer"),
    "text": (lambda p: p.write_text("hello there", encoding="utf-8"), "is not a whole ONNX model"),
    "unknown op": (lambda p: networks.save(p, [("Frobnicate", ["x"], "f")] + GAP + GEMM),
                   "cannot be opened by onnxruntime"),
    "newer IR": (lambda p: networks.classifier(p, ir=99), "cannot be opened by onnxruntime"),
}


@pytest.mark.parametrize("kind", BAD_MODELS)
def test_what_is_no_network_is_refused_in_one_line(tmp_path, kind):
    make, message = BAD_MODELS[kind]
    make(tmp_path / "m.onnx")
    with pytest.raises(InputError, match=message) as refused:
        load(tmp_path / "m.onnx")
    assert "m.onnx" in str(refused.value) and "\n" not in str(refused.value)


def test_a_truncated_network_is_refused(small, tmp_path):
    (tmp_path / "half.onnx").write_bytes(small.read_bytes()[:-900])
    with pytest.raises(InputError, match="half.onnx"):
        load(tmp_path / "half.onnx")


def test_an_input_that_the_network_does_not_take_is_refused(small):
    with pytest.raises(InputError, match=r"small\.onnx cannot take an input of shape \(1, 4, 16, 16\) \("):
        load(small).run(np.zeros((4, 16, 16), np.float32))


def test_no_telemetry_and_no_noise(small, tmp_path):
    """A fresh process with an empty home writes nothing there, and nothing to the terminal."""
    home = tmp_path / "home"
    home.mkdir()
    folders = ("HOME", "XDG_CACHE_HOME", "TMPDIR", "LOCALAPPDATA")
    env = {**os.environ, **dict.fromkeys(folders, str(home))}
    env.pop("CI", None)  # it would hide the effect
    env.pop("ORT_DISABLE_TELEMETRY", None)
    code = f"import cam_numpy; cam_numpy.load({str(small)!r}).w"
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == done.stderr == "" and list(home.iterdir()) == []


@pytest.mark.parametrize("name", [
    "x" * 5000, "x" * 300 + ".onnx", "a\0b", "a\0b.onnx", "caf\udce9.onnx", "x/" * 3000,
])
def test_a_name_that_no_model_has_is_refused_in_one_line(name):
    with pytest.raises(InputError, match="check the name|give one of") as refused:
        load(name)
    assert "\n" not in str(refused.value)
