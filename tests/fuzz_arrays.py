"""Arrays, good and odd, against brute force: `python -m tests.fuzz_arrays [COUNT] [SEED]`.

Every equation, the check, boxes, overlaps, maps laid onto photos, and names of classes: equal to
loops that share nothing with cam_numpy, or refused in one line.
"""

from __future__ import annotations

import functools
import math
import sys
import warnings

import numpy as np

import cam_numpy as cam
from cam_numpy.image.view import View
from cam_numpy.network.classes import find_class
from tests import loops, measures
from tests.fuzzing import refused, run

DTYPES = (np.float32, np.float64, np.float16, np.int8, np.uint8, np.int64, bool)
ODD = (
    None, "cat", np.nan, np.inf, -np.inf, 1e308, 3e38, 10**400, 10**5000, 1j, True, -1, 0, 2.5, [],
    [[1], [1, 2]], np.ma.array([1.0, 2.0], mask=[0, 1]), np.array([], float),
    np.array("2020", "M8"), np.array([[4, 8]]), object(), "9" * 5000,
)


def make(rng):
    """A function that checks one thing, and returns the word to be counted."""
    kind = rng.choice((equations, equations, check, odd, odd, box, overlap, laid, names))
    return functools.partial(kind, np.random.default_rng(rng.randrange(2**32)), rng)


def attempt(case):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # NumPy warns of an overflow, and then it is refused
        return case()


def array(numbers, rng, *shape):
    """Random numbers of a random type, size and order in memory."""
    dtype = np.dtype(rng.choice(DTYPES))
    values = numbers.normal(size=shape) * rng.choice((1, 10, 100))
    values = np.abs(values) if dtype.kind in "ub" else values
    values = np.asfortranarray(values) if rng.random() < 0.3 else values
    return np.clip(values, -120, 120).astype(dtype)


def close(ours, loops, scale):
    """Equal but for rounding in float32, of numbers up to `scale`."""
    np.testing.assert_allclose(np.asarray(ours, float), loops, rtol=1e-5, atol=2e-6 * scale)


def equations(numbers, rng):
    K, C, H, W = (rng.randint(1, 6) for _ in "KCHW")
    f, w, b = array(numbers, rng, K, H, W), array(numbers, rng, C, K), array(numbers, rng, C)
    f_, w_, b_ = (one.astype(float).tolist() for one in (f, w, b))
    of_f = 1 + float(np.abs(f.astype(float)).max())
    scale = 1 + K * of_f * float(np.abs(w.astype(float)).max())
    F, c = cam.global_average_pool(f), rng.randrange(C)
    close(F, loops.pooled_mean(f_), of_f)
    close(cam.global_sum_pool(f), loops.pooled_sum(f_), of_f)
    close(cam.global_max_pool(f), loops.pooled_max(f_), of_f)
    S = loops.scores(loops.pooled_mean(f_), w_, b_)
    close(cam.class_scores(F, w, b), S, scale)
    close(cam.class_activation_map(f, w, c), loops.activation_map(f_, w_, c), scale)
    close(cam.class_activation_maps(f, w)[c], loops.activation_map(f_, w_, c), scale)
    if max(map(abs, S)) < 700:
        close(cam.softmax(np.array(S)), loops.probabilities(S), 1)
    height, width = rng.randint(1, 20), rng.randint(1, 20)
    large = cam.upsample(f, height=height, width=width)
    close(large[0], loops.enlarged(f_[0], height, width), of_f)
    assert large.max() <= f.astype(large.dtype).max() and large.min() >= f.astype(large.dtype).min()
    return "equations"


def check(numbers, rng):
    """A score that is right is accepted, and one that is wrong refused, however large other classes are."""
    K, C, H, W = rng.randint(2, 6), rng.randint(2, 6), rng.randint(1, 5), rng.randint(1, 5)
    f, w, b = np.abs(numbers.normal(size=(K, H, W))), numbers.normal(size=(C, K)), numbers.normal(size=C)
    c, other = rng.sample(range(C), 2)
    b[other] *= rng.choice((1, 1e9))
    w[other] *= rng.choice((1, 1e9))
    f[rng.randrange(K)] *= rng.choice((0, 1))
    S = np.array(loops.scores(loops.pooled_mean(f.tolist()), w.tolist(), b.tolist()))
    cam.check_scores(f, w, b, S)
    terms = np.abs(w[c] * f.mean(axis=(1, 2))).sum() + abs(b[c])
    S[c] += rng.choice((-1, 1)) * 1.01e-4 * terms
    try:
        cam.check_scores(f, w, b, S)
    except ValueError as error:
        refused(error, f"class {c} ")
        return "check"
    raise AssertionError("a wrong score is accepted")


def odd(numbers, rng):
    """One argument of a call is of another kind: the result is finite, or it is refused in one line."""
    f, w, S = numbers.normal(size=(3, 2, 2)), numbers.normal(size=(4, 3)), numbers.normal(size=4)
    F, box = f.mean(axis=(1, 2)), (0, 0, 1, 1)
    call, given = rng.choice((
        (cam.global_average_pool, {"f": f}), (cam.global_sum_pool, {"f": f}), (cam.global_max_pool, {"f": f}),
        (cam.class_scores, {"F": F, "w": w, "b": S}), (cam.softmax, {"S": S}),
        (cam.class_activation_map, {"f": f, "w": w, "c": 1}), (cam.class_activation_maps, {"f": f, "w": w}),
        (cam.check_scores, {"f": f, "w": w, "b": S, "S": cam.class_scores(F, w, S), "tolerance": 1e-4}),
        (cam.upsample, {"M": f, "height": 3, "width": 4}), (cam.iou, {"a": box, "b": box}),
        (cam.bounding_box, {"M": f[0], "threshold": 0.2, "connectivity": 8, "rule": "paper"}),
    ))
    name, value = rng.choice(list(given)), rng.choice(ODD)
    if rng.random() < 0.5 and np.ndim(given[name]):  # one number of it
        value = np.array(given[name], float)
        value.flat[rng.randrange(value.size)] = rng.choice((np.nan, np.inf, 1e308, -1e308, 1e-320, 0))
    if name in ("height", "width") and value is True:
        value = None
    try:
        result = call(**{**given, name: value})
    except ValueError as error:
        return refused(error)
    assert result is None or np.isfinite(np.asarray(result, float)).all()
    return "odd, accepted"


def box(numbers, rng):
    M = numbers.integers(-3, 10, (rng.randint(1, 9), rng.randint(1, 9))).astype(float)
    t, rule = rng.choice((0.0, 0.21, 0.5, 0.77)), rng.choice(("paper", "min-max", "top-pixels"))
    if rule == "top-pixels":
        M += numbers.random(M.shape)  # no two cells are equal
        if (M.size - 1) * t % 1 == 0 or M.size == 1:
            return "box, undecided"
    parts = [(len(part), part) for part in measures.components(measures.kept_cells(M.tolist(), t, rule))]
    wanted = None
    if parts:
        cells = max(parts, key=lambda part: part[0])[1]
        y, x = zip(*cells)
        wanted = min(x), min(y), max(x), max(y)
    assert cam.bounding_box(M, t, rule=rule) == wanted, (M, t, rule)
    return "box"


def overlap(numbers, rng):
    side = rng.choice((3, 12))
    dtype = rng.choice((np.uint8, np.int8, np.int32, np.int64, np.float32))
    pair = [np.concatenate([np.minimum(*p), np.maximum(*p)]) for p in numbers.integers(0, side, (2, 2, 2))]
    sets = [{(x, y) for x in range(b[0], b[2] + 1) for y in range(b[1], b[3] + 1)} for b in pair]
    wanted = len(sets[0] & sets[1]) / len(sets[0] | sets[1])
    assert cam.iou(*(b.astype(dtype) for b in pair)) == wanted
    far = np.iinfo(dtype).max - side if np.dtype(dtype).kind in "iu" else 2**23
    assert cam.iou(*((b + min(far, 2**50)).astype(dtype) for b in pair)) == wanted  # moved, it is the same
    return "overlap"


def laid(numbers, rng):
    """The map of a view, pixel by pixel: what is at a pixel's centre, between the cells around it."""
    width, height = rng.randint(1, 40), rng.randint(1, 40)
    stride, H, W = rng.choice((1, 2, 4, 8)), rng.randint(1, 5), rng.randint(1, 5)
    inputs = W * stride - rng.randrange(stride) // 2, H * stride - rng.randrange(stride) // 2
    left, top = numbers.random(2) * [width, height] / 2.1
    view = View((width, height), inputs, (left, top, width - left, height - top))
    M = numbers.normal(size=(H, W))
    ours = view.lay(M)
    cells = [n if 2 ** max(0, round(math.log2(side / n))) * n == side else None
             for n, side in zip((W, H), inputs)]  # where the stride divides, all cells cover the input
    for y, x in ((rng.randrange(height), rng.randrange(width)) for _ in range(9)):
        at = (x + 0.5 - left) / (width - 2 * left), (y + 0.5 - top) / (height - 2 * top)
        if not (0 <= at[0] <= 1 and 0 <= at[1] <= 1):
            assert np.isnan(ours[y, x])
        elif None not in cells:
            u, v = (min(max(p * n - 0.5, 0), n - 1) for p, n in zip(at, cells))
            i, j = math.floor(v), math.floor(u)
            above, below = (row[j] * (1 - u + j) + row[min(j + 1, W - 1)] * (u - j)
                            for row in (M[i], M[min(i + 1, H - 1)]))
            assert abs(ours[y, x] - (above * (1 - v + i) + below * (v - i))) < 1e-9
    found = view.largest_box(M, rng.choice((0.0, 0.2, 0.9)))
    assert found or not (M > 0).all(), "a map that is positive everywhere has no box"
    if found:
        x0, y0, x1, y1 = found
        assert 0 <= x0 <= x1 < width and 0 <= y0 <= y1 < height
    return "laid"


def names(numbers, rng):
    """A whole name wins, then an index, then a word that only one class has; anything else is refused."""
    pool = ["0", "1", "2", "30", "dog", "German shepherd, dog", "cat", "Cat", "wild cat", "", ",", "a\nb",
            "٣", "$x$"]
    classes = [rng.choice(pool) for _ in range(rng.randint(1, 5))]
    wanted = rng.choice([*pool, "shepherd", "-1", "4", 0, 3, 7, *ODD])
    try:
        c = find_class(classes, wanted)
    except ValueError as error:
        return refused(error)
    assert 0 <= c < len(classes)
    if isinstance(wanted, str):
        whole = [i for i, name in enumerate(classes) if wanted.strip()
                 and wanted.lower() in [name.lower(), *(s.strip().lower() for s in name.split(","))]]
        assert whole == [c] if whole else wanted == str(c) or wanted.lower() in classes[c].lower()
    return "names"


if __name__ == "__main__":
    run(make, attempt, sys.argv[1:])
