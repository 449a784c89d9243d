"""`evaluate`: what it says of a hundred pictures is what loops say of them."""

import csv
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from cam_numpy import load
from cam_numpy.__main__ import main
from cam_numpy.errors import InputError
from cam_numpy.evaluation import figures
from cam_numpy.evaluation.datasets import CSV, Case, open_dataset
from cam_numpy.evaluation.run import evaluate
from cam_numpy.paper.boxes import RULES
from cam_numpy.paper.localisation import ROW
from tests import loops, measures, networks
from tests.conftest import assert_texts_fit, scene
from tests.networks import C

COUNT = 100
THRESHOLDS = (0.2, 0.4)
LARGE = {30: (288, 3), 60: (3, 288)}  # boxes of these are found on 224 pixels
COLORS = np.random.default_rng(7).integers(0, 256, (C, 3))
SETTINGS = [(rule, t) for rule in RULES for t in THRESHOLDS]


@dataclass
class Told:
    """A picture of the made-up data set, and what the loops need to know of it."""

    pixels: np.ndarray
    c: int
    truth: list
    S: list
    shown: dict  # class: its map laid onto the photo, as lists

    def __post_init__(self):
        # each picture keeps its own results: many tests ask for the same ones
        self.boxes, self.row = cache(self.boxes), cache(self.row)

    @property
    def size(self):
        return self.pixels.shape[1], self.pixels.shape[0]

    def boxes(self, c, rule, t):
        """(cells, box) of each component of the map of class c."""
        return measures.boxes_of(self.shown[c], self.size, t, rule)

    def row(self, rule, t):
        """(rank, known, largest, any, whole, centre)."""
        found, truth = [self.boxes(self.c, rule, t) for t in measures.CURVE], self.truth
        known = measures.largest(self.boxes(self.c, rule, t))
        return (
            sum(1 for score in self.S if score > self.S[self.c]), measures.best_overlap(known, truth),
            [measures.best_overlap(measures.largest(boxes), truth) for boxes in found],
            [max([0.0] + [measures.best_overlap(box, truth) for _, box in boxes]) for boxes in found],
            measures.best_overlap(measures.whole_image(self.size), truth),
            measures.best_overlap(measures.centre_box(self.size), truth),
        )


def decided(M, thresholds):
    """Whether no rounding in float32 can change which cells of a map are kept."""
    least = 3e-6 * max(abs(value) for row in M for value in row)
    return all(measures.margin(M, thresholds, rule) > least for rule in RULES)


def picture(seed, size):
    """A grainy scene with a tinted rectangle or two, of the colour of class c: (pixels, c, boxes)."""
    rng = np.random.default_rng(seed)
    pixels = scene(size[1], size[0], seed) // 2 + rng.integers(0, 128, (size[1], size[0], 3), dtype=np.uint8)
    c, boxes = int(rng.integers(C)), []
    for _ in range(rng.choice([1, 1, 2])):
        x0, y0 = (int(rng.integers(0, max(1, side // 3))) for side in size)
        x1, y1 = (int(rng.integers(start + side // 2, side)) for start, side in zip((x0, y0), size))
        inside = pixels[y0 : y1 + 1, x0 : x1 + 1]
        inside[:] = (inside // 2 + COLORS[c] // 2).astype(np.uint8)
        boxes.append((x0, y0, x1, y1))
    return pixels, c, boxes


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The small network, seeing more cells than a third of a picture's pixels: no two of these are equal."""
    path = tmp_path_factory.mktemp("model") / "small.onnx"
    return networks.classifier(path, metadata={**networks.METADATA, "size": "40"})


@pytest.fixture(scope="module")
def network(model):
    return load(model, threads=1)


@pytest.fixture(scope="module")
def told(network):
    """A hundred pictures of which rounding in float32 decides nothing: others are not taken."""
    pictures, seed = [], 0
    while len(pictures) < COUNT:
        seed += 1
        one = one_told(network, seed, LARGE.get(len(pictures)))
        pictures += [one] if one else []
    return pictures


def one_told(network, seed, size=None):
    """A made-up picture, or None where a rounding may decide."""
    size = size or tuple(np.random.default_rng(seed).integers(9, 16, 2).tolist())
    pixels, c, boxes = picture(seed, size)
    seen = network.see(pixels)
    S, f, w = seen.S.tolist(), seen.f.tolist(), networks.weights()["w"].tolist()
    best, (width, height) = sorted(S), measures.grid_of(size)
    if min(b - a for a, b in zip(best, best[1:])) < 1e-3 or (width * height - 1) % 5 == 0:
        return None  # two classes score alike; a part of the pixels is a whole number of them
    shown = {}
    for guess in [c, *measures.guesses(S, 5)]:
        shown[guess] = measures.laid(loops.activation_map(f, w, guess), size)
        if not decided(shown[guess], THRESHOLDS + (guess == c) * tuple(measures.CURVE)):
            return None
    return Told(pixels, c, boxes, S, shown)


def write(folder, pictures, label="thing {}"):
    """The pictures as PNG, and their CSV."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["path,label,x0,y0,x1,y1"]
    for i, one in enumerate(pictures):
        Image.fromarray(one.pixels).save(folder / f"{i:03}.png")
        lines += [f"{i:03}.png,{label.format(one.c)},{','.join(map(str, box))}" for box in one.truth]
    (folder / "boxes.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder / "boxes.csv"


@pytest.fixture(scope="module")
def boxes_csv(told, tmp_path_factory):
    return write(tmp_path_factory.mktemp("hundred"), told)


def as_rows(pictures, rule, t):
    """The rows that the loops have, in the product's array."""
    rows = np.zeros(len(pictures), ROW)
    for i, one in enumerate(pictures):
        rows[i] = i, *one.row(rule, t)
    return rows


@pytest.fixture(scope="module")
def few_csv(told, tmp_path_factory):
    """The first ten, their labels as indices."""
    return write(tmp_path_factory.mktemp("ten"), told[:10], label="{}")


@pytest.fixture
def run(model, capsys):
    """Run `cam-numpy evaluate` with the small network; returns (status, stdout, stderr)."""
    def evaluate_(*arguments, model=model):
        status = main(["evaluate", *map(str, arguments), "--model", str(model)])
        return status, *capsys.readouterr()

    return evaluate_


# --- a hundred pictures -----------------------------------------------------------------------------

@pytest.mark.parametrize("rule, t", SETTINGS)
def test_rows_and_measures_are_those_of_the_loops(run, told, boxes_csv, network, rule, t):
    wanted = as_rows(told, rule, t)
    evaluation = evaluate(open_dataset(boxes_csv), network, rule=rule, threshold=t)
    assert evaluation.done == evaluation.total == COUNT and not evaluation.partial and not evaluation.failures
    for name in ROW.names:
        np.testing.assert_array_equal(evaluation.rows[name], wanted[name], err_msg=name)

    status, text, noise = run(boxes_csv, "--rule", rule, "--threshold", t, "--json")
    record = json.loads(text)
    assert status == 0 and noise == ""
    assert (record["rule"], record["threshold"]) == (rule, t)
    assert (record["method"], record["model"]) == ("cam", "small.onnx")
    assert (record["pictures"], record["total"]) == (COUNT, COUNT)
    assert (record["partial"], record["failures"]) == (False, [])
    for key, numbers in by_loops(told, rule, t).items():
        found = record["measures"].pop(key)
        for name, value in numbers.items():
            assert found[name] == (value if value is None else pytest.approx(value, abs=1e-12)), (key, name)
    assert record["measures"] == {}


def by_loops(told, rule, t):
    """{key: {"value", "interval", "whole", "centre", "thresholds"}}: the definitions, written out."""
    rows, found = [one.row(rule, t) for one in told], {}

    def share(key, values, whole=None, centre=None, thresholds=()):
        value = measures.mean(values)
        others = [None if other is None else measures.mean(other) for other in (whole, centre)]
        found[key] = {"value": value, "interval": list(measures.wilson(value, COUNT)),
                      "whole": others[0], "centre": others[1], "thresholds": list(thresholds)}

    def located(one, k, boxes):
        return measures.localisation_error(one.S, boxes, one.c, one.truth, k)

    def baseline(k, box):  # every guess has the same box
        return [located(one, k, dict.fromkeys(range(C), box(one.size))) for one in told]

    boxes = [{c: measures.largest(one.boxes(c, rule, t)) for c in one.shown} for one in told]
    for k in (1, 5):
        share(f"top{k}_classification_error",
              [measures.classification_error(one.S, one.c, k) for one in told])
        share(f"top{k}_localisation_error", [located(one, k, box_of) for one, box_of in zip(told, boxes)],
              baseline(k, measures.whole_image), baseline(k, measures.centre_box))
    share("gt_known", *([int(row[i] >= 0.5) for row in rows] for i in (1, 4, 5)))
    hits, chosen = measures.box_accuracy([row[2] for row in rows])
    share("max_box_acc", hits, *([int(row[i] >= 0.5) for row in rows] for i in (4, 5)), thresholds=chosen)
    deltas = (0.3, 0.5, 0.7)
    parts = [measures.box_accuracy([row[3] for row in rows], delta) for delta in deltas]
    share("max_box_acc_v2", [measures.mean(three) for three in zip(*(hits for hits, _ in parts))],
          *([measures.mean([int(row[i] >= delta) for delta in deltas]) for row in rows] for i in (4, 5)),
          thresholds=[t for _, chosen in parts for t in chosen])
    return found


def test_the_made_up_data_set_says_something_of_each_measure(told):
    """Neither all right nor all wrong, and the map's box is no baseline."""
    for key, numbers in by_loops(told, "paper", 0.2).items():
        values = [numbers[name] for name in ("value", "whole", "centre") if numbers[name] is not None]
        assert all(0.02 < value < 0.98 for value in values), key
        assert len(values) == 1 or len(set(values)) > 1, key


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_the_number_of_workers_changes_nothing(told, boxes_csv, network, workers):
    seen = []
    evaluation = evaluate(open_dataset(boxes_csv), network, limit=30, workers=workers,
                          progress=lambda so_far: seen.append((so_far.done, len(so_far.rows))))
    assert seen == [(n, n) for n in range(1, 31)]
    chosen = [i * COUNT // 30 for i in range(30)]
    assert evaluation.rows["picture"].tolist() == chosen
    known = [np.float32(told[i].row("paper", 0.2)[1]) for i in chosen]
    np.testing.assert_array_equal(evaluation.rows["known"], known)


@pytest.mark.parametrize("limit, chosen", [
    (1, [0]), (3, [0, 3, 6]), (5, [0, 2, 4, 6, 8]), (10, range(10)), (99, range(10)),
])
def test_a_limit_is_spread_evenly(few_csv, network, limit, chosen):
    evaluation = evaluate(open_dataset(few_csv), network, limit=limit)
    assert evaluation.rows["picture"].tolist() == list(chosen) and evaluation.total == len(chosen)


def test_of_equal_scores_the_first_class_is_the_better_guess(told, few_csv, tmp_path):
    """A network that says the same of every class is not always right: it guesses class 0, then 1, ..."""
    zeros = {"w": np.zeros((C, networks.K), np.float32), "b": np.zeros(C, np.float32)}
    path = networks.save(tmp_path / "n.onnx", networks.BODY + networks.GAP + networks.GEMM, zeros)
    rows = evaluate(open_dataset(few_csv), load(path, threads=1)).rows
    assert rows["rank"].tolist() == [t.c for t in told[:10]]


# --- what cannot be measured ---------------------------------------------------------------------------

def test_bad_pictures_are_named_and_change_no_other(run, told, network, tmp_path):
    path = write(tmp_path / "data", told[:10])
    whole = evaluate(open_dataset(path), network).rows
    (tmp_path / "data" / "003.png").write_bytes((tmp_path / "data" / "003.png").read_bytes()[:60])
    lines = path.read_text(encoding="utf-8").splitlines()
    for i, line in enumerate(lines):
        if line.startswith("007"):
            lines[i] = line.replace(f"thing {told[7].c}", "zebra")
    path.write_text("\n".join(lines), encoding="utf-8")
    evaluation = evaluate(open_dataset(path), network)
    assert evaluation.done == evaluation.total == 10 and not evaluation.partial
    damaged, unknown = evaluation.failures
    assert str(tmp_path / "data" / "003.png") in damaged and "damaged" in damaged
    assert unknown.startswith("007.png: the label 'zebra' names no class of small.onnx: ")
    np.testing.assert_array_equal(evaluation.rows, np.delete(whole, [3, 7]))

    status, text, noise = run(path)
    assert status == 0 and noise == "" and text.startswith(f"data     8 pictures of {path.name}\n")
    assert "2 of 10 pictures could not be measured:\n" in text
    assert all(f"    {failure}\n" in text for failure in evaluation.failures)
    record = json.loads(run(path, "--json")[1])
    assert record["failures"] == evaluation.failures and (record["pictures"], record["total"]) == (8, 10)


def test_of_many_bad_pictures_the_first_are_named(run, told, tmp_path):
    path = write(tmp_path / "data", told[:10])
    for i in range(8):
        (tmp_path / "data" / f"{i:03}.png").write_text("no", encoding="utf-8")
    text = run(path)[1]
    assert "8 of 10 pictures could not be measured:\n" in text and "    ...\n" in text
    assert "004.png" in text and "005.png" not in text


def test_not_one_good_picture_is_an_error(run, told, tmp_path):
    path = write(tmp_path / "data", told[:10], label="zebra {}")
    status, text, noise = run(path)
    assert status == 2 and text == "" and noise.count("\n") == 1
    assert noise.startswith(
        "cam-numpy: not one of 10 pictures could be measured; the first: 000.png: the label 'zebra ")


def test_one_picture_is_too_few(run, few_csv):
    status, text, noise = run(few_csv, "--limit", 1)
    assert status == 2 and text == ""
    assert noise == ("cam-numpy: 1 of 1 pictures could be measured; an interval needs 2 at least; "
                     "give more pictures\n")


def test_one_good_picture_is_too_few_and_the_first_bad_one_says_why(run, told, tmp_path):
    path = write(tmp_path / "data", told[:2])
    (tmp_path / "data" / "001.png").write_text("no", encoding="utf-8")
    status, text, noise = run(path)
    assert status == 2 and text == "" and noise.count("\n") == 1
    start = "cam-numpy: 1 of 2 pictures could be measured; an interval needs 2 at least; the first failure: "
    assert noise.startswith(start) and "001.png" in noise
    assert noise.endswith("; correct that, or give more pictures\n")


def test_a_network_read_wrongly_is_no_bad_picture(few_csv, model, monkeypatch):
    network = load(model)
    monkeypatch.setattr(network, "b", network.b + 0.01)
    with pytest.raises(InputError, match="CAM does not apply to small.onnx: the maps do not add up"):
        evaluate(open_dataset(few_csv), network)


# --- Ctrl-C -------------------------------------------------------------------------------------------

def test_ctrl_c_keeps_what_was_measured(told, few_csv, network):
    def progress(so_far):
        if so_far.done == 4:
            raise KeyboardInterrupt

    before = set(threading.enumerate())
    evaluation = evaluate(open_dataset(few_csv), network, workers=2, progress=progress)
    assert evaluation.partial and (evaluation.done, evaluation.total) == (4, 10)
    np.testing.assert_array_equal(evaluation.rows, as_rows(told[:4], "paper", 0.2))
    for thread in set(threading.enumerate()) - before:  # they end with the picture that each is at
        thread.join(10)
        assert not thread.is_alive()


@pytest.fixture
def interrupted_at(monkeypatch):
    """Make the data set raise KeyboardInterrupt instead of the n-th picture."""
    read = CSV.__getitem__

    def at(n):
        def item(dataset, i):
            if i >= n:
                raise KeyboardInterrupt
            return read(dataset, i)

        monkeypatch.setattr(CSV, "__getitem__", item)

    return at


def test_ctrl_c_prints_what_was_measured(run, few_csv, interrupted_at, tmp_path):
    interrupted_at(6)
    status, text, _ = run(few_csv, "--out", tmp_path / "out")
    assert status == 130
    assert text.startswith("PARTIAL: interrupted after 6 of 10 pictures\n\n"
                           f"data     6 pictures of {few_csv.name}\n")
    assert (tmp_path / "out" / "curve.csv").is_file()
    status, text, _ = run(few_csv, "--json")
    record = json.loads(text)
    assert status == 130 and record["partial"] is True
    assert (record["pictures"], record["total"]) == (6, 10)


@pytest.mark.parametrize("n", [0, 1])
def test_ctrl_c_before_there_is_anything_to_print(run, few_csv, interrupted_at, n):
    interrupted_at(n)
    assert run(few_csv) == (130, "", "cam-numpy: interrupted\n")


def test_ctrl_c_on_a_terminal_starts_a_new_line(run, few_csv, interrupted_at, monkeypatch):
    """Where the progress stood, the report or the message does not go on."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    clock = SimpleNamespace(monotonic=itertools.count().__next__)  # a second later each time
    monkeypatch.setattr("cam_numpy.commands.progress.time", clock)
    interrupted_at(6)
    status, text, noise = run(few_csv)
    assert status == 130 and text.startswith("PARTIAL")
    assert noise.startswith("\r1 of 10 pictures, 9 s left; GT-known ")
    assert noise.count("\r") == 6 and noise.endswith("%\n")


@pytest.mark.parametrize("failure, status", [
    (KeyboardInterrupt(), 130), (InputError("the disk is full; make room"), 2), (MemoryError(), 2),
])
def test_what_was_measured_is_printed_before_anything_is_drawn(run, few_csv, tmp_path, monkeypatch, failure,
                                                               status):
    """A full disk or Ctrl-C while drawing loses nothing."""
    def fail(*_):
        raise failure

    monkeypatch.setattr("cam_numpy.evaluation.figures.draw_curve", fail)
    ended, text, _ = run(few_csv, "--out", tmp_path / "out")
    assert ended == status and "GT-known localisation" in text and "curve.csv\n" in text
    ended, text, _ = run(few_csv, "--out", tmp_path / "out", "--json")
    assert ended == status and json.loads(text)["files"] == [str(tmp_path / "out" / "curve.csv")]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["curve.csv"]


def test_a_second_ctrl_c_loses_nothing(model, few_csv, tmp_path):
    """While pictures that have begun are still at work."""
    code = f"""
import os, signal, sys, threading, time
from cam_numpy import __main__
from cam_numpy.commands import process
from cam_numpy.evaluation.datasets import CSV

read = CSV.__getitem__

def item(dataset, i):
    if i == 6:
        for wait in (0, 0.15, 0.3):
            threading.Timer(0.5 + wait, os.kill, [os.getpid(), signal.SIGINT]).start()
    if i >= 6:
        time.sleep(1.5)
    return read(dataset, i)

CSV.__getitem__ = item
process.run(lambda: __main__.main({["evaluate", str(few_csv), "--model", str(model)]!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    # killed by the signal: all is printed, and the end of the process waits for the pictures at work
    assert done.returncode in (130, -signal.SIGINT), done.stderr
    assert done.stdout.startswith("PARTIAL: interrupted after 6 of 10")
    assert "GT-known localisation" in done.stdout and done.stderr == ""


def test_no_picture_and_no_annotation_is_written_over(run, few_csv, tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(few_csv.parent, folder)
    lists = (folder / "boxes.csv").rename(folder / "curve.csv")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    status, text, noise = run(lists, "--out", folder)
    assert status == 2 and text == "" and noise == (
        f"cam-numpy: {lists} is an input, and would be written over; give --out another folder\n")
    (folder / "000.png").rename(folder / "examples.png")
    lists = lists.rename(folder / "boxes.csv")
    lists.write_text(lists.read_text(encoding="utf-8").replace("000.png", "examples.png"), encoding="utf-8")
    status, text, noise = run(lists, "--out", folder)
    assert status == 2 and text == "" and "examples.png is an input" in noise
    assert sorted(path.read_bytes() for path in folder.glob("*.png")) == sorted(
        data for name, data in before.items() if name.endswith(".png"))


# --- what is printed and written -------------------------------------------------------------------------

def test_the_text_has_every_number_and_its_definition_in_80_columns(run, few_csv):
    status, text, noise = run(few_csv)
    assert status == 0 and noise == ""
    lines, flat = text.splitlines(), " ".join(text.split())
    assert max(map(len, lines)) <= 80
    for part in (
        f"10 pictures of {few_csv.name}", "small.onnx", "M_c of the true class (Eq. 2), one forward pass",
        "box the largest component of what exceeds 0.20 of the map's maximum",
        "classification error, top-1: the true class does not have the highest score",
        "classification error, top-5: the true class is not among the five best",
        "localisation error, top-1: the best class is wrong, or its box has IoU < 0.5 with every true box",
        "localisation error, top-5: no class of the five best is both right and has a box of IoU >= 0.5",
        "GT-known localisation: the box of the true class's map has IoU >= 0.5 with a true box",
        "MaxBoxAcc: GT-known at the threshold that is best on the other half of the pictures (t = ",
        "MaxBoxAccV2: the same with any component's box, averaged over IoU >= 0.3, 0.5 and 0.7 (t = ",
        "whole image, centre: the same with that box for every picture; the centre box has 0.8 of each side",
    ):
        assert part in flat, part
    record = json.loads(run(few_csv, "--json")[1])
    head = next(i for i, line in enumerate(lines) if "95 % interval" in line)
    for line, m in zip(lines[head + 1 :], record["measures"].values()):
        numbers = [m["value"], *m["interval"], m["whole"], m["centre"]]
        wanted = [f"{100 * value:.1f}%" for value in numbers if value is not None]
        assert [word for word in line.split() if word.endswith("%")] == wanted
        for value, title in ((m["whole"], "whole image"), (m["centre"], "centre")):
            if value is not None:  # the numbers end below it
                end = lines[head].index(title) + len(title)
                assert line[:end].endswith(f" {100 * value:.1f}%"), title


def test_the_widest_numbers_fit_too(run, told, tmp_path):
    """100.0% for both baselines, and a network of a long name."""
    path = write(tmp_path / "data", told[:4])
    lines = ["path,label,x0,y0,x1,y1"]
    for i, one in enumerate(told[:4]):
        lines.append(f"{i:03}.png,thing {one.c},{','.join(map(str, measures.centre_box(one.size)))}")
    path.write_text("\n".join(lines), encoding="utf-8")
    long = networks.classifier(tmp_path / f"{'a_network_of_a_long_name' * 4}.onnx")
    assert max(map(len, run(path)[1].splitlines())) <= 80
    text = run(path, "--rule", "top-pixels", "--threshold", "0.95", model=long)[1]
    assert "100.0%   100.0%\n" in text and "the largest 0.95 of all pixels" in text
    assert max(len(line) for line in text.splitlines() if long.name not in line) <= 80


def test_files_are_written(run, told, boxes_csv, tmp_path):
    status, text, _ = run(boxes_csv, "--rule", "min-max", "--out", tmp_path / "new" / "out", "--json")
    paths = [tmp_path / "new" / "out" / name for name in ("curve.csv", "curve.png", "examples.png")]
    assert status == 0 and json.loads(text)["files"] == [str(path) for path in paths]
    assert sorted((tmp_path / "new" / "out").iterdir()) == paths
    with Image.open(paths[1]) as plot, Image.open(paths[2]) as page:
        assert plot.width > plot.height > 300 and min(page.size) > 300 and max(page.size) < 3000
    with open(paths[0], encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    rows = [one.row("min-max", 0.2) for one in told]
    assert [float(line["threshold"]) for line in table] == measures.CURVE
    for i, line in enumerate(table):
        assert float(line["largest"]) == measures.mean([int(row[2][i] >= 0.5) for row in rows])
        for delta in (0.3, 0.5, 0.7):
            assert float(line[f"any {delta}"]) == measures.mean([int(row[3][i] >= delta) for row in rows])
    for name, values in json.loads(text)["curve"].items():
        assert values == [float(line[name]) for line in table]


def test_two_pictures_are_enough_for_all_files(run, few_csv, tmp_path):
    assert run(few_csv, "--limit", 2, "--out", tmp_path / "out")[0] == 0
    assert len(list((tmp_path / "out").iterdir())) == 3


@pytest.mark.parametrize("count", [2, 4, 10])
def test_all_texts_fit_the_figures(run, few_csv, tmp_path, monkeypatch, count):
    drawn, save = [], figures.save
    monkeypatch.setattr(figures, "save", lambda figure, path: drawn.append(figure) or save(figure, path))
    assert run(few_csv, "--limit", count, "--out", tmp_path / "out")[0] == 0
    curve, examples = drawn
    assert_texts_fit(curve)
    assert_texts_fit(examples)
    low, high = curve.axes[0].get_ylim()
    assert low < 0 and high > 100  # no line lies under the frame
    largest, *others = curve.axes[0].lines[:4]
    assert all(line.get_color() != largest.get_color() for line in others)
    assert len(examples.axes) == 3 * max(1, count // 3)
    assert {text.get_text() for text in examples.texts[:3]} == {"best", "median", "worst"}


# --- wrong inputs -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("arguments, message", [
    (["missing.zip"], "missing.zip: there is no such file or folder; check the name"),
    (["missing.csv"], "missing.csv: there is no such file or folder; check the name"),
    (["empty"], "empty is empty; give Tiny ImageNet (wnids.txt"),
    (["unknown"], "unknown has no layout of a data set; give Tiny ImageNet (wnids.txt"),
    (["unknown/notes.txt"], "is not a data set; give Tiny ImageNet (wnids.txt"),
    (["boxes.csv", "--out", "unknown/notes.txt"],
     "notes.txt cannot be made (File exists); give another folder"),
    (["boxes.csv", "--out", "unknown/notes.txt/out"],
     "out cannot be made (Not a directory); give another folder"),
])
def test_what_cannot_be_used_is_refused_in_one_line(run, told, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "unknown").mkdir()
    (tmp_path / "unknown" / "notes.txt").write_text("no", encoding="utf-8")
    write(tmp_path, told[:2])
    status, text, noise = run(*arguments)
    assert status == 2 and text == "" and noise.startswith("cam-numpy: ")
    assert message in noise and noise.count("\n") == 1


def test_a_missing_model_is_refused_in_one_line(run, few_csv):
    status, text, noise = run(few_csv, model="missing.onnx")
    assert status == 2 and text == "" and noise.count("\n") == 1 and noise.startswith(
        "cam-numpy: missing.onnx: there is no such file, and no network of that name; give one of tiny-")


@pytest.mark.parametrize("option, message", [
    ("--threshold=1.0", "'1.0' must be at least 0 and less than 1"),
    ("--threshold=-0.1", "must be at least 0"), ("--threshold=nan", "must be at least 0"),
    ("--threshold=half", "must be at least 0"),
    ("--rule=otsu", "invalid choice: 'otsu'"), ("--limit=0", "'0' is not a positive integer; give 1 or more"),
    ("--method=gradcam", "invalid choice: 'gradcam'"),
])
def test_options_out_of_range_are_refused(capsys, few_csv, option, message):
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", str(few_csv), option])
    assert stopped.value.code == 2 and message in capsys.readouterr().err


@pytest.mark.parametrize("options, message", [
    ({"method": "gradcam"}, "method is 'gradcam'; .*give cam or occlusion"),
    ({"rule": "otsu"}, "rule is 'otsu'; "), ({"threshold": 1}, "threshold is 1; "),
])
def test_wrong_options_are_refused_from_python_too(few_csv, network, options, message):
    with pytest.raises(ValueError, match=message):
        evaluate(open_dataset(few_csv), network, **options)


# --- many pictures ----------------------------------------------------------------------------------------

class Endless:
    """A data set in memory: every picture is made when it is asked for."""

    labels = None

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        return Case(f"{i}" * 1000, Image.fromarray(scene(120, 160, i)), f"{i % C}", ((5, 5, 20, 15),))


def test_memory_does_not_grow_with_the_number_of_pictures(small):
    network, peaks = load(small, threads=1), []
    evaluate(Endless(4), network)  # what is imported and kept once
    for count in (30, 180):
        tracemalloc.start()
        assert len(evaluate(Endless(count), network, workers=2).rows) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    rows = 150 * ROW.itemsize
    # 150 photos have 8,640,000 bytes; two at work overlap by chance
    assert peaks[1] - peaks[0] < rows + 1_000_000


def test_a_slow_data_set_is_read_a_few_pictures_ahead_only(small):
    asked, seen = [], []

    class Slow(Endless):
        def __getitem__(self, i):
            asked.append(i)
            return super().__getitem__(i)

    def progress(so_far):
        seen.append(len(asked) - so_far.done)
        time.sleep(0.002)

    evaluate(Slow(60), load(small, threads=1), workers=2, progress=progress)
    assert max(seen) <= 4 and sorted(asked) == list(range(60))


@pytest.mark.parametrize("strides, failure", [
    ([1, 1], r"{}: n\.onnx cannot take an input of shape \(1, 3, 16, 24\) \(.*"),
    ([4, 4], r"CAM does not apply to n\.onnx: .* pools 4 x 4 cells of a 4 x 6 map.* \(the picture is {}\)"),
])
def test_a_picture_that_the_network_cannot_take_is_named_and_stops_no_other(tmp_path, strides, failure):
    """Global pooling of 4 x 4 cells: a picture of another aspect ratio has more cells."""
    pool = ("AveragePool", ["f"], "p", {"kernel_shape": [4, 4], "strides": strides})
    nodes = [*networks.BODY, pool, ("Flatten", ["p"], "F")]
    network = load(networks.save(tmp_path / "n.onnx", nodes + networks.GEMM), threads=1)
    pictures = [Told(scene(20, 20, i), i % C, [(0, 0, 9, 9)], [], {}) for i in range(13)]
    for i in (0, 5):
        pictures[i].pixels = scene(20, 31)
    evaluation = evaluate(open_dataset(write(tmp_path / "data", pictures)), network, workers=2)
    assert evaluation.rows["picture"].tolist() == [i for i in range(13) if i not in (0, 5)]
    assert not evaluation.partial and len(evaluation.failures) == 2
    for said, name in zip(evaluation.failures, ("000.png", "005.png"), strict=True):
        assert re.fullmatch(failure.format(name), said)


def test_a_network_that_takes_no_picture_is_given_up_soon(told, tmp_path, network, monkeypatch):
    monkeypatch.setattr(network, "b", network.b + 0.01)
    path = write(tmp_path / "data", told[:20])
    seen = []
    with pytest.raises(InputError, match="not one of 10 pictures could be measured; the first: CAM does not"):
        evaluate(open_dataset(path), network, progress=lambda so_far: seen.append(so_far.done))
    assert seen == list(range(1, 10))


def test_a_picture_for_which_memory_does_not_suffice_is_named(told, few_csv, network, monkeypatch):
    see = network.see

    def full(photo):
        if photo.tobytes() == told[3].pixels.tobytes():
            raise MemoryError
        return see(photo)

    monkeypatch.setattr(network, "see", full)
    evaluation = evaluate(open_dataset(few_csv), network)
    assert len(evaluation.rows) == 9
    assert evaluation.failures == ["003.png takes more memory than there is; give a smaller one"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes in folders")
def test_a_pipe_among_the_pictures_is_named_and_waits_for_nobody(told, network, tmp_path):
    path = write(tmp_path / "data", told[:10])
    (tmp_path / "data" / "004.png").unlink()
    os.mkfifo(tmp_path / "data" / "004.png")
    evaluation = evaluate(open_dataset(path), network)
    assert len(evaluation.rows) == 9 and "004.png is a pipe" in evaluation.failures[0]
