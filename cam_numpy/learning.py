"""Classes of your own, from a few photos of each: Section 4."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image

from .errors import CamNotApplicable, InputError
from .input import unreadable
from .names import plain
from .network.network import Network, load
from .output import identity, whole_file
from .paper.cam import class_scores, global_average_pool
from .paper.localisation import interval
from .paper.probe import Classifier, check_l2, fit_classifier
from .parallel import in_order

LEAST = 2  # photos of a class to learn from
ASIDE = 0.25  # the fraction of the photos that is kept aside
PHOTOS = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}  # the suffixes, in folders

Photo: TypeAlias = str | Path | Image.Image | np.ndarray
Photos: TypeAlias = str | Path | Mapping[str, str | Path | Sequence[Photo]]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class NewClasses:
    """The classifier of new classes, and how good it is; `new_classes` learns it.

    Attributes
    ----------
    names : list of str
        What the C classes are called.
    learned : list of int
        How many photos of each were learned from.
    classifier : cam_numpy.paper.probe.Classifier
        w and b, and how far the search converged.
    confusion : (C, C) int array
        Of the photos kept aside: confusion[c, d] of class c got the highest score for class d.
    skipped : list of str
        What was wrong with the photos that cannot be read.
    network : Network
        Whose body it is.
    """

    names: list[str]
    learned: list[int]
    classifier: Classifier
    confusion: np.ndarray
    skipped: list[str]
    network: Network

    @property
    def assumed(self) -> list[str]:
        """Assumptions made on how photos are to be prepared; those on the old classes do not matter."""
        return [text for text in self.network.assumed if "preprocessing" in text]

    @property
    def aside(self) -> int:
        """How many photos were kept aside."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float | None:
        """The fraction of the photos kept aside that is classified correctly; None where there are none."""
        return float(np.trace(self.confusion) / self.aside) if self.aside else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the accuracy."""
        right = int(np.trace(self.confusion))
        return interval(np.repeat([1, 0], [right, self.aside - right])) if self.aside else None

    @property
    def baseline(self) -> tuple[str, float] | None:
        """The largest class, and the accuracy of always naming it."""
        c = int(np.argmax(self.learned))
        return (self.names[c], float(self.confusion[c].sum() / self.aside)) if self.aside else None

    @property
    def measured(self) -> str:
        """The accuracy in words."""
        if not self.aside:
            return "not measured, as no photos were kept aside"
        (low, high), (name, share) = self.interval, self.baseline
        return (f"{self.accuracy:.1%} of {self.aside} photos kept aside (95 % interval {low:.1%} to "
                f'{high:.1%}); always "{plain(name)}": {share:.1%}')

    def __repr__(self):
        names = ", ".join(map(plain, self.names[:5])) + " ..." * (len(self.names) > 5)
        return f"<NewClasses {names}: {self.measured}>"

    def save(self, path: str | Path) -> None:
        """Write the network with these classes to an .onnx file.

        Raises
        ------
        InputError
            It cannot be written there.
        """
        body = {key: text for key, text in self.network.metadata.items()
                if key in ("name", "training_data", "licence", "recipe", "accuracy", "body")}
        photos = ", ".join(f"{name} {count}" for name, count in zip(self.names, self.learned))
        model = self.network.with_classifier(self.classifier.w, self.classifier.b, {
            "name": Path(path).stem,
            "classes": json.dumps(self.names),
            "training_data": f"photos of the user's own: {photos}",
            "recipe": json.dumps({"classifier": "softmax regression on F_k", "l2": self.classifier.l2}),
            "accuracy": self.measured,
            "body": json.dumps({"file": self.network.name, **body}),
        })
        with whole_file(path) as unfinished:
            unfinished.write_bytes(model)


def learn(photos: Photos, network: Network | str | Path | None = None, *, l2: float | str = "auto",
          test: float = ASIDE, out: str | Path | None = None, force: bool = False,
          progress: Callable[[int, int], None] | None = None) -> Network:
    """Teach a network classes of your own, from a few photos of each.

    Parameters
    ----------
    photos : dict, or path
        From the name of each class to its photos, a list of paths or pictures, or a folder. Or a
        folder with one subfolder for each class.
    network : Network, path or str, optional
        A network from `load`, or whatever `load` takes. Its body stays as it is.
    l2 : float or "auto"
        See `cam_numpy.paper.probe.fit_classifier`.
    test : float
        The fraction of the photos of each class that is kept aside, to measure the accuracy.
    out : path, optional
        Where to write the new network, an .onnx file. By default a temporary file, which is deleted
        with the network.
    force : bool
        Whether a file that is there may be replaced.
    progress : callable, optional
        Called with (photos done, photos in all).

    Returns
    -------
    network : Network
        With the new classes, for `explain` and all else; ``network.metadata["accuracy"]`` says how
        good it is.

    Raises
    ------
    InputError
        Photos are too few, the network cannot be read, or the file cannot be written.
    CamNotApplicable
        The network's last activations are not known, since CAM does not apply to it.

    Warns
    -----
    UserWarning
        A photo cannot be read and is skipped.

    Notes
    -----
    Section 4: F_k are good features for classes that the network does not know. A linear classifier
    on them is all that is learned, and its weights are the w_k^c of Eq. 2.
    """
    photos, network = by_class(photos), _opened(network)
    if out is not None:
        check_free(out, force, network, photos)
    found = new_classes(photos, network, l2=l2, test=test, progress=progress)
    for text in found.skipped:
        warnings.warn(f"skipped: {text}", stacklevel=2)
    if out is not None:
        found.save(out)
        return load(out)
    folder = tempfile.mkdtemp(prefix="cam_numpy-")
    try:
        path = Path(folder) / "learned.onnx"
        found.save(path)
        learned = load(path)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(learned, shutil.rmtree, folder, ignore_errors=True)
    return learned


def check_free(out: str | Path, force: bool, network: Network, photos: Mapping[str, Sequence[Photo]]) -> None:
    """An InputError where a new file cannot be written, or would be written over what is read for it."""
    out = Path(out)
    if os.path.isdir(out):
        raise InputError(f"{out} is a folder; give the name of the .onnx file that is to be written")
    there = _is_there(out)
    if there and not force:
        raise InputError(f"{out} is there already; give another name, or allow to replace it (force)")
    read = [network.path, *(photo for given in photos.values() for photo in given)]
    if there and identity(out) in {identity(path) for path in read if isinstance(path, (str, Path))}:
        raise InputError(f"{out} is an input, and would be written over; give another name")
    if not os.path.isdir(out.parent) or not os.access(out.parent, os.W_OK | os.X_OK):
        raise InputError(f"{out} cannot be written, as {out.parent} is not a folder that may be written to; "
                         "give another one")


def _is_there(out):
    """Whether there is a file; an InputError where there cannot be one."""
    try:
        os.stat(out)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{out} cannot be written ({reason}); give another name") from None
    return True


def new_classes(photos: Photos, network: Network | str | Path | None = None, *, l2: float | str = "auto",
                test: float = ASIDE, progress: Callable[[int, int], None] | None = None) -> NewClasses:
    """Learn the classifier of new classes, and measure it: `learn` without the file.

    Parameters and errors are those of `learn`.

    Returns
    -------
    found : NewClasses
    """
    photos = by_class(photos)
    names = list(photos)
    if not 0 <= test < 1:
        raise InputError(f"test is {test}; it is the fraction of photos kept aside; give 0 or more, below 1")
    if len(names) < 2:
        raise InputError(f"there is only one class, {names[0]!r}; a classifier needs two; give photos of "
                         "something else, too")
    for name in names:
        _check_count(name, len(photos[name]), "")
    _refuse(check_l2, l2)
    network = _opened(network)
    F, labels, skipped = _pooled(photos, network, progress)
    for c, name in enumerate(names):
        wrong = next((text for of_class, text in skipped if of_class == c), "")
        _check_count(name, int(np.sum(labels == c)), f" that can be read ({wrong})")
    aside = _kept_aside(labels, names, test)
    classifier = _refuse(fit_classifier, F[~aside], labels[~aside], l2)
    return NewClasses(
        names=names, learned=np.bincount(labels[~aside]).tolist(), classifier=classifier,
        confusion=_confusion(classifier, F[aside], labels[aside]), skipped=[text for _, text in skipped],
        network=network)


def _kept_aside(labels, names, test):
    """(n,) bool: which photos are not learned from, spread evenly over those of each class."""
    aside = np.zeros(len(labels), bool)
    for c, name in enumerate(names):
        n = int(np.sum(labels == c))
        # where test n passes a whole number: of a quarter, every fourth photo
        aside[labels == c] = np.diff(np.floor(np.arange(n + 1) * test + 1e-9)) > 0
        left = int(np.sum((labels == c) & ~aside))
        _check_count(name, left, f" to learn from, as {n - left} of {n} are kept aside (test {test:g})")
    return aside


def _check_count(name, count, which):
    if count < LEAST:
        raise InputError(f"the class {name!r} has {count} photo{'s' * (count != 1)}{which}; "
                         f"at least {LEAST} are needed; give more")


def _opened(network):
    return network if isinstance(network, Network) else load(network, threads=1)  # a photo for each core


def by_class(photos: Photos) -> dict[str, list[Photo]]:
    """From the name of each class to the list of its photos."""
    if isinstance(photos, (str, Path)):
        folder = Path(photos)
        inside = sorted(path for path in _listed(folder) if path.is_dir() and not path.name.startswith("."))
        if not inside:
            raise InputError(f"{folder} has no folders in it; put the photos of each class into a folder of "
                             "their own, called like the class")
        photos = {path.name: path for path in inside}
    if not isinstance(photos, Mapping) or not photos:
        raise InputError(f"photos is {type(photos).__name__}; it holds the photos of each class; "
                         'give a folder, or a dict such as {"cat": [...], "dog": [...]}')
    return {str(name): _listed_photos(given) for name, given in photos.items()}


def _listed_photos(given):
    if not isinstance(given, (str, Path)):
        return list(given)
    folder = Path(given)
    return sorted(path for path in _listed(folder, recursive=True)
                  if path.suffix.lower() in PHOTOS and not path.name.startswith("."))


def _listed(folder, recursive=False):
    """What is in a folder."""
    try:
        inside = list(folder.iterdir())
        return list(folder.rglob("*")) if recursive else inside  # rglob passes over what may not be read
    except NotADirectoryError:
        raise InputError(f"{folder} is a file; give a folder") from None
    except FileNotFoundError:
        raise InputError(f"{folder}: there is no such folder; check the name") from None
    except (OSError, ValueError) as error:
        raise unreadable(folder, error) from None


def _pooled(photos, network, progress):
    """F (n, K) and labels (n,) of the photos that can be read; of the others class and what is wrong.

    Whatever the network's own head pools with, the new one takes the average.
    """
    items = [(c, photo) for c, of_class in enumerate(photos.values()) for photo in of_class]
    F, labels, skipped = [], [], []

    def pooled(item):
        # F_k = mean_xy f_k(x, y)
        return global_average_pool(network.see(item[1]).f)

    for done, (future, (c, _)) in enumerate(zip(in_order(pooled, items), items), 1):
        try:
            F.append(future.result())
            labels.append(c)
        except CamNotApplicable:  # a property of the network, not of this photo
            raise
        except InputError as error:
            skipped.append((c, str(error)))
        if progress:
            progress(done, len(items))
    return np.array(F), np.array(labels, int), skipped


def _refuse(function, *values):
    """What the paper's functions refuse, as an error of the user's input."""
    try:
        return function(*values)
    except ValueError as error:
        raise InputError(str(error)) from None


def _confusion(classifier, F, labels):
    """(C, C): of class c, how many got the highest score for class d."""
    C = len(classifier.b)
    confusion = np.zeros((C, C), int)
    if len(F):
        S = class_scores(F, classifier.w, classifier.b)  # (n, K), (C, K), (C,) -> (n, C)
        np.add.at(confusion, (labels, S.argmax(axis=1)), 1)
    return confusion
