"""Reading photos: right, or refused in one line."""

import io
import struct
import threading
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from cam_numpy.errors import InputError
from cam_numpy.image import photo
from cam_numpy.image.photo import read_photo
from tests.conftest import scene

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def corners(image):
    w, h = image.size
    return [image.getpixel(at) for at in ((0, 0), (w - 1, 0), (0, h - 1), (w - 1, h - 1))]


@pytest.fixture
def four():
    """3 x 2 pixels: red, green above; blue, white below."""
    pixels = np.zeros((2, 3, 3), np.uint8)
    pixels[0, 0], pixels[0, 2], pixels[1, 0], pixels[1, 2] = RED, GREEN, BLUE, WHITE
    return Image.fromarray(pixels)


# how a camera held so stores the upright picture: EXIF orientation -> what was done to it
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", STORED)
def test_every_exif_orientation_comes_out_upright(four, tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    four.transpose(STORED[orientation]).save(tmp_path / "p.png", exif=exif)
    upright = read_photo(tmp_path / "p.png")
    assert upright.size == (3, 2) and corners(upright) == [RED, GREEN, BLUE, WHITE]


def test_as_stored_the_orientation_is_left_alone(four, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    four.save(tmp_path / "p.png", exif=exif)
    content = (tmp_path / "p.png").read_bytes()
    stored = read_photo(content, upright=False)
    assert corners(stored) == corners(read_photo(stored)) == [RED, GREEN, BLUE, WHITE]  # nor later
    np.testing.assert_array_equal(np.asarray(read_photo(content)), np.asarray(read_photo(tmp_path / "p.png")))


def test_threads_that_overlap_leave_the_warnings_as_they_were(four, monkeypatch):
    before, together, first_is_out = list(warnings.filters), threading.Barrier(2), threading.Event()

    def decode(image, name, upright):
        together.wait(10)  # both are in
        if name == "last":
            first_is_out.wait(10)
        return image

    monkeypatch.setattr(photo, "_rgb", decode)
    file = io.BytesIO()
    four.save(file, "png")
    with ThreadPoolExecutor(2) as threads:
        first, last = (threads.submit(read_photo, file.getvalue(), name) for name in ("first", "last"))
        first.result(10)
        first_is_out.set()
        last.result(10)
    assert warnings.filters == before


def test_grey_keeps_its_values():
    assert np.asarray(read_photo(Image.new("L", (3, 2), 77))).tolist() == [[[77] * 3] * 3] * 2


def test_16_bit_grey_is_brought_to_8_bits(tmp_path):
    values = np.array([[0, 255, 256], [32768, 65279, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    assert np.asarray(read_photo(tmp_path / "deep.png"))[..., 1].tolist() == [[0, 0, 1], [128, 254, 255]]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_on_white(mode):
    image = Image.new(mode, (2, 1), (0,) * (len(mode) - 1) + (0,))
    image.putpixel((1, 0), (0,) * (len(mode) - 1) + (255,))
    assert corners(read_photo(image))[:2] == [WHITE, (0, 0, 0)]


def test_palette_with_a_transparent_colour_is_laid_on_white(tmp_path):
    image = Image.new("P", (2, 1), 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.putpixel((0, 0), 0)
    image.save(tmp_path / "p.gif", transparency=0)
    assert corners(read_photo(tmp_path / "p.gif"))[:2] == [WHITE, RED]


def test_cmyk_and_black_and_white(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "ink.jpg")
    r, g, b = read_photo(tmp_path / "ink.jpg").getpixel((4, 4))
    assert r > 240 and g < 15 and b < 15
    assert corners(read_photo(Image.new("1", (2, 2), 1)))[0] == WHITE


def test_of_an_animation_the_first_frame(tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, BLUE)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert corners(read_photo(tmp_path / "a.gif"))[0] == RED


def test_an_array_is_taken_as_it_is():
    array = scene(5, 7)
    np.testing.assert_array_equal(np.asarray(read_photo(array)), array)


# --- refused ----------------------------------------------------------------------------

def bomb(path):
    """A PNG of a few bytes that claims 100000 x 100000 pixels."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")))


def truncated(path):
    Image.fromarray(scene(80, 90)).save(path, format="JPEG")
    path.write_bytes(path.read_bytes()[:900])


def truncated_png(path):
    Image.fromarray(scene(80, 90)).save(path, format="PNG")
    path.write_bytes(path.read_bytes()[:300])


BAD_PHOTOS = {
    "missing": (lambda p: None, "there is no such file; check the name"),
    "folder": (lambda p: p.mkdir(), "is a folder; give the photos in it one by one"),
    "empty": (lambda p: p.write_bytes(b""), r"is empty \(0 bytes\); give a whole image file"),
    "text": (lambda p: p.write_text("hello", encoding="utf-8"), "is not an image that Pillow can read; give"),
    "cut JPEG": (truncated, "is damaged or cut off .*; get the file again"),
    "cut PNG": (truncated_png, "is damaged or cut off .*; get the file again"),
    "bomb": (bomb, "is too large .*; make it smaller first"),
    "real numbers": (lambda p: Image.new("F", (3, 3)).save(p, format="TIFF"),
                     "holds real numbers .*; save it"),
}


@pytest.mark.parametrize("kind", BAD_PHOTOS)
def test_what_is_no_photo_is_refused_in_one_line(tmp_path, kind):
    make, message = BAD_PHOTOS[kind]
    make(tmp_path / "p.jpg")
    with pytest.raises(InputError, match=message) as refused:
        read_photo(tmp_path / "p.jpg")
    assert "p.jpg" in str(refused.value) and "\n" not in str(refused.value)
    if (tmp_path / "p.jpg").is_file():  # its bytes are refused in the same words
        with pytest.raises(InputError, match=message):
            read_photo((tmp_path / "p.jpg").read_bytes(), "p.jpg")


def test_a_name_that_no_file_can_have_is_refused():
    with pytest.raises(InputError, match="check the name"):
        read_photo("a\0b.jpg")
    with pytest.raises(InputError, match="check the name"):
        read_photo("x" * 5000)


@pytest.mark.parametrize("array", [
    np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8),
])
def test_an_array_of_another_kind_is_refused(array):
    with pytest.raises(InputError, match=r"give \(h, w, 3\) uint8"):
        read_photo(array)
