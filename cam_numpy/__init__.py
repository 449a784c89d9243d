"""Class activation mapping (Zhou et al., CVPR 2016) in NumPy, equation by equation.

One table of symbols, used everywhere. K, C, H, W are counts, k, c, y, x their
indices; rows (y) come before columns (x), the origin is top left.

======  ==========  ==========================================================
symbol  shape       meaning (Section 2 of the paper)
======  ==========  ==========================================================
f       (K, H, W)   f_k(x, y): activation of unit k of the last conv layer
F       (K,)        F_k: f_k pooled over the whole map
w       (C, K)      w_k^c: how much F_k matters for class c
b       (C,)        bias of the classifier; the paper sets it to 0
S       (C,)        class scores, S_c = sum_k w_k^c F_k + b_c
P       (C,)        probabilities, P_c = exp(S_c) / sum_c exp(S_c)
M       (H, W)      class activation map, M_c(x, y) = sum_k w_k^c f_k(x, y)
======  ==========  ==========================================================

Section 2 in four lines:

>>> import numpy as np
>>> f = np.array([[[1., 0], [0, 3]], [[2, 2], [0, 0]]])   # K=2 units on a 2x2 map
>>> w = np.array([[1., 0], [0, 1], [2, -1]])              # C=3 classes
>>> F = global_average_pool(f)                            # (K, H, W) -> (K,)
>>> S = class_scores(F, w)                                # (K,), (C, K) -> (C,)
>>> P = softmax(S)                                        # (C,) -> (C,)
>>> M = class_activation_map(f, w, 2)                     # (K, H, W), (C, K) -> (H, W)

Three classes with one and the same score, and three different maps:

>>> S
array([1., 1., 1.])
>>> class_activation_maps(f, w)
array([[[ 1.,  0.],
        [ 0.,  3.]],
<BLANKLINE>
       [[ 2.,  2.],
        [ 0.,  0.]],
<BLANKLINE>
       [[ 0., -2.],
        [ 0.,  6.]]])

The mean of each map is the score of its class (Eq. 1). Clipped at zero the third
map's mean would be 1.5: that is why nothing here is rectified.

The paper writes F_k as a sum, networks take the mean. With the mean,
S_c = mean M_c + b_c. With ``how="sum"`` the same network has the weights
w / (H W), and S_c = sum M_c holds to the letter.

From a photo: `load` opens a network, `explain` gives all of the above for it.
"""

from .paper.boxes import bounding_box, iou
from .paper.cam import (
    check_scores,
    class_activation_map,
    class_activation_maps,
    class_scores,
    global_average_pool,
    global_max_pool,
    softmax,
    upsample,
)

__all__ = [
    "bounding_box", "check_scores", "class_activation_map", "class_activation_maps", "class_scores",
    "explain", "global_average_pool", "global_max_pool", "iou", "load", "occlusion_map", "softmax",
    "upsample",
]

# they need more than NumPy
_LATER = {"load": "network.network", "explain": "explanation", "occlusion_map": "paper.occlusion"}


def __getattr__(name):
    """Import what runs a network on first use: the equations need NumPy only."""
    if name not in _LATER:
        raise AttributeError(f"module 'cam_numpy' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)


def __dir__():
    return sorted({*globals(), *__all__})
