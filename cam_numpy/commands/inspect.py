"""`cam-numpy inspect`: does CAM apply to a network?"""

from __future__ import annotations

import json

from .options import add_model_options, load_options


def add_parser(commands):
    inspect = commands.add_parser(
        "inspect", help="show whether CAM applies to a network, and why",
        description="Draw the way from f to the scores. Exit status: 0 where CAM applies, "
        "1 where it does not, 2 where the file cannot be read.",
    )
    inspect.add_argument("model", metavar="MODEL", help="an ONNX file, or a name that `cam-numpy models` lists")
    add_model_options(inspect)
    inspect.add_argument("--json", action="store_true", help="print a JSON object instead")
    inspect.set_defaults(command=_inspect)


def _inspect(options):
    from ..network.inspection import inspect

    inspection = inspect(options.model, **load_options(options))
    print(json.dumps(inspection.as_dict()) if options.json else inspection)
    return 1 if inspection.verdict == "refused" else 0
