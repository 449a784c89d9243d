"""Write ONNX, in the wire format of `onnx_reader`: a slim copy of a model, a part of a model."""

from __future__ import annotations

import os

from .onnx_reader import spans

WHOLE = 32 << 20  # bytes of the largest model that is handed over whole, so that its file may change
LARGE = 8192  # bytes; copying a smaller array takes no longer than mapping it


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
    needed, waiting = set(inputs), list(outputs)
    while waiting:
        tensor = waiting.pop()
        if tensor not in needed:
            needed.add(tensor)
            node = graph.makers.get(tensor)
            waiting += node.inputs if node else []
    needed -= set(inputs)
    nodes = [node for node in graph.nodes if needed.intersection(node.outputs)]  # in the order of computation
    arrays = {name: message for name, message in graph.messages.items() if name in needed}
    # NodeProto: GraphProto.node = 1, GraphProto.name = 2, GraphProto.initializer = 5, GraphProto.input = 11,
    # GraphProto.output = 12
    inside = [_bytes_field(1, node.message) for node in nodes] + [_bytes_field(2, b"part")]
    inside += [_bytes_field(5, message) for message in arrays.values()]
    inside += [_bytes_field(11, _declared(name, kind)) for name, kind in inputs.items()]
    inside += [_bytes_field(12, _bytes_field(1, name.encode())) for name in outputs]
    # of the model only its imports and functions, ModelProto.opset_import = 8 and functions = 25;
    # ir_version = 1 is at least 8: before 4, every array had to be listed as an input, too
    rows = list(spans(memoryview(data)))
    ir = max([8, *(value for number, value, _, _ in rows if number == 1 and isinstance(value, int))])
    around = [data[start:end] for number, _, start, end in rows if number in (8, 25)]
    return b"".join([_varint(1 * 8), _varint(ir), *around, _bytes_field(7, b"".join(inside))])


def _declared(name, kind):
    """ValueInfoProto: name = 1, type = 2; TypeProto.tensor_type = 1; its elem_type = 1, and no shape."""
    kind = _varint(1 * 8) + _varint(kind)
    return _bytes_field(1, name.encode()) + _bytes_field(2, _bytes_field(1, kind))


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
