"""Better boxes without touching the network: `python -m weights.better_boxes DATA`.

Measures the table of tutorials/06_from_map_to_box.py: what one line of NumPy between the
map and the box changes, with the same network on the same pictures. Needs no torch.
DATA is tiny-imagenet-200.zip (http://cs231n.stanford.edu/tiny-imagenet-200.zip, about 240 MB).
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import ImageOps

from cam_numpy import bounding_box, class_activation_map, iou, load, upsample
from cam_numpy.errors import InputError
from cam_numpy.evaluation.datasets import open_dataset

THRESHOLDS = np.arange(20) / 20  # 0, 0.05 ... 0.95
PAPER = 4  # the index of 0.2


def level_by_percentile(M, p):
    """M, cut off above its percentile p: then 20 % of the maximum is 20 % of that percentile."""
    return np.minimum(M, np.percentile(M, p))


def ivr(M, p):
    """Subtract a percentile instead of the minimum, and clip: Kim et al., ICCV 2021."""
    return np.maximum(M - np.percentile(M, p), 0)


# each way: from f, the f of the mirrored photo, w and the class to a map; `large` brings a map to pixels
WAYS = {
    "the paper's rule": lambda f, mirrored, w, c, large: large(class_activation_map(f, w, c)),
    "negative weights clamped: max(w, 0)":
        lambda f, mirrored, w, c, large: large(class_activation_map(f, np.maximum(w, 0), c)),
    "20 % of the 90th percentile, not of the maximum":
        lambda f, mirrored, w, c, large: level_by_percentile(large(class_activation_map(f, w, c)), 90),
    "20 % of the 80th percentile":
        lambda f, mirrored, w, c, large: level_by_percentile(large(class_activation_map(f, w, c)), 80),
    "IVR: max(M - percentile(M, 10), 0)":
        lambda f, mirrored, w, c, large: ivr(large(class_activation_map(f, w, c)), 10),
    "IVR: max(M - percentile(M, 30), 0)":
        lambda f, mirrored, w, c, large: ivr(large(class_activation_map(f, w, c)), 30),
    "the mean of the map and the mirrored photo's map":
        lambda f, mirrored, w, c, large: large(class_activation_map((f + mirrored) / 2, w, c)),
    "mirrored, and negative weights clamped":
        lambda f, mirrored, w, c, large: large(class_activation_map((f + mirrored) / 2, np.maximum(w, 0), c)),
}


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m weights.better_boxes",
                                     description=__doc__.split("\n")[0])
    parser.add_argument("data", help="tiny-imagenet-200.zip or its folder")
    parser.add_argument("--limit", type=int, help="so many pictures, evenly spread (default: all)")
    options = parser.parse_args(arguments)
    try:
        dataset, network = open_dataset(options.data), load(threads=1)
        total = min(options.limit or len(dataset), len(dataset))
        chosen = [i * len(dataset) // total for i in range(total)]
        with ThreadPoolExecutor() as pool:
            overlaps = []
            for overlap in pool.map(lambda i: overlaps_of(dataset[i], network), chosen):
                overlaps.append(overlap)
                if len(overlaps) % 100 == 0 or len(overlaps) == total:
                    print(f"\r{len(overlaps)} of {total} ", file=sys.stderr, end="", flush=True)
    except InputError as error:
        parser.error(str(error))
    print(file=sys.stderr)
    print(f"{dataset.name}, {total} pictures, {network.name}\n")
    table(np.array(overlaps))


def overlaps_of(case, network):
    """The IoU of each way's box with the true box at each threshold: (ways, thresholds)."""
    c = network.wnids.index(case.label)
    photo = case.photo
    f, mirrored = network.see(photo).f, network.see(ImageOps.mirror(photo)).f[:, :, ::-1]

    def large(M):
        return upsample(M, height=photo.height, width=photo.width)

    maps = [way(f, mirrored, network.w, c, large) for way in WAYS.values()]
    return [[overlap(bounding_box(M, threshold=t), case.boxes) for t in THRESHOLDS] for M in maps]


def overlap(box, true_boxes):
    return 0.0 if box is None else max(iou(box, true) for true in true_boxes)


def table(overlaps):
    """GT-known at 0.2 and at a threshold chosen on the other half of the pictures."""
    hits = overlaps >= 0.5  # (pictures, ways, thresholds)
    fixed = hits[:, :, PAPER]
    tuned = np.zeros_like(fixed)
    for half in (0, 1):
        best = hits[1 - half :: 2].mean(axis=0).argmax(axis=1)  # of each way
        tuned[half::2] = np.take_along_axis(hits[half::2], best[None, :, None], axis=2)[:, :, 0]
    against = "against the paper's"
    print(f"| from the map to the box | GT-known at 0.20 | {against} | MaxBoxAcc | {against} |")
    print("|---|---|---|---|---|")
    for i, name in enumerate(WAYS):
        cells = []
        for accuracy in (fixed, tuned):
            gain = 100 * (accuracy[:, i].astype(float) - accuracy[:, 0])
            spread = 1.96 * gain.std(ddof=1) / np.sqrt(len(gain))
            cells += [f"{100 * accuracy[:, i].mean():.1f}", f"{gain.mean():+.1f} ± {spread:.1f}" if i else ""]
        print("|", " | ".join([name, *cells]), "|")


if __name__ == "__main__":
    main()
