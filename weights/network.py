"""The networks of `weights/`, in torch: the shape of Section 3 of the paper.

A convolutional body of total stride 8, a last 3x3 convolution, global pooling
(average or max), one linear layer. With (H, W) = input size / 8:

    x (3, 8H, 8W) -> body -> f (256, H, W) -> pooling -> F (256,) -> w, b -> S (200,)
"""

from __future__ import annotations

import torch.nn.functional as functional
from torch import nn

STRIDE = 8
WIDTHS = (32, 96, 192, 256)  # channels at strides 2, 4, 8, and K, the units of f
POOLINGS = {"mean": functional.adaptive_avg_pool2d, "max": functional.adaptive_max_pool2d}


def conv(inputs, outputs, stride=1):
    """3x3 convolution, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class Residual(nn.Module):
    """Two convolutions beside an identity; the last ReLU comes after the sum."""

    def __init__(self, channels):
        super().__init__()
        self.first = conv(channels, channels)
        self.second = conv(channels, channels)[:2]  # the ReLU comes after the sum

    def forward(self, x):
        return functional.relu(x + self.second(self.first(x)))


class PooledNetwork(nn.Module):
    """x (N, 3, 8H, 8W) -> S (N, classes); `body` alone gives f (N, K, H, W)."""

    def __init__(self, classes, pooling="mean", widths=WIDTHS, blocks=2):
        super().__init__()
        self.pool = POOLINGS[pooling]
        stem, middle, deep, units = widths
        self.body = nn.Sequential(
            conv(3, stem, stride=2),
            conv(stem, middle, stride=2),
            *(Residual(middle) for _ in range(blocks)),
            conv(middle, deep, stride=2),
            *(Residual(deep) for _ in range(blocks)),
            conv(deep, units),  # the paper's last 3x3 convolution: f = relu(...)
        )
        self.classifier = nn.Linear(units, classes)  # w (C, K) and b (C,)

    def forward(self, x):
        f = self.body(x)
        F = self.pool(f, 1).flatten(1)  # F_k = mean_xy f_k(x, y), or max_xy
        return self.classifier(F)  # S_c = sum_k w_k^c F_k + b_c
