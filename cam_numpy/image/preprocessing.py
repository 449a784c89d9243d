"""From a photo to the network's input x: resize, subtract a mean, divide by a standard deviation."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from numbers import Integral, Real

import numpy as np
from PIL import Image

from ..errors import InputError
from .view import View

RESIZES = ("fit", "crop", "squash")


@dataclass(frozen=True)
class Preprocessing:
    """How a photo becomes the network's input.

    Attributes
    ----------
    size : int or (int, int)
        The input's side, or its (width, height), in pixels. "fit": the short side.
    resize : {"fit", "crop", "squash"}
        "fit": the whole photo, its short side brought to `size`, both sides
        rounded to multiples of `stride`. "crop": the photo is resized until it just
        covers the input `margin` times over, and its middle is cut out. "squash":
        the whole photo; its aspect ratio is not kept.
    mean, std : (float, float, float)
        Subtracted and divided by, R G B; the photo's values run from 0 to 1.
    stride : int
        Input pixels per cell of the map ("fit" only).
    margin : float
        See "crop": 256 / 224 is usual for ImageNet networks.
    bgr : bool
        The network takes the channels as B G R.
    channels_first : bool
        The network takes (3, h, w), not (h, w, 3).
    channels : {3, 1}
        1: the network takes grey pictures; mean and std are then the averages of the three.
    """

    size: int | tuple
    resize: str
    mean: tuple
    std: tuple
    stride: int = 1
    margin: float = 1.0
    bgr: bool = False
    channels_first: bool = True
    channels: int = 3

    LONGEST = 8  # times the short side: a longer photo is squashed to that
    LARGEST = 4096  # pixels a side: the largest input
    PIXELS = 4096 * 4096  # of all pictures of a batch together

    def __post_init__(self):
        several = isinstance(self.size, (tuple, list))
        sides = self.size if several else (self.size,)
        if self.resize not in RESIZES:
            raise InputError(f"resize is {self.resize!r}; give one of {', '.join(RESIZES)}")
        valid = all(_is_side(side, self.LARGEST) for side in (*sides, self.stride))
        if not valid or len(sides) != 1 + several:
            raise InputError(f"the input's size is {self.size!r} pixels, its stride {self.stride!r}; "
                             f"give integers from 1 to {self.LARGEST}")
        if several and self.resize == "fit":
            raise InputError(f"size is {self.size!r} and resize 'fit'; give one number, the short side, "
                             'or choose "crop" or "squash"')
        if not (_is_number(self.margin) and self.margin >= 1):
            raise InputError(f"margin is {self.margin!r}; it is how many times over the photo covers "
                             "the input; give 1 or more")
        if not (_are_three(self.mean) and _are_three(self.std) and all(self.std)):
            raise InputError(f"mean is {self.mean!r} and std {self.std!r}; "
                             "give three numbers each, none of std zero")
        if max(map(abs, (*self.mean, *self.std))) > 1:
            raise InputError(f"mean is {self.mean!r} and std {self.std!r}, more than 1; "
                             "give them for values from 0 to 1: divide by 255")

    def changed(self, attributes):
        """The same with other values for some attributes, given as a dict."""
        names = [field.name for field in fields(self)]
        if wrong := [str(name) for name in attributes if name not in names]:
            raise InputError(f"preprocessing has no {', '.join(wrong)}; give some of {', '.join(names)}")
        return replace(self, **attributes)

    def as_metadata(self):
        """The same as texts, for the metadata of a model's file; `for_input` reads them there.

        Whether the channels come first is left out: the shape of the file's input says it.
        """
        values = {key: getattr(self, key) for key in ("size", "mean", "std", "stride", "margin", "bgr")}
        texts = {key: json.dumps(value, default=float) for key, value in values.items()}
        return {"resize": self.resize, **texts}

    def describe(self):
        """The same in words."""
        how = {"fit": "the whole photo, short side", "crop": "the middle of the photo,",
               "squash": "the whole photo as"}
        size = f"{self.size}" if isinstance(self.size, int) else f"{self.size[0]} x {self.size[1]}"
        mean, std = (" ".join(f"{v:.3g}" for v in values) for values in (self.mean, self.std))
        order = "grey" if self.channels == 1 else "BGR" if self.bgr else "RGB"
        return f"{how[self.resize]} {size}; {order}, mean {mean}, std {std}"

    def view(self, photo):
        """What the network will see of a photo of size (width, height)."""
        whole = (0, 0, *photo)
        if self.resize == "fit":
            sides = (self.size * side / min(photo) for side in photo)
            rounded = (max(1, round(side / self.stride)) * self.stride for side in sides)
            width, height = (min(side, self.LONGEST * self.size) for side in rounded)
            if width * height > self.PIXELS:
                raise InputError(f"the network would see the photo at {width} x {height} pixels, more than "
                                 f"{self.PIXELS:,}; give a smaller size")
            return View(photo, (width, height), whole)
        size = (self.size, self.size) if isinstance(self.size, int) else tuple(self.size)
        if self.resize == "squash":
            return View(photo, size, whole)
        # input pixels per pixel of the photo
        scale = self.margin * max(size[0] / photo[0], size[1] / photo[1])
        # at least 0: rounding must not take the box out of the photo
        left, top = (max(0, (side - seen / scale) / 2) for side, seen in zip(photo, size))
        return View(photo, size, (left, top, photo[0] - left, photo[1] - top))

    def __call__(self, photo):
        """The network's input for a photo.

        Parameters
        ----------
        photo : PIL.Image.Image
            Mode RGB.

        Returns
        -------
        x : (3, h, w) float32 array
            (1, h, w) for a network that takes grey pictures.
        view : View
            Which part of the photo x shows.
        """
        view = self.view(photo.size)
        photo = photo.convert("L") if self.channels == 1 else photo
        small = photo.resize(view.input, Image.Resampling.BILINEAR, box=view.box).convert("RGB")
        order = slice(None, None, -1 if self.bgr else 1)
        x = np.ascontiguousarray(np.asarray(small).transpose(2, 0, 1)[order], np.float32)
        # (x / 255 - mean) / std, as one factor and one shift, in place
        factor, shift = 1 / (255 * np.array(self.std)), np.array(self.mean) / self.std
        x *= factor[order, None, None].astype(np.float32)
        x -= shift[order, None, None].astype(np.float32)
        return x if self.channels == 3 else x.mean(axis=0, keepdims=True), view


def _is_side(n, largest):
    """Whether a value is a side of a picture, in pixels."""
    return isinstance(n, Integral) and not isinstance(n, bool) and 1 <= n <= largest


def _is_number(x):
    return isinstance(x, Real) and bool(np.isfinite(x))


def _are_three(values):
    """Whether a value is three numbers."""
    return isinstance(values, (tuple, list, np.ndarray)) and len(values) == 3 and all(map(_is_number, values))


MOST = 64  # the largest fixed batch; the photo is all of its pictures
_USUAL = 256 / 224
PRESETS = {
    "imagenet": Preprocessing(224, "crop", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), margin=_USUAL),
    "caffe": Preprocessing(224, "squash", tuple(v / 255 for v in (123.68, 116.779, 103.939)), (1 / 255,) * 3,
                           bgr=True),
    "zero-one": Preprocessing(224, "crop", (0.0,) * 3, (1.0,) * 3, margin=_USUAL),
    "efficientnet-lite": Preprocessing(224, "crop", (127 / 255,) * 3, (128 / 255,) * 3, margin=_USUAL),
    "minus-one-one": Preprocessing(224, "crop", (0.5,) * 3, (0.5,) * 3, margin=_USUAL),
    "raw": Preprocessing(224, "crop", (0.0,) * 3, (1 / 255,) * 3, margin=_USUAL),  # 0 .. 255, as they are
}


def preset(name):
    """A preprocessing by its name; an InputError where there is none of that name."""
    if not isinstance(name, str) or name not in PRESETS:
        raise InputError(f"preprocessing {name!r} is not known; give one of {', '.join(PRESETS)}")
    return PRESETS[name]


def for_input(shape, metadata, chosen, name, hint=None):
    """The preprocessing for a network's input.

    Parameters
    ----------
    shape : list
        Of the input, with None for free sides: (N, 3, h, w) or (N, h, w, 3).
    metadata : dict of str to str
        What the model's file says.
    chosen : Preprocessing, str, dict or None
        What the caller says; it overrides the metadata. A dict changes some attributes.
    name : str
        The model's, for the messages.
    hint : Preprocessing, optional
        What else the file tells.

    Returns
    -------
    preprocessing : Preprocessing
    assumed : list of str
        Assumptions made where neither the metadata nor the caller gave a value.

    Raises
    ------
    InputError
        The input is not a picture, or the metadata or the sizes contradict it.
    """
    assumed = []
    sides = shape[1:4:2]  # where the channels may be
    if len(shape) != 4 or not {1, 3, None} & set(sides):
        raise InputError(f"{name} takes an input of shape {shape}; "
                         "give a network that takes pictures of 3 channels, or 1")
    if (shape[0] or 1) > MOST:
        raise InputError(f"{name} takes {shape[0]} pictures at once; "
                         f"give a network that takes at most {MOST}")
    channels = 3 if 3 in sides or 1 not in sides else 1
    first = shape[1] == channels or shape[3] != channels
    fixed = tuple(shape[:1:-1]) if first else (shape[2], shape[1])  # (width, height)
    changes = chosen if isinstance(chosen, dict) else {}
    if not isinstance(chosen, (str, Preprocessing, dict, type(None))):
        raise InputError(f"preprocessing is {chosen!r}; give a dict, or the name of a preset, "
                         f"one of {', '.join(PRESETS)}")
    if isinstance(chosen, (str, Preprocessing)):
        found = preset(chosen) if isinstance(chosen, str) else chosen
    elif "resize" in metadata:
        found = _described(metadata, name)
    elif hint is not None:
        found = hint
    else:
        found = PRESETS["imagenet"]
        if not {"mean", "std"} <= set(changes):
            assumed.append("it does not say how photos are to be prepared, so ImageNet's preprocessing "
                           "is assumed (to change this: preprocessing)")
    found = found.changed(changes)
    if None not in fixed and max(fixed) > Preprocessing.LARGEST:
        raise InputError(f"{name} takes pictures of {fixed[0]} x {fixed[1]} pixels; "
                         f"give a network that takes at most {Preprocessing.LARGEST} a side")
    if None not in fixed and (shape[0] or 1) * fixed[0] * fixed[1] > Preprocessing.PIXELS:
        raise InputError(f"{name} takes {shape[0]} pictures of {fixed[0]} x {fixed[1]} pixels at once; "
                         f"give a network that takes at most {Preprocessing.PIXELS:,} pixels")
    if None not in fixed and changes.get("size", fixed[0]) not in fixed:
        raise InputError(f"{name} takes pictures of {fixed[0]} x {fixed[1]} pixels only; leave size out")
    if None not in fixed and found.resize != "fit":
        found = replace(found, size=fixed if fixed[0] != fixed[1] else fixed[0])
    return replace(found, channels_first=first, channels=channels), assumed


def _described(metadata, name):
    """The preprocessing that a file of ours describes: the reverse of `Preprocessing.as_metadata`."""
    given = {"stride": "1", "margin": "1", "bgr": "false", **metadata}
    try:
        size, mean, std, stride, margin, bgr = (
            json.loads(given[key]) for key in ("size", "mean", "std", "stride", "margin", "bgr"))
        size = tuple(map(int, size)) if isinstance(size, list) else int(size)
        return Preprocessing(
            size, given["resize"], tuple(mean), tuple(std), int(stride), float(margin), bool(bgr))
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{name} describes its preprocessing badly ({error}); "
                         "write its metadata again") from None
