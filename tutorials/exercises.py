"""Exercises that mark themselves: `check(your_function)`.

The name of your function says which exercise it is. `check` calls it with small arrays and
compares with the answer key: the loops of tests/loops.py and tests/measures.py, which
share nothing with cam_numpy. It says "right", or shows the smallest counterexample. A function
that returns nothing (or ...) yet is "not solved yet". tutorials/solutions.py has one
answer to each, for afterwards.
"""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent  # the clone
sys.path.insert(0, str(ROOT))  # tests/ and cam_numpy/

from tests import loops, measures  # noqa: E402 - needs the line above

SHAPES = [(1, 1, 1), (1, 1, 2), (1, 2, 1), (2, 1, 2), (2, 2, 2), (2, 2, 3), (3, 2, 4), (5, 3, 4)]  # K, H, W
TOLERANCE = 1e-6  # relative and absolute: the gradients of the key are differences


def check(function):
    """Mark an exercise and print the verdict.

    Parameters
    ----------
    function : callable
        Its ``__name__`` is the name of an exercise in `EXERCISES`.
    """
    print(verdict(function))


def verdict(function):
    """The verdict on an answer to an exercise, as text."""
    name = function.__name__
    if name not in EXERCISES:
        return f"{name} is not an exercise; the name must be one of {', '.join(EXERCISES)}"
    key, cases = EXERCISES[name]
    rng = np.random.default_rng(0)
    count = 0
    for case in cases(rng):
        expected = key(**_lists(case))
        try:
            given = function(**copy.deepcopy(case))  # a copy, so that an answer cannot change the case
        except NotImplementedError:
            return f"{name}: not solved yet"
        except Exception as error:  # whatever the reader's function raises is shown to the reader
            return _counterexample(name, case, f"{type(error).__name__}: {error}", expected)
        if count == 0 and (given is None or given is ...):
            return f"{name}: not solved yet"
        if not _same(given, expected):
            return _counterexample(name, case, given, expected)
        count += 1
    return f"{name}: right ({count} cases)"


def _lists(case):
    """The arguments of a case as lists: the key is written in Python numbers."""
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in case.items()}


def _same(given, expected):
    if given is None or expected is None:
        return given is expected
    try:
        given, expected = np.asarray(given, float), np.asarray(expected, float)
    except (TypeError, ValueError):
        return False
    return given.shape == expected.shape and np.allclose(given, expected, TOLERANCE, TOLERANCE)


def _counterexample(name, case, given, expected):
    lines = [f"{name}: not right yet. The smallest counterexample:"]
    lines += [line for argument in case.items() for line in _shown(*argument)]
    return "\n".join([*lines, *_shown("your answer", given), *_shown("right answer", expected)])


def _shown(name, value):
    """A named value in one line, or, where it is an array, with its shape and its numbers below."""
    if value is None or isinstance(value, (str, int, tuple)):
        return [f"    {name} = {value}"]
    try:
        value = np.asarray(value, float)
    except (TypeError, ValueError):
        return [f"    {name} = {value!r}"]
    text = np.array2string(value, precision=4, suppress_small=True)
    if value.ndim < 2:
        return [f"    {name} = {text}"]
    return [f"    {name}, shape {value.shape}", *("        " + line for line in text.splitlines() if line)]


# --- the cases: small first, whole numbers, so that a counterexample can be checked in the head

def whole(rng, *shape):
    return rng.integers(-2, 4, shape).astype(float)


def of_f(rng):
    for shape in SHAPES * 2:
        yield {"f": whole(rng, *shape)}


def of_f_and_classifier(rng):
    for C, shape in enumerate(SHAPES * 2, 1):
        C = 1 + C % 4
        yield {"f": whole(rng, *shape), "w": whole(rng, C, shape[0]), "c": int(rng.integers(C))}


def of_two_classes(rng):
    for shape in SHAPES * 2:
        a, b = rng.permutation(3)[:2].tolist()
        yield {"f": whole(rng, *shape), "w": whole(rng, 3, shape[0]), "a": a, "b": b}


def of_scores(rng):
    for K, C in [(1, 1), (1, 2), (2, 1), (2, 3), (3, 2), (5, 7)] * 2:
        yield {"F": whole(rng, K), "w": whole(rng, C, K), "b": whole(rng, C)}


def of_softmax(rng):
    for C in (1, 2, 3, 5):
        yield {"S": whole(rng, C)}
    yield {"S": np.array([1000.0, 1000.0])}  # exp(1000) is too large for a float
    yield {"S": np.array([-1000.0, -1001.0])}  # and exp(-1000) is zero


def of_rows(rng):
    for W, width in [(1, 1), (1, 3), (2, 2), (2, 4), (3, 6), (4, 6), (5, 14)]:
        yield {"row": whole(rng, W), "width": width}


def of_two_layers(rng):
    for K, hidden, C in [(1, 1, 1), (2, 1, 1), (1, 2, 3), (3, 4, 2), (5, 3, 7)]:
        yield {"w1": whole(rng, hidden, K), "b1": whole(rng, hidden),
               "w2": whole(rng, C, hidden), "b2": whole(rng, C)}


def of_gradients(rng):
    for K, H, W in SHAPES:
        # all values of f differ: where two are equally large the maximum has no gradient
        yield {"g": whole(rng, K), "f": rng.permutation(K * H * W).reshape(K, H, W).astype(float)}


def of_maps(rng):
    yield {"M": np.array([[0.0, 3.0]])}
    for H, W in [(1, 3), (2, 2), (2, 3), (3, 3), (3, 4), (4, 5), (5, 6), (7, 9)] * 3:
        yield {"M": np.where(rng.random((H, W)) < 0.5, 0, rng.integers(-3, 10, (H, W))).astype(float)}
    yield {"M": np.zeros((2, 2))}
    yield {"M": -np.ones((2, 2))}


def of_maps_and_thresholds(rng):
    for case in of_maps(rng):
        yield {**case, "t": float(rng.choice([0.1, 0.2, 0.5]))}


def of_masks(rng):
    yield {"mask": np.array([[1, 0]], bool)}
    for H, W in [(1, 4), (2, 2), (2, 4), (3, 3), (4, 5), (6, 7), (9, 9)] * 3:
        yield {"mask": rng.random((H, W)) < 0.4}


def of_boxes(rng):
    for size in [1, 2, 2, 3, 3, 4, 4, 5, 6, 9, 9, 9]:
        boxes = []
        for _ in range(2):
            (x0, x1), (y0, y1) = np.sort(rng.integers(0, size, (2, 2)), axis=1)
            boxes.append((int(x0), int(y0), int(x1), int(y1)))
        yield {"a": boxes[0], "b": boxes[1]}


def of_guesses(rng):
    for n in [1, 1, 1, 2, 2, 3, 5, 5, 5, 5]:
        yield {"guesses": rng.permutation(5)[:n].tolist(), "overlaps": np.round(rng.random(n), 1), "true": 2}


def of_gradcam(rng):
    for shape in SHAPES * 2:
        yield {"f": whole(rng, *shape), "gradient": whole(rng, *shape)}


def of_units(rng):
    for K, n in [(1, 1), (2, 1), (3, 2), (5, 3), (9, 4)] * 2:
        # the products of unequal primes differ, so that there is one order
        primes = np.array([2.0, 3, 5, 7, 11, 13, 17, 19, 23])
        w_c, F = rng.permutation(primes)[:K] * rng.choice([-1, 1], K), rng.permutation(primes + 0.5)[:K]
        yield {"w_c": w_c, "F": F, "n": n}


def of_silenced(rng):
    for K, C in [(1, 1), (2, 1), (2, 3), (5, 7)] * 2:
        yield {"S": whole(rng, C), "F": whole(rng, K), "w": whole(rng, C, K), "k": int(rng.integers(K))}


# --- the key

def difference_map(f, w, a, b):
    M_a, M_b = loops.activation_map(f, w, a), loops.activation_map(f, w, b)
    return [[p - q for p, q in zip(*rows)] for rows in zip(M_a, M_b)]


def one_layer(w1, b1, w2, b2):
    """The weights and the bias of the two layers, asked for: the answer to zero, and to each unit alone."""
    K = len(w1[0])
    ask = [[1.0 if k == j else 0.0 for k in range(K)] for j in range(K)] + [[0.0] * K]
    *answers, b = (loops.scores(loops.scores(F, w1, b1), w2, b2) for F in ask)
    return [[*(answer[c] - b[c] for answer in answers), b[c]] for c in range(len(w2))]


def kept(M, t):
    cells = measures.kept_cells(M, t)
    return [[(y, x) in cells for x in range(len(M[0]))] for y in range(len(M))]


def largest_component(mask):
    cells = {(y, x) for y, row in enumerate(mask) for x, value in enumerate(row) if value}
    best = max(measures.components(cells), key=len, default=[])  # the first of those with most cells
    return [[(y, x) in best for x in range(len(mask[0]))] for y in range(len(mask))]


def bounding_box(M):
    return measures.largest(measures.boxes_of(M, (len(M[0]), len(M)), 0.2))


def localisation_error(guesses, overlaps, true):
    """min_j max(d_j, e_j)."""
    return min(max(guess != true, overlap < 0.5) for guess, overlap in zip(guesses, overlaps))


def strongest_units(w_c, F, n):
    return sorted(range(len(F)), key=lambda k: -w_c[k] * F[k])[:n]


def silenced_scores(S, F, w, k):
    return [S[c] - w[c][k] * F[k] for c in range(len(S))]


def stable_probabilities(S):
    return loops.probabilities([S_c - max(S) for S_c in S])


EXERCISES = {
    # lesson 2
    "global_average_pool": (loops.pooled_mean, of_f),
    "class_scores": (loops.scores, of_scores),
    "softmax": (stable_probabilities, of_softmax),
    "class_activation_map": (loops.activation_map, of_f_and_classifier),
    # lesson 3
    "enlarged_row": (lambda row, width: loops.enlarged([row], 1, width)[0], of_rows),
    "difference_map": (difference_map, of_two_classes),
    # lesson 4
    "one_layer": (one_layer, of_two_layers),
    # lesson 5
    "global_max_pool": (loops.pooled_max, of_f),
    "average_pool_gradient": (lambda g, f: loops.pooling_gradient(loops.pooled_mean, f, g), of_gradients),
    "max_pool_gradient": (lambda g, f: loops.pooling_gradient(loops.pooled_max, f, g), of_gradients),
    # lesson 6
    "kept": (kept, of_maps_and_thresholds),
    "largest_component": (largest_component, of_masks),
    "bounding_box": (bounding_box, of_maps),
    "iou": (measures.overlap, of_boxes),
    # lesson 7
    "localisation_error": (localisation_error, of_guesses),
    # lesson 8
    "grad_cam": (loops.grad_cam, of_gradcam),
    # lesson 10
    "strongest_units": (strongest_units, of_units),
    "silenced_scores": (silenced_scores, of_silenced),
}
