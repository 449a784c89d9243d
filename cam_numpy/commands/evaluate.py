"""`cam-numpy evaluate`: does the map show where the object is?"""

from __future__ import annotations

import argparse
import json

from ..errors import InputError
from ..names import plain
from ..paper.boxes import RULES, THRESHOLD
from ..paper.localisation import RIGHT
from .options import add_model, count, fraction, load_options, name
from .process import say
from .progress import Progress
from .targets import Targets

FILES = "curve.csv", "curve.png", "examples.png"
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
    evaluate.add_argument("dataset", type=name, metavar="DATASET",
                          help="a folder, a zip, or a CSV file: see below")
    evaluate.add_argument("--rule", choices=RULES, default="paper",
                          help="what of a map is kept for its box (default: paper)")
    evaluate.add_argument("--threshold", type=fraction, default=THRESHOLD, metavar="T",
                          help="the fraction t of the rule (default: the paper's 0.2)")
    evaluate.add_argument("--method", choices=("cam", "occlusion"), default="cam",
                          help="occlusion covers the photo place by place: a forward pass for each")
    evaluate.add_argument("--limit", type=count, metavar="N",
                          help="at most N pictures, spread evenly over the data set")
    evaluate.add_argument("--out", type=name, metavar="DIR", help=f"write {', '.join(FILES)} there")
    evaluate.add_argument("--json", action="store_true", help="print a JSON object instead")
    add_model(evaluate)
    evaluate.set_defaults(command=_evaluate)


def _evaluate(options):
    from ..evaluation.datasets import open_dataset
    from ..evaluation.run import evaluate
    from ..evaluation.tables import as_dict, as_text
    from ..network.network import load

    network = load(options.model, threads=1, **load_options(options))  # a picture for each core
    dataset = open_dataset(options.dataset)
    paths = []
    if options.out is not None:
        inputs = [options.dataset, options.model, options.labels, *dataset.called(FILES)]
        paths = list(map(Targets(options.out, inputs).path, FILES))

    with Progress("pictures") as line:
        def progress(evaluation):
            known = (evaluation.rows["known"] >= RIGHT).mean() if len(evaluation.rows) else 0
            line(evaluation.done, evaluation.total, f"GT-known {known:.1%}")

        evaluation = evaluate(dataset, network, method=options.method, rule=options.rule,
                              threshold=options.threshold, limit=options.limit, progress=progress)
    if len(evaluation.rows) < 2:
        if evaluation.partial:
            raise KeyboardInterrupt
        raise InputError(_too_few(evaluation))
    settings = {
        "dataset": dataset.name, "model": network.name, "form": network.form.name, "method": options.method,
        "rule": options.rule, "threshold": options.threshold, "assumed": network.assumed + evaluation.assumed,
    }
    written = []
    if not options.json:  # before anything is drawn: that may fail, or be interrupted
        say(as_text(evaluation, settings))
    try:
        for path in _write(paths, evaluation, dataset, network, settings):
            written.append(str(path))
            if not options.json:
                say(f"wrote    {plain(path)}")
    finally:
        if options.json:
            say(json.dumps(as_dict(evaluation, settings, written)))
    return 130 if evaluation.partial else 0


def _too_few(evaluation):
    """Why there is no interval, and what to do."""
    n, failures = len(evaluation.rows), evaluation.failures
    first = f"; the first failure: {failures[0]}; correct that, or" if failures else ";"
    return (f"{n} of {evaluation.done} pictures could be measured; an interval needs 2 at least"
            f"{first} give more pictures")


def _write(paths, evaluation, dataset, network, settings):
    """Write the curve and the examples to `paths`, or nothing where there are none; yields each path."""
    from ..evaluation.figures import draw_curve, draw_examples
    from ..evaluation.tables import as_csv
    from ..output import whole_file

    def write_csv(path):
        path.write_text(as_csv(evaluation), encoding="utf-8")

    def write_curve(path):
        draw_curve(evaluation, settings, path)

    def write_examples(path):
        draw_examples(evaluation, dataset, network, settings, path)

    for path, write in zip(paths, (write_csv, write_curve, write_examples)):
        with whole_file(path) as unfinished:
            write(unfinished)
        yield path
