"""Colours: a stated scale that always holds zero, nothing clipped, a convex blend."""

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

from cam_numpy.image.view import View
from cam_numpy.show.colours import COLORS, overlay, paint, palette, remark, scale_of
from tests.conftest import scene

M = np.array([[0.0, -2.0], [0.0, 6.0]])  # the third map of the running example


def test_the_scale_holds_every_value_and_zero():
    assert scale_of(M) == (-2, 6)
    assert scale_of(M + 5) == (0, 11)
    assert scale_of(M - 9) == (-11, 0)
    assert scale_of(np.stack([M, 2 * M])) == (-4, 12)
    assert scale_of(0 * M) == (0, 0)


def test_the_diverging_scale_has_zero_in_its_middle():
    assert scale_of(M, "diverging") == (-6, 6)
    neutral = palette("diverging")[127:129].astype(int)
    assert (neutral.max(axis=1) - neutral.min(axis=1)).max() <= 8  # grey: neither for nor against


@pytest.mark.parametrize("colors", COLORS)
def test_both_ends_of_the_scale_get_the_end_colours(colors):
    image = paint(M, (-2, 6), colors)
    np.testing.assert_array_equal(image[0, 1], palette(colors)[0])
    np.testing.assert_array_equal(image[1, 1], palette(colors)[255])
    np.testing.assert_array_equal(image[0, 0], palette(colors)[64])  # 0 is a quarter of the way


def test_the_palettes_are_those_of_matplotlib():
    """A few colours, linear in between, against the published tables."""
    for ours, theirs, tolerance in (("inferno", "inferno", 8), ("diverging", "RdBu_r", 2)):
        table = 255 * colormaps[theirs](np.arange(256))[:, :3]
        assert np.abs(palette(ours) - table).max() <= tolerance, ours


def test_jet_is_three_overlapping_trapezoids():
    """Red, green and blue rise and fall alike, a quarter of the scale apart."""
    at = np.linspace(0, 1, 256)
    formula = [np.clip(1.5 - np.abs(4 * at - peak), 0, 1) for peak in (3, 2, 1)]
    assert np.abs(palette("jet") - 255 * np.stack(formula, axis=1)).max() <= 3


def test_inferno_grows_lighter_all_the_way():
    luminance = palette("inferno") @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) >= -0.5).all()


WHOLE = View((2, 2), (2, 2), (0, 0, 2, 2))  # M has a cell for each pixel


def test_the_blend_is_convex():
    photo = Image.fromarray(scene(2, 2))
    coloured = paint(M, (-2, 6)).astype(float)
    for weight in (0.0, 0.3, 1.0):
        mixed = np.asarray(overlay(photo, WHOLE, M, (-2, 6), weight=weight), float)
        np.testing.assert_allclose(mixed, (1 - weight) * np.asarray(photo, float) + weight * coloured, atol=1)


def test_nothing_is_done_to_the_map_itself():
    before = M.copy()
    paint(M, scale_of(M)), overlay(Image.fromarray(scene(2, 2)), WHOLE, M, scale_of(M))
    np.testing.assert_array_equal(M, before)


def test_bands_leave_no_seam():
    photo, M = Image.fromarray(scene(300, 9)), np.random.default_rng(0).normal(size=(7, 7))
    view = View(photo.size, (224, 224), (0, 100.4, 9, 250.7))
    whole = Image.blend(photo, Image.fromarray(paint(view.lay(M), (-3, 3))), 0.6)
    np.testing.assert_array_equal(np.asarray(overlay(photo, view, M, (-3, 3))), np.asarray(whole))
    assert overlay(photo, view, M, (-3, 3), onto=photo) is photo
    np.testing.assert_array_equal(np.asarray(photo), np.asarray(whole))


def test_what_was_not_seen_is_grey():
    image = paint(np.array([[np.nan, 1.0]]), (0, 1))
    assert len(set(image[0, 0].tolist())) == 1 and image[0, 1].tolist() == palette("inferno")[255].tolist()


def test_unusual_maps_have_a_defined_and_labelled_look():
    zero = np.zeros((2, 3))
    assert remark(zero) == "constant: 0 everywhere"
    lowest = np.broadcast_to(palette("inferno")[0], (2, 3, 3))
    np.testing.assert_array_equal(paint(zero, scale_of(zero)), lowest)
    against = M - 9
    assert remark(against).startswith("negative everywhere")
    # its best place is still no better than zero, the top of its scale
    wanted = palette("inferno")[round(255 * 8 / 11)]
    np.testing.assert_array_equal(paint(against, scale_of(against))[1, 1], wanted)
    assert remark(M) == ""


@pytest.mark.parametrize("colors", ["inferno", "jet", "diverging"])
def test_a_map_of_zeros_has_the_colour_that_zero_has_in_other_maps(colors):
    zeros = np.zeros((3, 4), np.float32)
    usual = paint(zeros, scale_of(np.array([[0.0, 5.0]]), colors), colors)
    assert np.array_equal(paint(zeros, scale_of(zeros, colors), colors), usual)
