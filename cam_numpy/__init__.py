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
>>> from cam_numpy import (class_activation_map, class_activation_maps, class_scores,
...                        global_average_pool, softmax)
>>> f = np.array([[[1., 0], [0, 3]], [[2, 2], [0, 0]]])   # K=2 units on a 2x2 map
>>> w = np.array([[1., 0], [0, 1], [2, -1]])              # C=3 classes
>>> F = global_average_pool(f)                            # (K, H, W) -> (K,)
>>> S = class_scores(F, w)                                # (K,), (C, K) -> (C,)
>>> P = softmax(S)                                        # (C,) -> (C,)
>>> M = class_activation_map(f, w, 2)                     # (K, H, W), (C, K) -> (H, W)

Three classes with the same score, and three different maps:

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

The mean of each map is the score of its class (Eq. 1). With a ReLU the mean of the third map
would be 1.5: that is why none is applied.

The paper writes F_k as a sum (`global_sum_pool`), networks take the mean. With the mean,
S_c = mean M_c + b_c. With the sum the same network has the weights w / (H W), and
S_c = sum M_c + b_c.

From a photo: `explain` gives all of the above, `load` opens another network, `evaluate` measures
one on a data set; `layer_maps` shows what every layer sees, `class_units` which units make a
class, `learn` teaches a network classes of your own. The folder ``paper`` holds the equations,
section by section.
"""

# ruff: noqa: F401 - the names imported here are for whoever imports this package
TYPE_CHECKING = False  # type checkers take it for True; importing `typing` delays our hold on Ctrl-C

if TYPE_CHECKING:  # for editors; at run time `__getattr__` finds them
    from .errors import Assumed, CamNotApplicable, InputError
    from .evaluation.datasets import open_dataset
    from .evaluation.run import evaluate
    from .explanation import Explanation, explain, occlusion_map
    from .layers import layer_maps
    from .learning import learn
    from .network.download import fetch
    from .network.inspection import inspect, try_presets
    from .network.network import load
    from .paper.boxes import bounding_box, iou
    from .paper.cam import (
        check_scores,
        class_activation_map,
        class_activation_maps,
        class_scores,
        global_average_pool,
        global_max_pool,
        global_sum_pool,
        softmax,
    )
    from .paper.probe import fit_classifier
    from .paper.upsample import upsample
    from .units import class_units

__version__ = "0.2.0"

# Everything is imported on first use: the equations need NumPy alone, and the command must be
# in charge of its signals before NumPy is there.
_PLACES = {
    "errors": ["Assumed", "CamNotApplicable", "InputError"],
    "evaluation.datasets": ["open_dataset"],
    "evaluation.run": ["evaluate"],
    "explanation": ["Explanation", "explain", "occlusion_map"],
    "layers": ["layer_maps"],
    "learning": ["learn"],
    "network.download": ["fetch"],
    "network.inspection": ["inspect", "try_presets"],
    "network.network": ["load"],
    "paper.boxes": ["bounding_box", "iou"],
    "paper.cam": ["check_scores", "class_activation_map", "class_activation_maps", "class_scores",
                  "global_average_pool", "global_max_pool", "global_sum_pool", "softmax"],
    "paper.probe": ["fit_classifier"],
    "paper.upsample": ["upsample"],
    "units": ["class_units"],
}
_MODULES = {name: module for module, names in _PLACES.items() for name in names}
__all__ = sorted(_MODULES)


def __getattr__(name):
    if name not in _MODULES:
        raise AttributeError(f"module 'cam_numpy' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__():
    return sorted([*__all__, "__version__"])
