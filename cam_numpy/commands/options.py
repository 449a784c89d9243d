"""The options that several commands share."""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path

from ..errors import InputError


def add_model_options(parser):
    """The options of `load`: what a network's file does not say."""
    group = parser.add_argument_group("your own network", "what its file does not say")
    group.add_argument("--output", metavar="NAME", help="which output holds the scores, where there are several")
    group.add_argument("--labels", metavar="FILE", help="a text file with the names of the classes, one per line")
    group.add_argument("--preprocessing", metavar="NAME",
                       help="a preset: imagenet, caffe, zero-one, minus-one-one, efficientnet-lite or raw")
    group.add_argument("--mean", type=numbers, metavar="R,G,B", help="subtracted, from values between 0 and 1")
    group.add_argument("--std", type=numbers, metavar="R,G,B", help="divided by")
    group.add_argument("--size", type=count, metavar="N", help="side of the input, in pixels")
    group.add_argument("--bgr", action="store_true", help="the network takes the channels in the order blue, green, red")


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
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive integer; give 1 or more")
    return int(text)


def positive(text):
    """The type of an option that takes a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number; give one such as 20")
    return value


def box(text):
    """The type of an option that takes a box, x0,y0,x1,y1."""
    sides = tuple(int(part) for part in text.split(",") if part.strip().isdecimal())
    if len(sides) != 4 or text.count(",") != 3 or sides[0] > sides[2] or sides[1] > sides[3]:
        raise argparse.ArgumentTypeError(f"{text!r}: give its first and last column and row, such as 20,30,99,120")
    return sides


def fraction(text):
    """The type of an option that takes a number from 0 on, below 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be at least 0 and less than 1")
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


def classes_of(network, wanted):
    """The indices of the classes asked for, each once."""
    for name in wanted:
        if Path(name).suffix and Path(name).is_file():
            raise InputError(f"--class {name} is a file; give the photos before --class")
    return list(dict.fromkeys(network.find_class(name) for name in wanted))


def load_options(options):
    """The keyword arguments of `load` that the options give."""
    changes = {name: getattr(options, name) for name in ("mean", "std", "size", "bgr") if getattr(options, name)}
    preprocessing = changes or None
    if options.preprocessing:
        from ..image.preprocessing import preset

        preprocessing = preset(options.preprocessing).changed(changes)
    return {"output": options.output, "labels": options.labels, "preprocessing": preprocessing}
