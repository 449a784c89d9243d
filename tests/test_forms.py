"""Every form of head, each checked against onnxruntime's own scores."""

import os

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from cam_numpy import class_activation_map, explain, load
from cam_numpy.errors import InputError
from cam_numpy.network import session
from tests import networks
from tests.conftest import scene
from tests.networks import BODY, GAP, GEMM, C, K

W = networks.weights()
w4 = {"w4": W["w"][:, :, None, None]}
FLAT = [("GlobalAveragePool", ["s"], "p"), ("Flatten", ["p"], "S")]
CLOSE = {"rtol": 1e-4, "atol": 1e-4}  # float32 in onnxruntime


def explained(path, size=(24, 20), **options):
    """explain() on a made-up photo: it checks the identity against the network's own scores."""
    network = load(path, **options)
    return network, explain(scene(*size), network)


def tensor(path, name, x):
    """A tensor of a model by plain onnxruntime, asked for with the onnx package."""
    import onnxruntime

    model = onnx.load(path)
    model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run([name], {session.get_inputs()[0].name: x})[0]


# --- Network in Network: the linear map first, the pooling behind it ---------------------------

@pytest.mark.parametrize("extra_node", [[], [("Dropout", ["f"], "f1")], [("Identity", ["f"], "f1")]])
def test_nin_map_and_bias_are_the_convs_own_output(tmp_path, extra_node):
    start = extra_node[0][2] if extra_node else "f"
    nodes = BODY + extra_node + [("Conv", [start, "w4", "b"], "s")] + FLAT
    path = networks.save(tmp_path / "nin.onnx", nodes, w4)
    network, e = explained(path)
    assert (network.form.name, network.form.verdict) == ("nin", "exact")
    np.testing.assert_array_equal(network.w, W["w"])
    own = tensor(path, "s", network.preprocessing(e.photo)[0][None])[0]
    for c in range(C):
        np.testing.assert_allclose(e.M(c) + e.b[c], own[c], **CLOSE)


def test_a_conv_whose_weights_depend_on_the_photo_is_no_nin(tmp_path):
    """Then its output is f itself: w must be the same for every photo."""
    nodes = BODY + [("GlobalAveragePool", ["f"], "g"), ("Mul", ["w4", "g"], "own"),
                    ("Conv", ["f", "own", "b"], "s", {"kernel_shape": [1, 1]})] + FLAT
    network, e = explained(networks.save(tmp_path / "n.onnx", nodes, w4))
    assert network.form.name == "gap" and network.head.f == "s"
    np.testing.assert_array_equal(network.w, np.eye(C))


def test_pooled_units_can_be_the_scores_themselves(tmp_path):
    """A 3x3 (here 4x4) conv to C channels, then pooling: w is the identity."""
    network, e = explained(networks.save(tmp_path / "n.onnx", BODY[:1] + [
        ("GlobalAveragePool", ["conv"], "p"), ("Flatten", ["p"], "S")], metadata=None), size=(256, 256))
    np.testing.assert_array_equal(network.w, np.eye(K))
    np.testing.assert_array_equal(e.M(3), e.f[3])
    assert network.form.verdict == "exact" and not network.b.any()


# --- SqueezeNet: a ReLU between the map and the pooling -----------------------------------------

@pytest.mark.parametrize("pads", [None, [1, 1, 1, 1], [0, 1, 2, 3]])
def test_squeezenet_is_approximate_and_its_own_identity_holds(tmp_path, pads):
    conv = ("Conv", ["f", "w4", "b"], "s0", {"pads": pads} if pads else {})
    path = networks.save(tmp_path / "squeeze.onnx", BODY + [conv, ("Relu", ["s0"], "s")] + FLAT, w4)
    network, e = explained(path)
    assert (network.form.name, network.form.verdict) == ("squeezenet", "approximate")
    assert network.form.identity == "S_c = mean_xy max(0, M_c(x, y) + b_c)"
    maps = np.stack([e.M(c) + e.b[c] for c in range(C)])
    np.testing.assert_allclose(np.maximum(maps, 0).mean(axis=(1, 2)), e.S, **CLOSE)
    assert np.abs(maps.mean(axis=(1, 2)) - e.S).max() > 0.01  # the linear identity does fail
    if pads:
        top, left, bottom, right = pads
        assert e.f.shape == (K, 5 + top + bottom, 4 + left + right)


# --- global max pooling: what Section 3 compares with ---------------------------------------------

MAXIMA = {
    "GlobalMaxPool": (("GlobalMaxPool", ["f"], "pooled"), 17),
    "ReduceMax": (("ReduceMax", ["f"], "pooled", {"axes": [2, 3]}), 17),
    "ReduceMax with its axes as input": (("ReduceMax", ["f", "axes"], "pooled"), 18),
    "MaxPool over the whole map": (("MaxPool", ["f"], "pooled", {"kernel_shape": [4, 6]}), 17),
}


@pytest.mark.parametrize("op", MAXIMA)
def test_max_pooling_has_an_identity_of_its_own(tmp_path, op):
    pool, opset = MAXIMA[op]
    extra = {"axes": np.array([2, 3])}
    path = networks.save(tmp_path / "gmp.onnx", BODY + [pool, GAP[1]] + GEMM, extra,
                         x=(1, 3, 16, 24), opset=opset, metadata=None)
    network, e = explained(path, size=(48, 32))
    assert (network.form.name, network.form.verdict) == ("gmp", "approximate")
    assert network.form.identity == "S_c = sum_k w_k^c max_xy f_k(x, y) + b_c"
    np.testing.assert_array_equal(network.w, W["w"])
    np.testing.assert_array_equal(e.F, e.f.max(axis=(1, 2)))
    np.testing.assert_allclose(e.S, W["w"] @ e.f.max(axis=(1, 2)) + W["b"], **CLOSE)
    np.testing.assert_allclose(e.M(2), class_activation_map(e.f, W["w"], 2), **CLOSE)  # Eq. 2 as ever
    assert np.abs([e.M(c).mean() + e.b[c] - e.S[c] for c in range(C)]).max() > 0.1  # the mean is not S


def test_maps_that_are_max_pooled_are_the_units_themselves(tmp_path):
    """A 1x1 conv and the maximum do not commute, so w cannot be taken from the conv."""
    nodes = BODY + [("Conv", ["f", "w4", "b"], "maps"), ("GlobalMaxPool", ["maps"], "p"),
                    ("Flatten", ["p"], "S")]
    network, e = explained(networks.save(tmp_path / "n.onnx", nodes, w4))
    assert network.form.name == "gmp" and network.head.f == "maps"
    np.testing.assert_array_equal(network.w, np.eye(C))
    np.testing.assert_allclose(e.S, [e.M(c).max() for c in range(C)], **CLOSE)


# --- one score: a class and its opposite -----------------------------------------------------------

@pytest.mark.parametrize("sigmoid", [True, False])
def test_a_single_score_is_a_class_and_its_opposite(tmp_path, sigmoid):
    nodes = BODY + GAP + [("Gemm", ["F", "w1", "b1"], "s", {"transB": 1})]
    nodes += [("Sigmoid", ["s"], "P")] if sigmoid else [("Identity", ["s"], "P")]
    metadata = {**networks.METADATA, "classes": '["cat"]'}
    extra = {"w1": W["w"][:1], "b1": W["b"][:1]}
    path = networks.save(tmp_path / "cat.onnx", nodes, extra, ("P",), metadata)
    network, e = explained(path)
    assert network.classes == ["not cat", "cat"] and network.w.shape == (2, K)
    np.testing.assert_array_equal(e.M(0), -e.M(1))
    np.testing.assert_allclose(e.M(1), class_activation_map(e.f, W["w"], 0), **CLOSE)
    assert e.S[0] == -e.S[1]
    if sigmoid:
        own = tensor(path, "P", network.preprocessing(e.photo)[0][None])[0, 0]
        np.testing.assert_allclose(e.P, [1 - own, own], rtol=1e-5)


def test_sigmoids_judge_each_class_by_itself(tmp_path):
    nodes = BODY + GAP + GEMM + [("Sigmoid", ["S"], "P")]
    path = networks.save(tmp_path / "tags.onnx", nodes, outputs=("P",))
    network, e = explained(path)
    own = tensor(path, "P", network.preprocessing(e.photo)[0][None])[0]
    np.testing.assert_allclose(e.P, own, rtol=1e-5)


# --- poolings, layouts, ages ----------------------------------------------------------------------------

@pytest.mark.parametrize("opset", [13, 17, 18, 21])
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axes", [[2, 3], [-1, -2]])
def test_reduce_mean_with_its_axes_as_attribute_or_input(tmp_path, opset, keepdims, axes):
    if opset < 18:
        pool = ("ReduceMean", ["f"], "p", {"axes": axes, "keepdims": keepdims})
    else:
        pool = ("ReduceMean", ["f", "axes"], "p", {"keepdims": keepdims})
    nodes = BODY + [pool, ("Flatten", ["p"], "F")] + GEMM
    path = networks.save(tmp_path / "n.onnx", nodes, {"axes": np.array(axes)}, opset=opset, ir=8)
    np.testing.assert_array_equal(explained(path)[0].w, W["w"])


def test_axes_in_a_constant_node(tmp_path):
    value = numpy_helper.from_array(np.array([2, 3]), "value")
    nodes = BODY + [("Constant", [], "axes", {"value": value}),
                    ("ReduceMean", ["f", "axes"], "F", {"keepdims": 0})] + GEMM
    assert explained(networks.save(tmp_path / "n.onnx", nodes, opset=18))[0].form.name == "gap"


def test_average_pooling_over_the_whole_map(tmp_path):
    pool = ("AveragePool", ["f"], "pooled", {"kernel_shape": [4, 4]})
    path = networks.save(tmp_path / "n.onnx", BODY + [pool, GAP[1]] + GEMM, x=(1, 3, 16, 16), metadata=None)
    network, e = explained(path, size=(40, 30))
    assert e.f.shape == (K, 4, 4) and e.view.box == pytest.approx((1.875, 6.875, 28.125, 33.125))


@pytest.mark.parametrize("opset, ir", [(7, 3), (9, 4), (11, 6), (13, 7), (21, 10)])
def test_old_and_new_files(tmp_path, opset, ir):
    path = networks.classifier(tmp_path / "n.onnx", opset=opset, ir=ir)
    if ir == 3:  # where every initializer is an input, too
        model = onnx.load(path)
        for weights in model.graph.initializer:
            model.graph.input.append(onnx.helper.make_tensor_value_info(weights.name, 1, list(weights.dims)))
        onnx.save(model, path)
    np.testing.assert_array_equal(explained(path)[0].w, W["w"])


def test_channels_last_inside(tmp_path):
    """TensorFlow's order: the picture (N, h, w, 3), f (N, H, W, K), the mean over axes 1 and 2."""
    nodes = [("Transpose", ["x"], "x1", {"perm": [0, 3, 1, 2]}),
             ("Conv", ["x1", "body", "body_b"], "conv", {"strides": [4, 4]}),
             ("Relu", ["conv"], "f0"), ("Transpose", ["f0"], "f", {"perm": [0, 2, 3, 1]}),
             ("ReduceMean", ["f"], "F", {"axes": [1, 2], "keepdims": 0}),
             ("MatMul", ["F", "wT"], "s"), ("Add", ["s", "b"], "S")]
    extra = {"wT": np.ascontiguousarray(W["w"].T)}
    path = networks.save(tmp_path / "tf.onnx", nodes, extra, x=(1, 16, 24, 3), opset=13, metadata=None)
    network, e = explained(path, size=(32, 48))
    assert e.f.shape == (K, 4, 6) and not network.preprocessing.channels_first
    path = networks.classifier(tmp_path / "n.onnx", x=(1, 3, 16, 24), metadata=None)
    _, same = explained(path, size=(32, 48))
    np.testing.assert_allclose(e.f, same.f, **CLOSE)


@pytest.mark.parametrize("batch", [None, 1, 3])
def test_a_batch_of_fixed_size_is_filled_with_the_photo(tmp_path, batch):
    network, e = explained(networks.classifier(tmp_path / "n.onnx", x=(batch, 3, None, None)))
    assert e.S.shape == (C,) and e.f.ndim == 3


def test_half_precision(tmp_path):
    """onnxruntime's CPU has no double convolutions; halves are the other case that occurs."""
    model = onnx.load(networks.classifier(tmp_path / "n.onnx"))
    for weights in model.graph.initializer:
        halves = numpy_helper.to_array(weights).astype(np.float16)
        weights.CopyFrom(numpy_helper.from_array(halves, weights.name))
    for value in [*model.graph.input, *model.graph.output]:
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    onnx.save(model, tmp_path / "n.onnx")
    network, e = explained(tmp_path / "n.onnx")
    assert e.f.dtype == network.w.dtype == np.float32
    assert e.max_abs_error <= 1e-2 * np.abs(e.S).max()  # eleven bits


# --- where weights may be stored ----------------------------------------------------------------------

def test_weights_in_a_file_beside_the_model(tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    path = networks.classifier(tmp_path / "folder" / "n.onnx")
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    monkeypatch.chdir(tmp_path)  # not the model's folder
    np.testing.assert_array_equal(load("folder/n.onnx").w, W["w"])
    (tmp_path / "folder" / "weights.bin").unlink()
    missing = "n.onnx keeps its weights in weights.bin, which is not in .*folder; put"
    with pytest.raises(InputError, match=missing):
        load("folder/n.onnx")


WIDE = {name: np.random.default_rng(3).normal(size=shape).astype(np.float32) / 9 for name, shape in {
    "body": (600, 3, 4, 4), "body_b": (600,), "w": (C, 600), "b": (C,)}.items()}  # body and w are large


def wide(path, change=None, **options):
    """A network of 130 kB whose file is changed by hand."""
    model = onnx.load(networks.save(path, BODY + GAP + GEMM, WIDE, **options))
    if change:
        change(model)
    path.write_bytes(model.SerializeToString())
    return path


def as_lists_of_floats(model):
    for weights in model.graph.initializer:
        weights.float_data.extend(numpy_helper.to_array(weights).ravel())
        weights.ClearField("raw_data")


def as_inputs_too(model):
    for weights in model.graph.initializer:
        model.graph.input.append(onnx.helper.make_tensor_value_info(weights.name, 1, list(weights.dims)))


@pytest.mark.parametrize("change, ir", [(None, 8), (as_lists_of_floats, 8), (as_inputs_too, 3)])
def test_onnxruntime_maps_large_weights_and_computes_the_same(tmp_path, monkeypatch, change, ir):
    """It is given a model of a few kB that points into the file."""
    path = wide(tmp_path / "größer als 1.onnx", change, opset=7, ir=ir)
    monkeypatch.setattr("cam_numpy.network.onnx_writer.WHOLE", 100_000)
    given, opens = [], session.Session

    def opened(model, *args, **options):
        given.append(len(model))
        return opens(model, *args, **options)

    monkeypatch.setattr(session, "Session", opened)
    network = load(path)
    assert path.stat().st_size > 130_000 and given[0] == pytest.approx(3500, abs=500)
    monkeypatch.undo()
    x = np.sin(np.arange(3 * 20 * 24, dtype=np.float32)).reshape(3, 20, 24)
    f, S = network.run(x)
    np.testing.assert_allclose(f, tensor(path, "f", x[None])[0], **CLOSE)
    np.testing.assert_allclose(S, tensor(path, "S", x[None])[0], **CLOSE)
    np.testing.assert_array_equal(network.w, WIDE["w"])
    np.testing.assert_array_equal(network.b, WIDE["b"])


def test_a_link_leads_to_the_weights(tmp_path):
    (tmp_path / "store").mkdir()
    wide(tmp_path / "store" / "a1b2c3")
    try:
        (tmp_path / "n.onnx").symlink_to("store/a1b2c3")
    except OSError:
        pytest.skip("this system makes no links")
    network, _ = explained(tmp_path / "n.onnx")
    assert network.name == "n.onnx"
    np.testing.assert_array_equal(network.w, WIDE["w"])


def test_weights_in_the_file_and_beside_it(tmp_path):
    def put_beside(model):
        (w,) = (weights for weights in model.graph.initializer if weights.name == "w")
        (tmp_path / "weights.bin").write_bytes(w.raw_data)
        onnx.external_data_helper.set_external_data(w, "weights.bin")
        w.ClearField("raw_data")

    np.testing.assert_array_equal(explained(wide(tmp_path / "n.onnx", put_beside))[0].w, WIDE["w"])


@pytest.mark.skipif(os.name == "nt", reason="Windows lets nobody change a mapped file")
def test_a_file_that_changes_while_it_is_open_is_refused(tmp_path):
    """Other weights would come in unseen; in a shorter file, onnxruntime would crash."""
    path = wide(tmp_path / "n.onnx")
    network = load(path)
    explain(scene(24, 20), network)
    path.write_bytes(path.read_bytes() + b"\x98\x06\x05")  # a field that nobody knows
    with pytest.raises(InputError, match=r"n\.onnx has changed since it was opened; load it again"):
        explain(scene(24, 20), network)
    network = load(path)
    path.unlink()  # its bytes stay for those who have it open
    explain(scene(24, 20), network)


def test_weights_that_do_not_fit_their_shape_are_refused_without_noise(tmp_path, capfd):
    def enlarge(model):
        model.graph.initializer[0].dims[2] += 1

    with pytest.raises(InputError, match="n.onnx cannot be opened by onnxruntime") as refused:
        load(wide(tmp_path / "n.onnx", enlarge))
    assert "\n" not in str(refused.value) and capfd.readouterr() == ("", "")


def test_weights_in_constant_nodes(tmp_path):
    stored = [("Constant", [], name, {"value": numpy_helper.from_array(W[name], name)}) for name in "wb"]
    path = networks.save(tmp_path / "n.onnx", stored + BODY + GAP + GEMM)
    np.testing.assert_array_equal(explained(path)[0].w, W["w"])


def test_quantised_weights(tmp_path):
    q = np.rint(W["w"] / 0.02).clip(-128, 127).astype(np.int8)
    extra = {"q": q, "scale": np.array(0.02, np.float32), "zero": np.array(0, np.int8)}
    nodes = BODY + GAP + [("DequantizeLinear", ["q", "scale", "zero"], "wq"),
                          ("Gemm", ["F", "wq", "b"], "S", {"transB": 1})]
    path = networks.save(tmp_path / "n.onnx", nodes, extra, opset=13)
    np.testing.assert_allclose(explained(path)[0].w, q * np.float32(0.02), rtol=1e-6)


# --- linear layers written in other ways ---------------------------------------------------------------

@pytest.mark.parametrize("nodes", [
    [("Reshape", ["pooled", "column"], "F"), ("Gemm", ["F", "wT", "b"], "S", {"transA": 1})],
    [("Reshape", ["pooled", "column"], "F"), ("MatMul", ["w", "F"], "t"), ("Reshape", ["t", "row"], "s"),
     ("Add", ["s", "b"], "S")],
    [("Flatten", ["pooled"], "F"), ("Cast", ["F"], "F2", {"to": 1}), ("MatMul", ["F2", "wT"], "s"),
     ("Add", ["b", "s"], "S")],
    [("Conv", ["pooled", "w4", "b"], "s"), ("Squeeze", ["s", "places"], "S")],
    [("Add", ["pooled", "before"], "p2"), ("Flatten", ["p2"], "F")] + GEMM,
], ids=["transA", "weights first", "Add on the left", "Conv and Squeeze", "Add before"])
def test_linear_layers_in_other_words(tmp_path, nodes):
    extra = {"column": np.array([K, 1]), "row": np.array([1, C]), "places": np.array([2, 3]), **w4,
             "wT": np.ascontiguousarray(W["w"].T), "before": np.ones((1, K, 1, 1), np.float32)}
    network, _ = explained(networks.save(tmp_path / "n.onnx", BODY + GAP[:1] + nodes, extra, opset=13))
    np.testing.assert_array_equal(network.w, W["w"])


# --- several outputs -------------------------------------------------------------------------------------

def test_of_several_outputs_the_classifier_is_taken(tmp_path):
    nodes = BODY + GAP + GEMM + [("Softmax", ["S"], "P"), ("Relu", ["conv"], "other")]
    network, _ = explained(networks.save(tmp_path / "n.onnx", nodes, outputs=("other", "F", "P", "S")))
    assert network.head.S == "S"


def test_of_several_classifiers_one_must_be_chosen(tmp_path):
    nodes = BODY + GAP + GEMM + [("MatMul", ["F", "w5"], "aux")]
    extra = {"w5": np.ones((K, 2), np.float32)}
    path = networks.save(tmp_path / "n.onnx", nodes, extra, outputs=("S", "aux"), metadata=None)
    message = r"has several outputs that are classifiers \(S, aux\); choose one \(output\)"
    with pytest.raises(InputError, match=message):
        load(path)
    assert load(path, output="aux").w.shape == (2, K)
    with pytest.raises(InputError, match="has no output 'nix'; it has S, aux"):
        load(path, output="nix")
