"""`cam-numpy page`: one photo as a page on which every equation can be pointed at."""

from __future__ import annotations

import argparse
import webbrowser
from pathlib import Path

from ..names import plain
from .options import add_model, classes_of, load_options, name
from .process import say, tell
from .targets import Targets

EXAMPLES = """\
examples:
  cam-numpy page --open                              the portrait that matplotlib ships
  cam-numpy page cat.jpg --class tabby               start with the class "tabby"
  cam-numpy page cat.jpg --class tabby "Persian cat" and compare it with another
"""


def add_parser(commands):
    page = commands.add_parser(
        "page",
        help="write an interactive page about a photo, to point at every number of the equations",
        description="Write <stem>.cam.html: the photo, its map, and the paper's equations with their "
        "numbers. The page opens from disk in any browser, offline.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    page.add_argument("photo", nargs="?", type=name, metavar="PHOTO",
                      help="default: the portrait that matplotlib ships")
    add_model(page)
    page.add_argument("--class", dest="classes", nargs="+", action="extend", metavar="NAME_OR_INDEX",
                      help="the class to show first, and one to compare it with, instead of the two best")
    page.add_argument("--out", type=name, default=".", metavar="DIR", help="where to write (default: here)")
    page.add_argument("--open", action="store_true", help="open the page in the browser")
    page.set_defaults(command=_page)


def _page(options):
    from ..explanation import explain
    from ..image.photo import portrait
    from ..network.network import load
    from ..show.text import heading

    photo = options.photo or portrait()
    path = Targets(options.out, [photo, options.model, options.labels]).path(f"{Path(photo).stem}.cam.html")
    network = load(options.model, **load_options(options))
    explain(photo, network).page(path, *classes_of(network, options.classes or []))
    say("\n".join([*(heading("assumed", text) for text in network.assumed), f"wrote    {plain(path)}"]))
    if options.open and not webbrowser.open(path.resolve().as_uri()):
        tell("cam-numpy: no browser could be started; open the page yourself")
    return 0
