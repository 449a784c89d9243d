"""`cam-numpy units`: which units make a class, and what does each speak for?"""

from __future__ import annotations

import argparse
import json
import re

from ..names import plain
from .options import add_model, count, load_options, name
from .process import say
from .progress import Progress
from .targets import Targets

EXAMPLES = """\
examples:
  cam-numpy units --class "Persian cat"             by their weights: no photo needed
  cam-numpy units cats/*.jpg --class "Persian cat"  by what they contribute in these photos
  cam-numpy units cat.jpg --class 7 --top 20 --model my.onnx
"""


def add_parser(commands):
    units = commands.add_parser(
        "units",
        help="list the units of a class, and what each speaks for",
        description="Rank the units of a class by w_k^c or, with photos, by the mean of w_k^c F_k; then "
        "draw the places where each fires most to <class>.units.png.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    units.add_argument("photos", nargs="*", type=name, metavar="PHOTO", help="photos in which to look")
    units.add_argument("--class", dest="wanted", type=name, required=True, metavar="NAME_OR_INDEX",
                       help="the class")
    units.add_argument("--top", type=count, default=8, metavar="N", help="how many units (default: 8)")
    units.add_argument("--out", type=name, default=".", metavar="DIR", help="where to write (default: here)")
    units.add_argument("--json", action="store_true", help="print a JSON object instead of text")
    add_model(units)
    units.set_defaults(command=_units)


def _units(options):
    from ..network.network import load
    from ..show.units import as_dict, as_text, short
    from ..units import class_units

    if options.photos:
        targets = Targets(options.out, [*options.photos, options.model, options.labels])
    network = load(options.model, **load_options(options))
    with Progress("photos") as line:
        found = class_units(options.wanted, options.photos, network, options.top, line)
    files = []
    if options.photos:
        stem = re.sub(r"\W+", "-", short(found.name)).strip("-") or str(found.c)
        files = [str(_write(found, targets.path(f"{stem}.units.png")))]
    say(json.dumps(as_dict(found, files)) if options.json else
        "\n".join([as_text(found), *(f"wrote    {plain(file)}" for file in files)]))
    return 0


def _write(found, path):
    from ..output import whole_file
    from ..show.figure import save

    figure = found.show()
    with whole_file(path) as unfinished:
        save(figure, unfinished)
    return path
