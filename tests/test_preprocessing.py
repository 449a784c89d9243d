"""The way to the network and back: a map lies on the photo to the pixel."""

import tracemalloc

import numpy as np
import pytest
from PIL import Image

from cam_numpy import upsample
from cam_numpy.errors import InputError
from cam_numpy.image.preprocessing import PRESETS, Preprocessing, for_input
from cam_numpy.image.view import View

ZERO_ONE = {"mean": (0, 0, 0), "std": (1, 1, 1)}
FIT = Preprocessing(96, "fit", stride=8, **ZERO_ONE)
CROP = Preprocessing(224, "crop", margin=256 / 224, **ZERO_ONE)
SQUASH = Preprocessing(224, "squash", **ZERO_ONE)


@pytest.mark.parametrize("photo, size", [
    ((512, 600), (96, 112)), ((64, 64), (96, 96)), ((4000, 1000), (384, 96)), ((1, 60), (96, 768)),
    ((60, 1), (768, 96)), ((1, 1), (96, 96)), ((100, 103), (96, 96)),
])
def test_fit_shows_the_whole_photo_in_multiples_of_the_stride(photo, size):
    view = FIT.view(photo)
    assert view.input == size and view.whole and not any(side % 8 for side in view.input)


def test_fit_keeps_the_aspect_within_half_a_stride():
    for width in range(100, 800, 37):
        w, h = FIT.view((width, 100)).input
        assert abs(w - width * 96 / 100) <= 4 and h == 96


def test_crop_sees_the_central_square():
    view = CROP.view((640, 512))
    assert view.input == (224, 224) and view.box == (96, 32, 544, 480) and not view.whole


def test_values_are_normalised_channel_by_channel():
    photo = Image.new("RGB", (10, 10), (255, 51, 0))
    x, _ = Preprocessing(8, "squash", mean=(0.5, 0.1, 0.2), std=(0.5, 0.2, 0.4))(photo)
    assert x.shape == (3, 8, 8) and x.dtype == np.float32 and x.flags.c_contiguous
    np.testing.assert_allclose(x[:, 0, 0], [1, 0.5, -0.5], rtol=1e-6)


def test_a_photo_of_the_input_size_goes_in_unchanged():
    pixels = np.random.default_rng(0).integers(0, 256, (96, 104, 3), dtype=np.uint8)
    x, _ = FIT(Image.fromarray(pixels))
    np.testing.assert_array_equal(np.rint(x * 255).astype(np.uint8), pixels.transpose(2, 0, 1))


def test_over_the_whole_photo_laying_is_upsampling():
    M = np.random.default_rng(1).normal(size=(12, 18))  # stride 8
    np.testing.assert_allclose(FIT.view((60, 40)).lay(M), upsample(M, height=40, width=60),
                               rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("preprocessing", [FIT, CROP, SQUASH], ids=["fit", "crop", "squash"])
@pytest.mark.parametrize("size", [(512, 640), (640, 512), (300, 1200), (1200, 300), (77, 91)])
def test_a_bright_spot_is_found_where_it_was(preprocessing, size):
    """The network's input itself, taken as a map, lies on the photo that it came from."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    at = 0.55 * width, 0.45 * height  # inside every crop
    spread = min(size) / 8
    pixels = 255 * np.exp(-((x + 0.5 - at[0]) ** 2 + (y + 0.5 - at[1]) ** 2) / (2 * spread**2))
    photo = Image.fromarray(np.repeat(pixels.astype(np.uint8)[..., None], 3, axis=2))
    seen, view = preprocessing(photo)
    back = view.lay(seen[0])
    inside = np.isfinite(back)
    # the centre of mass is back where it was, to a third of an input pixel
    weight = np.where(inside, back, 0)
    for axis, centre, cell in ((x, at[0], width / view.input[0]), (y, at[1], height / view.input[1])):
        found = ((axis + 0.5) * weight).sum() / weight.sum()
        assert abs(found - centre) < 0.34 * max(cell, 1) + 0.01 * min(size)
    assert np.abs(back - pixels / 255)[inside].max() < 0.1


def test_what_was_cropped_away_is_marked_unseen():
    laid = CROP.view((640, 512)).lay(np.ones((7, 7)))
    seen = np.isfinite(laid)
    assert laid.shape == (512, 640)
    assert seen[32:480, 96:544].all() and seen.sum() == 448 * 448


def test_the_cells_lie_where_the_map_is_laid():
    view = View((56, 52), (14, 13), (0, 0, 56, 52))  # 3.5 x 3.25 cells; the map has 4 x 3
    left, top, right, bottom = view.cells(3, 4)
    assert (left, top, right, bottom) == (0, 0, 64, 48)
    M = np.arange(3.0)[:, None] * 10 + np.arange(4.0)
    x, y = (np.arange(56) + 0.5 - left) * 4 / (right - left), (np.arange(52) + 0.5 - top) * 3 / (bottom - top)
    want = np.clip(y - 0.5, 0, 2)[:, None] * 10 + np.clip(x - 0.5, 0, 3)
    np.testing.assert_allclose(view.lay(M), want, atol=1e-6)


def test_laying_at_another_size_shows_the_same_part():
    laid = CROP.view((640, 512)).lay(np.ones((7, 7)), width=64, height=50)
    assert laid.shape == (50, 64)
    assert np.isfinite(laid).mean() == pytest.approx(448 * 448 / (640 * 512), abs=0.03)


@pytest.mark.parametrize("cells, cell, start, stop", [
    (4, 2, 8, 12), (5, 3, 12, 16),  # 4 whole cells of 4 pixels, 2 pixels left over; or a fifth, half beyond
    (7, 3, 54 / 7, 72 / 7),  # no power of two fits
])
def test_where_the_stride_does_not_divide_the_input_a_cell_still_lies_on_its_pixels(cells, cell, start, stop):
    laid = Preprocessing((18, 4), "squash", **ZERO_ONE).view((18, 4)).lay(np.eye(cells)[[cell]])[0]
    assert (np.arange(18) + 0.5) @ laid / laid.sum() == pytest.approx((start + stop) / 2, abs=1e-12)


@pytest.mark.parametrize("size", [(100_000, 1), (1, 100_000)])
def test_a_long_thin_photo_takes_little_memory(size):
    view = FIT.view(size)
    M = np.ones((view.input[1] // 8, view.input[0] // 8), np.float32)
    tracemalloc.start()
    laid = view.lay(M)
    assert tracemalloc.get_traced_memory()[1] < 30e6 and laid.shape == size[::-1]
    tracemalloc.stop()


def test_band_by_band_a_map_is_laid_as_in_one():
    view, M = CROP.view((61, 80)), np.random.default_rng(0).normal(size=(7, 7))
    bands = [view.lay(M, rows=slice(top, top + 9)) for top in range(0, 80, 9)]
    np.testing.assert_array_equal(np.concatenate(bands), view.lay(M))


def test_every_photo_can_be_cropped():
    """The box of the resizing lies within the photo, whatever the rounding."""
    rng = np.random.default_rng(0)
    for margin in (1.0, 1.1, 256 / 224):
        crop = Preprocessing(224, "crop", margin=margin, **ZERO_ONE)
        for size in rng.integers(1, 3000, (300, 2)).tolist():
            left, top, right, bottom = crop.view(tuple(size)).box
            assert 0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]
    for size in rng.integers(1, 300, (60, 2)).tolist():
        x, _ = Preprocessing(8, "crop", margin=1.0, **ZERO_ONE)(Image.new("RGB", tuple(size)))
        assert x.shape == (3, 8, 8)


def test_a_grey_network_sees_the_same_whether_a_photo_is_grey_before_or_after():
    """Resizing three equal channels is resizing one."""
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8))
    one = Preprocessing(16, "crop", (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), margin=1.2, channels=1)
    three = Preprocessing(16, "crop", (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), margin=1.2)
    grey = photo.convert("L").convert("RGB")
    np.testing.assert_array_equal(one(photo)[0], three(grey)[0].mean(axis=0, keepdims=True))


def test_a_margin_below_one_is_refused():
    with pytest.raises(InputError, match="margin is 0.5; .*; give 1 or more"):
        Preprocessing(224, "crop", margin=0.5, **ZERO_ONE)


@pytest.mark.parametrize("preprocessing", [
    *PRESETS.values(), FIT, CROP, SQUASH,
    Preprocessing((24, 16), "crop", (0.1, 1 / 3, 0.7), (0.2, 0.25, 1e-3), margin=1.1, bgr=True),
    Preprocessing((16, 24), "squash", tuple(np.float32([0.1, 0.2, 0.3])), (1, 0.5, 0.25)),
    Preprocessing(30, "fit", (0, 0, 0), (1, 1, 1), stride=7, channels_first=False),
])
def test_a_models_file_keeps_every_preprocessing(preprocessing):
    """Whether channels come first is for the input's shape to say."""
    shape = [None, 3, None, None] if preprocessing.channels_first else [None, None, None, 3]
    metadata = preprocessing.as_metadata()
    assert all(isinstance(text, str) for text in metadata.values())
    assert for_input(shape, metadata, None, "n.onnx") == (preprocessing, [])


@pytest.mark.parametrize("change", [
    {"size": "[1, 2, 3]"}, {"size": "[]"}, {"size": "[8]"}, {"size": "wide"}, {"size": "0"}, {"margin": "0"},
    {"margin": "NaN"}, {"mean": "[0, 0]"}, {"resize": "fit", "size": "[8, 8]"}, {"stride": "1e99"},
])
def test_a_models_file_that_describes_it_badly_is_refused_in_one_line(change):
    with pytest.raises(InputError, match="n.onnx describes its preprocessing badly") as refused:
        for_input([None, 3, None, None], {**CROP.as_metadata(), **change}, None, "n.onnx")
    assert "\n" not in str(refused.value)
