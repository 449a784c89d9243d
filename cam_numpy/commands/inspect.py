"""`cam-numpy inspect`: does CAM apply to a network?"""

from __future__ import annotations

import json

from ..names import plain
from .options import add_model_options, load_options, name
from .process import say


def add_parser(commands):
    inspect = commands.add_parser(
        "inspect", help="show whether CAM applies to a network, and why",
        description="Draw the way from f to the scores. Exit status: 0 where CAM applies, "
        "1 where it does not, 2 where the file cannot be read.",
    )
    inspect.add_argument("model", nargs="?", type=name, metavar="MODEL",
                         help="an ONNX file, or a name that `cam-numpy models` lists "
                         "(default: cam_numpy's own)")
    add_model_options(inspect)
    inspect.add_argument("--try", "--try-presets", dest="photo", type=name, metavar="PHOTO",
                         help="show this photo to the network under every preset, side by side")
    inspect.add_argument("--classes", action="store_true",
                         help="list the index and the name of each class instead")
    inspect.add_argument("--json", action="store_true", help="print a JSON object instead")
    inspect.set_defaults(command=_inspect)


def _inspect(options):
    from ..network.inspection import as_table, inspect, try_presets
    from ..network.network import load

    given = load_options(options)
    if options.classes:
        return _list_classes(load(options.model, **given).classes, options.json)
    inspection = inspect(options.model, **given)
    trials = []
    if options.photo and inspection.verdict != "refused":
        trials = try_presets(options.photo, options.model, **given)
    if options.json:
        more = {"trials": [trial._asdict() for trial in trials]} if trials else {}
        say(json.dumps(inspection.as_dict() | more))
    else:
        say("\n".join([str(inspection), *(["", as_table(trials)] if trials else [])]))
    return 1 if inspection.verdict == "refused" else 0


def _list_classes(classes, as_json):
    lines = (f"{c:>5}  {plain(one)}" for c, one in enumerate(classes))
    say(json.dumps(classes) if as_json else "\n".join(lines))
    return 0
