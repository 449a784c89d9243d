"""The ways from f to S that a class activation map can explain, one object each.

=============  ==================================  =================================================
name           S_c                                 networks
=============  ==================================  =================================================
gap            mean_xy M_c(x, y) + b_c             ResNet, DenseNet, GoogLeNet, MobileNetV2 ...
nin            the same                            Network in Network: the linear layer comes first,
                                                   as a 1x1 convolution, and its output is pooled
squeezenet     mean_xy max(0, M_c(x, y) + b_c)     SqueezeNet: a ReLU stands before the pooling
gsp            sum_xy M_c(x, y) + b_c              global sum pooling: F_k as the paper writes it
gmp            sum_k w_k^c max_xy f_k(x, y) + b_c  global max pooling, which Section 3 compares with
gap+gmp        sum_k w_k^c F_k + b_c               F_k is halfway between the average and the maximum
=============  ==================================  =================================================

A form pools (`Form.pool`), scores (`Form.scores`), checks its identity on a network's own scores
(`Form.check`), lists what a score consists of (`Form.terms`) and says what the map means
(`Form.meaning`). A new kind of head is one more class here, and its name in `FORMS`; no other
module asks how a network pools. A network that computes with few bits has the same forms,
`Form.rounded`.
"""

from __future__ import annotations

import copy

import numpy as np
from numpy.typing import ArrayLike

from ._checks import as_fraction, largest_score, scores_agree
from .cam import class_activation_maps, class_scores, global_average_pool, global_max_pool, global_sum_pool

# the error that rounding may cause, as a fraction of the largest score that w_c and F could give:
# float32 has 24 bits; float16 has 11, of which a sum over some hundred units loses a few. Integers
# of 8 bits round by about 1e-2, but they also cut off what is beyond the range that they were
# calibrated for: up to 0.16 was measured
TOLERANCES = {24: 1e-4, 11: 1e-2, 8: 0.2}


# each term of S_c (see `Form.terms`), as it is called in S_a - S_b
DIFFERENCES = {
    "mean M_c": "mean(M_a - M_b)", "sum M_c": "sum(M_a - M_b)", "sum w F": "sum (w_a - w_b) F",
    "b_c": "b_a - b_b", "ReLU": "ReLU_a - ReLU_b",
}


class Form:
    """Global average pooling, then one linear layer: the paper's own form, and what the others share.

    Attributes
    ----------
    name : str
    verdict : {"exact", "approximate"}
        Whether the mean of the map, and the bias, are all of the score. The identity itself holds
        for every form: an approximate *map* shows more, or less, than the score counted.
    identity : str
        What `check` compares with the network's own scores.
    pooling, scoring : str
        The formulas of F_k and of S_c.
    formula : str
        The right side of the identity, short.
    difference : str
        The identity of a class less another one.
    meaning : str
        What the map says about the score, in one sentence.
    bits : {24, 11, 8}
        The precision in which the network gets from f to S: float32, float16, or integers.
    """

    name = "gap"
    verdict = "exact"
    bits = 24
    pooling = "F_k = mean_xy f_k(x, y)"
    scoring = "S_c = sum_k w_k^c F_k + b_c"
    identity = "S_c = mean_xy M_c(x, y) + b_c"
    formula = "mean M_c + b_c"
    difference = "mean(M_a - M_b) + (b_a - b_b) = S_a - S_b"
    meaning = "The mean of each map, plus the bias, is the score: the map shows all that the score counted."

    def __repr__(self):
        return f"<Form {self.name}: {self.identity}>"

    def pool(self, f: ArrayLike) -> np.ndarray:
        """F (..., K) of f (..., K, H, W), the way this head pools."""
        return global_average_pool(f)

    def scores(self, f: ArrayLike, w: ArrayLike, b: ArrayLike | None = None) -> np.ndarray:
        """S (C,) of f (K, H, W), w (C, K) and b (C,), the way this head scores."""
        return class_scores(self.pool(f), w, b)

    def rounded(self, bits: int) -> Form:
        """The same form in a network that computes with `bits` bits: 11 for float16, 8 for integers."""
        form = copy.copy(self)
        form.bits, form.verdict = bits, "approximate"
        form.meaning += (f" The network computes with {bits} bits, so its scores differ from what the "
                         "maps say by a rounding error.")
        return form

    def largest_score(self, f: ArrayLike, w: ArrayLike, b: ArrayLike | None, c=slice(None)) -> np.ndarray:
        """The largest size that the scores of classes c can have, all of them by default.

        Rounding is that of the values that are pooled: where they cancel each other, F_k is small and
        their rounding is not, so |f| takes the place of f here.
        """
        return largest_score(self.pool(np.abs(f)), w, b, c)

    def deviation(self, f: ArrayLike, w: ArrayLike, b: ArrayLike | None, S: ArrayLike) -> np.ndarray:
        """How far `identity` is from holding for each class, (C,), as a fraction of its largest score."""
        error = np.abs(self.scores(f, w, b) - np.asarray(S, np.float64))
        return as_fraction(error, self.largest_score(f, w, b))

    def check(self, f: ArrayLike, w: ArrayLike, b: ArrayLike | None, S: ArrayLike,
              tolerance: float | None = None) -> float:
        """Check `identity` on a network's own scores.

        Parameters and errors are those of `cam_numpy.check_scores`; the tolerance is that of
        `bits` by default.

        Returns
        -------
        error : float
            The largest difference over all classes, in score units.
        """
        tolerance = TOLERANCES[self.bits] if tolerance is None else tolerance
        return scores_agree(self.formula, self.scores(f, w, b), S, tolerance,
                            scale=lambda c: self.largest_score(f, w, b, c))

    def terms(self, M: np.ndarray, F: np.ndarray, w_c: np.ndarray, b_c: float) -> dict[str, float]:
        """What the score of one class consists of.

        Parameters
        ----------
        M : (H, W) array
            Its map.
        F : (K,) array
        w_c : (K,) array
            Its weights.
        b_c : float
            Its bias.

        Returns
        -------
        terms : dict of str to float
            They add up to S_c; the first is what the units contribute.
        """
        return {"mean M_c": M.mean(), "b_c": b_c}

    def beside(self, M: np.ndarray) -> dict[str, float]:
        """What a reader should compare the score with: more numbers about the map, by name."""
        return {}


class NetworkInNetwork(Form):
    """A 1x1 convolution with one channel per class, then global average pooling.

    Pooling and a linear layer commute, so this is the same network written the other way round.
    What the convolution itself outputs is M_c + b_c.
    """

    name = "nin"


class RectifiedAverage(Form):
    """A 1x1 convolution, a ReLU, then global average pooling: SqueezeNet."""

    name = "squeezenet"
    verdict = "approximate"
    scoring = "S_c = mean max(0, M_c + b_c)"
    identity = "S_c = mean_xy max(0, M_c(x, y) + b_c)"
    formula = "mean max(0, M_c + b_c)"
    difference = "mean(max(0, M_a + b_a) - max(0, M_b + b_b)) = S_a - S_b"
    meaning = ("The ReLU before the pooling discards evidence against a class, place by place: "
               "the map shows it, the score never counted it.")

    def scores(self, f: ArrayLike, w: ArrayLike, b: ArrayLike | None = None) -> np.ndarray:
        M = class_activation_maps(f, w) + (0 if b is None else np.asarray(b)[:, None, None])
        # S_c = mean_xy max(0, M_c(x, y) + b_c)
        return global_average_pool(np.maximum(M, 0))

    def terms(self, M: np.ndarray, F: np.ndarray, w_c: np.ndarray, b_c: float) -> dict[str, float]:
        # max(0, x) = x + max(0, -x): what the ReLU discards is added to the score
        return {"mean M_c": M.mean(), "b_c": b_c, "ReLU": np.maximum(-(M + b_c), 0).mean()}


class Sum(Form):
    """Global sum pooling, then one linear layer: F_k to the letter of the paper."""

    name = "gsp"
    pooling = "F_k = sum_xy f_k(x, y)"
    identity = "S_c = sum_xy M_c(x, y) + b_c"
    formula = "sum M_c + b_c"
    meaning = "The sum of each map, plus the bias, is the score: the map shows all that the score counted."

    def pool(self, f: ArrayLike) -> np.ndarray:
        return global_sum_pool(f)

    def terms(self, M: np.ndarray, F: np.ndarray, w_c: np.ndarray, b_c: float) -> dict[str, float]:
        return {"sum M_c": M.sum(), "b_c": b_c}


class Maximum(Form):
    """Global max pooling, then one linear layer: GoogLeNet-GMP of Section 3."""

    name = "gmp"
    verdict = "approximate"
    pooling = "F_k = max_xy f_k(x, y)"
    identity = "S_c = sum_k w_k^c max_xy f_k(x, y) + b_c"
    formula = "sum_k w_k^c max f_k + b_c"
    difference = "sum_k (w_k^a - w_k^b) max f_k + (b_a - b_b) = S_a - S_b"
    meaning = ("A score counts each unit once, where it is strongest; a map shows it wherever it fires. "
               "Therefore a map does not add up to its score, and the paper pools with the average.")

    def pool(self, f: ArrayLike) -> np.ndarray:
        return global_max_pool(f)

    def terms(self, M: np.ndarray, F: np.ndarray, w_c: np.ndarray, b_c: float) -> dict[str, float]:
        return {"sum w F": np.dot(w_c, F), "b_c": b_c}

    def beside(self, M: np.ndarray) -> dict[str, float]:
        return {"mean M_c": M.mean(), "max M_c": M.max()}


class AverageAndMaximum(Maximum):
    """The average and the maximum of each unit, added: w_k^c is what both together count for."""

    name = "gap+gmp"
    pooling = "F_k = (mean f_k + max f_k) / 2"
    identity = "S_c = sum_k w_k^c (mean_xy f_k + max_xy f_k) / 2 + b_c"
    formula = "sum_k w_k^c (mean f_k + max f_k) / 2 + b_c"
    meaning = ("Half of a score is the mean of its map; the other half counts each unit once, where it is "
               "strongest. Therefore a map does not add up to its score.")

    def pool(self, f: ArrayLike) -> np.ndarray:
        # F_k = (mean_xy f_k(x, y) + max_xy f_k(x, y)) / 2
        return (global_average_pool(f) + global_max_pool(f)) / 2


GAP, NIN, SQUEEZENET, GSP, GMP, GAP_GMP = (
    Form(), NetworkInNetwork(), RectifiedAverage(), Sum(), Maximum(), AverageAndMaximum())
FORMS = {form.name: form for form in (GAP, NIN, SQUEEZENET, GSP, GMP, GAP_GMP)}
