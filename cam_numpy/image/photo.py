"""From a file to a photo: whatever Pillow reads, upright, in RGB, 8 bits a channel."""

from __future__ import annotations

import importlib.util
import io
import threading
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ..errors import InputError

ORIENTATION = 0x0112  # the EXIF tag; 1 is upright


def read_photo(source, name=None, upright=True):
    """Read a photo as a person sees it.

    EXIF orientation is applied, transparency is laid on white, 16-bit grey is
    brought to 8 bits, of an animation the first frame is taken. Safe to call
    from several threads.

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
        The file is missing, not an image, damaged or too large; the array is of
        another kind.
    """
    if isinstance(source, Image.Image):
        return _rgb(source, name or "the image", upright)
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim != 3 or source.shape[2] != 3 or source.size == 0:
            raise InputError(f"the photo is a {source.dtype} array of shape {source.shape}; "
                             "give (h, w, 3) uint8, in RGB")
        return Image.fromarray(source)
    if isinstance(source, bytes):
        return _decode(io.BytesIO(source), len(source), name or "the photo", upright)
    path = Path(source)
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder; give the photos in it one by one")
        return _decode(path, path.stat().st_size, path, upright)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; check the name") from None
    except PermissionError:
        raise InputError(f"{path} may not be read; check its permissions") from None
    except (OSError, ValueError) as error:  # a name that no file can have
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be read ({reason}); check the name") from None


def _decode(file, size, name, upright):
    if size == 0:
        raise InputError(f"{name} is empty (0 bytes); give a whole image file")
    try:
        with _without_warnings, Image.open(file) as image:
            return _rgb(image, name, upright)
    except (InputError, FileNotFoundError, PermissionError):
        raise
    except Image.UnidentifiedImageError:
        raise InputError(f"{name} is not an image that Pillow can read; give a JPEG or PNG") from None
    except Image.DecompressionBombError as error:
        raise InputError(f"{name} is too large ({error}); make it smaller first") from None
    except Exception as error:  # a damaged file can raise anything in Pillow's decoders
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise InputError(f"{name} is damaged or cut off ({reason}); get the file again") from None


class _WithoutWarnings:
    """Pillow's hints on odd files are not for the user.

    `warnings.catch_warnings` puts back what it found, which is wrong where threads
    overlap: so the first thread in switches them off, and the last one out on again.
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
    if upright and image.getexif().get(ORIENTATION, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if min(image.size) == 0:
        raise InputError(f"{name} has {image.width} x {image.height} pixels; give at least one")
    if image.mode.startswith("I"):  # 16-bit grey: I;16, I;16B, or I with 16-bit values
        grey = np.asarray(image).astype(np.int64)
        if grey.min() < 0 or grey.max() > 65535:
            raise InputError(f"{name} is grey with values {grey.min()} to {grey.max()}; "
                             "save it with 8 or 16 bits a channel")
        return Image.fromarray((grey >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise InputError(f"{name} holds real numbers (mode F); save it with 8 or 16 bits a channel")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    photo = image if image.mode == "RGB" else image.convert("RGB")
    if not upright and photo.getexif().get(ORIENTATION, 1) != 1:
        photo = Image.fromarray(np.asarray(photo))  # without the tag: nobody turns it later
    return photo


def portrait():
    """Grace Hopper (512 x 600, public domain), found without importing matplotlib."""
    found = importlib.util.find_spec("matplotlib")
    if found and found.origin:
        path = Path(found.origin).parent / "mpl-data" / "sample_data" / "grace_hopper.jpg"
        if path.is_file():
            return str(path)
    raise InputError("no photo given, and this matplotlib comes without its sample portrait; "
                     "give a photo: cam-numpy explain PHOTO")
