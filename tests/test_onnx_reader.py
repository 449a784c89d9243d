"""The reader of ONNX files, held to the onnx package."""

import numpy as np
import onnx
import pytest
from onnx import GraphProto, ModelProto, StringStringEntryProto, TensorProto, helper, numpy_helper

from cam_numpy.errors import InputError
from cam_numpy.network.onnx_reader import read_graph
from cam_numpy.network.onnx_writer import LARGE, slim
from tests import networks


@pytest.fixture
def data(small):
    return small.read_bytes()


def test_reads_what_the_onnx_package_reads(data):
    ours, theirs = read_graph(data), onnx.load_from_string(data)
    assert [(n.op, n.inputs, n.outputs, n.name) for n in ours.nodes] == [
        (n.op_type, list(n.input), list(n.output), n.name) for n in theirs.graph.node]
    assert ours.initializers == {t.name: tuple(t.dims) for t in theirs.graph.initializer}
    assert ours.outputs == [o.name for o in theirs.graph.output]
    assert ours.metadata == {p.key: p.value for p in theirs.metadata_props} == networks.METADATA
    assert ours.inputs == {"x": (None, 3, None, None)}


def test_reads_every_kind_of_attribute(tmp_path):
    path = networks.save(tmp_path / "a.onnx", networks.BODY + [
        ("LeakyRelu", ["f"], "a", {"alpha": 0.25}),
        ("ReduceMean", ["a"], "b", {"axes": [-2, -1], "keepdims": 0}),
        ("Cast", ["b"], "S", {"to": 1}),
        ("LogSoftmax", ["S"], "P", {"axis": -1}),
        ("Pad", ["f", "pads"], "c", {"mode": "edge"}),
    ], extra={"pads": np.zeros(8, np.int64)})
    attributes = {node.op: node.attributes for node in read_graph(path.read_bytes()).nodes}
    assert attributes["LeakyRelu"] == {"alpha": 0.25}
    assert attributes["ReduceMean"] == {"axes": [-2, -1], "keepdims": 0}
    assert attributes["Cast"] == {"to": 1} and attributes["LogSoftmax"] == {"axis": -1}
    assert attributes["Pad"] == {"mode": "edge"} and attributes["Conv"] == {"strides": [4, 4]}


def test_an_attribute_of_two_kinds_is_read_as_one(data):
    """Nobody writes it, but a damaged file may hold it."""
    model = onnx.load_from_string(data)
    model.graph.node[0].attribute.append(onnx.AttributeProto(name="both", i=5, ints=[6, 7]))
    assert read_graph(model.SerializeToString()).nodes[0].attributes["both"] == [6, 7]


def test_initializers_that_old_files_list_as_inputs_are_no_inputs(data):
    model = onnx.load_from_string(data)
    for weights in model.graph.initializer:
        model.graph.input.append(onnx.helper.make_tensor_value_info(weights.name, 1, list(weights.dims)))
    assert list(read_graph(model.SerializeToString()).inputs) == ["x"]


def test_slim_adds_outputs(data):
    merged = onnx.load_from_string(slim(data, "n.onnx", ["f", "w"]))
    assert [o.name for o in merged.graph.output] == ["S", "f", "w"]
    assert read_graph(slim(data, "n.onnx", ["f", "w"])).outputs == ["S", "f", "w"]
    long = "n" * 300  # a length of two bytes
    assert read_graph(slim(data, "n.onnx", [long])).outputs == ["S", long]


def filled(model, data):
    """The model whose arrays are put back where `slim` says that they lie in the bytes of its file."""
    model = onnx.load_from_string(model)
    for tensor in model.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL and tensor.external_data[0].value == "n.onnx":
            where = {entry.key: entry.value for entry in tensor.external_data}
            tensor.raw_data = data[int(where["offset"]) :][: int(where["length"])]
            tensor.ClearField("external_data")
            tensor.ClearField("data_location")
    return model


def model_of(*tensors):
    """The bytes of a model with some initializers, no more, and something unknown in front."""
    model = ModelProto(graph=GraphProto(initializer=tensors, name="g"), producer_name="p")
    return b"\x98\x06\x05" + model.SerializeToString()


@pytest.fixture(autouse=True)
def large_models(monkeypatch):
    """All models here count as large."""
    monkeypatch.setattr("cam_numpy.network.onnx_writer.WHOLE", 0)


MANY = np.arange(LARGE, dtype=np.float32)  # four bytes each
RAW = numpy_helper.from_array(MANY, "raw")


def test_slim_leaves_out_nothing_but_large_arrays_and_says_where_they_lie():
    half = numpy_helper.from_array(MANY.astype(np.float16), "half")
    floats = helper.make_tensor("floats", 1, [LARGE], MANY)
    small = numpy_helper.from_array(MANY[:9], "small")
    shape = numpy_helper.from_array(np.array([-1, 5]), "shape")
    data = model_of(small, RAW, half, shape, floats)
    model = slim(data, "n.onnx", [])
    assert len(data) > 9 * LARGE and len(model) < 500 and model[:3] == data[:3]
    same = filled(model, data)
    assert numpy_helper.to_array(same.graph.initializer[4]).tolist() == MANY.tolist()
    same.graph.initializer[4].CopyFrom(floats)  # as raw data they were put back
    assert same == onnx.load_from_string(data)


def edited(**changes):
    return TensorProto.FromString(RAW.SerializeToString() + TensorProto(**changes).SerializeToString())


@pytest.mark.parametrize("tensor", [
    numpy_helper.from_array(MANY[: LARGE // 4 - 9], "small"),
    TensorProto(name="small", dims=[1], data_type=7, raw_data=bytes(8), doc_string="d" * LARGE),
    helper.make_tensor("text", TensorProto.STRING, [1], [b"t" * LARGE]),
    helper.make_tensor("integers", TensorProto.INT64, [LARGE], MANY.astype(np.int64)),
    edited(external_data=[StringStringEntryProto(key="location", value="weights.bin")], data_location=1),
    edited(float_data=MANY),
], ids=["small", "small and described", "text", "integers one by one", "beside the model", "twice"])
def test_slim_leaves_everything_else_as_it_is(tensor):
    data = model_of(RAW, tensor)
    model = slim(data, "n.onnx", [])
    assert tensor.SerializeToString() in model and filled(model, data) == onnx.load_from_string(data)


def test_slim_looks_at_every_graph_of_a_merge(data):
    more = model_of(RAW)
    model = slim(more + data, "n.onnx", [])
    assert len(model) < len(data) + 500 and filled(model, more + data) == onnx.load_from_string(more + data)


def test_the_place_of_an_array_that_says_it_is_inside_is_changed():
    data = model_of(edited(data_location=TensorProto.DEFAULT))  # as onnx.load leaves it behind
    (tensor,) = onnx.load_from_string(slim(data, "n.onnx", [])).graph.initializer
    assert tensor.data_location == TensorProto.EXTERNAL and not tensor.raw_data


def test_unknown_fields_are_skipped(data):
    unknown = bytes([99 * 8 & 127 | 128, 99 * 8 >> 7, 5])  # field 99, a varint, 5
    assert read_graph(unknown + data).outputs == ["S"]


def nested(depth):
    """A model with a graph in an attribute of a node of a graph in an attribute ..."""
    message = b""
    for number in [7, *[1, 5, 6] * depth][::-1]:  # ModelProto.graph; a node, an attribute, its graph
        length = len(message)
        size = bytearray()
        while length > 127:
            size.append(length & 127 | 128)
            length >>= 7
        message = bytes([number * 8 + 2, *size, length]) + message
    return message


@pytest.mark.parametrize("data, message", [
    (b"", r"m\.onnx is empty \(0 bytes\); get the file again"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
     "is a Git-LFS pointer, not the model; fetch"),
    (b"\n<!DOCTYPE html><html>", "is a web page, not a model; download the file itself"),
    (b"PK\x03\x04 archive/data.pkl", "holds weights of another framework; export the network to ONNX"),
    (b"\x08\x07", "is not a whole ONNX model .it holds no graph.; get the file again"),
    (b"\x3a\xff\xff\xff\xff\x7f", "is not a whole ONNX model .a field of 34359738367 bytes, only 0 left."),
    (b"\xff" * 30, "a number of more than ten bytes"),
    (b"\x38\x05", "a number where a message belongs"),
    (b"hello, this is a text file", "is not a whole ONNX model"),
    (nested(3000), "is not a whole ONNX model"),
])
def test_what_is_no_model_is_refused_in_one_line(data, message):
    with pytest.raises(InputError, match=message) as refused:
        read_graph(data, "m.onnx")
    assert "\n" not in str(refused.value)


def test_every_truncation_is_refused_or_still_a_graph(data):
    model = onnx.load_from_string(data)
    model.graph.ClearField("initializer")
    data = model.SerializeToString()
    for length in range(len(data)):
        try:
            read_graph(data[:length], "m.onnx")
        except InputError as error:
            assert "m.onnx" in str(error)
