"""The same body with another classifier: written by hand, held to the onnx package and onnxruntime."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from cam_numpy import InputError, class_scores, global_average_pool, load
from cam_numpy.network import onnx_writer
from tests import networks
from tests.exports import heads
from tests.networks import BODY, GAP, GEMM, STRIDE, K
from tests.test_exports import APPLIES, EXPECTED, EXPORTS, picture
from tests.test_forms import as_inputs_too, w4

OLD = tuple(map(int, onnxruntime.__version__.split(".")[:2])) < (1, 22)
NEW = 3  # classes, as no other network here has
HEAD = ["GlobalAveragePool", "Flatten", "Gemm"]
TORCH = {"rtol": 1e-4, "atol": 1e-4}  # float32 in onnxruntime
X = np.sin(np.arange(3 * 16 * 24, dtype=np.float32)).reshape(3, 16, 24)
# what an opset came with, and the oldest IR that may hold it
IR = {7: 3, 8: 3, 9: 4, 10: 5, 11: 6, 12: 7, 13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9, 21: 10}


def relearned(network, path, **metadata):
    """The network with a random classifier, opened, and its w and b."""
    K = network.w.shape[1]
    rng = np.random.default_rng(9)
    w, b = rng.normal(size=(NEW, K)), rng.normal(size=NEW)
    path.write_bytes(network.with_classifier(w, b, metadata))
    onnx.checker.check_model(str(path), full_check=True)
    return load(path), w, b


def check(network, x, tmp_path, bits=0.0):
    """The theorem: the same f, the average over it, and the new w and b."""
    new, w, b = relearned(network, tmp_path / "new head.onnx")
    f, S = new.run(x)
    np.testing.assert_allclose(f, network.run(x)[0], rtol=bits, atol=bits)
    np.testing.assert_allclose(S, class_scores(global_average_pool(f), w, b), **TORCH)
    new.check_scores(f, S)
    exact = {"rtol": 1e-5, "atol": 1e-6} if new.head.asked else {"rtol": 0}  # of places in a row
    np.testing.assert_allclose(new.w, np.float32(w), **exact)
    np.testing.assert_allclose(new.b, np.float32(b), **exact)
    assert new.head.asked == (len(network.head.axes) == 2)
    assert (new.form.name, new.form.verdict, new.sigmoid) == ("gap", "exact", False)
    assert new.preprocessing == network.preprocessing and not new.binary
    # onnxruntime alone
    session = onnxruntime.InferenceSession(str(new.path), providers=["CPUExecutionProvider"])
    (taken,), (given,) = session.get_inputs(), session.get_outputs()
    assert (given.name.rstrip("_"), given.type, given.shape[1]) == ("S", "tensor(float)", NEW)
    x = x if network.preprocessing.channels_first else x.transpose(1, 2, 0)
    x = np.repeat(x[None], taken.shape[0] if isinstance(taken.shape[0], int) else 1, axis=0)
    fed = x.astype({"tensor(float16)": np.float16, "tensor(uint8)": np.uint8}.get(taken.type, np.float32))
    np.testing.assert_array_equal(session.run(None, {taken.name: fed})[0][0], S)
    return onnx.load(new.path)


@pytest.mark.parametrize("name", APPLIES)
def test_every_family_takes_new_classes(name, tmp_path):
    model = check(load(EXPORTS / f"{name}.onnx"), picture(EXPECTED[name]), tmp_path)
    old = onnx.load(EXPORTS / f"{name}.onnx")
    assert model.opset_import == old.opset_import and model.ir_version == old.ir_version
    assert model.graph.input == old.graph.input
    # nothing is left that only the old head needed
    computed = {tensor for node in model.graph.node for tensor in node.output}
    read = {tensor for node in model.graph.node for tensor in node.input}
    assert computed - read <= {"S", "S_"} and {array.name for array in model.graph.initializer} <= read
    kept = [node.SerializeToString() for node in model.graph.node[:-3]]
    assert set(kept) < {node.SerializeToString() for node in old.graph.node}
    assert [node.op_type for node in model.graph.node[-3:]] == HEAD


@pytest.mark.parametrize("name", ["tiny-imagenet-gap", "tiny-imagenet-gmp"])
def test_the_shipped_networks_take_new_classes(name, tmp_path):
    x = np.sin(np.arange(3 * 96 * 112, dtype=np.float32)).reshape(3, 96, 112)
    model = check(load(name), x, tmp_path)
    assert [list(array.dims) for array in model.graph.initializer][-2:] == [[NEW, 256], [NEW]]
    assert [200, 256] not in [list(array.dims) for array in model.graph.initializer]


@pytest.mark.parametrize("opset", IR)
def test_every_opset(opset, tmp_path):
    """Also with a 1x1 convolution that pads: Pad is spelled in two ways."""
    plain = networks.classifier(tmp_path / "plain.onnx", opset=opset, ir=IR[opset])
    padded = networks.save(tmp_path / "padded.onnx", [
        *BODY, ("Conv", ["f", "w4", "b"], "s0", {"pads": [0, 1, 2, 3]}), ("Relu", ["s0"], "s"),
        ("GlobalAveragePool", ["s"], "p"), ("Flatten", ["p"], "S")], w4, opset=opset, ir=IR[opset])
    for path in (plain, padded):
        if IR[opset] < 4:  # then each array has to be an input, too
            model = onnx.load(path)
            as_inputs_too(model)
            onnx.save(model, path)
        model = check(load(path), X, tmp_path)
        assert model.opset_import[0].version == opset and model.ir_version == IR[opset]
        assert ("Pad" in [node.op_type for node in model.graph.node]) == (path == padded)
        if IR[opset] < 4:
            arrays = [array.name for array in model.graph.initializer]
            assert [given.name for given in model.graph.input] == ["x", *arrays]


def test_channels_last(tmp_path):
    nodes = [("Transpose", ["x"], "x1", {"perm": [0, 3, 1, 2]}),
             ("Conv", ["x1", "body", "body_b"], "conv", {"strides": [STRIDE, STRIDE]}),
             ("Relu", ["conv"], "f0"), ("Transpose", ["f0"], "f", {"perm": [0, 2, 3, 1]}),
             ("ReduceMean", ["f"], "F", {"axes": [1, 2], "keepdims": 0}), *GEMM]
    check(load(networks.save(tmp_path / "tf.onnx", nodes, x=(1, 16, 24, 3), opset=13)), X, tmp_path)


@pytest.mark.parametrize("name", heads.ANY_BATCH)
def test_heads_that_had_to_be_asked(name, tmp_path):
    check(load(heads.save(tmp_path / "n.onnx", name, batch=2)), X[:, :, :20], tmp_path)


TOKENS = [("Reshape", ["f", "m1"], "kl"), ("Transpose", ["kl"], "t", {"perm": [0, 2, 1]}),
          ("Softmax", ["t"], "lk", {"axis": 2})]  # of the units, at each place
ROWS = {
    "LK": [*TOKENS, ("ReduceMean", ["lk"], "F", {"axes": [1], "keepdims": 0})],
    "KL": [*TOKENS[:1], ("Softmax", ["kl"], "kl2", {"axis": 1}),
           ("ReduceMean", ["kl2"], "F", {"axes": [2], "keepdims": 0})],
}


@pytest.mark.parametrize("axes", ROWS)
def test_places_in_a_row(axes, tmp_path):
    network = load(networks.save(tmp_path / "n.onnx", [*BODY, *ROWS[axes], *GEMM],
                                 {"m1": np.array([0, 0, -1])}, x=(1, 3, 16, 24), opset=13, metadata=None))
    assert network.head.axes == axes and network.run(X)[0].shape == (K, 4, 6)
    check(network, X, tmp_path)


def test_activations_of_eight_bits(tmp_path):
    nodes = [*BODY, ("QuantizeLinear", ["f", "step", "zero"], "q"),
             ("QLinearGlobalAveragePool", ["q", "step", "zero", "step", "zero"], "p",
              {"domain": "com.microsoft"}),
             ("DequantizeLinear", ["p", "step", "zero"], "pooled"), GAP[1], *GEMM]
    path = networks.save(tmp_path / "n.onnx", nodes, {
        "step": np.array(0.05, np.float32), "zero": np.array(10, np.uint8)}, opset=13)
    model = onnx.load(path)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, path)
    network = load(path)
    assert network.head.f == "q" and network.head.quantised == ("step", "zero")
    check(network, X, tmp_path)


def test_grey_pictures_and_pictures_of_bytes(tmp_path):
    body = {"body": networks.weights()["body"][:, :1]}
    path = networks.save(tmp_path / "n.onnx", BODY + GAP + GEMM, body, metadata=None, x=(1, 1, 16, 24))
    check(load(path), X[:1], tmp_path)
    nodes = [("Cast", ["x"], "x1", {"to": 1}), ("Conv", ["x1", *BODY[0][1][1:]], *BODY[0][2:]), BODY[1]]
    path = networks.save(tmp_path / "n.onnx", nodes + GAP + GEMM, metadata=None, x=(1, 3, 16, 24))
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    onnx.save(model, path)
    check(load(path), np.rint(100 + 99 * X), tmp_path)


@pytest.mark.parametrize("constants", [False, True], ids=["arrays", "constants"])
def test_half_precision_is_converted(tmp_path, constants):
    """f is float16, the new w and b are not; weights may also be Constant nodes."""
    model = onnx.load(networks.classifier(tmp_path / "n.onnx"))
    arrays = model.graph.initializer
    for array in arrays:
        array.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(array).astype(np.float16), array.name))
    for value in [*model.graph.input, *model.graph.output]:
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    if constants:
        nodes = [helper.make_node("Constant", [], [array.name], value=array) for array in arrays]
        nodes += model.graph.node
        del model.graph.node[:], model.graph.initializer[:]
        model.graph.node.extend(nodes)
    onnx.save(model, tmp_path / "n.onnx")
    model = check(load(tmp_path / "n.onnx"), X, tmp_path, bits=2**-10)  # f is not rounded any more
    assert [node.op_type for node in model.graph.node[-4:]] == ["Cast", *HEAD]


def test_weights_beside_the_model_are_taken_in(tmp_path):
    path = networks.classifier(tmp_path / "n.onnx")
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="n.onnx.data", size_threshold=0)
    network = load(path)
    (tmp_path / "elsewhere").mkdir()
    model = check(network, X, tmp_path / "elsewhere")  # where no n.onnx.data is
    assert all(array.data_location == TensorProto.DEFAULT for array in model.graph.initializer)
    (tmp_path / "n.onnx.data").rename(tmp_path / "gone")
    with pytest.raises(InputError, match=r"n\.onnx\.data, in which .* cannot be read .*; put it back beside"):
        network.with_classifier(network.w, network.b, {})


def test_names_that_the_body_has_already_are_left_to_it(tmp_path):
    names = {"conv": "S", "f": "w", "body": "pooled", "body_b": "b", "F": "q", "w": "v", "b": "a", "S": "s"}
    model = onnx.load(networks.classifier(tmp_path / "n.onnx"))
    for node in model.graph.node:
        for tensors in (node.input, node.output):
            tensors[:] = [{"pooled": "p", **names}.get(tensor, tensor) for tensor in tensors]
    for thing in [*model.graph.initializer, *model.graph.output]:
        thing.name = names[thing.name]
    onnx.save(model, tmp_path / "n.onnx")
    model = check(load(tmp_path / "n.onnx"), X, tmp_path)
    assert [node.output[0] for node in model.graph.node] == ["S", "w", "pooled_", "F", "S_"]


@pytest.mark.skipif(OLD, reason="onnxruntime 1.21 ends the process when it opens a file with such an If")
def test_what_the_branches_of_an_if_read_is_kept(tmp_path):
    def branch(name, factor):
        output = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        return helper.make_graph([helper.make_node("Mul", ["conv", factor], [name])], name, [], [output])

    model = onnx.load(networks.classifier(tmp_path / "n.onnx"))
    values = {"zero": 0, "two": 2, "three": 3, "unused": 4}
    model.graph.initializer.extend(
        numpy_helper.from_array(np.array(value, np.float32), name) for name, value in values.items())
    choose = [helper.make_node("ReduceMax", ["x"], ["m"], keepdims=0),
              helper.make_node("Greater", ["m", "zero"], ["?"]),
              helper.make_node("If", ["?"], ["r"],
                               then_branch=branch("t", "two"), else_branch=branch("e", "three"))]
    model.graph.node[1].input[0] = "r"
    nodes = [model.graph.node[0], *choose, *model.graph.node[1:]]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, tmp_path / "n.onnx")
    arrays = [array.name for array in check(load(tmp_path / "n.onnx"), X, tmp_path).graph.initializer]
    assert arrays == ["body", "body_b", "zero", "two", "three", "w", "b"]


def test_metadata_are_the_new_ones(small, tmp_path):
    new, *_ = relearned(load(small), tmp_path / "n.onnx", classes=json.dumps(["Katze", "Bär", "犬"]))
    assert new.classes == ["Katze", "Bär", "犬"] and new.named and new.assumed == []
    assert set(new.metadata) == {"classes", "mean", "std", "size", "resize", "stride", "margin", "bgr"}
    model = onnx.load(new.path)
    assert model.producer_name == "cam_numpy" and len(model.metadata_props) == 8


def test_a_model_that_no_file_can_hold_is_refused(small, monkeypatch):
    monkeypatch.setattr(onnx_writer, "LARGEST", 1500)
    network = load(small)
    with pytest.raises(InputError, match=r"the new model would have .* bytes, and an \.onnx file holds less"):
        network.with_classifier(network.w, network.b, {})
