"""Measure a network on Tiny ImageNet: `python -m weights.measure DATA [MODEL]`.

Everything goes through the tool's own preprocessing. Needs no torch.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace

import numpy as np
from PIL import Image

from cam_numpy import load

from .tiny_imagenet import TinyImageNet

SIZES = (64, 80, 96, 112, 128)


def measure(network, images, labels):
    """Top-1 and top-5 accuracy.

    Parameters
    ----------
    network : cam_numpy.network.network.Network
    images : (N, h, w, 3) uint8 array
    labels : (N,) int array

    Returns
    -------
    accuracy : dict
        "top1" and "top5", 0 to 1.
    """
    ranks = []
    for image, label in zip(images, labels):
        S = network.see(Image.fromarray(image)).S
        ranks.append(int((S > S[label]).sum()))
    ranks = np.array(ranks)
    return {"top1": float((ranks < 1).mean()), "top5": float((ranks < 5).mean())}


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m weights.measure", description=__doc__.split("\n")[0])
    parser.add_argument("data", help="tiny-imagenet-200.zip or its folder")
    parser.add_argument("model", nargs="?", help="an ONNX file (default: the shipped network)")
    parser.add_argument("--limit", type=int, help="so many validation pictures at most")
    options = parser.parse_args(arguments)
    try:
        images, labels = TinyImageNet(options.data).val(options.limit)
        network = load(options.model)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    default = network.preprocessing
    print(f"{network.name}, {len(images)} validation pictures, preprocessing: {default.describe()}")
    print("size   top-1   top-5   onnxruntime, a picture")
    for size in SIZES:
        network.preprocessing = replace(default, size=size)
        accuracy = measure(network, images, labels)
        mark = " (the default)" if size == default.size else ""
        print(f"{size:4d}  {accuracy['top1']:6.2%}  {accuracy['top5']:6.2%}  "
              f"{_milliseconds(network, images[0]):6.2f} ms{mark}", flush=True)


def _milliseconds(network, image, repeats=30):
    x, _ = network.preprocessing(Image.fromarray(image))
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        network.run(x)
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


if __name__ == "__main__":
    main()
