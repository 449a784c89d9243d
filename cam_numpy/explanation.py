"""All of Section 2 for one photo."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from .paper.cam import class_activation_map, class_scores, global_average_pool, global_max_pool, softmax
from .network.head import Form
from .network.network import load
from .image.photo import read_photo
from .image.preprocessing import View


@dataclass(frozen=True)
class Explanation:
    """What a network saw in a photo, in the paper's symbols.

    Attributes
    ----------
    photo : PIL.Image.Image
        Upright, mode RGB.
    view : View
        Which part of the photo the network saw.
    model : str
        The network's file name.
    classes : list of str
        The name of each class.
    f : (K, H, W) array
    F : (K,) array
    w : (C, K) array
    b : (C,) array
    S : (C,) array
    P : (C,) array
        See the table of symbols in the docstring of the package. S is computed
        from f, w and b - where a ReLU comes before the pooling it is the
        network's own - and P from S.
    form : Form
        How the network gets from f to S; ``form.identity`` was checked.
    sigmoid : bool
        Each class is judged by itself: P_c = 1 / (1 + exp(-S_c)).
    max_abs_error : float
        The largest difference between what the maps say and the network's own
        scores, over all classes.
    assumed : list of str
        What the network's file does not say and nobody told.
    """

    photo: Image.Image
    view: View
    model: str
    classes: list
    f: np.ndarray
    F: np.ndarray
    w: np.ndarray
    b: np.ndarray
    S: np.ndarray
    P: np.ndarray
    form: Form
    sigmoid: bool
    max_abs_error: float
    assumed: list

    def M(self, c):
        """The class activation map of class c (or of several), (H, W), in score units."""
        return class_activation_map(self.f, self.w, c)

    @cached_property
    def ranking(self):
        """All classes, the best first."""
        return np.argsort(-self.S, kind="stable")


def explain(photo, network=None):
    """Explain what a network sees in a photo.

    Parameters
    ----------
    photo : path, PIL.Image.Image, or (h, w, 3) uint8 array
    network : Network, optional
        From `load`; by default the network that comes with cam_numpy.

    Returns
    -------
    explanation : Explanation

    Raises
    ------
    InputError
        The photo cannot be read.
    NotCamable
        The network's own scores are not what its maps say: then Eq. 2 does not
        describe it.

    Examples
    --------
    >>> from matplotlib.cbook import get_sample_data
    >>> e = explain(get_sample_data("grace_hopper.jpg", asfileobj=False))
    >>> e.f.shape, e.F.shape, e.w.shape, e.S.shape, e.M(0).shape
    ((256, 14, 12), (256,), (200, 256), (200,), (14, 12))
    """
    network = load() if network is None else network
    photo = read_photo(photo)
    seen = network.see(photo)
    f, w, b = seen.f, network.w, network.b
    error = network.check_scores(f, seen.S)
    F = global_max_pool(f) if network.form.pooled == "max" else global_average_pool(f)
    S = seen.S if network.form.pooled == "rectified" else class_scores(F, w, b)
    P = 1 / (1 + np.exp(-S)) if network.sigmoid else softmax(S)
    return Explanation(
        photo, seen.view, network.name, network.classes, f, F, w, b, S, P,
        network.form, network.sigmoid, error, network.assumed,
    )
