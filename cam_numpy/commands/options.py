"""The options that several commands share."""

from __future__ import annotations

import argparse
import errno
import math
import os
import re
from pathlib import Path

from ..errors import InputError

FILES = ".csv", ".html", ".json", ".npz", ".onnx", ".png"  # suffixes that no folder has


def add_model(parser, labels=True):
    """The option --model, and those of `add_model_options`."""
    parser.add_argument("--model", type=name, metavar="MODEL",
                        help="an ONNX file, or a name that `cam-numpy models` lists "
                        "(default: cam_numpy's own)")
    add_model_options(parser, labels)


def add_model_options(parser, labels=True):
    """The options of `load`: what a network's file does not say. `load_options` reads them.

    Without `labels` the names of the network's own classes do not matter.
    """
    group = parser.add_argument_group("your own network", "what its file does not say")
    group.add_argument("--output", type=name, metavar="NAME",
                       help="which output holds the scores, where there are several")
    if labels:
        group.add_argument("--labels", type=name, metavar="FILE",
                           help="a text file with the names of the classes, one per line")
    parser.set_defaults(labels=None)
    group.add_argument("--preprocessing", type=name, metavar="NAME",
                       help="a preset: imagenet, caffe, zero-one, minus-one-one, efficientnet-lite or raw")
    group.add_argument("--mean", type=numbers, metavar="R,G,B",
                       help="subtracted, from values between 0 and 1")
    group.add_argument("--std", type=numbers, metavar="R,G,B", help="divided by")
    group.add_argument("--size", type=count, metavar="N", help="side of the input, in pixels")
    group.add_argument("--bgr", action="store_true",
                       help="the network takes the channels in the order blue, green, red")


def name(text):
    """The type of an option that takes a name: of a file, a folder, a model ..."""
    if not text.strip():
        raise argparse.ArgumentTypeError(f"{text!r} names nothing; give a name, or leave the option out")
    return text


def numbers(text):
    """The type of an option that takes three numbers, or one for all three."""
    given = [_number(part) for part in text.split(",")]
    if len(given) not in (1, 3) or None in given:
        raise argparse.ArgumentTypeError(f"{text!r}: give three numbers such as 0.485,0.456,0.406, or one")
    return tuple(given * 3 if len(given) == 1 else given)


def count(text):
    """The type of an option that takes a number from 1."""
    value = _integer(text)
    if not value:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive integer; give 1 or more")
    return value


def positive(text):
    """The type of an option that takes a number above 0."""
    value = _number(text)
    if value is None or value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number; give one such as 20")
    return value


def box(text):
    """The type of an option that takes a box, x0,y0,x1,y1."""
    sides = tuple(_integer(part) for part in text.split(","))
    if len(sides) != 4 or None in sides or sides[0] > sides[2] or sides[1] > sides[3]:
        raise argparse.ArgumentTypeError(f"{text!r}: give its first and last column and row, such as "
                                         "20,30,99,120")
    return sides


def fraction(text):
    """The type of an option that takes a number from 0 on, below 1."""
    value = _number(text)
    if value is None or not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be at least 0 and less than 1")
    return value


def _number(text):
    """A finite number as people write it; None for "nan", "1_0", and digits of other scripts."""
    try:
        value = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _integer(text):
    """A number from 0 to a billion, or None."""
    return int(text) if re.fullmatch("[0-9]{1,9}", text.strip()) else None


def writable_folder(name):
    """The folder of --out; where it is missing, `output.whole_file` makes it before it writes there."""
    out = Path(name)
    try:
        there = next(path for path in (out, *out.parents) if _is_there(path))
        if not there.is_dir():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    except (OSError, ValueError) as error:  # ValueError: a name that no folder can have
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"--out {out} cannot be made ({reason}); give another folder") from None
    if there != out and out.suffix.lower() in FILES:
        raise InputError(f"--out {out} looks like a file, and a folder is meant; give its name without "
                         f"{out.suffix}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"--out {out} may not be written to; give another folder")
    return out


def _is_there(path):
    """Whether there is a file or folder; an OSError or ValueError where there cannot be one."""
    try:
        os.stat(path)
    except FileNotFoundError:
        return False
    return True


def classes_of(network, wanted):
    """The indices of the classes asked for, each once."""
    for c in wanted:
        if os.path.splitext(c)[1] and os.path.isfile(c):
            raise InputError(f"--class {c} is a file; give the photos before --class")
    return list(dict.fromkeys(network.find_class(c) for c in wanted))


def load_options(options):
    """The keyword arguments of `load` that the options give."""
    given = {name: getattr(options, name) for name in ("mean", "std", "size", "bgr")}
    changes = {name: value for name, value in given.items() if value}
    preprocessing = changes or None
    if options.preprocessing is not None:
        from ..image.preprocessing import preset

        preprocessing = preset(options.preprocessing).changed(changes)
    return {"output": options.output, "labels": options.labels, "preprocessing": preprocessing}
