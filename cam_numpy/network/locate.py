"""Which file is meant: a path, a network that comes with cam_numpy, or one of the catalogue."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

from ..errors import InputError
from ..image.preprocessing import preset
from .catalogue import LABELS, SHIPPED, bare, checked_path, find_model, is_fetched, model_in, suggestion


def resolve(model, preprocessing=None, labels=None):
    """The path of a network, with the preprocessing and the labels that the catalogue has for it."""
    path, public = _find(model)
    if public is not None:
        if not isinstance(preprocessing, str) and (preprocessing is None or isinstance(preprocessing, dict)):
            preprocessing = preset(public.preprocessing).changed(preprocessing or {})
        if labels is None and is_fetched(LABELS):
            labels = checked_path(LABELS)
    return path, preprocessing, labels


def _find(model):
    """The path of a network, and its entry in the catalogue where it is one of those."""
    if model is None:
        return shipped(), None
    if not isinstance(model, (str, os.PathLike)):
        raise InputError(f"the model is of type {type(model).__name__}; give the path of an .onnx file, "
                         "a name, or a Network from load")
    path = Path(model)
    if os.path.exists(path):
        return path, model_in(path)
    if bare(str(model)) in SHIPPED:
        return shipped(bare(str(model))), None
    try:
        public = find_model(str(model))
    except InputError:
        raise InputError(f"{model}: there is no such file, and no network of that name; "
                         + suggestion(str(model))) from None
    if not is_fetched(public):
        raise InputError(f"{public.name} is not on this machine yet; fetch it first: "
                         f'cam-numpy fetch {public.name}, or cam_numpy.fetch("{public.name}")')
    return checked_path(public), public


def shipped(name=SHIPPED[0]):
    """The path of a network that comes with cam_numpy."""
    for folder in (resources.files("cam_numpy"), Path(__file__).parent.parent.parent):
        path = Path(str(folder)) / "weights" / f"{name}.onnx"  # installed, or a plain checkout
        if path.is_file():
            return path
    raise InputError(f"the shipped network {name} is missing; install cam_numpy again, or give an .onnx file")
