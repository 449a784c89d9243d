"""Command lines, sensible and not: `python -m tests.fuzz_lines [COUNT] [SEED]`.

Each must end with a status that fits what it printed: one line for each complaint, JSON where that
was asked for, nothing that a terminal obeys. Its inputs stay as they are, and what it wrote is whole.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import json
import os
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx
from PIL import Image

from cam_numpy.__main__ import main
from tests import networks
from tests.conftest import scene
from tests.fuzzing import run

# of each sort what can be used, and what cannot
PHOTOS = (
    ("a.png", "b.jpg", "a.cam.png", "thin.png", "cost $5 or $6.png", "two\nlines.png", "grey.png",
     "caf\udce9.png", "\x1b[31m.png"),
    ("broken.png", "empty.png", "nowhere.png", "folder", "net.onnx", "", "no\0name"),
)
MODELS = (
    ("net.onnx", "net.onnx", "gmp.onnx"),
    ("squeezenet1.1", "broken.onnx", "nowhere.onnx", "a.png", "folder", "resnet", "no/such/name", "",
     "\x1b[2J"),
)
DATA = (("boxes.csv",), ("strange.csv", "empty.csv", "folder", "nowhere.csv", "a.png", "net.onnx", ""))
NUMBERS = (
    ("1", "3", "7", "2"),
    ("0", "-1", "1.5", "nan", "1e400", "٣", "1_0", "9" * 5000, "", " 2", "0x3", "many"),
)
FRACTIONS = (("0", "0.2", "0.99", ".5"), ("1", "-0.1", "nan", "1_0", "", "t"))
CLASSES = (
    ("0", "3", "thing 2", "res 4"),
    ("thing", "7", "-1", "zebra", "", "9" * 5000, "\x1b[2J", "a.png", "٣", "$x_1$"),
)
BOXES = (
    ("0,0,5,5", "1,2,3,4", " 1, 2, 3, 4"),
    ("0,0,9999,9999", "5,5,0,0", "1,2,3", "1,2,,4", "a,b,c,d", "", "1_0,0,20,5"),
)
WORDS = ("--", "-", "--no-such", "--top", "\n", "\x1b[2J", "--jso", "-h", "a b", "--out=", "=", "--minus")
FOLDERS = (
    (".", "out", "out", "new/deep/er", "cost $5", "\x1b]0;x\x07"),
    ("a.png", "", "no\0name", "n" * 300, "net.onnx/in"),
)
LABELS = (("names.txt",), ("few.txt", "empty.png", "nowhere", "folder", "a.png", ""))
PETS = (("pets",), ("folder", "a.png", "nowhere", "", "no\0name"))
NEW = (
    ("new.onnx", "\x1b[2J.onnx"),
    ("folder", "pets/cat/0.png", "", "n" * 300, "no\0name", "nowhere/n.onnx"),
)
COMMANDS = (
    "explain", "explain", "explain", "inspect", "evaluate", "layers", "units", "page", "learn", "models",
)


def pick(rng, sort, wrong=0.06):
    return rng.choice(sort[rng.random() < wrong])


@cache
def folder():
    """A folder with all that the lines name."""
    path = Path(tempfile.mkdtemp(prefix="fuzz-lines-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    for seed, name in enumerate(PHOTOS[0]):
        sides = (1, 60) if name == "thin.png" else (20, 30)
        image = Image.fromarray(scene(*sides, seed))
        (image.convert("L") if name == "grey.png" else image).save(path / name)
    whole = (path / "a.png").read_bytes()
    files = {
        "broken.png": whole[:150], "empty.png": b"", "broken.onnx": b"\x08\x07\x3a\x03abc",
        "names.txt": "".join(f"name {c}\n" for c in range(networks.C)).encode(), "few.txt": b"one\ntwo\n",
        "strange.csv": b"path,label\na.png,\xff\n", "empty.csv": b"", "boxes.csv": boxes().encode(),
    }
    for name, content in files.items():
        (path / name).write_bytes(content)
    (path / "folder").mkdir()
    for name in ("cat", "dog"):
        (path / "pets" / name).mkdir(parents=True)
        for i in range(3):
            Image.fromarray(scene(20, 30, 10 * len(name) + i)).save(path / "pets" / name / f"{i}.png")
    networks.classifier(path / "net.onnx")
    pooled = [("GlobalMaxPool", ["f"], "pooled"), networks.GAP[1]]
    networks.save(path / "gmp.onnx", networks.BODY + pooled + networks.GEMM)
    os.chdir(path)
    return path


def boxes():
    """A data set of four pictures, one of them broken; some have two boxes."""
    lines = ["path,label,x0,y0,x1,y1"]
    for x, name in enumerate(("a.png", "b.jpg", "broken.png", "a.cam.png")):
        lines += [f"{name},thing {x},{x},2,{x + 9},15"] * (1 + x % 2)
    return "\n".join(lines)


def make(rng):
    """A command line: a command and its arguments, some of which are wrong."""
    command = pick(rng, (COMMANDS, ("fetch", "no-such", "--help", "")))
    photos = [pick(rng, PHOTOS) for _ in range(rng.choice((1, 1, 2, 3)))]
    line = [command, *{
        "explain": photos[: rng.choice((0, 3, 3, 3, 3))], "inspect": [pick(rng, MODELS)],
        "evaluate": [pick(rng, DATA)], "layers": photos[:1], "page": photos[:1],
        "units": photos[: rng.choice((0, 0, 1))], "learn": [pick(rng, PETS)],
        "fetch": [rng.choice(("resnet", "", "squeezenet\n"))],
    }.get(command, [])]
    model = pick(rng, MODELS)
    if command in ("explain", "evaluate", "layers", "units", "page", "learn") and rng.random() < 0.95:
        line += ["--model", model]
    if command == "learn":
        line += ["--out", model if rng.random() < 0.1 and line[-1] == model else pick(rng, NEW)]
    if command == "units" or command == "explain" and rng.random() < 0.3:
        classes = [pick(rng, CLASSES) for _ in range(rng.choice((1, 1, 3)))]
        line += ["--class", *(classes[:1] if command == "units" else classes)]
    if command in ("explain", "layers", "units", "page") or command == "evaluate" and rng.random() < 0.3:
        line += ["--out", pick(rng, FOLDERS)]
    if command == "explain" and rng.random() < 0.95:
        line.append("--plain")
    for _ in range(rng.choice((0, 0, 1, 1, 2, 4))):
        line += option(rng, command)
    if rng.random() < 0.05:
        line.insert(rng.randrange(len(line) + 1), rng.choice(WORDS + PHOTOS[0]))
    return line


def option(rng, command):
    """An option of a command or, seldom, of another."""
    shared = [
        lambda: ["--json"], lambda: ["--bgr"], lambda: ["--size", pick(rng, (("16", "32"), NUMBERS[1]))],
        lambda: [f"--mean={pick(rng, FRACTIONS)}"],
        lambda: ["--std", pick(rng, (("0.2,0.3,0.4", "1"), ("0", "1,2")))],
        lambda: ["--labels", pick(rng, LABELS)], lambda: ["--output", pick(rng, (("S",), ("P", "", "\n")))],
        lambda: ["--preprocessing", pick(rng, (("caffe", "zero-one"), ("keras", "", "\x07")))],
    ]
    own = {
        "explain": [
            lambda: ["--boxes"], lambda: ["--save-arrays"], lambda: ["--top", pick(rng, NUMBERS)],
            lambda: [f"--true-box={pick(rng, BOXES)}"], lambda: [f"--minus={pick(rng, CLASSES)}"],
            lambda: ["--scale", pick(rng, NUMBERS)],
            lambda: ["--colors", pick(rng, (("jet", "diverging"), ("pink",)))],
        ],
        "evaluate": [
            lambda: ["--limit", pick(rng, NUMBERS)], lambda: [f"--threshold={pick(rng, FRACTIONS)}"],
            lambda: ["--rule", pick(rng, (("paper", "min-max"), ("no", "")))],
            lambda: ["--method", pick(rng, (("cam", "occlusion"), ("no",)))],
        ],
        "layers": [lambda: ["--rows", pick(rng, NUMBERS)], lambda: ["--units", pick(rng, NUMBERS)]],
        "units": [lambda: ["--top", pick(rng, NUMBERS)]],
        "learn": [
            lambda: ["--force"], lambda: ["--test", pick(rng, FRACTIONS)],
            lambda: ["--l2", pick(rng, (("auto", "0.1"), ("0", "nan", "", "1e9")))],
        ],
        "inspect": [lambda: ["--try", pick(rng, PHOTOS)]],
    }
    every = [one for options in own.values() for one in options]
    return rng.choice(shared + own.get(command, []) if rng.random() < 0.97 else every)()


@dataclass
class Ended:
    status: int
    out: str
    err: str


def ended(line):
    """What a command line prints in this process, and its status."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(line)
        except SystemExit as stop:
            status = stop.code
    return Ended(status or 0, out.getvalue(), err.getvalue())


def judge(line, end):
    """Whether a command line ended as it should; a word for the count."""
    complaints = [text for text in end.err.splitlines() if not re.match(r"\[\d+/\d+\] ", text)]
    told = f"{line!r}: status {end.status}\n{end.out[-2000:]}\n{end.err[-2000:]}"
    assert end.status in ((0, 1, 2) if "inspect" in line else (0, 2)), told
    assert all(text.startswith("cam-numpy: ") and len(text) < 1300 for text in complaints), told
    assert bool(complaints) == (end.status == 2), told
    assert re.fullmatch(r"[^\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]*", end.out + end.err), told
    if "--json" in line and not {"--", "--help", "-h", "models", "fetch"} & set(line):
        for text in end.out.splitlines():
            json.loads(text)
    return ("done", "not applicable", "refused")[end.status]


def check_written(line):
    """All that was written is whole, and no input was written over; then all is as it was before."""
    here, before = folder(), contents()
    for path in sorted(here.rglob("*"), reverse=True):
        name = path.relative_to(here)
        assert not name.name.endswith(".unfinished"), name
        if name in before:
            if path.is_file() and path.read_bytes() != before[name]:
                assert str(name) not in line, f"{line!r}: {name!r} was written over"
                path.write_bytes(before[name])
            continue
        if path.is_dir():
            path.rmdir()
            continue
        if path.suffix == ".png":
            with Image.open(path) as image:
                image.load()
        elif path.suffix == ".onnx":
            onnx.checker.check_model(path)
        elif path.suffix == ".npz":
            with np.load(path) as arrays:
                assert all(array.size for array in arrays.values())
        else:
            end = "</html>" if path.suffix == ".html" else ""
            assert path.read_text(encoding="utf-8").rstrip().endswith(end)
        path.unlink()
    assert all((here / name).exists() for name in before)


@cache
def contents():
    return {path.relative_to(folder()): path.is_file() and path.read_bytes() for path in folder().rglob("*")}


def attempt(line):
    contents()
    word = judge(line, ended(line))
    check_written(line)
    return word


if __name__ == "__main__":
    folder()
    run(make, attempt, sys.argv[1:])
