"""Reading photos: right, or refused in one line."""

import io
import os
import struct
import sys
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


# --- unlucky -----------------------------------------------------------------------------

@pytest.mark.parametrize("largest, bits", [(255, 8), (4095, 12), (65535, 16)])
def test_32_bit_grey_is_brought_to_8_bits_from_as_many_as_it_uses(tmp_path, largest, bits):
    values = np.array([[0, largest // 2, largest]], np.int32)
    Image.fromarray(values).save(tmp_path / "deep.tiff")
    for source in (Image.fromarray(values), tmp_path / "deep.tiff"):
        assert np.asarray(read_photo(source))[0, :, 1].tolist() == [0, 127, 255]


def test_a_dark_photo_of_16_bits_stays_dark(tmp_path):
    Image.fromarray(np.array([[0, 255, 4095]], np.uint16)).save(tmp_path / "dark.png")
    assert np.asarray(read_photo(tmp_path / "dark.png"))[0, :, 1].tolist() == [0, 0, 15]


def test_grey_tiff_of_12_bits(tmp_path):
    """Two pixels of 12 bits in 3 bytes, which Pillow leaves at 0 to 4095."""
    tags = [(256, 2), (257, 1), (258, 12), (259, 1), (262, 1), (273, 134), (277, 1), (278, 1), (279, 3)]
    entries = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in tags)
    ifd = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    content = b"II*\0" + struct.pack("<I", 8) + ifd
    (tmp_path / "p.tiff").write_bytes(content.ljust(134, b"\0") + bytes([0xFF, 0xF8, 0x00]))
    assert np.asarray(read_photo(tmp_path / "p.tiff"))[0, :, 1].tolist() == [255, 128]


def test_a_transparent_grey_of_16_bits_is_laid_on_white(tmp_path):
    try:
        Image.fromarray(np.array([[7, 256, 65535]], np.uint16)).save(tmp_path / "p.png", transparency=7)
    except OSError:
        pytest.skip("this Pillow cannot write such a file")
    assert np.asarray(read_photo(tmp_path / "p.png"))[0, :, 1].tolist() == [255, 1, 255]


def test_a_palette_with_transparent_colours_is_laid_on_white():
    image = Image.new("P", (2, 1), 1)
    image.putpalette([0, 0, 0, 0, 255, 0, 0, 255], "RGBA")
    image.putpixel((0, 0), 0)
    assert corners(read_photo(image))[:2] == [WHITE, RED]


@pytest.mark.parametrize("form", ["png", "webp", "jpeg"])
@pytest.mark.parametrize("exif", [
    b"garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff",
])
def test_garbage_exif_is_ignored(form, exif):
    file = io.BytesIO()
    Image.new("RGB", (9, 8), RED).save(file, form, exif=exif)
    assert read_photo(file.getvalue()).size == (9, 8)


def test_an_upright_photo_is_not_turned_again(four):
    exif = Image.Exif()
    exif[0x0112] = 8
    file = io.BytesIO()
    four.transpose(STORED[8]).save(file, "png", exif=exif)
    once = read_photo(file.getvalue())
    assert corners(read_photo(read_photo(once))) == corners(once) == [RED, GREEN, BLUE, WHITE]


needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes in folders")


@needs_pipes
@pytest.mark.parametrize("make, message", [
    (os.mkfifo, "p.png is a pipe, a socket or a device, not a file; give an image file"),
    (lambda p: p.symlink_to("/dev/zero"), "p.png is a pipe, a socket or a device"),
    (lambda p: (p.touch(), os.truncate(p, 10**12)),
     "p.png has 1,000,000,000,000 bytes, more than the 200,000,000 that are read; give a smaller one"),
    (lambda p: p.symlink_to(p), r"p.png cannot be read \(Too many levels of symbolic links\); check"),
    (lambda p: p.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"),
     "p.png is EPS, for which Pillow needs another program; give a JPEG or PNG"),
    (lambda p: p.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(99)), "p.png is HDF5, for which Pillow needs"),
])
def test_what_has_no_end_or_no_pixels_is_refused_with_the_true_reason(tmp_path, make, message):
    make(tmp_path / "p.png")
    with pytest.raises(InputError, match=message):
        read_photo(tmp_path / "p.png")


@pytest.mark.parametrize("size", [(10_001, 10_000), (100_001, 1)])
def test_more_pixels_than_are_read_are_refused_before_they_are_decoded(size, tmp_path):
    Image.new("1", size).save(tmp_path / "p.png")
    message = rf"p.png has {size[0]} x {size[1]} pixels; make it smaller first, 100 megapixels and"
    with pytest.raises(InputError, match=message):
        read_photo(tmp_path / "p.png")


@pytest.mark.skipif(os.name == "nt" or os.getuid() == 0, reason="root may enter every folder")
def test_a_folder_that_may_not_be_entered_is_the_reason(four, tmp_path):
    (tmp_path / "in").mkdir()
    four.save(tmp_path / "in" / "p.png")
    (tmp_path / "in").chmod(0)
    try:
        with pytest.raises(InputError, match="p.png may not be read; check its permissions, and"):
            read_photo(tmp_path / "in" / "p.png")
    finally:
        (tmp_path / "in").chmod(0o700)


def test_too_many_open_files_are_the_reason(four, tmp_path):
    resource = pytest.importorskip("resource", reason="Windows has no such limit")
    four.save(tmp_path / "p.png")
    read_photo(tmp_path / "p.png")  # Pillow has loaded its plugins
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        with pytest.raises(InputError, match=r"p.png cannot be read \(Too many open files\); close some"):
            read_photo(tmp_path / "p.png")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_out_of_memory_is_the_reason(four, tmp_path, monkeypatch):
    def full(*ignored):
        raise MemoryError

    four.save(tmp_path / "p.png")
    monkeypatch.setattr(photo, "_colours", full)
    for source in (tmp_path / "p.png", (tmp_path / "p.png").read_bytes(), four):
        with pytest.raises(InputError, match="takes more memory than there is; give a smaller one"):
            read_photo(source)


def test_a_truncated_image_object_is_refused_as_its_file_is(tmp_path):
    truncated(tmp_path / "p.jpg")
    with Image.open(tmp_path / "p.jpg") as image:
        with pytest.raises(InputError, match="the image is damaged or cut off"):
            read_photo(image)


@pytest.mark.parametrize("source, message", [
    (io.BytesIO(), "the photo is of type BytesIO; give a path, the bytes of a file, a PIL image, or"),
    (None, "the photo is of type NoneType; give a path"), (3, "the photo is of type int; give a path"),
    (np.ma.array(scene(4, 4)), r"the photo is a masked uint8 array of shape \(4, 4, 3\); give \(h, w, 3\)"),
])
def test_other_types_are_refused(source, message):
    with pytest.raises(InputError, match=message):
        read_photo(source)


@pytest.mark.parametrize("name, shown", [
    ("a\nb.png", r"a\nb.png"), ("\x1b[31m.png", r"\x1b[31m.png"), ("caf\udce9.png", r"caf\udce9.png"),
    ("größe.png", "größe.png"),
])
def test_a_message_shows_an_odd_name_on_one_line(tmp_path, name, shown):
    with pytest.raises(InputError) as refused:
        read_photo(tmp_path / name)
    assert str(refused.value) == f"{tmp_path}{os.sep}{shown}: there is no such file; check the name"


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="names are valid Unicode there")
def test_a_photo_whose_name_is_not_utf_8_is_read(four, tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9.png"
    four.save(open(path, "wb"), "png")
    assert read_photo(os.fsdecode(path)).size == (3, 2)


@pytest.mark.parametrize("form, dtype, shift", [
    ("png", np.uint16, 8), ("tif", np.uint16, 8), ("tif", np.int32, 4),
])
def test_deep_grey_is_brought_to_8_bits_band_by_band(tmp_path, form, dtype, shift):
    """More rows than a band has; the largest value, which says how many bits are used, is in the last one."""
    grey = np.arange(300 * 3).reshape(300, 3).astype(dtype) * 4
    grey[-1, -1] = 4095 if shift == 4 else 65535
    Image.fromarray(grey).save(tmp_path / f"p.{form}")
    wanted = np.repeat((grey >> shift).astype(np.uint8)[..., None], 3, axis=-1)
    np.testing.assert_array_equal(np.asarray(read_photo(tmp_path / f"p.{form}")), wanted)
