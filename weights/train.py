"""Train the shipped networks on Tiny ImageNet: `python -m weights.train DATA`.

Both come from one run. It pools with the average; its last epochs are done twice, once
with each pooling, from the same weights, with the same rates and the same crops: what
differs between the two networks comes from the pooling of these epochs alone.

The recipe: bfloat16 arithmetic, where the processor is fast at it, in channels-last
layout; Muon for the inner convolutions and Nesterov SGD for the rest, under one
learning-rate curve; label smoothing; random resized crops and flips done on the
whole batch; small pictures first, growing to the size that the tool will feed; at
the end the batch-norm statistics are measured again at that very size.

Each epoch ends in a checkpoint: the same command run again goes on from there.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional

from cam_numpy.output import whole_file

from .export import export
from .network import POOLINGS, STRIDE, PooledNetwork
from .tiny_imagenet import TinyImageNet

MEAN = (0.480, 0.448, 0.398)  # R, G, B of the training pictures, in 0..1
STD = (0.277, 0.269, 0.282)
# bfloat16 pays with the tile instructions (AMX). With AVX-512 BF16 alone a step took 1.5 times as long
# as in float32, without either a dozen times
BFLOAT16 = getattr(torch.cpu, "_is_amx_tile_supported", bool)()
DTYPE = torch.bfloat16 if BFLOAT16 else torch.float32
NAMES = {"mean": "tiny-imagenet-gap.onnx", "max": "tiny-imagenet-gmp.onnx"}


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what is learned."""

    # (epochs, picture size): small pictures cost little and teach coarse shapes
    schedule: tuple = ((6, 40), (8, 56), (8, 64), (7, 80))
    ending: int = 2  # so many of the last epochs are done once with each pooling
    # what the tool feeds: a training crop shows things 1.2 times larger than the
    # whole picture does, so 80 pixels in training look like 96 in use
    size: int = 96
    batch: int = 256
    crop_area: tuple = (0.35, 1.0)
    label_smoothing: float = 0.1
    warm_up: float = 0.5  # epochs
    muon_rate: float = 0.02
    muon_decay: float = 0.05
    sgd_rate: float = 0.5
    sgd_decay: float = 5e-4
    seed: int = 0

    def epochs(self, pooling):
        """The picture size and the pooling of each epoch of the network that ends with `pooling`."""
        sizes = [size for epochs, size in self.schedule for _ in range(epochs)]
        shared = len(sizes) - self.ending
        return [(size, "mean" if i < shared else pooling) for i, size in enumerate(sizes)]


def normalise(images):
    """(N, h, w, 3) uint8 -> (N, 3, h, w) float32, channels last in memory."""
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    return (x - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def enlarge(x, size):
    """The whole picture at `size`, bilinear, as the tool does with Pillow."""
    x = functional.interpolate(x, (size, size), mode="bilinear", antialias=True)
    return x.contiguous(memory_format=torch.channels_last)


def random_crops(x, size, area, generator):
    """Random resized crops and flips: one bilinear `grid_sample` for the batch.

    Each picture is seen through a window of a part `area` = (low, high) of it,
    of aspect 3:4 to 4:3, somewhere inside. Coordinates of the picture: [-1, 1].
    """
    n = len(x)
    u = torch.rand(5, n, generator=generator)
    part = area[0] + u[0] * (area[1] - area[0])
    aspect = torch.exp((2 * u[1] - 1) * math.log(4 / 3))
    width, height = (part * aspect).sqrt().clamp(max=1), (part / aspect).sqrt().clamp(max=1)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0] = width * torch.where(u[4] < 0.5, -1.0, 1.0)
    theta[:, 0, 2] = (2 * u[2] - 1) * (1 - width)
    theta[:, 1, 1] = height
    theta[:, 1, 2] = (2 * u[3] - 1) * (1 - height)
    grid = functional.affine_grid(theta, (n, 3, size, size), align_corners=False)
    crops = functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
    return crops.contiguous(memory_format=torch.channels_last)


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal: every direction of a filter bank moves alike.

    A filter bank (outputs, inputs, 3, 3) is a matrix (outputs, 9 inputs). Its
    momentum G = U D V^T is replaced by nearly U V^T. Source: K. Jordan, "Muon:
    an optimizer for hidden layers in neural networks" (2024).
    """

    def __init__(self, parameters, lr, weight_decay, momentum=0.95):
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                mean = self.state[p].setdefault("mean", torch.zeros_like(p))
                mean.lerp_(p.grad, 1 - group["momentum"])
                ahead = p.grad.lerp(mean, group["momentum"])  # Nesterov's look ahead
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.sub_(orthogonal(ahead.flatten(1)).view_as(p), alpha=group["lr"])


def orthogonal(G):
    """Nearly U V^T for G = U D V^T, by five steps of Newton and Schulz.

    Each step maps a singular value d to 3.4445 d - 4.775 d^3 + 2.0315 d^5, which
    takes all of (0, 1] to about 1. bfloat16 is precise enough for that.
    """
    X = (G / (G.norm() + 1e-7)).to(DTYPE)
    for _ in range(5):
        A = X @ X.T
        X = 3.4445 * X + (-4.775 * A + 2.0315 * A @ A) @ X
    return X.to(G.dtype)


def optimizers(network, recipe):
    """Muon for the convolutions but the first, Nesterov SGD for everything else."""
    inner, weights, plain = [], [], []
    for p in network.parameters():
        if p.ndim == 4 and p.shape[1] > 3:
            inner.append(p)
        else:
            (weights if p.ndim > 1 else plain).append(p)
    groups = [{"params": weights, "weight_decay": recipe.sgd_decay}, {"params": plain}]
    return (
        Muon(inner, lr=recipe.muon_rate, weight_decay=recipe.muon_decay),
        torch.optim.SGD(groups, lr=recipe.sgd_rate, momentum=0.9, nesterov=True),
    )


def rate(progress, warm_up):
    """The learning rate's factor at `progress` 0..1: up in `warm_up`, then straight down."""
    return min(progress / warm_up, (1 - progress) / (1 - warm_up))


def scores(network, x):
    """S (N, C) float32, computed in bfloat16 where that is fast."""
    with torch.autocast("cpu", torch.bfloat16, enabled=BFLOAT16):
        return network(x).float()


class Trainer:
    """A network on its way: what a checkpoint holds, and how it goes on."""

    def __init__(self, classes, recipe, pooling, checkpoint):
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.epochs = recipe.epochs(pooling)
        self.shared = Path(checkpoint)  # of the epochs that both networks have in common
        self.own = self.shared.with_stem(f"{self.shared.stem}-{pooling}")
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.network = PooledNetwork(classes, pooling).to(memory_format=torch.channels_last)
        self.optimizers = optimizers(self.network, recipe)
        for group in self.groups():
            group["peak"] = group["lr"]
        self.log = []  # one row an epoch
        for checkpoint in (self.own, self.shared):
            if checkpoint.exists():
                self.load(checkpoint)
                break

    def groups(self):
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    def load(self, checkpoint):
        state = torch.load(checkpoint, weights_only=True)
        ours, theirs = asdict(self.recipe), state["recipe"]
        done = [(row["size"], row["pooling"]) for row in state["log"]]
        # another schedule may go on from there, if the epochs done are its beginning
        when = {"schedule": ours["schedule"], "ending": ours["ending"]}
        if {**theirs, **when} != ours or self.epochs[: len(done)] != done:
            sys.exit(
                f"{checkpoint} was made by another recipe, after {len(done)} epochs: {theirs}; "
                "delete it to start again, or give the options that made it"
            )
        self.network.load_state_dict(state["network"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"]):
            optimizer.load_state_dict(saved)
        self.generator.set_state(state["generator"])
        self.log = state["log"]

    def save(self):
        state = {
            "recipe": asdict(self.recipe),
            "network": self.network.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "generator": self.generator.get_state(),
            "log": self.log,
        }
        checkpoint = self.own if len(self.log) > len(self.epochs) - self.recipe.ending else self.shared
        with whole_file(checkpoint) as unfinished:
            torch.save(state, unfinished)
        with whole_file(checkpoint.with_suffix(".csv")) as unfinished:
            with open(unfinished, "w", newline="", encoding="utf-8") as file:
                table = csv.DictWriter(file, self.log[0])
                table.writeheader()
                table.writerows(self.log)

    def train(self, data, validation):
        """All epochs that are still to do, then the statistics of batch norm."""
        for epoch in range(len(self.log), len(self.epochs)):
            started = time.monotonic()
            size, pooling = self.epochs[epoch]
            self.network.pool = POOLINGS[pooling]
            # time is counted in pictures times pixels: the cost of an epoch ~ size^2
            loss = self.epoch(epoch, *data, left=sum(s * s for s, _ in self.epochs[epoch + 1 :]))
            top1 = accuracy(self.network, *validation, self.recipe.size)
            self.log.append({
                "epoch": epoch + 1, "size": size, "pooling": pooling, "loss": round(loss, 4),
                "top1": round(top1, 4), "seconds": round(time.monotonic() - started),
            })
            self.save()
            print(f"\repoch {epoch + 1}/{len(self.epochs)}: {self.log[-1]}", flush=True)
        measure_statistics(self.network, data[0], self.recipe)

    def epoch(self, epoch, images, labels, left):
        """One pass over the pictures; returns the mean loss."""
        recipe, (size, _) = self.recipe, self.epochs[epoch]
        batch = min(recipe.batch, len(images))
        steps = len(images) // batch
        total = steps * len(self.epochs)
        order = torch.randperm(len(images), generator=self.generator)
        losses, started = [], time.monotonic()
        self.network.train()
        for step in range(steps):
            progress = (epoch * steps + step + 1) / (total + 1)
            for group in self.groups():
                group["lr"] = group["peak"] * rate(progress, recipe.warm_up * steps / total)
            chosen = order[step * batch : (step + 1) * batch].numpy()
            x = random_crops(normalise(images[chosen]), size, recipe.crop_area, self.generator)
            S = scores(self.network, x)
            loss = functional.cross_entropy(
                S, torch.from_numpy(labels[chosen]), label_smoothing=recipe.label_smoothing
            )
            loss.backward()
            for optimizer in self.optimizers:
                optimizer.step()
                optimizer.zero_grad()
            losses.append(loss.item())
            if step % 10 == 9:
                per_step = (time.monotonic() - started) / (step + 1)
                minutes = per_step * (steps - step - 1 + steps * left / size**2) / 60
                print(
                    f"\repoch {epoch + 1} at {size} px, step {step + 1}/{steps}, "
                    f"loss {np.mean(losses[-50:]):.3f}, {minutes:.0f} min left ",
                    end="", flush=True,
                )
        return float(np.mean(losses))


@torch.no_grad()
def accuracy(network, images, labels, size):
    """Top-1 accuracy, 0..1, of whole pictures enlarged to `size`."""
    network.eval()
    hits = 0
    for i in range(0, len(images), 250):
        S = scores(network, enlarge(normalise(images[i : i + 250]), size))
        hits += int((S.argmax(1).numpy() == labels[i : i + 250]).sum())
    return hits / len(images)


@torch.no_grad()
def measure_statistics(network, images, recipe):
    """Batch norm's mean and variance over whole pictures at the size of use."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # a plain average over the batches
    network.train()
    for x in whole_pictures(images, recipe):
        scores(network, x)


def whole_pictures(images, recipe, batches=20):
    """Batches of whole pictures at the size of use, always the same ones."""
    generator = torch.Generator().manual_seed(recipe.seed)
    order = torch.randperm(len(images), generator=generator)[: batches * recipe.batch]
    for chosen in order.split(recipe.batch):
        yield enlarge(normalise(images[chosen.numpy()]), recipe.size)


def metadata(data, recipe, pooling):
    """What travels in the file, accuracy aside."""
    return {
        "name": Path(NAMES[pooling]).stem,
        "classes": data.names,
        "wnids": data.wnids,
        "mean": MEAN,
        "std": STD,
        "size": str(recipe.size),
        "resize": "fit",
        "stride": str(STRIDE),
        "pooling": pooling,
        "training_data": "Tiny ImageNet (Stanford CS231n): 100,000 pictures, 64x64, 200 classes of ImageNet",
        "licence": "MIT for the weights as a work of ours; "
                   "ImageNet's pictures are for non-commercial research",
        "recipe": asdict(recipe),
    }


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m weights.train",
        description="Train the networks of weights/ on Tiny ImageNet; run again, it goes on.",
    )
    parser.add_argument("data", help="tiny-imagenet-200.zip or its folder")
    parser.add_argument("--pooling", choices=POOLINGS,
                        help="make this network only: mean, max (default: both, one after the other)")
    parser.add_argument("--out", metavar="DIR", default=Path(__file__).parent,
                        help="the folder for " + " and ".join(NAMES.values()) + " (default: weights/)")
    parser.add_argument("--state", default="training.pt", metavar="FILE",
                        help="the checkpoint; beside it lie that of each ending and the logs, as .csv "
                             "(default: %(default)s)")
    parser.add_argument("--schedule", type=_schedule, metavar="ExP,ExP,...",
                        help="epochs x picture size, one after another (default: "
                        + ",".join(f"{e}x{p}" for e, p in Recipe.schedule) + ")")
    parser.add_argument("--ending", type=int, metavar="E", default=Recipe.ending,
                        help="do the last E epochs once with each pooling (default: %(default)s)")
    parser.add_argument("--per-class", type=int, metavar="N",
                        help="train on N pictures a class, to try it out")
    options = parser.parse_args(arguments)
    try:
        data = TinyImageNet(options.data)
    except OSError as error:
        parser.error(str(error))
    recipe = replace(Recipe(), schedule=options.schedule or Recipe.schedule, ending=options.ending)
    count = len(recipe.epochs("mean"))
    if not 0 < recipe.ending <= count:
        parser.error(f"--ending {recipe.ending}: give 1 to {count}, the epochs of the schedule")
    training, validation = data.train(options.per_class), data.val()
    for pooling in [options.pooling] if options.pooling else POOLINGS:
        trainer = Trainer(len(data.wnids), recipe, pooling, options.state)
        trainer.train(training, validation)
        out = Path(options.out) / NAMES[pooling]
        accuracy = export(trainer.network, out, metadata(data, recipe, pooling), *validation)
        print(f"{out}: top-1 {accuracy['top1']:.2%}, top-5 {accuracy['top5']:.2%}")


def _schedule(text):
    """((epochs, size), ...) from such as "3x40,4x64"."""
    pairs = tuple(tuple(part.split("x")) for part in text.split(","))
    good = all(len(pair) == 2 and all(n.isdecimal() and int(n) > 0 for n in pair) for pair in pairs)
    if not good or any(int(size) % STRIDE for _, size in pairs):
        raise argparse.ArgumentTypeError(
            f"{text!r}: give such as 3x40,4x64, sizes being multiples of {STRIDE}")
    return tuple((int(epochs), int(size)) for epochs, size in pairs)


if __name__ == "__main__":
    main()
