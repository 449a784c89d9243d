"""Photos, good and broken: `python -m tests.fuzz_photos [COUNT] [SEED]`.

A good one must be read as NumPy would read it. A broken one (bytes changed, cut out, doubled) must
be read, or be refused in one line that names it. What was read must pass every preprocessing, and
its map must lie on it.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, features

from cam_numpy.errors import InputError
from cam_numpy.image import photo
from cam_numpy.image.photo import read_photo
from cam_numpy.image.preprocessing import Preprocessing
from tests.fuzz import mutated
from tests.fuzzing import refused, run

NAMES = ("p", "two\nlines", "$x_1^2$", "größe", "\x1b[31m", "." * 50, "n" * 240, " ", "-o", "%s{}")
EXIFS = (b"", b"", b"garbage", b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0")


@dataclass
class Photo:
    """The content of a file, its name, and the pixels that it must have, where that is known."""

    content: bytes
    name: str
    pixels: np.ndarray | None
    upright: bool
    preprocessing: Preprocessing


def make(rng):
    height, width = (rng.choice((1, 2, 3, 17, 60, 400)) for _ in "hw")
    numbers = np.random.default_rng(rng.randrange(2**32))
    mode = rng.choice(("RGB", "L", "1", "RGBA", "LA", "P", "CMYK", "I", "I;16", "YCbCr", "HSV"))
    image, pixels = picture(mode, numbers, height, width, rng)
    form, options = rng.choice(FORMS.get(mode, [("PNG", {})]))
    file, exif = io.BytesIO(), rng.choice(EXIFS) if form in ("PNG", "WEBP", "JPEG") else b""
    try:
        image.save(file, form, **options, **({"exif": exif} if exif else {}))
    except (OSError, ValueError, KeyError):  # Pillow does not write this mode in this form
        file = io.BytesIO()
        image.convert("RGB").save(file, "PNG")
        exif, pixels = b"", np.asarray(image.convert("RGB")) if pixels is not None else None
    content, upright = file.getvalue(), rng.random() < 0.7
    if exif == EXIFS[-1] and upright and pixels is not None:
        pixels = np.rot90(pixels, -1)  # orientation 6
    if form in LOSSY or "jpeg" in options.values() or mode in ("CMYK", "YCbCr", "HSV"):
        pixels = None
    if rng.random() < 0.75:
        content, pixels = mutated(content, rng), None
    return Photo(content, rng.choice(NAMES) + ".png", pixels, upright, preprocessing(rng))


LOSSY = ("JPEG", "WEBP", "AVIF", "JPEG2000", "ICO", "ICNS", "GIF", "EPS")  # other pixels than given, or none
FORMS = {
    "RGB": [
        ("PNG", {}), ("JPEG", {}), ("JPEG", {"progressive": True}), ("BMP", {}), ("PPM", {}), ("TGA", {}),
        ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("TIFF", {"compression": "jpeg"}), ("GIF", {}),
        ("WEBP", {}), ("ICO", {}), ("PCX", {}), ("SGI", {}), ("QOI", {}), ("DDS", {}),
        *((form, {}) for form, library in (("JPEG2000", "jpg_2000"), ("AVIF", "avif"))
          if features.check(library)),
    ],
    "L": [("PNG", {}), ("JPEG", {}), ("TIFF", {}), ("GIF", {}), ("BMP", {}), ("PPM", {}), ("EPS", {})],
    "RGBA": [("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {}), ("TGA", {}), ("ICO", {}), ("ICNS", {})],
    "P": [("PNG", {}), ("GIF", {}), ("BMP", {}), ("TIFF", {})],
    "CMYK": [("JPEG", {}), ("TIFF", {})],
    "I": [("TIFF", {})], "I;16": [("PNG", {}), ("TIFF", {})],
    "YCbCr": [("JPEG", {}), ("TIFF", {})],
}


def picture(mode, numbers, height, width, rng):
    """An image of a mode, and the (h, w, 3) pixels that it must have in RGB."""
    size = (height, width)
    if mode in ("I", "I;16"):
        bits = rng.choice((8, 12, 16)) if mode == "I" else 16
        grey = numbers.integers(0, 2**bits, size)
        grey[0, 0] = 2**bits - 1  # so that the number of bits can be seen
        image = Image.fromarray(grey.astype(np.int32 if mode == "I" else np.uint16))
        return image, np.repeat((grey >> bits - 8)[..., None], 3, axis=-1)
    if mode == "P":
        table, index = numbers.integers(0, 256, (16, 3)), numbers.integers(0, 16, size)
        image = Image.fromarray(index.astype(np.uint8))
        image.putpalette(table.astype(np.uint8).tobytes())
        return image, table[index]
    if mode == "1":
        bits = numbers.random(size) < 0.5
        return Image.fromarray(bits), np.repeat(255 * bits[..., None], 3, axis=-1)
    channels = len(Image.new(mode, (1, 1)).getbands())
    values = numbers.integers(0, 256, (*size, channels))
    bands = [Image.fromarray(values[..., i].astype(np.uint8)) for i in range(channels)]
    image = Image.merge(mode, bands) if channels > 1 else bands[0]
    if mode in ("RGBA", "LA"):  # laid on white
        alpha = values[..., -1:] / 255
        return image, np.broadcast_to(alpha * values[..., :-1] + (1 - alpha) * 255, (*size, 3))
    return image, np.broadcast_to(values, (*size, 3)) if mode in ("RGB", "L") else None


def preprocessing(rng):
    resize = rng.choice(("fit", "crop", "squash"))
    size = rng.choice((1, 7, 32, (16, 24) if resize != "fit" else 16))
    return Preprocessing(size, resize, (0, 0, 0), (1, 1, 1), rng.choice((1, 4, 7)) if resize == "fit" else 1,
                         rng.choice((1.0, 256 / 224, 3.3)))


def attempt(case):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / case.name
        if os.name == "nt" or len(case.name) > 250:
            path = Path(folder) / "p.png"
        path.write_bytes(case.content)
        results = []
        for source in (path, case.content):
            try:
                results.append(read_photo(source, "p.png", case.upright))
            except InputError as error:
                said = refused(error, "p.png" if source is case.content else ".png"), str(error)
    assert len(results) in (0, 2), "a file and its bytes differ"
    if not results:
        assert case.pixels is None, f"a good photo is refused: {said}"
        return "refused"
    seen = results[0]
    assert seen.mode == "RGB" and seen.tobytes() == results[1].tobytes()
    if case.pixels is not None:
        np.testing.assert_allclose(np.asarray(seen), case.pixels, atol=1)
    x, view = case.preprocessing(seen)
    assert x.shape[0] == 3 and np.isfinite(x).all()
    left, top, right, bottom = view.box
    assert 0 <= left < right <= seen.width and 0 <= top < bottom <= seen.height
    x0, y0, x1, y1 = view.largest_box(np.ones((3, 4)))  # a map that is positive everywhere has a box
    assert 0 <= x0 <= x1 < seen.width and 0 <= y0 <= y1 < seen.height
    assert x0 <= left + 1 and x1 >= right - 2 and y0 <= top + 1 and y1 >= bottom - 2
    return "read" if case.pixels is None else "read and compared"


if __name__ == "__main__":
    photo.MOST_PIXELS = 4_000_000  # a few bytes may claim more, and memory grows with the pixels
    run(make, attempt, sys.argv[1:])
