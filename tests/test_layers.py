"""What each layer sees: strides and receptive fields are held to what a changed pixel does."""

import json
import random
import shutil

import numpy as np
import pytest
from PIL import Image

from cam_numpy import InputError, layer_maps, load
from cam_numpy.__main__ import main
from cam_numpy.commands.layers import _apart
from cam_numpy.layers import most_varied, spread
from cam_numpy.network.network import open_body
from cam_numpy.network.runner import Runner
from tests import networks
from tests.conftest import assert_texts_fit, scene
from tests.test_exports import APPLIES, EXPECTED, EXPORTS, picture

# read off families.py: every activation of a map, but those inside squeeze and excitation, and
# every Concat of activated branches; "gated" counts those behind a squeeze and excitation
COUNTS = {
    "resnet": 5, "binary": 5, "gmp": 5, "densenet": 9, "googlenet": 8, "mobilenetv2": 6, "shufflenetv2": 8,
    "efficientnet": 6, "mobilenetv3": 6, "nin": 4, "squeezenet": 9, "swin": 2, "convnext": 2, "vgg": 2,
}
GATED = {"efficientnet": 3, "mobilenetv3": 3}
LISTED = [name for name in EXPECTED if name != "vit"]


def family(name):
    return name.removesuffix("-dynamo")


def export(name):
    return EXPORTS / f"{name}.onnx"


def assert_windows(body, height, width, holes=False, rounds=3):
    """Change one line of pixels after the other: just the cells whose window holds it may change."""
    names = [layer.name for layer in body.layers]
    rng = np.random.default_rng(0)
    for axis, lines in enumerate((height, width)):
        seen = [np.zeros((lines, f.shape[1 + axis]), bool)
                for f in body.maps(np.zeros((3, height, width), np.float32), names)]
        for _ in range(rounds):  # a unit may be silent, a maximum may lie elsewhere
            x = rng.normal(size=(3, height, width)).astype(np.float32)
            before = body.maps(x, names)
            for line in range(lines):
                changed = x.copy()
                changed.swapaxes(1, 1 + axis)[:, line] += 4 * rng.normal(size=(3, (width, height)[axis]))
                for table, f, g in zip(seen, before, body.maps(changed, names)):
                    table[line] |= (np.abs(f - g) > 1e-6).any(axis=(0, 2 - axis))
        for layer, table in zip(body.layers, seen):
            if layer.gated:
                assert table.all(), layer  # everything acts on everything
                continue
            for cell in range(table.shape[1]):
                start = layer.start[axis] + layer.stride[axis] * cell
                window = range(max(start, 0), min(start + layer.receptive_field[axis], lines))
                acts = np.flatnonzero(table[:, cell])
                whole = len(window) == layer.receptive_field[axis]
                if window and (whole or not holes):  # of a dilated one that is cut, the end may be a hole
                    assert (acts[0], acts[-1]) == (window[0], window[-1]), (layer, axis, cell)
                assert set(acts) <= set(window), (layer, axis, cell)


@pytest.mark.parametrize("name", LISTED)
def test_a_changed_pixel_changes_the_cells_that_see_it_and_no_others(name):
    _, height, width = EXPECTED[name]["input"]
    assert_windows(open_body(export(name)), height, width)


@pytest.mark.parametrize("name", LISTED)
def test_every_activation_is_a_layer(name):
    layers = open_body(export(name)).layers
    assert len(layers) == COUNTS[family(name)]
    assert sum(layer.gated for layer in layers) == GATED.get(family(name), 0)
    assert all(layer.stride and layer.receptive_field for layer in layers)


@pytest.mark.parametrize("name", APPLIES)
def test_the_last_layer_is_f(name):
    network = load(export(name))
    x = picture(EXPECTED[name])
    (f,) = network.body.maps(x, [network.layers()[-1].name])
    np.testing.assert_allclose(f, network.run(x)[0], rtol=1e-5, atol=1e-6)
    assert network.layers()[-1].name == network.head.f


def test_the_shipped_networks_layers(shipped):
    layers = shipped.layers()
    assert [layer.stride[0] for layer in layers] == [2] + 5 * [4] + 6 * [8]
    assert [layer.receptive_field[1] for layer in layers] == [3, 7, 15, 23, 31, 39, 47, 63, 79, 95, 111, 127]
    maps = layer_maps(scene(90, 60), shipped)
    np.testing.assert_allclose(maps["f"], shipped.see(scene(90, 60)).f, rtol=1e-4, atol=1e-5)
    for layer in layers:  # a stride is a ratio of sizes
        assert maps[layer.name].shape[1:] == tuple(
            -(-side // stride) for side, stride in zip(maps.view.input[::-1], layer.stride))
    assert repr(maps) == "<LayerMaps of photo by tiny-imagenet-gap.onnx: 12 layers>"


MAPS = [("Relu", ["conv"], "f"), *networks.GAP, *networks.GEMM]
FILTERS = {
    "a": np.random.default_rng(1).normal(size=(4, 3, 3, 5)).astype(np.float32),
    "w_a": np.random.default_rng(2).normal(size=(5, 4, 2, 3)).astype(np.float32),
    "pads": np.array([0, 0, 1, 2, 0, 0, 0, 1]), "channel": np.array([1]), "zero": np.array([0]),
    "two": np.array([2]), "four": np.array([4]), "rows": np.array([2]),
    "w_b": np.random.default_rng(3).normal(size=(5, 2, 2, 3)).astype(np.float32),
    **{name: np.float32(value) for name, value in (("six", 6), ("three", 3), ("nil", 0), ("fifty", 0.5),
                                                   ("one", 1), ("c", 0.0447), ("root", 0.7979))},
    "scale": np.ones(4, np.float32), "shift": np.zeros(4, np.float32),
}
HAND_MADE = {
    "strides and sizes that differ": [
        ("Conv", ["x", "a"], "c1", {"strides": [1, 2]}), ("Relu", ["c1"], "r1"),
        ("Conv", ["r1", "w_a"], "conv", {"dilations": [3, 2], "pads": [2, 0, 1, 3], "strides": [2, 1]}),
        *MAPS],
    "padding by name": [
        ("Conv", ["x", "a"], "c1", {"strides": [2, 2], "auto_pad": "SAME_UPPER"}), ("Relu", ["c1"], "r1"),
        ("Conv", ["r1", "w_a"], "conv", {"auto_pad": "SAME_LOWER"}), *MAPS],
    "padding by a node": [
        ("Conv", ["x", "a"], "c1"), ("LeakyRelu", ["c1"], "r1"), ("Pad", ["r1", "pads"], "p"),
        ("AveragePool", ["p"], "q", {"kernel_shape": [2, 4], "strides": [2, 2]}),
        ("LRN", ["q"], "q2", {"size": 3}), ("Conv", ["q2", "w_a"], "conv"), *MAPS],
    "half of the units": [
        ("Conv", ["x", "a"], "c1"), ("Sigmoid", ["c1"], "s"), ("Mul", ["s", "c1"], "r1"),
        ("Slice", ["r1", "zero", "two", "channel"], "half"), ("Conv", ["half", "w_b"], "conv"), *MAPS],
    "activations written out": [  # hard swish, and the GELU with a tanh
        ("Conv", ["x", "a"], "c1"), ("Add", ["c1", "three"], "i1"), ("Clip", ["i1", "nil", "six"], "i2"),
        ("Mul", ["c1", "i2"], "i3"), ("Div", ["i3", "six"], "r1"), ("Conv", ["r1", "w_a"], "conv"),
        ("Mul", ["conv", "fifty"], "j1"), ("Mul", ["conv", "conv"], "j2"), ("Mul", ["j2", "conv"], "j3"),
        ("Mul", ["j3", "c"], "j4"), ("Add", ["conv", "j4"], "j5"), ("Mul", ["j5", "root"], "j6"),
        ("Tanh", ["j6"], "j7"), ("Add", ["j7", "one"], "j8"), ("Mul", ["j1", "j8"], "f"), *MAPS[1:]],
    "normalized over places": [
        ("Conv", ["x", "a"], "c1"), ("InstanceNormalization", ["c1", "scale", "shift"], "n"),
        ("Relu", ["n"], "r1"), ("Conv", ["r1", "w_a"], "conv"), *MAPS],
}


@pytest.mark.parametrize("nodes", HAND_MADE.values(), ids=list(HAND_MADE))
def test_a_changed_pixel_in_networks_made_by_hand(tmp_path, nodes):
    body = open_body(networks.save(tmp_path / "made.onnx", nodes, FILTERS))
    assert len(body.layers) == 2 and body.layers[-1].name == "f"
    assert_windows(body, 20, 28, holes=True)


def test_what_is_not_known_is_not_said(tmp_path):
    """Rows sliced away: f is there, where its cells lie is not known."""
    nodes = [("Conv", ["x", "a"], "c1"), ("Relu", ["c1"], "r1"),
             ("Slice", ["r1", "zero", "four", "rows"], "top"), ("Conv", ["top", "w_a"], "conv"), *MAPS]
    path = networks.save(tmp_path / "sliced.onnx", nodes, FILTERS)
    first, last = load(path).layers()
    assert (first.name, first.receptive_field) == ("r1", (3, 5))
    assert (last.name, last.stride, last.receptive_field, last.start) == ("f", None, None, None)
    maps = layer_maps(scene(40, 60), path)
    assert len(maps.show().axes) == 2 + 4 + 5  # a photo a row, 4 and 5 units


def test_a_network_whose_layers_cannot_be_listed_says_why(tmp_path):
    with pytest.raises(InputError, match="cannot be listed: behind Reshape -> view it is not known where"):
        layer_maps(scene(40, 60), export("vit"))


def test_opening_a_network_opens_no_second_session(small):
    network = load(small)
    assert "body" not in vars(network)
    assert network.body is network.body


def test_one_forward_pass(small, monkeypatch):
    network, passes = load(small), []
    network.layers()
    run = Runner.run
    monkeypatch.setattr(Runner, "run", lambda *given: passes.append(given[1]) or run(*given))
    layer_maps(scene(40, 60), network)
    assert passes == [["f"]]


def test_layers_by_name_and_number():
    body = open_body(export("resnet-dynamo"))
    assert list(layer_maps(scene(40, 60), body, [-1, "relu_1", 0])) == ["relu", "relu_1", "relu_4"]
    for one in (1, "relu_1", np.int64(1)):
        assert list(layer_maps(scene(40, 60), body, one)) == ["relu_1"]
    for wrong in ("relu_9", 5, -6, [0, 5], 1.5):
        with pytest.raises(InputError, match="has no layer .*; it has 5, such as 'relu'; give"):
            layer_maps(scene(40, 60), body, wrong)


def test_a_file_that_changed_is_not_run(tmp_path):
    path = shutil.copy(export("resnet"), tmp_path / "copy.onnx")
    network = load(path)
    network.layers()
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(InputError, match="has changed since it was opened"):
        layer_maps(scene(40, 60), network)


def test_rows_are_spread_over_all_resolutions():
    chance = random.Random(0)
    for _ in range(300):
        resolutions = sorted(chance.choices(range(chance.randint(1, 6)), k=chance.randint(1, 40)))[::-1]
        n = chance.randint(1, 12)
        chosen = spread(resolutions, n)
        assert chosen == sorted(set(chosen)) and chosen[-1] == len(resolutions) - 1
        assert {resolutions[i] for i in chosen} == set(resolutions)
        assert len(chosen) <= max(n, len(set(resolutions)))
        assert len(chosen) >= min(n, len(resolutions))
    for wrong in ({"rows": 0}, {"units": -1}):
        with pytest.raises(InputError, match=r"(rows is 0|units is -1); it is a count"):
            layer_maps().show(**wrong)


def test_the_units_that_vary_most_come_first():
    f = np.zeros((3, 2, 4), np.float32)
    f[1, 0, 0], f[2] = 1, 9  # unit 2 is strong and constant
    assert most_varied(f, 2) == [1, 0]


@pytest.mark.parametrize("name", ["resnet", "efficientnet", "squeezenet", "swin", "vgg"])
def test_the_command(tmp_path, capsys, name):
    Image.fromarray(scene(80, 120)).save(tmp_path / "cat.png")
    arguments = ["layers", str(tmp_path / "cat.png"), "--model", str(export(name)), "--out", str(tmp_path),
                 "--rows", "3", "--units", "2"]
    assert main(arguments) == 0
    text, noise = capsys.readouterr()
    lines = text.split("wrote ")[0].splitlines()
    assert noise == "" and max(map(len, lines)) <= 80
    rows = [line for line in lines if line[:7].strip().isdecimal()]
    drawn = len(layer_maps(tmp_path / "cat.png", export(name)).rows(3))
    assert (f"shown    {drawn} of {COUNTS[name]} layers\n" in text) == (drawn < COUNTS[name])
    assert len(rows) == COUNTS[name] and ("+ gate: all" in text) == (name in GATED)
    with Image.open(tmp_path / "cat.layers.png") as figure:
        assert min(figure.size) > 300
    assert main([*arguments, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    body = open_body(export(name))
    assert [layer["name"] for layer in record["layers"]] == [layer.name for layer in body.layers]
    assert [layer["stride"] for layer in record["layers"]] == [list(layer.stride) for layer in body.layers]
    assert record["files"] == [str(tmp_path / "cat.layers.png")]


@pytest.mark.parametrize("rows, units", [(3, 3), (1, 1), (8, 8)])
def test_all_texts_fit_a_narrow_figure(shipped, rows, units):
    maps = layer_maps(Image.fromarray(scene(900, 120)), shipped)
    maps.name = "a photo with a very long name, longer than any figure is wide.png"
    figure = maps.show(rows, units)
    assert_texts_fit(figure)
    texts = [text.get_text() for text in figure.texts]
    count = len(maps.rows(rows))
    assert sum(text.startswith("look for: ") for text in texts) == count
    assert f"Shown: {count} of 12 layers." in texts[-1].replace("\n", " ")
    assert sum(text.startswith("layer ") for text in texts) == count
    assert "Shown" not in maps.show(12, 1).texts[-1].get_text()


@pytest.mark.parametrize("name", [None, *LISTED])
def test_names_in_the_table_can_be_told_apart(name):
    names = [layer.name for layer in open_body(name and export(name)).layers]
    shortened = _apart(names, 23)
    assert len(set(shortened)) == len(names) and max(map(len, shortened)) <= 23 + ("swin" in str(name))
    assert all(len(short) == len(whole) or "…" in short for short, whole in zip(shortened, names))


def test_names_by_hand():
    assert _apart(["/body/body.0/Relu", "/body/body.11/Relu", "f"], 9) == ["…body.0…", "…body.11…", "f"]
    assert _apart(["/body/body.0/Relu", "/body/body.11/Relu", "f"], 6) == ["…0…", "…11…", "f"]
    whole = ["/a_long_one/x1/y", "/a_long_one/x2/yy"]  # an end of 4 letters tells nothing
    assert len(set(_apart(whole, 4))) == 2
    assert _apart(["one_long_name", "f"], 6) == ["one_l…", "f"]
    assert _apart(["0aaaaaaa1", "2aaaaaaa3", "2aaaaaaa4"], 5) == ["0aaaaaaa1", "2aaaaaaa3", "2aaaaaaa4"]


def test_the_command_refuses_in_one_line(tmp_path, capsys):
    assert main(["layers", "--model", str(export("vit")), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith("cam-numpy: the layers of vit.onnx cannot be listed: behind ")
    assert not (tmp_path / "out").exists()
