"""Read the graph of an ONNX file: the wire format of protobuf, as far as needed.

An ONNX file is one protobuf message. A message is a row of fields; a field is a
key and a value. The key is a whole number: field number * 8 + wire type. Whole
numbers are "varints": seven bits a byte, lowest first, the top bit says that
another byte follows. Four wire types exist:

    0  a varint          1  eight bytes
    2  a length (varint) and as many bytes: text, an array, or another message
    5  four bytes

Field numbers are those of onnx.proto (github.com/onnx/onnx), named below where
they are read; all others are skipped. Weights are not decoded: onnxruntime
hands them out (see `onnx_writer.slim`). Only a few short lists of integers, such as the axes
of a ReduceMean, are read here.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..errors import InputError


@dataclass
class Node:
    """One operation: NodeProto."""

    op: str
    inputs: list
    outputs: list
    name: str = ""
    attributes: dict = field(default_factory=dict)  # int, float, str or list of int or str
    message: memoryview | None = field(default=None, repr=False)  # its bytes in the file
    inner: list = field(default_factory=list)  # what graphs inside of it read: the branches of an If

    def __str__(self):
        return f"{self.op} -> {self.outputs[0] if self.outputs else '?'}"


@dataclass
class Graph:
    """What a model computes: GraphProto, and the model's metadata."""

    nodes: list
    initializers: dict  # name -> shape
    inputs: dict  # name -> shape; the initializers that old files list here left out
    outputs: list  # names
    metadata: dict  # str -> str
    integers: dict  # name -> list of int: the short constants
    messages: dict = field(default_factory=dict, repr=False)  # name -> the bytes of an initializer
    kinds: dict = field(default_factory=dict)  # name -> TensorProto.DataType of an initializer
    files: dict = field(default_factory=dict)  # name -> the file beside the model that holds its values

    @cached_property
    def makers(self):
        """For each computed tensor the node that computes it."""
        return {tensor: node for node in self.nodes for tensor in node.outputs}

    @cached_property
    def constants(self):
        """The tensors that are the same for every photo."""
        names = set(self.initializers)
        for node in self.nodes:  # in the order of computation, as ONNX demands
            if node.op == "Constant" or (node.inputs and all(t in names for t in node.inputs if t)):
                names.update(node.outputs)
        return names

    @cached_property
    def sizes(self):
        """The tensors that depend on a photo by its size alone, not by what is in it."""
        names = set()
        for node in self.nodes:
            inputs = [t for t in node.inputs if t and t not in self.constants]
            if inputs and (node.op in {"Shape", "Size"} or all(t in names for t in inputs)):
                names.update(node.outputs)
        return names

    def needed(self, outputs, given=()):
        """The names of all tensors that must be computed for some tensors, these included.

        Those that are given are not computed, nor what only they need.
        """
        needed, waiting = set(given), list(outputs)
        while waiting:
            tensor = waiting.pop()
            if tensor and tensor not in needed:
                needed.add(tensor)
                node = self.makers.get(tensor)
                waiting += [*node.inputs, *node.inner] if node else []
        return needed - set(given)


def read_graph(data, name="the model"):
    """The graph in the bytes of an ONNX file.

    Parameters
    ----------
    data : bytes-like
        A ModelProto.
    name : str
        For the messages.

    Returns
    -------
    graph : Graph

    Raises
    ------
    InputError
        The bytes are no ONNX model.
    """
    start = bytes(data[:200]).lstrip().lower()
    if not data:
        raise InputError(f"{name} is empty (0 bytes); get the file again")
    if start.startswith(b"version https://git-lfs"):
        raise InputError(f"{name} is a Git-LFS pointer, not the model; fetch the real file (git lfs pull)")
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise InputError(f"{name} is a web page, not a model; download the file itself")
    if start.startswith((b"pk\x03\x04", b"\x80\x02", b"\x89hdf")):
        raise InputError(f"{name} holds weights of another framework; export the network to ONNX first")
    try:
        return _model(memoryview(data))
    except (ValueError, IndexError, struct.error, RecursionError) as error:
        if not str(name).lower().endswith(".onnx"):
            raise InputError(f"{name} is not an ONNX file; give an .onnx file") from None
        raise InputError(f"{name} is not a whole ONNX model ({error}); get the file again") from None


MOST = 1_000_000  # fields of a message; the largest networks have some ten thousand
MOST_OUTPUTS = 1000
FIXED = {1: 8, 5: 4}  # the wire types that always have the same number of bytes
# the attributes that are read here, and the type that each has where it is there
TYPES = {
    "axes": list, "kernel_shape": list, "pads": list, "strides": list, "group": int, "transA": int,
    "transB": int, "keepdims": int, "alpha": float, "beta": float, "epsilon": float,
}


def fields(message):
    """The (field number, value) pairs of a message; nothing is copied."""
    for number, value, _, _ in spans(message):
        yield number, value


def spans(message):
    """The same with the bytes that each field takes, (number, value, start, end)."""
    i, count, length = 0, 0, len(message)
    while i < length:
        start = i
        key, i = _read_varint(message, i) if message[i] > 127 else (message[i], i + 1)  # mostly one byte
        kind, count = key & 7, count + 1
        if key < 8:
            raise ValueError(f"field number 0 at byte {start} of a message")
        if count > MOST:
            raise ValueError(f"a message of more than {MOST:,} fields")
        if kind in FIXED:
            number = FIXED[kind]
        elif kind in (0, 2):
            number, i = _read_varint(message, i) if message[i] > 127 else (message[i], i + 1)
        else:
            raise ValueError(f"wire type {kind} at byte {i} of a message")
        if kind == 0:
            yield key >> 3, number, start, i
        else:
            value = message[i : i + number]
            if len(value) < number:
                raise ValueError(f"a field of {number} bytes, only {len(value)} left")
            i += number
            yield key >> 3, value, start, i


def _read_varint(message, i):
    n = 0
    for shift in range(0, 70, 7):
        byte = message[i]
        i += 1
        n |= (byte & 127) << shift
        if byte < 128:
            return n, i
    raise ValueError("a number of more than ten bytes")


def _text(value):
    return bytes(value).decode("utf-8", "replace")


def _name(value):
    """A name that tensors are connected by; one that is not UTF-8 is a ValueError."""
    return bytes(_message(value)).decode()


def _signed(n):
    return n - (1 << 64) if n >> 63 else n


def _integers(value):
    """One element of a repeated integer field: alone, or packed with others."""
    if isinstance(value, int):
        return [_signed(value)]
    if all(byte < 128 for byte in value):
        return list(value)
    numbers, i = [], 0
    while i < len(value):
        n, i = _read_varint(value, i)
        numbers.append(_signed(n))
    return numbers


def _model(message):
    graph, found = Graph([], {}, {}, [], {}, {}), False
    for number, value in fields(message):
        if number == 7:  # graph; a second one is merged into the first
            _graph(_message(value), graph)
            found = True
        elif number == 14:  # metadata_props: StringStringEntryProto, key = 1, value = 2
            entry = dict(fields(_message(value)))
            graph.metadata[_text(entry.get(1, b""))] = _text(entry.get(2, b""))
    if not found:
        raise ValueError("it holds no graph")
    graph.inputs = {name: shape for name, shape in graph.inputs.items() if name not in graph.initializers}
    return graph


def _message(value):
    if isinstance(value, int):
        raise ValueError("a number where a message belongs")
    return value


def _graph(message, graph):
    for number, value in fields(message):
        if number == 1:  # node
            node = _node(_message(value))
            node.message = value
            graph.nodes.append(node)
            if node.op == "Constant" and isinstance(node.attributes.get("value"), list):
                graph.integers[node.outputs[0]] = node.attributes["value"]
        elif number == 5:  # initializer
            tensor = _tensor(_message(value))
            name = tensor.name
            graph.initializers[name], graph.messages[name] = tensor.shape, value
            graph.kinds[name] = tensor.kind
            if tensor.integers is not None:
                graph.integers[name] = tensor.integers
            if tensor.file:
                graph.files[name] = tensor.file
        elif number == 11:  # input
            name, shape = value_info(_message(value))
            graph.inputs[name] = shape
        elif number == 12:  # output
            graph.outputs.append(value_info(_message(value))[0])
            if len(graph.outputs) > MOST_OUTPUTS:
                raise ValueError(f"more than {MOST_OUTPUTS} outputs")


class _Tensor(NamedTuple):
    name: str
    shape: tuple
    kind: int
    integers: list | None  # its values where it is a short int64 array
    file: str


def _tensor(message, longest=8):
    """TensorProto: dims = 1, data_type = 2, int64_data = 7, name = 8, raw_data = 9, external_data = 13."""
    name, shape, kind, integers, raw, file = "", [], 0, [], b"", ""
    for number, value in fields(message):
        if number == 1:
            shape += _integers(value)
        elif number == 2:
            (kind,) = _integers(value)
        elif number == 7 and (isinstance(value, int) or len(value) <= 10 * longest):
            integers += _integers(value)  # ten bytes at most for each
        elif number == 8:
            name = _name(value)
        elif number == 9:
            raw = _message(value)
        elif number == 13:  # StringStringEntryProto, key = 1, value = 2
            entry = dict(fields(_message(value)))
            file = _text(entry.get(2, b"")) if _text(entry.get(1, b"")) == "location" else file
    if kind != 7 or len(raw) > 8 * longest or len(integers) > longest:  # TensorProto.INT64 = 7
        return _Tensor(name, tuple(shape), kind, None, file)
    return _Tensor(name, tuple(shape), kind, integers or np.frombuffer(raw, "<i8").tolist(), file)


def _node(message):
    node = Node("", [], [])
    for number, value in fields(message):
        if number == 1:
            node.inputs.append(_name(value))
        elif number == 2:
            node.outputs.append(_name(value))
        elif number == 3:
            node.name = _text(_message(value))
        elif number == 4:
            node.op = _text(_message(value))
        elif number == 5:
            name, attribute, inner = _attribute(_message(value))
            if not isinstance(attribute, TYPES.get(name, object)):
                raise ValueError(f"the attribute {name} of a node is {attribute!r:.40}")
            node.attributes[name] = attribute
            node.inner += inner
    return node


def _read_inside(graph):
    """The tensors that the nodes of a graph inside an attribute read: GraphProto.node = 1."""
    nodes = [_node(message) for message in messages_at(graph, 1)]
    return [tensor for node in nodes for tensor in [*node.inputs, *node.inner]]


def _attribute(message):
    """Its name and value, and what graphs in it read: the rest of its type is not needed here.

    AttributeProto: name = 1, f = 2, i = 3, s = 4, t = 5, g = 6, ints = 8, strings = 9, graphs = 11.
    """
    name, value, inner = "", None, []
    for number, part in fields(message):
        if number == 1:
            name = _text(_message(part))
        elif number == 2:
            (value,) = struct.unpack("<f", _message(part))
        elif number == 3:
            (value,) = _integers(part)
        elif number == 4:
            value = _text(_message(part))
        elif number == 5:
            value = _tensor(_message(part)).integers
        elif number == 8:
            value = (value if isinstance(value, list) else []) + _integers(part)
        elif number == 9:
            value = (value if isinstance(value, list) else []) + [_text(_message(part))]
        elif number in (6, 11):
            inner += _read_inside(_message(part))
    return name, value, inner


def value_info(message):
    """ValueInfoProto: name = 1, type = 2. A free or named side is None in the shape."""
    name, shape = "", None
    for number, value in fields(message):
        if number == 1:
            name = _name(value)
        elif number == 2:  # TypeProto.tensor_type = 1, its shape = 2, its dim = 1
            for part in messages_at(_message(value), 1, 2):
                shape = tuple(
                    next((_signed(n) for i, n in fields(_message(dim)) if i == 1 and isinstance(n, int)),
                         None)
                    for dim in messages_at(part, 1)
                )
    return name, shape


def messages_at(message, number, *rest):
    """The messages at a path of field numbers."""
    for found, value in fields(message):
        if found == number:
            if rest:
                yield from messages_at(_message(value), *rest)
            else:
                yield _message(value)
