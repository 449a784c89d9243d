"""From a file to a photo: whatever Pillow reads, upright, in RGB, 8 bits a channel."""

from __future__ import annotations

import importlib.util
import io
import os
import re
import threading
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile

from ..errors import InputError
from ..input import open_file, unreadable

MOST_BYTES = 200_000_000  # of a file
MOST_PIXELS = 100_000_000  # 400 MB of memory
LONGEST = 100_000  # pixels of a side
BAND = 128  # rows that are brought to 8 bits at a time
ORIENTATION, BITS = 0x0112, 0x0102  # tags of EXIF and of TIFF
TURNS = {  # EXIF orientation -> what makes the photo upright; 1 is upright
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
TRANSPARENT = ("RGBA", "LA", "PA", "RGBa", "La")


def read_photo(source, name=None, upright=True):
    """Read a photo as a person sees it.

    EXIF orientation is applied, transparency is laid on white, deep grey is brought to 8 bits; of
    an animation the first frame is taken. It may be called from several threads.

    Parameters
    ----------
    source : path, bytes, PIL.Image.Image, or (h, w, 3) uint8 array
        Bytes are the content of an image file.
    name : str, optional
        What an error calls the photo, where `source` is not a path.
    upright : bool
        False leaves EXIF orientation alone: the pixels as the file stores them,
        which are the ones that the boxes of a data set count.

    Returns
    -------
    photo : PIL.Image.Image
        Mode RGB.

    Raises
    ------
    InputError
        The file is missing, not an image, damaged or too large (200 MB, 100 megapixels, 100,000
        pixels of a side), or `source` is of another kind.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, Image.Image):
        with _refusing(name or "the image"):
            return _rgb(source, name or "the image", upright)
    if isinstance(source, str) and not source.strip():
        raise InputError("no photo given: its name is empty; give the path of an image file")
    if isinstance(source, str) and re.match("[a-z]{2,}://", source, re.IGNORECASE):
        raise InputError(f"{source} is a web address, not a file; download it first, and give the file")
    if isinstance(source, bytes):
        return _decode(io.BytesIO(source), len(source), name or "the photo", upright)
    try:
        path = Path(source)
    except TypeError:
        raise InputError(f"the photo is of type {type(source).__name__}; give a path, the bytes of a file, "
                         "a PIL image, or an (h, w, 3) uint8 array") from None
    if os.path.isdir(path):
        raise InputError(f"{path} is a folder; give the photos in it one by one")
    with open_file(path, MOST_BYTES, "an image file") as file:
        return _decode(file, os.fstat(file.fileno()).st_size, path, upright)


def _from_array(pixels):
    masked = "masked " * isinstance(pixels, np.ma.MaskedArray)
    if masked or pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.size == 0:
        raise InputError(f"the photo is a {masked}{pixels.dtype} array of shape {pixels.shape}; "
                         "give (h, w, 3) uint8, in RGB")
    return Image.fromarray(pixels)


def _decode(file, size, name, upright):
    if size == 0:
        raise InputError(f"{name} is empty (0 bytes); give a whole image file")
    with _refusing(name), _without_warnings, Image.open(file) as image:
        if isinstance(image, ImageFile.StubImageFile) or image.format in ("EPS", "MPEG"):
            raise InputError(f"{name} is {image.format}, for which Pillow needs another program; "
                             "give a JPEG or PNG")
        if image.width * image.height > MOST_PIXELS or max(image.size) > LONGEST:
            raise InputError(f"{name} has {image.width} x {image.height} pixels; make it smaller first, "
                             f"{MOST_PIXELS // 10**6} megapixels and {LONGEST:,} a side at most")
        return _rgb(image, name, upright)


@contextmanager
def _refusing(name):
    """Whatever Pillow raises, as an InputError with the reason."""
    try:
        yield
    except InputError:
        raise
    except Image.UnidentifiedImageError:
        raise InputError(f"{name} is not an image that Pillow can read; give a JPEG or PNG") from None
    except Image.DecompressionBombError as error:
        raise InputError(f"{name} is too large ({error}); make it smaller first") from None
    except MemoryError as error:
        raise unreadable(name, error) from None
    except Exception as error:  # a damaged file can raise anything in Pillow's decoders
        if getattr(error, "errno", None):
            raise unreadable(name, error) from None
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise InputError(f"{name} is damaged or cut off ({reason}); get the file again") from None


class _WithoutWarnings:
    """Pillow's hints on odd files are not for the user.

    `warnings.catch_warnings` puts back what it found, which is wrong where threads overlap. The
    first thread that enters switches warnings off, and the last one that leaves switches them on.
    """

    def __init__(self):
        self._lock, self._inside = threading.Lock(), 0

    def __enter__(self):
        with self._lock:
            if self._inside == 0:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                warnings.simplefilter("ignore")
            self._inside += 1

    def __exit__(self, *error):
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._caught.__exit__(*error)


_without_warnings = _WithoutWarnings()


def _rgb(image, name, upright):
    image.load()
    if min(image.size) == 0:
        raise InputError(f"{name} has {image.width} x {image.height} pixels; give at least one")
    photo, turn = _colours(image, name), _turn(image)
    if turn is not None:
        photo = photo.transpose(turn) if upright else photo.copy()
        photo.info = {}  # without the tag: nobody turns it again
    return photo


def _turn(image):
    """What makes an image upright, or None. Damaged EXIF says nothing: the pixels are whole."""
    try:
        return TURNS.get(image.getexif().get(ORIENTATION))
    except Exception:  # it can raise anything, as a damaged file can
        return None


def _colours(image, name):
    """An image of any mode in RGB."""
    if image.mode == "F":
        raise InputError(f"{name} holds real numbers (mode F); save it with 8 or 16 bits a channel")
    if image.mode.startswith("I"):
        return _deep_grey(image, name)
    palette = image.palette.mode if image.mode == "P" and image.palette else ""
    if image.mode in TRANSPARENT or "transparency" in image.info or palette.endswith("A"):
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image)
        return white
    return image if image.mode == "RGB" else image.convert("RGB")


def _deep_grey(image, name):
    """Grey of 12, 16 or 32 bits (modes I;16, I;16B and I) in RGB."""
    extremes = [(grey.min(), grey.max()) for _, grey in _bands(image)]
    smallest, largest = min(low for low, _ in extremes), max(high for _, high in extremes)
    if smallest < 0 or largest > 65535:
        raise InputError(f"{name} is grey with values {smallest} to {largest}; "
                         "save it with 8 or 16 bits a channel")
    if image.mode == "I" and image.format not in ("PNG", "PPM"):
        # 32-bit integers do not say how many of their bits are used
        bits = next(bits for bits in (8, 12, 16) if largest < 2**bits)
    else:
        bits = 12 if getattr(image, "tag_v2", {}).get(BITS) == (12,) else 16
    photo = Image.new("RGB", image.size)
    for top, grey in _bands(image):
        shallow = (grey >> (bits - 8)).astype(np.uint8)
        if isinstance(image.info.get("transparency"), int):
            shallow[grey == image.info["transparency"]] = 255  # transparency is laid on white
        photo.paste(Image.fromarray(shallow), (0, top))
    return photo


def _bands(image):
    """The rows of an image, `BAND` at a time, as arrays; each with where it begins."""
    for top in range(0, image.height, BAND):
        yield top, np.asarray(image.crop((0, top, image.width, min(top + BAND, image.height))))


def portrait():
    """Grace Hopper (512 x 600, public domain), found without importing matplotlib."""
    found = importlib.util.find_spec("matplotlib")
    if found and found.origin:
        path = Path(found.origin).parent / "mpl-data" / "sample_data" / "grace_hopper.jpg"
        if path.is_file():
            return str(path)
    raise InputError("no photo given, and this matplotlib comes without its sample portrait; "
                     "give a photo: cam-numpy explain PHOTO")
