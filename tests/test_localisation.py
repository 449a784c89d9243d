"""From a map to a row, from rows to measures: worked by hand, and against loops."""

import numpy as np
import pytest

from cam_numpy.image.preprocessing import PRESETS
from cam_numpy.image.view import View
from cam_numpy.paper import localisation
from cam_numpy.paper.boxes import RULES
from cam_numpy.paper.localisation import (
    CURVE,
    ROW,
    centre_box,
    curve,
    interval,
    summarise,
    whole_image,
)
from tests import measures
from tests.test_boxes import drawn


def whole(width, height):
    """The view of a network that sees all of a photo."""
    return View((width, height), (16, 16), (0, 0, width, height))


def photo_box(M, view, threshold=0.2, rule="paper"):
    return view.largest_box(M, threshold, rule)


def photo_boxes(M, view, thresholds, rule="paper"):
    """All boxes at all thresholds in one array, and the cells of each."""
    return [np.concatenate(arrays) for arrays in zip(*view.boxes(M, thresholds, rule), strict=True)]


def measure(M, view, true_boxes, threshold=0.2, rule="paper"):
    """The row of a map seen through a view."""
    return localisation.measure(view.boxes(M, [threshold, *CURVE], rule), true_boxes, view.photo)


def signs(cells, box):
    """A map of (W, H) cells, 1 inside of a box and -1 outside."""
    M = -np.ones(cells[::-1])
    M[box[1] : box[3] + 1, box[0] : box[2] + 1] = 1
    return M


# --- from a map to a box in the photo's pixels -------------------------------------------------

@pytest.mark.parametrize("rule", ["paper", "min-max"])
@pytest.mark.parametrize("box", [(2, 1, 4, 3), (6, 4, 6, 4), (0, 2, 6, 2), (0, 0, 5, 4)])
def test_a_map_positive_inside_a_rectangle_only_has_that_box(rule, box):
    assert photo_box(signs((7, 5), box), whole(7, 5), 0.5, rule) == box


@pytest.mark.parametrize("scale", [2, 3, 10, 31])
@pytest.mark.parametrize("box", [(1, 1, 3, 2), (0, 0, 4, 1), (4, 2, 6, 4)])
def test_a_map_laid_onto_a_photo_changes_its_sign_between_the_same_cells(box, scale):
    """Half way from 1 to -1 is zero, on the edge between two cells; the photo is up to 217 x 155."""
    found = photo_box(signs((7, 5), box), whole(7 * scale, 5 * scale), threshold=0)
    assert found == (box[0] * scale, box[1] * scale, (box[2] + 1) * scale - 1, (box[3] + 1) * scale - 1)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("factor", [2.0**-9, 2.0**20])
def test_boxes_do_not_see_the_units_of_a_map(rule, factor):
    M = np.random.default_rng(0).normal(size=(5, 7))
    view = whole(50, 30)
    both = photo_boxes(M, view, CURVE, rule), photo_boxes(factor * M, view, CURVE, rule)
    for one, other in zip(*both, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("size", [
    (501, 333), (225, 7), (1, 1), (224, 224), (3, 2000), (1000, 1), (4001, 2999),
])
@pytest.mark.parametrize("t", [0, 0.2, 0.95])
def test_a_constant_map_has_the_box_of_the_whole_photo(size, t):
    assert whole_image(size) == measures.whole_image(size)
    assert photo_box(np.full((5, 7), 0.3, np.float32), whole(*size), t) == whole_image(size)


@pytest.mark.parametrize("size", [(500, 300), (1001, 40), (40, 901), (6000, 4000)])
def test_a_box_found_on_224_pixels_is_one_of_the_photo(size):
    """The left half, then the upper: to half a cell of the grid, the most that it can tell."""
    cell = max(size) / 224
    x0, y0, x1, y1 = photo_box(np.array([[1.0, -1.0]]), whole(*size), 0)
    assert (x0, y0, y1) == (0, 0, size[1] - 1) and abs(x1 + 1 - size[0] / 2) <= cell / 2 + 0.5
    x0, y0, x1, y1 = photo_box(np.array([[1.0], [-1.0]]), whole(*size), 0)
    assert (x0, x1, y0) == (0, size[0] - 1, 0) and abs(y1 + 1 - size[1] / 2) <= cell / 2 + 0.5


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("size", [(60, 40), (40, 60), (600, 400), (333, 901)])
def test_nothing_outside_of_what_the_network_sees_is_in_a_box(rule, size):
    view = PRESETS["imagenet"].view(size)
    left, top, right, bottom = view.box
    M = np.random.default_rng(1).normal(size=(7, 7))
    for map_ in (M, -M, np.ones((7, 7))):
        boxes = photo_boxes(map_, view, CURVE, rule)[0]
        # of a pixel that is cut, a part is seen
        assert (boxes > [left - 1, top - 1, left - 1, top - 1]).all()
        assert (boxes < [right, bottom, right, bottom]).all()


def test_a_constant_map_has_the_box_of_what_the_network_sees():
    assert photo_box(np.ones((7, 7)), View((60, 40), (16, 16), (10, 0, 50, 40))) == (10, 0, 49, 39)
    assert photo_box(np.ones((7, 7)), View((600, 400), (16, 16), (100, 0, 500, 400))) == (100, 0, 499, 399)


@pytest.mark.parametrize("size, box", [
    ((20, 6000), (1, 2991, 18, 3008)), ((2000, 10), (996, 1, 1003, 8)),
    ((1, 200), (0, 100, 0, 100)), ((200, 1), (100, 0, 100, 0)),  # seen is less than a pixel: that pixel
])
def test_of_a_thin_photo_the_little_that_the_network_sees_has_a_box(size, box):
    assert photo_box(np.ones((7, 7)), PRESETS["imagenet"].view(size)) == box


@pytest.mark.parametrize("rule", RULES)
# sizes at which no edge of a box falls half way between two pixels
@pytest.mark.parametrize("size", [(31, 22), (22, 31), (288, 22)])
def test_boxes_are_those_of_the_loops(rule, size):
    rng = np.random.default_rng(sum(size))
    for _ in range(2):
        # no two pixels are equal
        M = rng.normal(size=[side * 3 // 4 for side in measures.grid_of(size)[::-1]])
        shown = measures.laid(M.tolist(), size)
        assert measures.margin(shown, (0.21, 0.5, 0.79), rule) > 1e-9  # rounding decides nothing
        for t in (0.21, 0.5, 0.79):
            boxes, cells = photo_boxes(M, whole(*size), [t], rule)
            found = list(zip(cells.tolist(), map(tuple, boxes.tolist())))
            assert found == measures.boxes_of(shown, size, t, rule)


@pytest.mark.parametrize("photo, box", [
    ((5, 5), (0, 0, 3, 3)), ((10, 5), (1, 0, 8, 3)), ((64, 64), (6, 6, 56, 56)),
    ((1, 1), (0, 0, 0, 0)), ((2, 3), (0, 0, 1, 1)),
])
def test_the_centre_box_has_four_fifths_of_each_side(photo, box):
    assert centre_box(photo) == measures.centre_box(photo) == box


# --- from a map to a row ------------------------------------------------------------------------

TWO_PARTS = drawn("..... .99.. .99.. ....5 ....5")


def test_a_row_by_hand():
    row = measure(TWO_PARTS, whole(5, 5), [(1, 1, 2, 2)])
    assert row["known"] == 1 and (row["largest"] == 1).all() and (row["any"] == 1).all()
    assert row["whole"] == np.float32(4 / 25) and row["centre"] == np.float32(4 / 16)


def test_the_largest_part_counts_or_the_best_of_all():
    row = measure(TWO_PARTS, whole(5, 5), [(4, 3, 4, 4)])
    assert row["known"] == 0 and (row["largest"] == 0).all()
    np.testing.assert_array_equal(row["any"], np.where(CURVE < 5 / 9, 1, 0))  # 5 of 9: kept up to t = 0.55
    assert row["whole"] == np.float32(2 / 25) and row["centre"] == 0


def test_of_several_true_boxes_the_best_counts():
    apart = [(0, 0, 0, 0), (1, 1, 2, 3), (4, 4, 4, 4)]
    for order in (apart, apart[::-1]):
        row = measure(TWO_PARTS, whole(5, 5), order)
        assert row["known"] == np.float32(4 / 6)
        assert row["whole"] == np.float32(6 / 25) and row["centre"] == np.float32(6 / 16)
    each = [measure(TWO_PARTS, whole(5, 5), [box])["any"] for box in apart]
    np.testing.assert_array_equal(measure(TWO_PARTS, whole(5, 5), apart)["any"], np.max(each, axis=0))


@pytest.mark.parametrize("M", [np.zeros((5, 5)), -np.ones((5, 5))])
def test_without_a_box_nothing_overlaps(M):
    row = measure(M, whole(5, 5), [(0, 0, 4, 4)])
    assert row["known"] == 0 and (row["largest"] == 0).all() and (row["any"] == 0).all()
    assert row["whole"] == 1


def test_known_is_at_the_threshold_asked_for():
    M = drawn("..... .93.. .99.. ..... .....")
    wide, narrow = (measure(M, whole(5, 5), [(2, 1, 2, 1)], t)["known"] for t in (0.2, 0.34))
    assert wide == narrow == 0.25  # the 3 is gone, the box is not
    M = drawn("93333 ..... ..... ..... .....")
    wide, narrow = (measure(M, whole(5, 5), [(0, 0, 0, 0)], t)["known"] for t in (0.33, 0.34))
    assert wide == np.float32(0.2) and narrow == 1


@pytest.mark.parametrize("rule", RULES)
def test_any_part_is_never_worse_than_the_largest(rule):
    rng = np.random.default_rng(2)
    for _ in range(20):
        M = rng.normal(size=(4, 6))
        row = measure(M, whole(40, 27), [(5, 6, 20, 20), (30, 2, 35, 9)], rule=rule)
        assert (row["any"] >= row["largest"]).all() and row["any"][4] >= row["known"] == row["largest"][4]


# --- from rows to measures ------------------------------------------------------------------------

def table(*rows, **columns):
    """Rows of (rank, known, whole, centre); `largest` and `any`, unless given, are `known` everywhere."""
    made = np.zeros(len(rows), ROW)
    for row, (rank, known, image, centre) in zip(made, rows):
        row["rank"], row["known"], row["whole"], row["centre"] = rank, known, image, centre
        row["largest"] = row["any"] = known
    for name, values in columns.items():
        made[name] = values
    return made


def by_key(rows):
    return {m.key: m for m in summarise(rows)}


HAND = table(
    (0, 0.9, 0.6, 0.2), (0, 0.4, 0.2, 0.5), (3, 0.6, 0.5, 0.1), (4, 0.1, 0.8, 0.6), (5, 0.5, 0.4, 0.3),
)


@pytest.mark.parametrize("key, value, image, centre", [
    ("top1_classification_error", 3 / 5, None, None),  # ranks 0 0 3 4 5
    ("top5_classification_error", 1 / 5, None, None),
    # right and located: by the map's box; by the whole image; by the centre box
    ("top1_localisation_error", 4 / 5, 4 / 5, 4 / 5),  # 1st; 1st; 2nd
    ("top5_localisation_error", 3 / 5, 2 / 5, 3 / 5),  # 1st, 3rd; 1st, 3rd, 4th; 2nd, 4th
    ("gt_known", 3 / 5, 3 / 5, 2 / 5),  # 1st, 3rd, 5th: exactly 0.5 is enough; 1st, 3rd, 4th; 2nd, 4th
    ("max_box_acc", 3 / 5, 3 / 5, 2 / 5),
    ("max_box_acc_v2", (4 + 3 + 1) / 15, (4 + 3 + 1) / 15, (3 + 2 + 0) / 15),  # at 0.3, 0.5 and 0.7
])
def test_measures_by_hand(key, value, image, centre):
    m = by_key(HAND)[key]
    assert m.value == pytest.approx(value, abs=1e-15)
    for found, wanted in ((m.whole, image), (m.centre, centre)):
        assert found == (wanted if wanted is None else pytest.approx(wanted, abs=1e-15))
    assert m.interval == pytest.approx(measures.wilson(value, 5), abs=1e-12)


def test_an_error_is_at_least_that_of_the_class():
    rows = table(*[(rank, known, 1, 0) for rank in (0, 2, 7) for known in (0.2, 0.5, 0.8)])
    m = by_key(rows)
    for k in (1, 5):
        located, right = m[f"top{k}_localisation_error"], m[f"top{k}_classification_error"]
        assert located.value >= right.value
        assert located.value >= 1 - m["gt_known"].value
        assert located.whole == right.value  # the whole image is the true box


def test_a_threshold_is_chosen_on_the_other_half():
    """Even pictures are found at t = 0.1 only, odd ones at 0.3: each half's best is the other's worst."""
    even, odd = (CURVE == 0.1) * 0.9, (CURVE == 0.3) * 0.9
    m = by_key(table(*[(0, 0, 0, 0)] * 6, largest=[even, odd] * 3, any=[even, odd] * 3))
    assert m["max_box_acc"].value == 0 and m["max_box_acc"].thresholds == (0.3, 0.1)
    assert m["max_box_acc_v2"].value == 0 and m["max_box_acc_v2"].thresholds == (0.3, 0.1) * 3


def test_one_good_threshold_is_found_from_both_halves():
    both = (CURVE == 0.45) * 0.6
    m = by_key(table(*[(0, 0, 0, 0)] * 5, largest=both, any=both))
    assert m["max_box_acc"].value == 1 and m["max_box_acc"].thresholds == (0.45, 0.45)
    assert m["max_box_acc_v2"].value == pytest.approx(2 / 3, abs=1e-15)  # 0.6 is not 0.7
    assert m["max_box_acc_v2"].thresholds == (0.45, 0.45, 0.45, 0.45, 0, 0)  # of equally good ones the lowest


def test_v2_has_a_threshold_for_each_overlap():
    parts = (CURVE == 0.1) * 0.4 + (CURVE == 0.2) * 0.6 + (CURVE == 0.3) * 0.8
    rows = table(*[(0, 0, 0, 0)] * 4, any=parts)
    # t = 0.3 fails for a picture of each half: IoU 0.3 and 0.5 are reached elsewhere, 0.7 is not
    rows["any"][:2, 6] = 0
    m = by_key(rows)["max_box_acc_v2"]
    assert m.thresholds == (0.1, 0.1, 0.2, 0.2, 0.3, 0.3)
    assert m.value == pytest.approx((1 + 1 + 0.5) / 3, abs=1e-15)


def test_measures_are_those_of_the_loops():
    rng = np.random.default_rng(5)
    rows = np.zeros(41, ROW)
    for name in ("known", "largest", "any", "whole", "centre"):
        rows[name] = rng.integers(0, 11, rows[name].shape) / 10  # many are exactly 0.3, 0.5 and 0.7
    rows["any"] = np.maximum(rows["any"], rows["largest"])
    m = by_key(rows)
    # 0.3 and 0.7 as the rows have them, in float32
    deltas = [float(np.float32(delta)) for delta in (0.3, 0.5, 0.7)]
    hits, chosen = measures.box_accuracy(rows["largest"].tolist())
    assert m["max_box_acc"].value == measures.mean(hits) and list(m["max_box_acc"].thresholds) == chosen
    parts = [measures.box_accuracy(rows["any"].tolist(), delta) for delta in deltas]
    mean = measures.mean([measures.mean(hits) for hits, _ in parts])
    assert m["max_box_acc_v2"].value == pytest.approx(mean, abs=1e-12)
    assert list(m["max_box_acc_v2"].thresholds) == [t for _, chosen in parts for t in chosen]
    table_ = curve(rows)
    assert list(table_) == ["threshold", "largest", "any 0.3", "any 0.5", "any 0.7"]
    assert table_["threshold"].tolist() == measures.CURVE
    for i in range(20):
        assert table_["largest"][i] == measures.mean([int(one[i] >= 0.5) for one in rows["largest"].tolist()])
        for delta, least in zip((0.3, 0.5, 0.7), deltas, strict=True):
            hits = [int(one[i] >= least) for one in rows["any"].tolist()]
            assert table_[f"any {delta}"][i] == measures.mean(hits)


# Newcombe, Statistics in Medicine 17 (1998), Table I, method 3
@pytest.mark.parametrize("hits, n, low, high", [
    (81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718),
])
def test_the_interval_is_wilsons(hits, n, low, high):
    values = np.arange(n) < hits
    assert interval(values) == pytest.approx((low, high), abs=5e-5)
    assert interval(values) == pytest.approx(measures.wilson(hits / n, n), abs=1e-12)
    assert interval(~values) == pytest.approx((1 - high, 1 - low), abs=5e-5)
