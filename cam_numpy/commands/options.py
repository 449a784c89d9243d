"""The options that several commands share: which network, and what its file does not say."""

from __future__ import annotations

import argparse
import math
import os
from dataclasses import replace
from pathlib import Path

from ..errors import InputError


def add_model_options(parser):
    """What a network's file does not say."""
    group = parser.add_argument_group("your own network", "what its file does not say")
    group.add_argument("--output", metavar="NAME", help="which output holds the scores, where there are several")
    group.add_argument("--labels", metavar="FILE", help="the names of the classes, one a line")
    group.add_argument("--preprocess", metavar="NAME", help="imagenet, caffe, zero-one, minus-one-one or efficientnet-lite")
    group.add_argument("--mean", type=numbers, metavar="R,G,B", help="taken off, of values from 0 to 1")
    group.add_argument("--std", type=numbers, metavar="R,G,B", help="divided by")
    group.add_argument("--size", type=count, metavar="N", help="side of the input, in pixels")
    group.add_argument("--bgr", action="store_true", help="the network takes blue first")


def numbers(text):
    """The type of an option that takes three numbers, or one for all three."""
    try:
        given = tuple(float(part) for part in text.split(","))
    except ValueError:
        given = ()
    if len(given) not in (1, 3) or not all(math.isfinite(n) for n in given):
        raise argparse.ArgumentTypeError(f"{text!r}: give three numbers such as 0.485,0.456,0.406, or one")
    return given * 3 if len(given) == 1 else given


def count(text):
    """The type of an option that takes a number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of that kind; give 1 or more")
    return int(text)


def box(text):
    """The type of an option that takes a box, x0,y0,x1,y1."""
    sides = tuple(int(part) for part in text.split(",") if part.strip().isdecimal())
    if len(sides) != 4 or text.count(",") != 3 or sides[0] > sides[2] or sides[1] > sides[3]:
        raise argparse.ArgumentTypeError(f"{text!r}: give its first and last column and row, such as 20,30,99,120")
    return sides


def part(text):
    """The type of an option that takes a number from 0, less than 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no such part; give 0 or more, less than 1")
    return value


def writable_folder(name):
    """The folder of --out, made where it is missing."""
    out = Path(name)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {out} cannot be made ({error.strerror}); give another folder") from None
    if not os.access(out, os.W_OK):
        raise InputError(f"--out {out} may not be written to; give another folder")
    return out


def network_of(options):
    """The path of the network asked for, and the keyword arguments of `load`."""
    from ..network.network import SHIPPED
    from ..image.preprocessing import preset

    path, habit, labels = options.model, None, options.labels
    if path is not None and path not in SHIPPED and Path(path).suffix != ".onnx" and not Path(path).exists():
        path, habit, known = _fetched(path)
        labels = labels or known
    changes = {name: getattr(options, name) for name in ("mean", "std", "size", "bgr") if getattr(options, name)}
    habit = options.preprocess or habit
    preprocessing = replace(preset(habit), **changes) if habit else changes or None
    return path, {"output": options.output, "labels": labels, "preprocessing": preprocessing}


def _fetched(name):
    """The path, the preprocessing and the labels of a network of the catalogue."""
    from ..network.catalogue import LABELS, find_model, is_fetched, local_path

    model = find_model(name)
    if not is_fetched(model):
        raise InputError(f"{model.name} is not on this machine yet; run: cam-numpy fetch {model.name}")
    return local_path(model), model.preprocessing, local_path(LABELS) if is_fetched(LABELS) else None
