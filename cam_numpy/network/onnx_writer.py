"""Write ONNX, in the wire format of `onnx_reader`: a slim copy of a model, a part of it, a new head."""

from __future__ import annotations

import os

import numpy as np

from ..errors import InputError
from .onnx_reader import fields, messages_at, spans, value_info

# Bytes of the largest model that is handed over whole, so that its file may change. A larger one is mapped
# into memory: opening one of 102 MB takes 271 MiB then, and onnxruntime itself, from the path, 404. Read
# whole it would take 598 MiB, or 461 where onnxruntime is given its arrays as OrtValues. But a mapped file
# that is cut short ends Python: while one is opened, `source.uncut` keeps writers away on Linux, and
# Windows does so by itself. That leaves macOS, network drives, and files of weights beside the model.
WHOLE = 32 << 20
LARGE = 8192  # bytes; copying a smaller array takes no longer than mapping it
LARGEST = 2**31  # bytes of a protobuf message
FLOAT = 1  # TensorProto.DataType
TYPES = {np.dtype(np.float32): FLOAT, np.dtype(np.int64): 7}


def slim(data, file, tensors):
    """The model with inner tensors as outputs and, where it is large, without its large arrays.

    A tensor need not hold its bytes: it can say in which file they lie, from
    where on, and how many. Those of a large array do lie in a file already, the
    .onnx file itself. So onnxruntime gets a copy of the model that points there,
    and maps the arrays from the file; nobody copies them.

    Parameters
    ----------
    data : bytes-like
        A ModelProto: all of the file.
    file : str
        The file's name. In which folder it is, onnxruntime must be told.
    tensors : list of str
        Names of activations or initializers.

    Returns
    -------
    model : bytes
        A ModelProto.
    """
    # Two protobuf messages one after another parse as their merge, lists joined. So a model and,
    # behind it, a model that holds nothing but more outputs is the same network, which now shows them.
    # ValueInfoProto.name = 1, GraphProto.output = 12, GraphProto.initializer = 5, ModelProto.graph = 7
    outputs = b"".join(_bytes_field(12, _bytes_field(1, name.encode())) for name in tensors)
    pieces = [data]
    if len(data) > WHOLE:
        pieces = _slim_inside(memoryview(data), 0, os.fsencode(file), 7, 5)
    return b"".join([*pieces, _bytes_field(7, outputs)])


def part(data, graph, outputs, inputs=None):
    """The part of a model that computes some tensors, without the rest.

    Parameters
    ----------
    data : bytes-like
        A ModelProto: all of the file.
    graph : Graph
        What `read_graph` reads in it.
    outputs : list of str
        Names of tensors.
    inputs : dict of str to int, optional
        What the part is given, each with its TensorProto.DataType: any shape will do. By default
        nothing, where the outputs do not depend on the network's input.

    Returns
    -------
    model : bytes
        A ModelProto.
    """
    inputs = inputs or {}
    needed = graph.needed(outputs, given=inputs)
    nodes = [node for node in graph.nodes if needed.intersection(node.outputs)]  # in the order of computation
    arrays = {name: message for name, message in graph.messages.items() if name in needed}
    # NodeProto: GraphProto.node = 1, GraphProto.name = 2, GraphProto.initializer = 5, GraphProto.input = 11,
    # GraphProto.output = 12
    content = [_bytes_field(1, node.message) for node in nodes] + [_bytes_field(2, b"part")]
    content += [_bytes_field(5, message) for message in arrays.values()]
    content += [_bytes_field(11, _value_info(name, kind)) for name, kind in inputs.items()]
    content += [_bytes_field(12, _bytes_field(1, name.encode())) for name in outputs]
    # of the model only its imports and functions, ModelProto.opset_import = 8 and functions = 25;
    # ir_version = 1 is at least 8: before 4, every array had to be listed as an input, too
    rows = list(spans(memoryview(data)))
    ir = max([8, *(value for number, value, _, _ in rows if number == 1 and isinstance(value, int))])
    around = [data[start:end] for number, _, start, end in rows if number in (8, 25)]
    return b"".join([_varint(1 * 8), _varint(ir), *around, _bytes_field(7, b"".join(content))])


def with_classifier(data, graph, head, kind, w, b, metadata, folder):
    """Another model with the same body: f, global average pooling, one linear layer, S.

    Parameters
    ----------
    data : bytes-like
        A ModelProto: all of the file.
    graph : Graph
        What `read_graph` reads in it.
    head : Head
        Its own head, which says where f is; what only this head needs is left out.
    kind : int
        The TensorProto.DataType of f.
    w : (C, K) array
    b : (C,) array
    metadata : dict of str to str
        In place of the file's own.
    folder : Path
        Where the file lies. Arrays that it keeps in files beside it are copied into the model.

    Returns
    -------
    model : bytes
        A ModelProto of the same opset. Its one output is S (N, C) float32, and its f is that of
        `Network.run`, units first.

    Raises
    ------
    InputError
        An array cannot be copied, or the model would be too large.
    """
    needed = graph.needed([head.f, *head.quantised])
    nodes = [node for node in graph.nodes if needed.intersection(node.outputs)]  # in the order of computation
    arrays = [message for name, message in graph.messages.items() if name in needed]
    new = _NewNodes(needed.union(*(node.outputs for node in nodes)))
    f = _units_first(new, head, kind, _opset(data))
    F = new.node("Flatten", [new.node("GlobalAveragePool", [f], "pooled")], "F")
    S = new.node("Gemm", [F, new.array("w", np.float32(w)), new.array("b", np.float32(b))], "S", transB=1)
    # GraphProto: node = 1, name = 2, initializer = 5, input = 11, output = 12
    content = [(1, node.message) for node in nodes] + [(1, message) for message in new.nodes]
    content += [(2, b"a_body_with_new_classes")]
    content += [(5, _whole(message, folder)) for message in arrays]
    content += [(5, _tensor(name, array)) for name, array in new.arrays.items()]
    inputs = messages_at(memoryview(data), 7, 11)
    content += [(11, message) for message in inputs if value_info(message)[0] in needed]
    if _ir_version(data) < 4:  # then every array has to be listed as an input, too
        content += [(11, _value_info(name, TYPES[array.dtype], array.shape))
                    for name, array in new.arrays.items()]
    content += [(12, _value_info(S, FLOAT, [None, len(w)]))]
    return _model(data, content, metadata)


def _model(data, content, metadata):
    """A ModelProto as in `data`, but with another graph, given by its fields, and other metadata."""
    # ModelProto: ir_version = 1, producer_name = 2, graph = 7, opset_import = 8, metadata_props = 14,
    # functions = 25; StringStringEntryProto: key = 1, value = 2
    kept = [data[start:end] for number, _, start, end in spans(memoryview(data)) if number in (1, 8, 25)]
    model = b"".join([*kept, _bytes_field(2, b"cam_numpy"), _bytes_field(7, _message(content)),
                      *(_bytes_field(14, _message([(1, key.encode()), (2, text.encode())]))
                        for key, text in metadata.items())])
    if len(model) >= LARGEST:
        raise InputError(f"the new model would have {len(model):,} bytes, and an .onnx file holds less than "
                         f"{LARGEST:,}; start from a smaller network")
    return model


class _NewNodes:
    """Nodes and arrays to be added to a graph, under names that are free in it."""

    def __init__(self, taken):
        self.taken, self.nodes, self.arrays = set(taken), [], {}

    def node(self, op, inputs, output, **attributes):
        """Add a node with attributes of integers; returns the name of its output."""
        output = self._free(output)
        # NodeProto: input = 1, output = 2, op_type = 4, attribute = 5
        content = [(1, tensor.encode()) for tensor in inputs] + [(2, output.encode()), (4, op.encode())]
        self.nodes.append(_message(content + [(5, _attribute(*item)) for item in attributes.items()]))
        return output

    def array(self, name, array):
        """Add an array; returns its name."""
        name = self._free(name)
        self.arrays[name] = array
        return name

    def _free(self, name):
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name


def _units_first(new, head, kind, opset):
    """Add what turns the file's f into that of `Network.run`, units first and float32; returns its name.

    Places in a row stay in a row: the average over them is the same.
    """
    f, first = head.f, head.chain[0]
    if head.quantised:  # scale (q - zero)
        f = new.node("DequantizeLinear", [f, *head.quantised], "f_dequantized")
    elif kind != FLOAT:
        f = new.node("Cast", [f], "f_float", to=FLOAT)
    if head.channels_last:
        perm = [0, 3, 1, 2] if head.axes == "HWK" else [0, 2, 1]
        f = new.node("Transpose", [f], "f_units_first", perm=perm)
    pads = first.attributes.get("pads") if first.op == "Conv" and not head.asked else None
    if pads and any(pads):  # zeros around f, as the old 1x1 convolution saw it
        top, left, bottom, right = pads
        pads = [0, 0, top, left, 0, 0, bottom, right]  # before each axis, then behind it
        if opset < 11:
            f = new.node("Pad", [f], "f_padded", pads=pads)
        else:
            f = new.node("Pad", [f, new.array("pads", np.int64(pads))], "f_padded")
    return f


def _whole(message, folder):
    """A TensorProto that holds its bytes itself, also where they lie in a file beside the model."""
    if (14, 1) not in fields(message):  # data_location = 14, EXTERNAL = 1
        return message
    # TensorProto.external_data = 13; StringStringEntryProto: key = 1, value = 2
    entries = map(dict, map(fields, messages_at(message, 13)))
    where = {bytes(entry[1]): bytes(entry[2]) for entry in entries}
    path = folder / os.fsdecode(where[b"location"])
    try:
        with open(path, "rb") as file:
            file.seek(int(where.get(b"offset", 0)))
            raw = file.read(int(where.get(b"length", -1)))
    except OSError as error:
        raise InputError(f"{path}, in which the network's weights lie, cannot be read ({error.strerror}); "
                         "put it back beside the .onnx file") from None
    kept = [message[start:end] for number, _, start, end in spans(message) if number not in (9, 13, 14)]
    return b"".join([*kept, _bytes_field(9, raw)])


def _slim_inside(message, at, file, number, *rest):
    """The pieces of a message at byte `at` of the file, the tensors at a path of field numbers slim."""
    pieces, done = [], 0
    for found, value, start, end in spans(message):
        if found == number and end - start >= LARGE:
            inside = at + end - len(value)
            inner = _slim_inside(value, inside, file, *rest) if rest else _slim_tensor(value, inside, file)
            pieces += [message[done:start], _header(number, sum(map(len, inner))), *inner]
            done = end
    return [*pieces, message[done:]]


def _slim_tensor(message, at, file):
    """TensorProto: float_data = 4, raw_data = 9, external_data = 13, data_location = 14.

    Floats in a row are the same bytes as raw data.
    """
    array = None
    for number, value, start, end in spans(message):
        if number == 13 or (number in (4, 9) and array):
            return [message]  # the bytes are in another file, or come in several parts
        if number in (4, 9):
            array = value, start, end
    if array is None or array[2] - array[1] < LARGE:
        return [message]
    value, start, end = array
    where = {b"location": file, b"offset": b"%d" % (at + end - len(value)), b"length": b"%d" % len(value)}
    entries = [_bytes_field(13, _bytes_field(1, key) + _bytes_field(2, text)) for key, text in where.items()]
    return [message[:start], message[end:], *entries, _varint(14 * 8) + _varint(1)]  # EXTERNAL = 1


def _ir_version(data):
    """ModelProto.ir_version = 1."""
    return dict(fields(memoryview(data))).get(1, 0)


def _opset(data):
    """The version of ONNX's own operators: OperatorSetIdProto.domain = 1, version = 2."""
    imports = map(dict, map(fields, messages_at(memoryview(data), 8)))
    return next(one[2] for one in imports if bytes(one.get(1, b"")) in (b"", b"ai.onnx"))


def _tensor(name, array):
    """TensorProto: dims = 1, data_type = 2, name = 8, raw_data = 9."""
    raw = array.astype(array.dtype.newbyteorder("<")).tobytes()
    dims = [(1, side) for side in array.shape]
    return _message([*dims, (2, TYPES[array.dtype]), (8, name.encode()), (9, raw)])


def _value_info(name, kind, shape=None):
    """ValueInfoProto: name = 1, type = 2; TypeProto.tensor_type = 1; its elem_type = 1 and shape = 2.

    Of a shape dim = 1, and its dim_value = 1; a free side is an empty dim. Without a shape, any will do.
    """
    content = [(1, kind)]
    if shape is not None:
        dims = [(1, _message([] if side is None else [(1, side)])) for side in shape]
        content.append((2, _message(dims)))
    return _message([(1, name.encode()), (2, _message([(1, _message(content))]))])


def _attribute(name, value):
    """AttributeProto: name = 1, i = 3, ints = 8, type = 20, of an integer (2) or a list of them (7)."""
    several = isinstance(value, list)
    values = [(8, n) for n in value] if several else [(3, value)]
    return _message([(1, name.encode()), *values, (20, 7 if several else 2)])


def _message(content):
    """The bytes of a message of (field number, integer or bytes) pairs."""
    return b"".join(_varint(8 * number) + _varint(value) if isinstance(value, int)
                    else _bytes_field(number, value) for number, value in content)


def _header(number, length):
    return _varint(number * 8 + 2) + _varint(length)


def _bytes_field(number, value):
    return b"".join([_header(number, len(value)), value])


def _varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out + bytes([n]))
