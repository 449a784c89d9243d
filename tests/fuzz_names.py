"""Strange names of photos, classes, tensors, models, data sets: `python -m tests.fuzz_names [COUNT] [SEED]`.

Whatever they are called, all is explained, inspected and measured; no name is obeyed by a terminal,
parsed by matplotlib or breaks a line, and JSON has it as it is.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import onnx
from PIL import Image

from tests import networks
from tests.conftest import scene
from tests.fuzz_lines import ended
from tests.fuzzing import run

PIECES = (
    "cat", "5", " ", "$", "_", "^", "\\", "\\frac{1}", "{", "}", "%", "%s", "\n", "\r\n", "\t", "\0", "\x07",
    "\x1b[31m", "\x1b]0;title\x07", "\x9b2J", "\x7f", "\u202e", "\u2028", "\ufeff", "\ud83d", "\udce9", "猫",
    "é", "کتاب\u200cها", "👩\u200d🔬", "<b>", "</script>", "&amp;", '"', "'", ",", ";", "n00000001 ", "../",
    "~", "*", "-", "--json", "x" * 90,
)
COMMANDS = ("explain", "explain", "figure", "inspect", "layers", "units", "page", "evaluate")


@dataclass
class Named:
    """What is run, and what it is given."""

    command: str
    photo: str
    model: str
    classes: list
    tensor: str
    drawn: bool


def name(rng, forbidden=""):
    text = "".join(rng.choice(PIECES) for _ in range(rng.randint(1, 5)))
    return "".join(letter for letter in text if letter not in forbidden)


def file_name(rng, ending):
    """A name that a file may have here: no slash, no zero, not too long."""
    text = "".join(letter if not "\ud800" <= letter < "\udc80" else "?" for letter in name(rng, "/\0"))
    return f"{'x' * (text.strip(' .') == '')}{text[:60]}{ending}"


def make(rng):
    return Named(rng.choice(COMMANDS), file_name(rng, ".png"), file_name(rng, ".onnx"),
                 [name(rng) for _ in range(networks.C)], name(rng, "\ud83d\udce9") or "t", rng.random() < 0.1)


def attempt(case):
    here = Path(tempfile.mkdtemp(prefix="fuzz-names-"))
    try:
        os.chdir(here)
        return check(case, ended(line(case)), here)
    finally:
        os.chdir("/")
        shutil.rmtree(here)


def line(case):
    """The command line, once its files are there."""
    Image.fromarray(scene(20, 30)).save(case.photo)
    metadata = {**networks.METADATA, "classes": json.dumps(case.classes)}
    networks.classifier(case.model, metadata=metadata)
    model = onnx.load(case.model)
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [case.tensor if tensor == "F" else tensor for tensor in names]
    onnx.save(model, case.model)
    photo, rest = f"./{case.photo}", ["--model", f"./{case.model}", "--out", "o$u\x1bt"]
    if case.command == "inspect":
        return ["inspect", f"./{case.model}"]
    if case.command == "evaluate":
        quoted = case.photo.replace('"', '""')
        csv = "path,label,x0,y0,x1,y1\n" + f'"{quoted}",3,0,0,9,9\n' + '"b.png",4,0,0,9,9\n'
        Path("d$a.csv").write_bytes(csv.encode("utf-8", "surrogateescape"))
        Image.fromarray(scene(20, 30)).save("b.png")
        return ["evaluate", "d$a.csv", *rest[:2], *(rest[2:] if case.drawn else [])]
    if case.command == "units":
        return ["units", *([photo] if case.drawn else []), "--class", "3", *rest]
    if case.command in ("explain", "figure"):
        how = ["--top", "7", "--plain"] if case.command == "explain" else ["--top", "3"]
        return ["explain", photo, *rest, "--boxes", *how]
    return [case.command, photo, *rest]


def check(case, end, here):
    told = f"{case}: status {end.status}\n{end.out}\n{end.err}"
    assert re.fullmatch(r"[^\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\ud800-\udfff]*", end.out + end.err), told
    if case.command == "evaluate" and end.status == 2:  # a CSV has no such path, or no such label
        assert end.err.count("\n") == 1, told
        return "refused"
    assert end.status == 0 and end.err == "", told
    lines = end.out.split("wrote  ")[0].splitlines()
    assert all(len(text) <= 80 for text in lines) or case.command == "inspect", told
    if case.command in ("explain", "figure", "inspect"):
        drawn = case.command == "figure"  # once is enough
        record = json.loads(ended([*line(case), "--json", *["--plain"] * drawn]).out)
        if case.command == "inspect":
            assert record["activation"] == "f", told
        else:
            assert record["model"] == case.model, told
            classes = json.loads(json.dumps(case.classes))  # two halves side by side become a letter
            assert all(one["name"] == classes[one["index"]] for one in record["top"]), told
    for folder, _, files in os.walk(here):
        assert not any(name.endswith(".unfinished") for name in files), (folder, files)
    return "done"


if __name__ == "__main__":
    run(make, attempt, sys.argv[1:], count=1000)
