"""Public classifiers that CAM applies to: what they are, and where they lie on this machine.

All come from the ONNX Model Zoo and know the 1000 classes of ImageNet. Nothing
here touches the network: `download` does, when it is asked to.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import sys
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ..errors import InputError

MIRRORS = (
    "https://huggingface.co/onnxmodelzoo/{stem}/resolve/main/{stem}.onnx",
    "https://huggingface.co/onnxmodelzoo/legacy_models/resolve/main/validated/vision/classification/{path}",
)

SHIPPED = ("tiny-imagenet-gap", "tiny-imagenet-gmp")  # with average pooling, and with max pooling to compare


@dataclass(frozen=True)
class File:
    """A public file.

    Attributes
    ----------
    name : str
        What a user calls it.
    file : str
        What it is called on disk.
    bytes : int
        Its size.
    sha256 : str
        Its checksum, 64 hexadecimal digits.
    urls : tuple of str
        Where to get it, to be tried in turn.
    """

    name: str
    file: str
    bytes: int
    sha256: str
    urls: tuple


@dataclass(frozen=True)
class Model(File):
    """A public classifier, an ONNX file.

    Attributes
    ----------
    preprocessing : {"imagenet", "caffe", "efficientnet-lite"}
        "imagenet": short side 256, central square of 224, RGB / 255, less the
        mean (0.485, 0.456, 0.406), over (0.229, 0.224, 0.225).
        "caffe": squashed to 224 x 224, 0 .. 255 less (123.68, 116.779, 103.939)
        of R G B, then in the order B G R.
        "efficientnet-lite": 224 x 224, (x - 127) / 128 of 0 .. 255, and the
        input is (1, 224, 224, 3): channels last.
    form : {"exact", "approximate"}
        "exact": the scores are affine in the pooled f, S_c = mean M_c + b_c.
        "approximate": a ReLU before the pooling, S_c = mean of max(0, M_c + b_c).
    licence : str
        Its SPDX name, as the model's own page in the zoo gives it.
    labels : str
        The name of the file that names its classes.
    """

    preprocessing: str
    form: str
    licence: str
    labels: str = "imagenet"


def _zoo(name, path, size, sha256, preprocessing, form, licence):
    """A model of the ONNX Model Zoo, from its path there."""
    file = path.split("/")[-1]
    urls = tuple(mirror.format(stem=file.removesuffix(".onnx"), path=path) for mirror in MIRRORS)
    return Model(name, file, size, sha256, urls, preprocessing, form, licence)


MODELS = {model.name: model for model in (
    _zoo("squeezenet1.1", "squeezenet/model/squeezenet1.1-7.onnx", 4956208,
         "1eeff551a67ae8d565ca33b572fc4b66e3ef357b0eb2863bb9ff47a918cc4088",
         "imagenet", "approximate", "Apache-2.0"),
    _zoo("squeezenet1.0", "squeezenet/model/squeezenet1.0-12.onnx", 4952956,
         "dec81a8684617770b3cf13fadc1d92565d1d453d23935fc6388b792d99c992bd",
         "caffe", "approximate", "Apache-2.0"),
    _zoo("shufflenet-v2", "shufflenet/model/shufflenet-v2-12.onnx", 9218556,
         "ea69821b4dd374ae2f33f9710dd1229ac263d0ee5b5a46ca3521f6483e1ba035",
         "imagenet", "exact", "BSD-3-Clause"),
    _zoo("mobilenetv2-7", "mobilenet/model/mobilenetv2-7.onnx", 14246826,
         "c1c513582d56afceff8516c73804e484c81c6a830712ab6d682253f4a3cd042f",
         "imagenet", "exact", "Apache-2.0"),
    _zoo("mobilenetv2-12", "mobilenet/model/mobilenetv2-12.onnx", 13964571,
         "c0c3f76d93fa3fd6580652a45618618a220fced18babf65774ed169de0432ad5",
         "imagenet", "exact", "Apache-2.0"),
    _zoo("googlenet", "inception_and_googlenet/googlenet/model/googlenet-12.onnx", 28021836,
         "c99c507058eaf41de8723408fdda7db8325cb57f0a89f2ee07a716d6e963e14e",
         "caffe", "exact", "BSD-3-Clause"),
    _zoo("resnet18-v1", "resnet/model/resnet18-v1-7.onnx", 46820737,
         "4e8f8653e7a2222b3904cc3fe8e304cd8b339ce1d05fd24688162f86fb6df52c",
         "imagenet", "exact", "Apache-2.0"),
    _zoo("resnet50-v1", "resnet/model/resnet50-v1-12.onnx", 102576593,
         "3f03fdef724b22947eed826f1eef1dc5c34151bb4c37d634f1db89dfa2dd1526",
         "imagenet", "exact", "Apache-2.0"),
    _zoo("resnet18-v2", "resnet/model/resnet18-v2-7.onnx", 46806737,
         "3b4d048057854022232aa20bf68262e31718ab7119a17f920b8a2dc1433f824b",
         "imagenet", "exact", "Apache-2.0"),
    _zoo("efficientnet-lite4", "efficientnet-lite4/model/efficientnet-lite4-11.onnx", 51946641,
         "d111689907c06eea7c82e4833ddef758da6453b9d4cf60b7e99ca05c7cbd9c12",
         "efficientnet-lite", "exact", "MIT"),
)}

LABELS = File("imagenet", "synset.txt", 31675,
              "acf75ef0abe89694b19056e0796401068b459c457baa30335f240c7692857355", (
    "https://raw.githubusercontent.com/onnx/models/main/validated/vision/classification/synset.txt",
))


def find_model(name):
    """The model of the catalogue called `name`.

    Parameters
    ----------
    name : str
        Its name, or its file's; upper and lower case are the same.

    Returns
    -------
    model : Model

    Raises
    ------
    InputError
        There is none, or it comes with cam_numpy; the message names those that come near.

    Examples
    --------
    >>> find_model("SqueezeNet1.1").bytes
    4956208
    """
    wanted = bare(name)
    for model in MODELS.values():
        if wanted in (model.name, bare(model.file)):
            return model
    if wanted in SHIPPED:
        raise InputError(f"{wanted} comes with cam_numpy; there is nothing to fetch")
    raise InputError(f'no network is called "{name}"; {suggestion(name)}')


def bare(name):
    """A network's name as it is looked up: in lower case, without the suffix of its file."""
    return name.strip().casefold().removesuffix(".onnx")


def suggestion(name):
    """What to give instead of a name that no network has: those that come near, or else all."""
    known = [*SHIPPED, *MODELS]
    near = difflib.get_close_matches(bare(name), known, n=3)
    return f"did you mean {' or '.join(near)}?" if near else f"give one of {', '.join(known)}"


def cache_folder():
    """Where fetched files lie: $CAM_NUMPY_CACHE, or where this system's caches go.

    Returns
    -------
    folder : Path
        It may not exist yet.

    Raises
    ------
    InputError
        The user has no home folder.
    """
    own, xdg = os.environ.get("CAM_NUMPY_CACHE"), os.environ.get("XDG_CACHE_HOME", "")
    try:
        if own:
            return Path(own).expanduser()
        if sys.platform == "win32":
            local = os.environ.get("LOCALAPPDATA")
            return (Path(local) if local else Path.home() / "AppData" / "Local") / "cam_numpy" / "Cache"
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches" / "cam_numpy"
        # the XDG rules: a relative path is to be ignored
        return (Path(xdg) if os.path.isabs(xdg) else Path.home() / ".cache") / "cam_numpy"
    except RuntimeError:
        raise InputError("the cache has no place, as this user has no home folder; "
                         "name a folder in CAM_NUMPY_CACHE") from None


def local_path(file):
    """Where `file`, a Model or LABELS, lies once fetched."""
    return cache_folder() / file.file


def is_fetched(file):
    """Whether `file`, a Model or LABELS, seems to be here, by its size; `is_right` looks into it."""
    path = local_path(file)
    return os.path.isfile(path) and path.stat().st_size == file.bytes


def is_right(file):
    """Whether `file`, a Model or LABELS, is here and is what was published, by its checksum."""
    return is_fetched(file) and checksum(local_path(file)) == file.sha256


def checked_path(file):
    """Where `file`, a Model or LABELS, lies; an InputError where it is not what was published."""
    path = local_path(file)
    if not is_right(file):
        raise InputError(f"{path} is damaged: it is not the file that was published; delete it and fetch it "
                         "again")
    return path


def model_in(path):
    """The model of the catalogue that a file holds, by its size and checksum; None for any other file."""
    try:
        size = os.stat(path).st_size
        for model in MODELS.values():
            if model.bytes == size and checksum(path) == model.sha256:  # read only where the size fits
                return model
    except (OSError, ValueError):  # whoever opens the file says why it cannot be read
        pass
    return None


def checksum(path):
    """The sha256 of a file, 64 hexadecimal digits.

    It is computed when a model is opened. This process remembers it as long as the file's time
    stamps and size stay the same; a note on disk could be forged by whoever can change the model.
    """
    status = os.stat(path)
    stamp = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    recent = time.time() - max(status.st_mtime, status.st_ctime) < 2  # clocks tick: a stamp may stay the same
    return (_sha256.__wrapped__ if recent else _sha256)(path, stamp)


@lru_cache(maxsize=16)
def _sha256(path, stamp):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
