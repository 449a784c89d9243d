"""Compare poolings, box rules, and CAM with occlusion: `python -m weights.compare DATA`.

Prints the tables of tutorials/07_how_right_is_it.py and of 06_from_map_to_box.py, in Markdown.
DATA is tiny-imagenet-200.zip (http://cs231n.stanford.edu/tiny-imagenet-200.zip, about 240 MB).
Needs no torch.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np

from cam_numpy import class_activation_map, load, occlusion_map
from cam_numpy.commands.progress import Progress
from cam_numpy.errors import InputError
from cam_numpy.evaluation.datasets import open_dataset
from cam_numpy.evaluation.run import evaluate
from cam_numpy.network.catalogue import SHIPPED
from cam_numpy.paper.boxes import RULES
from cam_numpy.paper.localisation import summarise

# Tables 1 and 2 of the paper, ILSVRC validation: GoogLeNet-GAP and GoogLeNet-GMP
PAPER = {
    "top1_classification_error": ["35.0", "35.6"], "top5_classification_error": ["13.2", "13.9"],
    "top1_localisation_error": ["56.40", "57.78"], "top5_localisation_error": ["43.00", "45.26"],
}
BASELINES = {"whole": "the whole image", "centre": "the centre box"}


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m weights.compare", description=__doc__.split("\n")[0])
    parser.add_argument("data", help="tiny-imagenet-200.zip or its folder, or another data set of `evaluate`")
    parser.add_argument("--limit", type=int,
                        help="so many pictures for average against max pooling (default: all)")
    parser.add_argument("--occlusion", type=int, default=300, metavar="N",
                        help="so many pictures for occlusion (default: %(default)s; 0 leaves it out)")
    options = parser.parse_args(arguments)
    try:
        dataset = open_dataset(options.data)
        gap, gmp = (load(name, threads=1) for name in SHIPPED)
        print(f"{dataset.name}, {len(dataset) if options.limit is None else options.limit} pictures\n")
        measured = {network.name: _measured(dataset, network, limit=options.limit) for network in (gap, gmp)}
        _poolings(*measured.values())
        _rules({rule: measured[gap.name] if rule == "paper" else
                _measured(dataset, gap, limit=options.limit, rule=rule) for rule in RULES})
        if options.occlusion:
            _occlusion(dataset, gap, options.occlusion)
    except InputError as error:
        parser.error(str(error))


def _measured(dataset, network, **options):
    line = Progress(f"pictures by {network.name}")
    evaluation = evaluate(dataset, network, progress=lambda done: line(done.done, done.total), **options)
    if evaluation.partial or evaluation.failures:
        sys.exit(f"only {len(evaluation.rows)} of {evaluation.total} pictures were measured")
    return evaluation


def _poolings(gap, gmp):
    """GAP against GMP: each measure, and their difference on the same pictures."""
    print("| | average (GAP) | maximum (GMP) | GMP - GAP | whole image | centre box | paper: GAP | GMP |")
    print("|---|---|---|---|---|---|---|---|")
    for a, m in zip(summarise(gap.rows), summarise(gmp.rows)):
        baselines = ["" if value is None else f"{100 * value:.1f}" for value in (a.whole, a.centre)]
        print("|", " | ".join([a.name, _with_interval(a), _with_interval(m), _difference(a.values, m.values),
                               *baselines, *PAPER.get(a.key, ["", ""])]), "|")
    print()


def _rules(evaluations):
    """The box rules, with one network and one threshold."""
    print("| rule | GT-known at 0.20 | MaxBoxAcc | its thresholds |")
    print("|---|---|---|---|")
    for rule, evaluation in evaluations.items():
        measures = {m.key: m for m in summarise(evaluation.rows)}
        best = measures["max_box_acc"]
        print(f"| {rule} | {_with_interval(measures['gt_known'])} | {_with_interval(best)} | "
              f"{' and '.join(f'{t:.2f}' for t in best.thresholds)} |")
    print()


def _with_interval(measure):
    low, high = measure.interval
    return f"{100 * measure.value:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def _difference(a, m):
    """The mean difference with its 95 % interval, picture by picture."""
    d = 100 * (np.asarray(m, float) - np.asarray(a, float))
    return f"{d.mean():+.1f} ± {1.96 * d.std(ddof=1) / np.sqrt(len(d)):.1f}"


def _occlusion(dataset, network, count):
    """Occlusion against CAM: time for a picture, and localisation, beside the baselines on these pictures."""
    print(f"{network.name}, {count} pictures\n")
    print("| | forward passes | seconds a picture | GT-known | MaxBoxAcc |")
    print("|---|---|---|---|---|")
    photos = [dataset[i].photo for i in sorted({i * len(dataset) // 10 for i in range(10)})]
    quick = load(network.path)  # as `explain` opens it: several threads at one photo
    H, W = quick.see(photos[0]).f.shape[1:]
    ways = {
        "cam": ("class activation map", 1,
                lambda photo: class_activation_map(quick.see(photo).f, quick.w, 0)),
        "occlusion": ("occlusion", 1 + H * W,
                      lambda photo: occlusion_map(photo, quick, 0)),
    }
    for method, (name, passes, make) in ways.items():
        seconds = np.median([_seconds(make, photo) for photo in photos])
        measures = {m.key: m for m in summarise(_measured(dataset, network, limit=count, method=method).rows)}
        print(f"| {name} | {passes} | {seconds:.3f} | {_with_interval(measures['gt_known'])} | "
              f"{_with_interval(measures['max_box_acc'])} |", flush=True)
    for name in ("whole", "centre"):
        print(f"| {BASELINES[name]} | 0 | | {100 * getattr(measures['gt_known'], name):.1f} | "
              f"{100 * getattr(measures['max_box_acc'], name):.1f} |")


def _seconds(make, photo):
    start = time.perf_counter()
    make(photo)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
