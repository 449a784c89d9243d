"""Data sets, good and broken: `python -m tests.fuzz_datasets [COUNT] [SEED]`.

A small data set of each layout, in a folder or a zip. A good one must tell what was put into it; of
a broken one (bytes of a file or of the zip changed, a file gone, a folder or a pipe in its place)
every picture must be read, its boxes inside of it, or be refused in one line.
"""

from __future__ import annotations

import io
import os
import random
import re
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from cam_numpy.errors import InputError
from cam_numpy.evaluation.datasets import open_dataset
from tests.fuzz import mutated
from tests.fuzzing import refused, run

WIDTH, HEIGHT = 9, 7
LABELS = ("n00000001", "n00000002")
NAMES = ("p{}", "größe {}", "$x_{}^2$", "{}", "two, {}", "-{}", "'{}'", "%s {}")


@dataclass
class DataSet:
    """The content of each file by its path, what is to be done to them, and what they tell."""

    files: dict
    damage: str
    packed: bool
    truth: list | None
    seed: str


def make(rng):
    pictures = [png(rng) for _ in range(rng.randint(1, 3))]
    boxes = [box(rng) for _ in pictures]
    labels = [rng.choice(LABELS) for _ in pictures]
    layout = rng.choice((tiny, ilsvrc, cub, table))
    names = [rng.choice(NAMES[:1] if layout is cub else NAMES).format(i) for i in range(len(pictures))]
    files, truth = layout(names, pictures, labels, boxes)
    if layout is not table and rng.random() < 0.3:  # in a folder of its own
        files = {f"inside/{path}": content for path, content in files.items()}
    damage = rng.choice(("", "", "bytes", "bytes", "number", "number",
                         "zip", "gone", "folder", "pipe", "again"))
    packed = layout is not table and rng.random() < 0.5
    if damage == "zip" and not packed or damage == "pipe" and (packed or not hasattr(os, "mkfifo")):
        damage = "bytes"
    if damage in ("bytes", "number", "again"):
        path = rng.choice([path for path in files if not path.endswith(".png")] * 3 + list(files))
        content = files[path]
        files[path] = (mutated(content, rng) if damage == "bytes" else
                       renumbered(content, rng) if damage == "number" else content * 2)
    return DataSet(files, damage, packed, None if damage else truth, f"{rng.random()}")


def png(rng):
    file = io.BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT), (rng.randrange(256), 0, 0)).save(file, "PNG")
    return file.getvalue()


def box(rng):
    (x0, x1), (y0, y1) = (sorted(rng.randrange(side) for _ in "ab") for side in (WIDTH, HEIGHT))
    return x0, y0, x1, y1


def renumbered(content, rng):
    """The same with another number in the place of one of its numbers."""
    places = list(re.finditer(rb"[0-9]+", content))
    if not places:
        return content
    at = rng.choice(places)
    odd = rng.choice((b"-1", b"1e3", b"1_0", "٣".encode(), b"9" * 5000, b"nan", b"0.5", b"", b"99", b" "))
    return content[: at.start()] + odd + content[at.end() :]


# --- layouts: the files, and (name, label, boxes) of each picture ---------------------------------

def tiny(names, pictures, labels, boxes):
    files = {"wnids.txt": "\n".join(LABELS).encode()}
    lines = ["\t".join(map(str, (f"{name}.png", label, *box)))
             for name, label, box in zip(names, labels, boxes)]
    files["val/val_annotations.txt"] = "\n".join(lines).encode()
    paths = [f"val/images/{name}.png" for name in names]
    files.update(zip(paths, pictures))
    return files, list(zip(paths, labels, boxes))


def ilsvrc(names, pictures, labels, boxes):
    files = {}
    for name, picture, label, (x0, y0, x1, y1) in zip(names, pictures, labels, boxes):
        files[f"val/{name}.png"] = picture
        files[f"boxes/{name}.xml"] = (
            f"<annotation><size><width>{WIDTH}</width><height>{HEIGHT}</height></size>"
            f"<object><name>{label}</name><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin>"
            f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object></annotation>").encode()
    return files, sorted(zip([f"val/{name}.png" for name in names], labels, boxes))


def cub(names, pictures, labels, boxes):
    rows = list(enumerate(zip(names, labels, boxes)))
    files = {
        "classes.txt": "".join(f"{i} {label}\n" for i, label in enumerate(LABELS)),
        "images.txt": "".join(f"{i} {name}.png\n" for i, (name, _, _) in rows),
        "image_class_labels.txt": "".join(f"{i} {LABELS.index(label)}\n" for i, (_, label, _) in rows),
        "bounding_boxes.txt": "".join(f"{i} {b[0]}.0 {b[1]}.0 {b[2] - b[0] + 1}.0 {b[3] - b[1] + 1}.0\n"
                                      for i, (_, _, b) in rows),
    }
    files = {path: text.encode() for path, text in files.items()}
    paths = [f"images/{name}.png" for name in names]
    files.update(zip(paths, pictures))
    return files, list(zip(paths, labels, boxes))


def table(names, pictures, labels, boxes):
    lines = ["path,label,x0,y0,x1,y1"]
    lines += [f'"{name}.png",{label},{",".join(map(str, box))}'
              for name, label, box in zip(names, labels, boxes)]
    paths = [f"{name}.png" for name in names]
    files = {"boxes.csv": "\n".join(lines).encode(), **dict(zip(paths, pictures))}
    return files, list(zip(paths, labels, boxes))


# --- a data set is opened and read -------------------------------------------------------------------

def attempt(case):
    with tempfile.TemporaryDirectory() as folder:
        try:
            dataset = open_dataset(written(case, Path(folder) / "set"))
        except InputError as error:
            assert case.truth is None, f"a good data set is refused: {error}"
            return refused(error, "set")
        told = []
        for i in range(len(dataset)):
            try:
                one = dataset[i]
                assert one.photo.mode == "RGB" and one.label
                for x0, y0, x1, y1 in one.boxes:
                    assert 0 <= x0 <= x1 < one.photo.width and 0 <= y0 <= y1 < one.photo.height
                told.append((one.name, one.label, *one.boxes))
            except InputError as error:
                assert case.truth is None, f"a good picture is refused: {error}"
                refused(error)
        assert case.truth is None or told == case.truth, (told, case.truth)
        return "read" if case.truth is None else "read and compared"


def written(case, top):
    """Write the files of a data set; returns the path to open."""
    victim = sorted(case.files)[int(case.seed[-3:]) % len(case.files)]
    if case.packed:
        with zipfile.ZipFile(top.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as archive:
            for path, content in case.files.items():
                if not (case.damage == "gone" and path == victim):
                    archive.writestr(path + "/" * (case.damage == "folder" and path == victim), content)
        top = top.with_suffix(".zip")
        if case.damage == "zip":
            top.write_bytes(mutated(top.read_bytes(), random.Random(case.seed)))
        return top
    for path, content in case.files.items():
        place = top / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if path != victim or case.damage not in ("gone", "folder", "pipe"):
            place.write_bytes(content)
        elif case.damage == "folder":
            place.mkdir()
        elif case.damage == "pipe":
            os.mkfifo(place)
    return top / "boxes.csv" if "boxes.csv" in case.files else top


if __name__ == "__main__":
    run(make, attempt, sys.argv[1:])
