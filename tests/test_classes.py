"""The names of classes: found by name, index or word, and read from a file."""

import json
import os
from types import SimpleNamespace

import pytest

from cam_numpy import load
from cam_numpy.errors import Assumed, InputError
from cam_numpy.network.classes import ClassFinder, find_class, read_labels
from tests import networks
from tests.networks import C

NUMBERS = ["30", "1", "0", "dog"]


@pytest.mark.parametrize("wanted, c", [("30", 0), ("1", 1), ("0", 2), (0, 0), (2, 2), ("2", 2), ("3", 3)])
def test_a_name_that_is_a_number_comes_before_an_index(wanted, c):
    assert find_class(NUMBERS, wanted) == c


def named(folder, names):
    """The path of a network whose file gives these names."""
    metadata = {**networks.METADATA, "classes": json.dumps(names)}
    return networks.classifier(folder / "n.onnx", metadata=metadata)


def network(classes, named=True, wnids=None):
    return SimpleNamespace(classes=classes, named=named, wnids=wnids, name="n.onnx")


def test_labels_of_a_data_set_that_are_numbers_are_names():
    assert [ClassFinder(network(NUMBERS), None)(label) for label in NUMBERS] == [0, 1, 2, 3]


def test_a_name_that_is_also_the_index_of_another_class_is_said(tmp_path):
    names = [*"10", *"23456"]
    path = named(tmp_path, names)
    with pytest.warns(Assumed, match='its class 0 is called "1", which is also the index of another class'):
        load(path)
    assert load(named(tmp_path, [*"0123456"])).assumed == []


def test_a_word_of_a_name_is_no_label():
    finder = ClassFinder(network(["German shepherd, police dog", "tabby"]), None)
    assert finder("police dog") == finder("german shepherd, police dog") == finder("0") == 0
    for label in ("dog", "shepherd"):
        with pytest.raises(InputError, match=f"the label '{label}' names no class of n.onnx: "):
            finder(label)


DIGITS = "9" * 5000


@pytest.mark.parametrize("wanted, message", [
    (DIGITS, r'class "9+ \.\.\. 9+" is not one of the network\'s 4 classes'),
    ("-" + DIGITS, r'class "-9+ \.\.\. 9+" is not'),
    (10**5000, "class a number of thousands of digits is neither an index nor a name"),
    ("٣", 'class "٣" is not one of the network'), ("1_0", 'class "1_0" is not'),
    ("-1", "class -1 does not exist"),
    (4, "class 4 does not exist; the network has classes 0 to 3"),
    (2.0, "class 2.0 is neither an index nor a name"),
    (None, "class None is neither"), (True, "class True is neither"), ([1], r"class \[1\] is neither"),
    ("x" * 5000, r'class "x+ \.\.\. x+" is not one of'), ("a\nb", r'class "a\\nb" is not one of'),
], ids=range(13))
def test_what_is_no_class_is_refused_in_one_short_line(wanted, message):
    with pytest.raises(InputError, match=message) as refused:
        find_class(NUMBERS, wanted)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 1100


@pytest.mark.parametrize("content, names, wnids", [
    ("a\nb\n", ["a", "b"], None), ("\ufeffa\r\nb, c\r\n\r\n \n", ["a", "b, c"], None),
    ("n00000001 a\nn00000002\n", ["a", "n00000002"], ["n00000001", "n00000002"]),
    ("n00000001 a\nb", ["a", "b"], None), ("a\u2028b\nc", ["a\u2028b", "c"], None),
    ("n٠٠٠٠٠٠٠٠ a", ["n٠٠٠٠٠٠٠٠ a"], None),
])
def test_labels_are_read_line_by_line(tmp_path, content, names, wnids):
    (tmp_path / "labels.txt").write_bytes(content.encode())
    assert read_labels(tmp_path / "labels.txt") == (names, wnids)


@pytest.mark.parametrize("content, message", [
    (b"", "labels.txt names no class; give a text file with one name per line"),
    (b"\n \n", "names no class; give"),
    (b"a\n\nb\n", "labels.txt, line 2 is blank; give a text file with one name per line"),
    (b"\na\n", "labels.txt, line 1 is blank; give"),
    (b"caf\xe9\n", "labels.txt is not valid UTF-8 text; give a text"),
    (b"a\n" * 5_000_001, "labels.txt has 10,000,002 bytes, more than the 10,000,000 that are read"),
])
def test_labels_that_would_shift_are_refused(tmp_path, content, message):
    (tmp_path / "labels.txt").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_labels(tmp_path / "labels.txt")


@pytest.mark.parametrize("name, message", [
    (".", "is a folder; give a text file"), ("gone", "there is no such file"),
    ("x" * 400, "too long|no such file"),
    ("a\0", "check the name"),
])
def test_what_is_no_file_of_labels_is_refused(tmp_path, name, message):
    with pytest.raises(InputError, match=message):
        read_labels(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes in folders")
def test_a_pipe_and_a_device_are_no_file_of_labels(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(InputError, match="is a pipe, a socket or a device, not a file; give a text file"):
            read_labels(path)


def test_no_names_are_assumed_and_said(tmp_path):
    path = named(tmp_path, [])
    with pytest.warns(Assumed, match='it does not name its classes, so they are called "class 0"'):
        assert load(path).classes == [f"class {c}" for c in range(C)]


def test_what_an_explanation_hands_out_is_its_own(small, photo):
    from cam_numpy import explain

    opened = load(small)
    e = explain(photo, opened)
    e.classes[0] = "changed"
    e.assumed.append("changed")
    assert opened.classes[0] == "thing 0, Res 0" and opened.assumed == []
