"""Asking a head: what it says of itself is what it computes with, however it is written."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from cam_numpy import explain, load
from cam_numpy.errors import CamNotApplicable, InputError
from cam_numpy.network import onnx_writer
from cam_numpy.network.ask import ask, ask_through_relu, bias, weigh_together, weights
from cam_numpy.network.layout import unrolled
from cam_numpy.network.search import Cut
from tests import networks
from tests.conftest import scene
from tests.exports import heads
from tests.networks import BODY, GAP, GEMM, C, K

W = networks.weights()
w, b = W["w"], W["b"]
RNG = np.random.default_rng(11)
f = np.maximum(RNG.normal(size=(K, 3, 4)), 0).astype(np.float32)
CLOSE = {"rtol": 1e-4, "atol": 1e-4}  # float32
STORED = heads.HERE  # files that heads.py made


# --- a head as a function ------------------------------------------------------------------------

def means(maps):
    return maps.mean(axis=(2, 3))


def linear(maps):
    return means(maps) @ w.T + b


def normalized(F):
    return (F - F.mean(axis=1, keepdims=True)) / (F.std(axis=1, keepdims=True) + 1e-5)


HEADS = {
    "gap": linear,
    "gsp": lambda maps: maps.sum(axis=(2, 3)) @ w.T + b,
    "gmp": lambda maps: maps.max(axis=(2, 3)) @ w.T + b,
    "gap+gmp": lambda maps: (means(maps) + maps.max(axis=(2, 3))) / 2 @ w.T + b,
}


def test_w_and_b_by_definition():
    """b: nothing fires. w_k: only unit k fires, everywhere, with strength 1."""
    np.testing.assert_array_equal(bias(linear, f.shape), b)
    np.testing.assert_allclose(weights(linear, f.shape, 1.0, b), w, **CLOSE)
    for k in range(K):
        only = np.zeros((1, K, 3, 4))
        only[0, k] = 1
        np.testing.assert_allclose(linear(only)[0] - b, w[:, k], **CLOSE)


@pytest.mark.parametrize("name", HEADS)
def test_a_head_says_its_form_and_its_weights(name):
    answer = ask(HEADS[name], f)
    assert answer.form.name == name and answer.error < 1e-5
    np.testing.assert_allclose(answer.w, w, **CLOSE)
    np.testing.assert_allclose(answer.b, b, **CLOSE)
    np.testing.assert_allclose(answer.form.scores(f, answer.w, answer.b), HEADS[name](f[None])[0], **CLOSE)


def test_rounding_is_found_where_there_is_some():
    """Weights stored in 16 bits, but computed with in 32, are exact; a rounded F is not."""
    def rounded(maps):
        return means(maps).astype(np.float16).astype(np.float32) @ w.T + b

    assert ask(linear, f, bits=11).form.bits == 24
    answer = ask(rounded, f, bits=11)
    assert (answer.form.bits, answer.form.verdict) == (11, "approximate") and 1e-5 < answer.error < 1e-3


SQUARE = RNG.normal(size=(K, K)).astype(np.float32)
PLACES = RNG.normal(size=(K * 12, C)).astype(np.float32)
NOT_LINEAR = {
    "a hidden layer": lambda maps: np.maximum(means(maps) @ SQUARE, 0) @ w.T + b,
    "a weak one": lambda maps: np.tanh(0.3 * means(maps) @ SQUARE) @ w.T + b,
    "layer normalization": lambda maps: normalized(means(maps)) @ w.T,
    "a cosine": lambda maps: (F := means(maps)) / (np.linalg.norm(F, axis=1, keepdims=True) + 1e-6) @ w.T,
    "a mean of powers": lambda maps: np.cbrt((np.maximum(maps, 0) ** 3).mean(axis=(2, 3))) @ w.T + b,
    "average and maximum": lambda maps: means(maps) @ w.T + maps.max(axis=(2, 3)) @ w[::-1].T,
    "one over F": lambda maps: 1 / np.where((F := means(maps)) == 0, np.nan, F) @ w.T,
}
PLACES_MATTER = {
    "flattened": lambda maps: maps.reshape(len(maps), -1) @ PLACES,
    "one place": lambda maps: maps[:, :, 0, 0] @ w.T + b,
    "half of the map": lambda maps: maps[:, :, :2].mean(axis=(2, 3)) @ w.T,
    "attention": lambda maps: ((a := np.exp(maps[:, :1])) * maps / a.sum(axis=(2, 3), keepdims=True)
                               ).sum(axis=(2, 3)) @ w.T,
}


@pytest.mark.parametrize("name", [*NOT_LINEAR, *PLACES_MATTER])
def test_no_form_explains_what_is_not_linear_in_F(name):
    answer = ask({**NOT_LINEAR, **PLACES_MATTER}[name], f)
    assert answer.form is None and answer.places_matter == (name in PLACES_MATTER)


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("true", [True, False])
def test_asked_at_one_place_a_head_says_the_same(name, true):
    """And where what it says there does not explain its scores, it is asked at all places."""
    a = np.full(K, 12.0 if name == "gsp" else 1)
    asked = []

    def layer(maps):
        asked.append(maps.shape)
        if maps.shape[2:] != (1, 1):
            raise ValueError("one place")
        return maps[:, :, 0, 0] @ (w if true else w[::-1]).T + b

    answer = ask(HEADS[name], f, cell=lambda: (layer, a))
    assert asked[-1] == (K, K, 1, 1) and answer.form.name == name and answer.error < 1e-5
    np.testing.assert_allclose(answer.w, w, **CLOSE)


def test_rounding_averages_out_when_many_units_are_weighed_together():
    """A head that tells its scores in steps of 0.5: one by one, w is lost in the rounding."""
    wide = RNG.normal(size=(C, 200)).astype(np.float32)
    maps = np.maximum(RNG.normal(size=(200, 3, 4)), 0).astype(np.float32)

    def rounded(m):
        return np.rint(2 * (means(m) @ wide.T + b)) / 2

    together, offset = weigh_together(rounded, maps)
    alone = weights(rounded, maps.shape, 0.4, bias(rounded, maps.shape))
    assert np.abs(together - wide).mean() < 0.15 * np.abs(alone - wide).mean()
    np.testing.assert_allclose(weigh_together(linear, f)[0], w, **CLOSE)
    np.testing.assert_allclose(weigh_together(linear, f)[1], b, **CLOSE)
    assert np.abs(offset - b).max() < 1


@pytest.mark.parametrize("relu", [True, False])
def test_a_relu_hides_nothing(relu):
    """The weights of a linear map at each place, negative ones and negative biases as well."""
    def layer(maps):
        M = np.einsum("ck,nkyx->ncyx", w, maps) + b[:, None, None]
        return np.maximum(M, 0) if relu else M

    found, offset, rectified = ask_through_relu(layer, f)
    assert rectified == relu and (b < 0).any() and (w < 0).any()
    np.testing.assert_allclose(found, w, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(offset, b, rtol=1e-3, atol=1e-3)


def test_a_layer_that_mixes_places_is_no_1x1_convolution():
    assert ask_through_relu(lambda maps: maps + np.roll(maps, 1, axis=3), f)[0] is None


# --- tokens in a row ---------------------------------------------------------------------------------

@pytest.mark.parametrize("rounded", [np.floor, np.ceil])
@pytest.mark.parametrize("s", [4, 14, 16, 32])
def test_tokens_are_laid_out_as_the_squares_that_they_stand_for(s, rounded):
    """Whatever the picture's sides are, and however what is left at the edges is treated."""
    for height in range(2 * s, 300, 23):
        for width in range(2 * s, 300, 31):
            H, W = (int(rounded(side / s)) for side in (height, width))
            assert unrolled(H * W, (width, height)) == (H, W)


@pytest.mark.parametrize("L", [2, 12, 48, 56, 197])
def test_tokens_that_are_no_squares_of_the_picture_are_not_laid_out(L):
    """Of a square picture, 7 rows of 8 are as likely as 8 rows of 7."""
    assert unrolled(L, (224, 224)) is None and unrolled(49, (224, 224)) == (7, 7)


@pytest.mark.parametrize("stride, size", [
    ((2, 8), (8, 4)), ((8, 2), (2, 16)), ((8, 4), (2, 8)), ((4, 4), (4, 8)),
])
def test_where_tokens_come_from_a_convolution_its_strides_lay_them_out(tmp_path, stride, size):
    """32 tokens of a picture twice as wide as high look like 4 rows of 8; they may be 8 of 4."""
    height, width = 16, 32
    extra = {**heads.ARRAYS, "patch": RNG.normal(size=(K, 3, *stride)).astype(np.float32)}
    nodes = [("Conv", ["x", "patch", "body_b"], "conv", {"strides": list(stride)}),
             ("Reshape", ["conv", "m1"], "r"), ("Transpose", ["r"], "t", {"perm": [0, 2, 1]}),
             ("Relu", ["t"], "u"),
             ("ReduceMean", ["u"], "F", {"axes": [1], "keepdims": 0})] + GEMM
    path = networks.save(tmp_path / "n.onnx", nodes, extra, metadata=None, x=(1, 3, height, width), opset=13)
    network = load(path)
    x = RNG.normal(size=(3, height, width)).astype(np.float32)
    session = onnxruntime.InferenceSession(onnx_writer.slim(path.read_bytes(), "n.onnx", ["conv"]))
    (conv,) = session.run(["conv"], {"x": x[None]})
    assert network.head.f == "u" and conv.shape == (1, K, *size)
    np.testing.assert_array_equal(network.run(x)[0], np.maximum(conv[0], 0))


# --- heads in files ---------------------------------------------------------------------------------

@pytest.mark.parametrize("batch", [None, 2])
@pytest.mark.parametrize("name", heads.ANY_BATCH)
def test_a_batch_that_is_free_or_fixed_changes_nothing(tmp_path, name, batch):
    """The files of one picture are tested in test_heads.py."""
    network = load(heads.save(tmp_path / "n.onnx", name, batch))
    assert network.form.name == heads.truth(name)[0] and network.head.f == ("u" if name == "tokens" else "f")
    e = explain(scene(30, 30), network)  # the identity is checked on the network's own scores
    assert e.f.shape == (K, 4, 5) and e.max_abs_error < 1e-4


FIXED = [("ReduceMean", ["r"], "F", {"axes": [2], "keepdims": 0})] + GEMM


@pytest.mark.parametrize("head, expected", [
    (FIXED, w),
    ([("ReduceSum", ["r", "last"], "F", {"keepdims": 0})] + GEMM, 20 * w),  # of one size: the mean's weights
    ([("Einsum", ["r", "w"], "s", {"equation": "nkp,ck->nc"}), ("Add", ["s", "b"], "S")], 20 * w),
    ([FIXED[0], ("MatMul", ["F", "square"], "G"), ("Gemm", ["G", "w", "b"], "S", {"transB": 1})],
     w @ heads.SQUARE.T),
])
def test_a_head_of_fixed_size_is_asked_many_units_at_once(tmp_path, monkeypatch, head, expected):
    """A Reshape to (1, K, 20) takes one map a time; what is behind it takes K units of one place."""
    runs, run = [], Cut._run
    monkeypatch.setattr(Cut, "_run", lambda cut, maps, n: runs.append(maps.shape) or run(cut, maps, n))
    extra = {**heads.ARRAYS, "last": np.array([2])}
    path = networks.save(tmp_path / "n.onnx", BODY + [("Reshape", ["f", "fixed"], "r"), *head], extra,
                         metadata=None, x=(1, 3, 16, 20), opset=13)
    network = load(path)
    assert network.form.name == "gap" and (K, K, 1, 1) in runs and (K, K, 4, 5) not in runs
    np.testing.assert_allclose(network.w, expected, **CLOSE)


def test_a_flattened_layer_with_one_weight_for_all_places_is_a_sum(tmp_path):
    """By its operators it would be refused; its answers say what it is."""
    big = np.repeat(w.T, 20, axis=0)
    nodes = BODY + [("Flatten", ["f"], "F"), ("Gemm", ["F", "big", "b"], "S")]
    network = load(networks.save(tmp_path / "n.onnx", nodes, {"big": big}, metadata=None, x=(1, 3, 16, 20)))
    np.testing.assert_allclose(network.w, 20 * w, **CLOSE)  # the mean's; the head takes maps of one size
    assert network.form.name == "gap"


def test_a_feature_extractor_is_a_classifier_where_its_units_are_named():
    path = STORED / "features.onnx"
    with pytest.raises(CamNotApplicable, match="ends with the 5 pooled units of f: it extracts features"):
        load(path)
    assert load(path, labels=list("abcde")).classes == list("abcde")


@pytest.mark.parametrize("options, behind, assumed", [
    ({}, [], True), ({"labels": [f"n{c}" for c in range(C)]}, [], False),
    ({}, [("Softmax", ["S"], "P")], False),
])
def test_units_behind_a_relu_may_be_features_which_is_said(tmp_path, options, behind, assumed):
    """SqueezeNet's graph is also that of a network whose classifier was cut off."""
    nodes = BODY + heads.HEADS["relu-behind-a-bias"] + behind
    path = networks.save(tmp_path / "n.onnx", nodes, heads.ARRAYS, (nodes[-1][2],), metadata=None)
    network = load(path, **options)
    said = [text for text in network.assumed if "7 pooled units behind a ReLU" in text]
    assert network.form.name == "squeezenet" and len(said) == assumed


def test_two_activations_are_named(tmp_path):
    nodes = [*GAP, ("Conv", ["f", "body2"], "d0", {"strides": [2, 2]}), ("Relu", ["d0"], "d"),
             ("GlobalAveragePool", ["d"], "e"), ("Flatten", ["e"], "E"),
             ("Concat", ["F", "E"], "G", {"axis": 1}),
             ("Gemm", ["G", "wide", "b"], "S", {"transB": 1})]
    extra = {"wide": np.concatenate([w, w[::-1]], axis=1),
             "body2": RNG.normal(size=(K, K, 2, 2)).astype(np.float32)}
    path = networks.save(tmp_path / "n.onnx", BODY + nodes, extra, metadata=None, x=(1, 3, 16, 20))
    with pytest.raises(CamNotApplicable, match=r"the scores come from several activations \(f, d\), each"):
        load(path)


def test_of_several_outputs_the_choice_is_stated(tmp_path):
    nodes = BODY + GAP + GEMM + [("Relu", ["conv"], "other")]
    network = load(networks.save(tmp_path / "n.onnx", nodes, outputs=("other", "S")))
    choice = "of its outputs (other, S), S is taken for the scores (to change this: output)"
    assert network.assumed == [choice]
    assert load(tmp_path / "n.onnx", output="S").assumed == []


# --- numbers of few bits -----------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["int8-dynamic", "int8-qdq", "int8-qoperator"])
def test_eight_bits_are_approximate_and_the_error_is_measured(name):
    e = explain(scene(24, 20), load(STORED / f"{name}.onnx"))
    assert 0 < e.max_abs_error < 0.05 * np.abs(e.S).max() + 0.1  # of steps of 0.08
    assert e.form.verdict == "approximate" and "8 bits" in e.form.meaning


def test_eight_bits_that_cut_off_the_scores_are_refused_with_the_measured_error(tmp_path):
    """Calibrated for scores from -1 to 1, which are larger: no linear layer does that."""
    extra = {**heads.ARRAYS, "Ss": np.array(2 / 255, np.float32), "huge": 20 * b}
    nodes = GAP + [("DequantizeLinear", ["q", "ws", "z8"], "wq"),
                   ("Gemm", ["F", "wq", "huge"], "s", {"transB": 1}),
                   ("QuantizeLinear", ["s", "Ss", "zS"], "Sq"), ("DequantizeLinear", ["Sq", "Ss", "zS"], "S")]
    path = networks.save(tmp_path / "n.onnx", BODY + nodes, extra, opset=13)
    with pytest.raises(CamNotApplicable, match=r"integers of 8 bits, and its scores .* by \d+% of the"):
        load(path)


def test_a_sigmoid_inside_of_the_linear_layer_hides_the_scores(tmp_path):
    """As onnxruntime optimises Gemm and Sigmoid."""
    fused = ("FusedGemm", ["F", "w", "b"], "S", {"transB": 1, "activation": "Sigmoid",
                                                "domain": "com.microsoft"})
    path = networks.save(tmp_path / "n.onnx", [*BODY, *GAP, fused])
    model = onnx.load(path)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, path)
    with pytest.raises(CamNotApplicable, match="holds the linear layer and its Sigmoid in one node"):
        load(path)


def test_a_hidden_layer_of_eight_bits_is_refused(tmp_path):
    """A loose tolerance must not let it pass."""
    nodes = GAP + [("MatMul", ["F", "square"], "h0"), ("Relu", ["h0"], "h1"),
                   ("DynamicQuantizeLinear", ["h1"], ["Fq", "Fs", "Fz"]),
                   ("MatMulInteger", ["Fq", "qT", "Fz", "z8"], "i"), ("Cast", ["i"], "j", {"to": 1}),
                   ("Mul", ["Fs", "ws"], "scale"), ("Mul", ["j", "scale"], "S")]
    path = networks.save(tmp_path / "n.onnx", BODY + nodes, heads.ARRAYS, opset=13)
    with pytest.raises(CamNotApplicable, match="Relu -> h1 stands between the pooling"):
        load(path)


# --- other inputs, and what files say ----------------------------------------------------------------

def test_grey_pictures(tmp_path):
    extra = {"body": W["body"][:, :1]}
    path = networks.save(tmp_path / "n.onnx", BODY + GAP + GEMM, extra, metadata=None, x=(1, 1, 16, 20))
    network = load(path, preprocessing="zero-one")
    pixels = scene(40, 50)
    x, _ = network.preprocessing(explain(pixels, network).photo)
    assert x.shape == (1, 16, 20) and "grey" in network.preprocessing.describe()
    np.testing.assert_allclose(x.mean(), pixels.mean() / 255, atol=0.1)


def test_pictures_of_bytes_are_not_normalised_outside(tmp_path):
    nodes = [("Cast", ["x"], "x1", {"to": 1}), ("Mul", ["x1", "by"], "x2"),
             ("Conv", ["x2", *BODY[0][1][1:]], *BODY[0][2:]),
             *BODY[1:]]
    path = networks.save(tmp_path / "n.onnx", nodes + GAP + GEMM, {"by": np.array(1 / 255, np.float32)},
                         metadata=None,
                         x=(1, 3, 16, 20))
    model = onnx.load(path)
    assert load(path).preprocessing.std == (1 / 255,) * 3  # 0 .. 255 goes in: the graph divides
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    onnx.save(model, path)
    network = load(path)
    plain = load(networks.save(tmp_path / "p.onnx", BODY + GAP + GEMM, metadata=None, x=(1, 3, 16, 20)),
                 preprocessing="zero-one")
    pixels = scene(32, 40)
    np.testing.assert_allclose(explain(pixels, network).S, explain(pixels, plain).S,
                               atol=0.02)  # whole numbers
    assert not network.assumes_preprocessing


@pytest.mark.parametrize("nodes, mean", [
    ([("Sub", ["x", "mean"], "x1"), ("Div", ["x1", "std"], "x2")], (0.0,) * 3),
    ([("Identity", ["x"], "x2")], (0.485, 0.456, 0.406)),
])
def test_a_normalisation_inside_the_graph_is_not_applied_twice(tmp_path, nodes, mean):
    extra = {"mean": np.array([0.485, 0.456, 0.406], np.float32).reshape(1, 3, 1, 1),
             "std": np.array([0.229, 0.224, 0.225], np.float32).reshape(1, 3, 1, 1)}
    body = [("Conv", ["x2", *BODY[0][1][1:]], *BODY[0][2:]), *BODY[1:]]
    network = load(networks.save(tmp_path / "n.onnx", nodes + body + GAP + GEMM, extra, metadata=None))
    assert network.preprocessing.mean == mean and network.assumes_preprocessing == (mean[0] > 0)


@pytest.mark.parametrize("metadata, mean, bgr", [
    ({"names": str({c: f"n{c}" for c in range(C)}), "task": "classify"}, 0.0, False),
    ({"Image.BitmapPixelFormat": "Bgr8", "character": "\n".join(f"n{c}" for c in range(C))}, 0.0, True),
])
def test_hints_in_files_of_other_tools(tmp_path, metadata, mean, bgr):
    network = load(networks.classifier(tmp_path / "n.onnx", metadata=metadata))
    assert network.classes == [f"n{c}" for c in range(C)] and network.assumed == []
    assert network.preprocessing.mean[0] == mean and network.preprocessing.bgr == bgr


def test_the_names_in_a_zipmap(tmp_path):
    nodes = BODY + GAP + GEMM + [("Softmax", ["S"], "P")]
    path = networks.save(tmp_path / "n.onnx", nodes, outputs=("P",), metadata=None)
    model = onnx.load(path)
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 1))
    names = [f"n{c}" for c in range(C)]
    model.graph.node.append(helper.make_node("ZipMap", ["P"], ["best"], domain="ai.onnx.ml",
                                             classlabels_strings=names))
    value = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    model.graph.output[0].CopyFrom(helper.make_value_info("best", helper.make_sequence_type_proto(
        helper.make_map_type_proto(TensorProto.STRING, value))))
    onnx.save(model, path)
    network = load(path)
    assert network.classes == names and network.head.S == "S"


def test_weights_that_are_absent_are_named_and_the_graph_is_judged(tmp_path, capsys):
    from cam_numpy.__main__ import main

    path = networks.classifier(tmp_path / "n.onnx")
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="n.onnx.data", size_threshold=0)
    (tmp_path / "n.onnx.data").unlink()
    with pytest.raises(InputError, match=r"keeps its weights in n\.onnx\.data, which is not in"):
        load(path)
    assert main(["inspect", str(path), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["verdict"], record["units"], record["classes"], record["weight"]) == ("exact", K, C, "w")
    assert "by the graph alone" in record["reason"] and "n.onnx.data" in record["reason"]


def test_constants_of_integers_and_floats_are_told_apart(tmp_path):
    """Types, not names of operators, say with how many bits a head computes."""
    from cam_numpy.network.head import bits
    from cam_numpy.network.onnx_reader import read_graph

    path = networks.save(tmp_path / "n.onnx", BODY + GAP + GEMM)
    model = onnx.load(path)
    assert bits(read_graph(path.read_bytes()), read_graph(path.read_bytes()).nodes) == 24
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16),
                                                tensor.name))
    graph = read_graph(model.SerializeToString())
    assert bits(graph, graph.nodes) == 11


@pytest.mark.parametrize("array, nodes", [
    (np.zeros((K, 0)), [("MatMul", ["F", "array"], "S")]),
    (np.zeros(C), [("Gemm", ["F", "w", "array"], "s", {"transB": 1}),
                   ("ReduceSum", ["s"], "S", {"keepdims": 0})]),
    (np.zeros((0, C)), [("Gemm", ["F", "w", "b"], "s", {"transB": 1}), ("Add", ["s", "array"], "S")]),
], ids=["no classes", "a scalar", "no pictures"])
def test_an_output_without_scores_is_refused(tmp_path, array, nodes):
    path = networks.save(tmp_path / "n.onnx", BODY + GAP + nodes, {"array": np.float32(array)})
    with pytest.raises(CamNotApplicable, match="is an array of shape .*, not one score per class"):
        load(path)


def test_weights_with_a_batch_axis_are_no_w(tmp_path):
    """The classes lie on the third axis, and what is subtracted has four."""
    arrays = {"shape": np.array([0, 1, -1]), "batch": w[:K].T[None],
              "four": np.ones((1, K, 1, 1), np.float32)}
    nodes = [("Reshape", ["F", "shape"], "row"), ("MatMul", ["row", "batch"], "s"),
             ("Sub", ["s", "four"], "S")]
    with pytest.raises(CamNotApplicable):
        load(networks.save(tmp_path / "n.onnx", BODY + GAP + nodes, arrays))


@pytest.mark.filterwarnings("error")
def test_scores_that_overflow_are_no_reason_to_warn():
    cut = object.__new__(Cut)
    cut._run = lambda maps, count: np.full((len(maps), C), np.inf)
    assert not cut.takes_a_batch(np.ones((2, K, 3, 4)))


def test_what_differs_from_picture_to_picture_of_a_batch_is_no_class(tmp_path):
    """(2, 1) divides the pictures of a batch of two, not the two classes that its shape could stand for."""
    arrays = {"vector": W["w"][0], "two": np.full(K, 2, np.float32),
              "row": np.array([[1.0], [2.0]], np.float32)}
    nodes = [("Div", ["F", "two"], "G"), ("MatMul", ["G", "vector"], "s"), ("Div", ["s", "row"], "S")]
    path = networks.save(tmp_path / "n.onnx", BODY + GAP + nodes, arrays, metadata={}, x=(2, 3, 16, 16))
    network = load(path)
    # the first picture's, which is the one that is shown
    np.testing.assert_allclose(network.w, [W["w"][0] / 2] * 2, rtol=1e-5)
    x = np.sin(np.arange(3 * 16 * 16, dtype=np.float32)).reshape(3, 16, 16)
    network.check_scores(*network.run(x))
