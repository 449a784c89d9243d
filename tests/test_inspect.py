"""`cam-numpy inspect`, and the options that tell what a file does not say."""

import json

import numpy as np
import pytest

from cam_numpy import load
from cam_numpy.__main__ import main
from cam_numpy.errors import InputError
from cam_numpy.image.preprocessing import PRESETS
from tests import networks
from tests.conftest import scene
from tests.networks import BODY, GAP, GEMM, C, K

W = networks.weights()
KEYS = ["verdict", "form", "reason", "activation", "weight", "bias", "units", "classes", "input", "assumed"]


@pytest.fixture
def inspect(capsys):
    def run(*arguments):
        status = main(["inspect", *map(str, arguments)])
        return status, *capsys.readouterr()

    return run


def test_an_exact_network(inspect, small):
    status, text, noise = inspect(small, "--json")
    record = json.loads(text)
    assert status == 0 and noise == "" and list(record) == KEYS
    assert record["reason"].startswith(
        "S_c = mean_xy M_c(x, y) + b_c holds for all 7 classes; largest error ")
    assert {key: record[key] for key in KEYS if key not in ("reason", "input")} == {
        "verdict": "exact", "form": "gap", "activation": "f", "weight": "w", "bias": "b",
        "units": K, "classes": C, "assumed": []}
    assert record["input"]["name"] == "x" and record["input"]["size"] == [16, 16]


def test_the_drawing_is_the_way_from_f_to_S(inspect, small):
    _, text, _ = inspect(small)
    lines = [line.strip() for line in text.splitlines()]
    assert lines[0] == "small.onnx: exact (gap)"
    way = lines.index("f  f  (K, H, W) = (5, 4, 4), one cell for 4 x 4 pixels")
    assert lines[way + 1 : way + 5] == [
        "|  GlobalAveragePool", "|  Flatten", "|  Gemm with w, b", "S  S  (C,) = (7,)"]
    assert max(map(len, text.splitlines())) <= 100


def test_an_approximate_network(inspect, tmp_path):
    nodes = BODY + [("Conv", ["f", "w4", "b"], "s0"), ("Relu", ["s0"], "s"),
                    ("GlobalAveragePool", ["s"], "p"), ("Flatten", ["p"], "S")]
    path = networks.save(tmp_path / "squeeze.onnx", nodes, {"w4": W["w"][:, :, None, None]})
    status, text, _ = inspect(path, "--json")
    record = json.loads(text)
    assert status == 0 and (record["verdict"], record["form"]) == ("approximate", "squeezenet")
    assert record["reason"].startswith("S_c = mean_xy max(0, M_c(x, y) + b_c) holds")
    assert (record["activation"], record["weight"], record["bias"]) == ("f", "w4", "b")
    assert "discards evidence against a class" in " ".join(inspect(path)[1].split())


def test_a_refused_network(inspect, tmp_path):
    nodes = BODY + [("Flatten", ["f"], "F"), ("Gemm", ["F", "big"], "S")]
    extra = {"big": np.sin(np.arange(K * 16 * C, dtype=np.float32)).reshape(-1, C)}
    path = networks.save(tmp_path / "vgg.onnx", nodes, extra, x=(1, 3, 16, 16))
    status, text, noise = inspect(path, "--json")
    record = json.loads(text)
    assert status == 1 and noise == "" and list(record) == KEYS and record["verdict"] == "refused"
    assert "flattened into the linear layer (Flatten -> F)" in record["reason"]
    assert "the paper" in record["reason"]
    assert all(record[key] is None for key in KEYS if key not in ("verdict", "reason", "assumed"))
    status, text, _ = inspect(path)
    assert status == 1 and text.startswith("vgg.onnx: refused\n")


@pytest.mark.parametrize("content", [b"", b"hello", b"<html>"])
def test_what_is_no_model_at_all(inspect, tmp_path, content):
    (tmp_path / "m.onnx").write_bytes(content)
    status, text, noise = inspect(tmp_path / "m.onnx")
    assert status == 2 and text == ""
    assert noise.startswith(f"cam-numpy: {tmp_path / 'm.onnx'} is") and noise.count("\n") == 1


# --- preprocessing and labels -------------------------------------------------------------------

@pytest.fixture
def bare(tmp_path):
    """A network whose file says nothing of preprocessing and names."""
    return networks.classifier(tmp_path / "bare.onnx", metadata=None)


def test_what_nobody_said_is_said(inspect, bare):
    _, text, _ = inspect(bare)
    photos = "it does not say how photos are to be prepared, so ImageNet's preprocessing is assumed"
    names = ('it does not name its classes, so they are called "class 0", "class 1" ... '
             "(to change this: labels)")
    said = " ".join(text.split())
    assert f"assumed: {photos}" in said and f"assumed: {names}" in said
    wrapped = text[text.index("assumed: "):].splitlines()
    assert max(map(len, wrapped)) <= 80 and sum(line.startswith(" " * 9) for line in wrapped) >= 2
    assert load(bare, preprocessing="imagenet").assumed == [names]


@pytest.mark.parametrize("name, red", [
    ("imagenet", (1 - 0.485) / 0.229), ("caffe", 255 - 123.68), ("zero-one", 1.0), ("minus-one-one", 1.0),
    ("efficientnet-lite", 1.0),
])
def test_presets(bare, name, red):
    network = load(bare, preprocessing=name)
    from PIL import Image

    x, _ = network.preprocessing(Image.new("RGB", (300, 300), (255, 0, 0)))
    assert x.shape == (3, 224, 224) and name in PRESETS
    channel = 2 if name == "caffe" else 0  # caffe's networks take B G R
    assert x[channel, 100, 100] == pytest.approx(red, rel=1e-5)


def test_own_numbers(inspect, bare):
    options = ["--mean", "0.1,0.2,0.3", "--std", "0.5", "--size", "32", "--bgr"]
    status, text, _ = inspect(bare, "--json", *options)
    record = json.loads(text)
    assert status == 0 and record["input"]["size"] == [32, 32]
    assert record["input"]["preprocessing"].endswith("32; BGR, mean 0.1 0.2 0.3, std 0.5 0.5 0.5")


def test_a_changed_size_keeps_what_the_file_says(inspect, small):
    """--size alone must not bring in ImageNet's mean."""
    record = json.loads(inspect(small, "--json", "--size", "32")[1])
    assert record["input"]["preprocessing"] == (
        "the whole photo, short side 32; RGB, mean 0.5 0.4 0.3, std 0.2 0.3 0.4")
    assert load(small, preprocessing={"size": 32}).preprocessing.size == 32


def test_a_fixed_size_cannot_be_changed(inspect, tmp_path):
    path = networks.classifier(tmp_path / "n.onnx", x=(1, 3, 16, 16), metadata=None)
    status, _, noise = inspect(path, "--size", "32")
    assert status == 2 and "n.onnx takes pictures of 16 x 16 pixels only; leave size out" in noise


def test_a_fixed_input_decides_its_size(tmp_path):
    path = networks.classifier(tmp_path / "n.onnx", x=(1, 3, 16, 24), metadata=None)
    network = load(path, preprocessing="zero-one")
    assert network.preprocessing.view((480, 320)).input == (24, 16)
    assert network.see(scene(32, 48)).f.shape == (K, 4, 6)


@pytest.mark.parametrize("options, message", [
    (["--preprocessing", "keras"], "preprocessing 'keras' is not known; give one of imagenet, caffe"),
    (["--std", "0"], r"std \(0.0, 0.0, 0.0\); give three numbers each, none of std zero"),
    (["--size", "100000"], "the input's size is 100000 pixels, its stride 1; give integers from 1 to 4096"),
    (["--labels", "nowhere.txt"], "nowhere.txt: there is no such file; check the name"),
    (["--output", "Q"], "bare.onnx has no output 'Q'; it has S"),
])
def test_wrong_options_are_refused_in_one_line(capsys, bare, options, message, tmp_path):
    status = main(["explain", "--model", str(bare), "--out", str(tmp_path), *options])
    noise = capsys.readouterr().err
    assert status == 2 and noise.count("\n") == 1
    with pytest.raises(InputError, match=message):
        raise InputError(noise)


@pytest.mark.parametrize("options", [["--mean", "a,b"], ["--mean", "1,2"], ["--std", "nan"], ["--size", "0"]])
def test_wrong_numbers_are_refused(capsys, bare, options):
    with pytest.raises(SystemExit) as stopped:
        main(["inspect", str(bare), *options])
    assert stopped.value.code == 2 and "give " in capsys.readouterr().err


def test_labels_with_and_without_ids(bare, tmp_path):
    (tmp_path / "plain.txt").write_text("\n".join("abcdefg"), encoding="utf-8")
    assert load(bare, labels=tmp_path / "plain.txt").classes == list("abcdefg")
    lines = [f"n0144076{c} fish, Pisces {c}" for c in range(C)]
    (tmp_path / "synset.txt").write_text("\ufeff" + "\r\n".join(lines) + "\n\n", encoding="utf-8")
    assert load(bare, labels=tmp_path / "synset.txt").classes[2] == "fish, Pisces 2"
    (tmp_path / "short.txt").write_text("one\ntwo\n", encoding="utf-8")
    message = "bare.onnx has 7 classes but 2 names are given; give as labels a file"
    with pytest.raises(InputError, match=message):
        load(bare, labels=tmp_path / "short.txt")
    (tmp_path / "binary").write_bytes(bytes(range(128, 256)))
    with pytest.raises(InputError, match="is not valid UTF-8 text"):
        load(bare, labels=tmp_path / "binary")


def test_linear_layers_behind_each_other_name_the_first_weights(inspect, tmp_path):
    nodes = BODY + GAP + [("Gemm", ["F", "square"], "G"),
                          ("Gemm", ["G", *GEMM[0][1][1:]], "S", {"transB": 1})]
    path = networks.save(tmp_path / "n.onnx", nodes, {"square": np.eye(K, dtype=np.float32)})
    record = json.loads(inspect(path, "--json")[1])
    assert record["weight"] == "square" and record["bias"] is None
