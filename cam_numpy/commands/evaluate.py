"""`cam-numpy evaluate`: does the map show where the object is?"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ..paper.boxes import RULES
from ..errors import InputError
from ..paper.localisation import THRESHOLD
from .options import add_model_options, count, network_of, part, writable_folder

EXAMPLES = """\
examples:
  cam-numpy evaluate tiny-imagenet-200.zip
  cam-numpy evaluate tiny-imagenet-200.zip --limit 500 --out results
  cam-numpy evaluate boxes.csv --model my.onnx --rule min-max --threshold 0.3

A data set is Tiny ImageNet (its folder or zip), the folder of ILSVRC or of
CUB-200-2011, or a CSV file with the columns path, label, x0, y0, x1, y1, the
boxes with their first and last columns and rows, counted from 0.
"""


def add_parser(commands):
    evaluate = commands.add_parser(
        "evaluate",
        help="measure on a data set how well the maps localise",
        description="Print the error measures of Section 3 and of later benchmarks.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    evaluate.add_argument("dataset", metavar="DATASET", help="a folder, a zip, or a CSV file: see below")
    evaluate.add_argument("--model", metavar="MODEL",
                          help="an ONNX file, or a name that `cam-numpy models` lists (default: cam_numpy's own)")
    evaluate.add_argument("--rule", choices=RULES, default="paper",
                          help="what of a map is kept for its box (default: paper)")
    evaluate.add_argument("--threshold", type=part, default=THRESHOLD, metavar="T",
                          help="how much of it (default: the paper's 0.2)")
    evaluate.add_argument("--method", choices=("cam", "occlusion"), default="cam",
                          help="occlusion covers the photo place by place: hundreds of times slower")
    evaluate.add_argument("--limit", type=count, metavar="N", help="so many pictures, spread over the data set")
    evaluate.add_argument("--out", metavar="DIR", help="write curve.csv, curve.png and examples.png there")
    evaluate.add_argument("--json", action="store_true", help="print a JSON object instead")
    add_model_options(evaluate)
    evaluate.set_defaults(command=_evaluate)


def _evaluate(options):
    from ..evaluation.datasets import open_dataset
    from ..evaluation.run import evaluate
    from ..evaluation.tables import as_dict, as_text
    from ..network.network import load

    out = writable_folder(options.out) if options.out else None
    path, told = network_of(options)
    network = load(path, threads=1, **told)  # a picture for each core
    dataset = open_dataset(options.dataset)
    evaluation = evaluate(dataset, network, method=options.method, rule=options.rule,
                          threshold=options.threshold, limit=options.limit, progress=_progress())
    if evaluation.partial and sys.stderr.isatty():
        print(file=sys.stderr)  # the progress stands there
    if len(evaluation.rows) < 2:
        if evaluation.partial:
            raise KeyboardInterrupt
        raise InputError(f"{len(evaluation.rows)} of {evaluation.done} pictures could be measured; "
                         "an interval needs 2 at least")
    settings = {
        "dataset": dataset.name, "model": network.name, "form": network.form.name, "method": options.method,
        "rule": options.rule, "threshold": options.threshold, "assumed": network.assumed + evaluation.assumed,
    }
    files = [str(file) for file in _write(out, evaluation, dataset, network, settings)] if out else []
    if options.json:
        print(json.dumps(as_dict(evaluation, settings, files)))
    else:
        print(as_text(evaluation, settings), *(f"wrote    {file}" for file in files), sep="\n")
    return 130 if evaluation.partial else 0


def _progress():
    """A line that counts up, where somebody watches it."""
    if not sys.stderr.isatty():
        return None
    shown = [0.0]

    def progress(evaluation):
        if evaluation.seconds - shown[0] < 0.5 and evaluation.done < evaluation.total:
            return
        shown[0] = evaluation.seconds
        left = evaluation.seconds / evaluation.done * (evaluation.total - evaluation.done)
        known = (evaluation.rows["known"] >= 0.5).mean() if len(evaluation.rows) else 0
        print(f"\r{evaluation.done} of {evaluation.total} pictures, {left:.0f} s left; GT-known {known:.1%} ",
              end="\n" if evaluation.done == evaluation.total else "", file=sys.stderr, flush=True)

    return progress


def _write(out, evaluation, dataset, network, settings):
    """The curve and the examples; returns their paths."""
    from ..evaluation.figures import draw_curve, draw_examples
    from ..evaluation.tables import as_csv
    from ..output import whole_file

    paths = [Path(out) / name for name in ("curve.csv", "curve.png", "examples.png")]
    with whole_file(paths[0]) as unfinished:
        unfinished.write_text(as_csv(evaluation), encoding="utf-8")
    with whole_file(paths[1]) as unfinished:
        draw_curve(evaluation, settings, unfinished)
    with whole_file(paths[2]) as unfinished:
        draw_examples(evaluation, dataset, network, settings, unfinished)
    return paths
