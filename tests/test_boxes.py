"""Boxes: worked by hand on 5x5 maps, and against a flood fill."""

import numpy as np
import pytest

from cam_numpy import bounding_box, iou
from cam_numpy.paper._components import connected_runs


def drawn(text):
    """A map from a drawing: a digit a cell, . for zero, rows by blanks."""
    return np.array([[float(cell.replace(".", "0")) for cell in row] for row in text.split()])


@pytest.mark.parametrize("text, box", [
    ("..... .99.. .99.. ..... .....", (1, 1, 2, 2)),
    ("9.... ..... ..55. ..55. .....", (2, 2, 3, 3)),  # the largest, not the strongest
    ("9...9 ..... ..... ..... 9...9", (0, 0, 0, 0)),  # equally large: the first in reading order
    ("99999 ..... ..... ..... .....", (0, 0, 4, 0)),
    ("....9 ...9. ..9.. .9... 9....", (0, 0, 4, 4)),  # corners touch
    (".999. 9...9 9.9.9 9...9 .999.", (0, 0, 4, 4)),  # a ring, the dot inside apart
    ("5.... 5.5.5 555.5 ....5 55555", (0, 1, 4, 4)),  # eight cells against six
    ("11111 11111 11911 11111 11111", (2, 2, 2, 2)),  # 1 is below 20 % of 9
    ("22222 22222 22922 22222 22222", (0, 0, 4, 4)),  # 2 is above
])
def test_boxes_by_hand(text, box):
    assert bounding_box(drawn(text)) == box


def test_corners_do_not_connect_four_neighbours():
    assert bounding_box(drawn("....9 ...9. ..99. ..... ....."), connectivity=4) == (2, 1, 3, 2)


def test_what_equals_the_threshold_is_not_above_it():
    assert bounding_box(drawn("....1 ....5 ..... ..... .....")) == (4, 1, 4, 1)
    assert bounding_box(drawn("....1 ....5 ..... ..... ....."), threshold=0.1) == (4, 0, 4, 1)


@pytest.mark.parametrize("M", [np.zeros((3, 4)), -np.ones((3, 4))])
def test_a_map_without_evidence_has_no_box(M):
    assert bounding_box(M) is None


def test_negative_evidence_does_not_move_the_threshold():
    """Min-max normalising first would: a part of the maximum is not a part of the range."""
    M = drawn("..... .19.. ..... ..... .....")
    assert bounding_box(M) == (2, 1, 2, 1)
    M[4, 4] = -90
    assert bounding_box(M) == (2, 1, 2, 1)
    stretched = (M - M.min()) / (M.max() - M.min())
    assert bounding_box(stretched) == (0, 0, 4, 4)


def test_a_box_does_not_see_the_units_of_its_map():
    M = np.random.default_rng(0).normal(size=(7, 9))
    assert bounding_box(1000 * M) == bounding_box(M)


def flood(mask, neighbours):
    """Components by flood fill, in reading order: the specification."""
    H, W = mask.shape
    label, count = -np.ones(mask.shape, int), 0
    for y in range(H):
        for x in range(W):
            if mask[y, x] and label[y, x] < 0:
                waiting = [(y, x)]
                while waiting:
                    v, u = waiting.pop()
                    if 0 <= v < H and 0 <= u < W and mask[v, u] and label[v, u] < 0:
                        label[v, u] = count
                        waiting += [(v + dv, u + du) for dv, du in neighbours]
                count += 1
    return label


FOUR = [(0, 1), (1, 0), (0, -1), (-1, 0)]
EIGHT = [*FOUR, (1, 1), (1, -1), (-1, 1), (-1, -1)]


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("connectivity, neighbours", [(4, FOUR), (8, EIGHT)])
def test_components_are_those_of_a_flood_fill(seed, connectivity, neighbours):
    rng = np.random.default_rng(seed)
    mask = rng.random(rng.integers(1, 24, 2)) < rng.choice([0.1, 0.4, 0.6, 0.9])
    runs, part = connected_runs(mask, connectivity)
    ours = -np.ones(mask.shape, int)
    for (y, start, stop), number in zip(runs, part):
        ours[y, start:stop] = number
    np.testing.assert_array_equal(ours, flood(mask, neighbours))


def test_a_long_snake_is_one_component():
    mask = np.zeros((41, 40), bool)
    mask[::2] = True
    mask[1::4, -1] = mask[3::4, 0] = True
    assert connected_runs(mask, 4)[1].max() == 0


def test_components_are_scipys():
    ndimage = pytest.importorskip("scipy.ndimage", reason="SciPy is no dependency")
    mask = np.random.default_rng(1).random((224, 224)) < 0.5
    for connectivity, structure in ((4, None), (8, np.ones((3, 3)))):
        assert connected_runs(mask, connectivity)[1].max() + 1 == ndimage.label(mask, structure)[1]


@pytest.mark.parametrize("a, b, value", [
    ((0, 0, 4, 4), (0, 0, 4, 4), 1.0), ((0, 0, 1, 1), (2, 0, 3, 1), 0.0),
    ((0, 0, 1, 1), (1, 0, 2, 1), 2 / 6), ((0, 0, 9, 9), (0, 0, 4, 9), 0.5),
    ((3, 3, 3, 3), (3, 3, 3, 3), 1.0), ((0, 0, 9, 9), (2, 2, 3, 4), 6 / 100),
])
def test_overlap_counts_pixels_inclusively(a, b, value):
    assert iou(a, b) == iou(b, a) == pytest.approx(value, abs=1e-15)


@pytest.mark.parametrize("call, message", [
    (lambda: bounding_box(np.ones((2, 2)), threshold=1),
     "threshold is 1; it is a fraction of the map's maximum"),
    (lambda: bounding_box(np.ones((2, 2)), connectivity=6), "connectivity is 6; cells have 4 or 8"),
    (lambda: bounding_box(np.ones(4)), r"M has shape \(4,\)"),
    (lambda: iou((3, 0, 1, 1), (0, 0, 1, 1)), r"box a is \(3, 0, 1, 1\); .*give finite numbers, x0 <= x1"),
])
def test_wrong_boxes_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int32, np.uint64, np.float32])
def test_overlap_does_not_depend_on_the_type_of_the_numbers(dtype):
    side = min(np.iinfo(dtype).max if np.dtype(dtype).kind in "iu" else 2**24, 2**40)
    a, b = (0, 0, side, side), (0, 0, side, side // 2)
    pixels = (int(side) + 1) * (int(side) // 2 + 1), (int(side) + 1) ** 2
    assert iou(np.array(a, dtype), np.array(b, dtype)) == pytest.approx(pixels[0] / pixels[1], rel=1e-12)
    many = iou(np.array([a, b], dtype)[:, None], np.array([a, b], dtype)[None])
    np.testing.assert_allclose(many, [[1, pixels[0] / pixels[1]], [pixels[0] / pixels[1], 1]], rtol=1e-12)


def test_no_boxes_overlap_with_nothing():
    assert iou(np.empty((0, 4)), (0, 0, 1, 1)).shape == (0,)


@pytest.mark.parametrize("call, message", [
    (lambda: iou(None, (0, 0, 1, 1)), r"box a is None; a box is \(x0, y0, x1, y1\).*give four numbers"),
    (lambda: iou((0, 0, 1, 1), (0, 0, 1)), r"box b is \[0, 0, 1\]; a box is"),
    (lambda: iou((0, 0, 1, np.nan), (0, 0, 1, 1)), r"box a is \(0, 0, 1, nan\); .*give finite numbers"),
    (lambda: iou((0, 0, np.inf, 1), (0, 0, 1, 1)), r"box a is \(0, 0, inf, 1\); .*give finite numbers"),
    (lambda: iou(np.ma.array([0, 0, 1, 1], mask=[0, 0, 0, 1]), (0, 0, 1, 1)), "box a is a masked array"),
    (lambda: bounding_box(np.ones((2, 2)), threshold=None), "threshold is None; it is a fraction of the map"),
    (lambda: bounding_box(np.ones((2, 2)), threshold=np.nan), "threshold is nan; it is a fraction of"),
    (lambda: bounding_box(np.ones((2, 2)), threshold=[0.2]), r"threshold is \[0.2\]; it is a fraction"),
    (lambda: bounding_box(np.ones((2, 2)), rule=["paper"]), r"rule is \['paper'\]; .*give one of paper, min"),
    (lambda: bounding_box(np.ones((2, 2)), connectivity=None), "connectivity is None; .*give 4 or 8"),
])
def test_what_is_no_box_no_threshold_and_no_rule_is_refused_in_three_clauses(call, message):
    with pytest.raises(ValueError, match=message) as refused:
        call()
    assert "\n" not in str(refused.value)
