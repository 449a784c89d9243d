"""`cam-numpy learn`: teach a network classes of your own, from a few photos of each."""

from __future__ import annotations

import argparse
import json

from ..names import plain
from .options import add_model, fraction, load_options, name
from .process import say, tell
from .progress import Progress

EXAMPLES = """\
examples:
  cam-numpy learn pets                           pets/cat/*.jpg, pets/dog/*.jpg ...
  cam-numpy explain cat.jpg --model learned.onnx
  cam-numpy learn pets --out pets.onnx --test 0  learn from all photos, measure nothing
  cam-numpy learn pets --model squeezenet1.1     with the body of another network

FOLDER has one subfolder for each class, called like the class, with its photos, two at least. A
quarter of them is kept aside, to measure how good the new classes are. The new network is an .onnx
file: the same body, global average pooling, and the new w and b.
"""


def add_parser(commands):
    learn = commands.add_parser(
        "learn",
        help="teach a network classes of your own, from a few photos of each",
        description="Learn the w and b of new classes from the F of their photos (Section 4), measure them,\n"
        "and write the new network.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    learn.add_argument("folder", type=name, metavar="FOLDER", help="one subfolder for each class: see below")
    learn.add_argument("--out", type=name, metavar="FILE", default="learned.onnx",
                       help="the file to write (default: learned.onnx)")
    learn.add_argument("--force", action="store_true", help="replace that file if it is there already")
    learn.add_argument("--test", type=fraction, default=0.25, metavar="T",
                       help="the fraction of each class's photos that is kept aside (default: 0.25)")
    learn.add_argument("--l2", type=penalty, default="auto", metavar="L2",
                       help="how strongly large weights are penalised (default: auto, by cross-validation)")
    learn.add_argument("--json", action="store_true", help="print a JSON object instead of text")
    add_model(learn, labels=False)
    learn.set_defaults(command=_learn)


def penalty(text):
    """The type of --l2."""
    from ..paper.probe import check_l2

    try:
        return check_l2(text if text == "auto" else float(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r}: give a number from 1e-6 to 1e6, or "auto"') from None


def _learn(options):
    from ..learning import by_class, check_free, new_classes
    from ..network.network import load
    from ..show.learning import MOST, as_dict, as_text

    photos = by_class(options.folder)
    network = load(options.model, threads=1, **load_options(options))  # a photo for each core
    check_free(options.out, options.force, network, photos)
    with Progress("photos") as line:
        found = new_classes(photos, network, l2=options.l2, test=options.test, progress=line)
    for text in found.skipped[:MOST]:
        tell(f"cam-numpy: skipped: {text}")
    if len(found.skipped) > MOST:
        tell(f"cam-numpy: skipped: {len(found.skipped) - MOST} photos more")
    written = []
    if not options.json:  # before anything is written: that may fail, or be interrupted
        say(as_text(found))
    try:
        found.save(options.out)
        written.append(options.out)
        if not options.json:
            say(f"\nwrote    {plain(options.out)}")
    finally:
        if options.json:
            say(json.dumps(as_dict(found, written)))
    return 0
