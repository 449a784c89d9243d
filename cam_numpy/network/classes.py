"""The names of classes: shown short, found by what a person types.

A name is what WordNet gives, synonyms with commas: "goldfish, Carassius auratus".
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path

import numpy as np

from ..errors import InputError


def short_name(name):
    """The first synonym: "goldfish"."""
    return name.split(",")[0].strip()


def find_class(classes, wanted):
    """The index of the class that `wanted` means.

    Parameters
    ----------
    classes : list of str
        The name of each class.
    wanted : int or str
        An index; or one of a class's names, or words that only one class has, or an index in
        digits. Upper and lower case are the same.

    Returns
    -------
    c : int

    Raises
    ------
    InputError
        No class is meant, or several are.

    Examples
    --------
    >>> find_class(["Egyptian cat", "goldfish, Carassius auratus"], "cat")
    0
    """
    C = len(classes)
    if not isinstance(wanted, str):
        if np.asarray(wanted).dtype.kind not in "iu" or np.ndim(wanted):
            raise InputError(f"class {wanted!r} is neither an index nor a name; give an integer or a string")
        if not 0 <= wanted < C:
            raise InputError(f"class {wanted} does not exist; the network has classes 0 to {C - 1}")
        return int(wanted)
    if re.fullmatch(r"-?[0-9]+", wanted):
        return find_class(classes, int(wanted))
    text = " ".join(wanted.casefold().split())
    synonyms = [[part.strip() for part in name.casefold().split(",")] + [name.casefold()] for name in classes]
    words = re.compile(rf"\b{re.escape(text)}\b")
    for matches in (
        [c for c, names in enumerate(synonyms) if text in names],
        [c for c, names in enumerate(synonyms) if text and words.search(names[-1])],
    ):
        if len(matches) == 1:
            return matches[0]
        if matches:
            listed = ", ".join(f'{c} "{short_name(classes[c])}"' for c in matches[:6])
            raise InputError(f'class "{wanted}" may be {listed}{" ..." * (len(matches) > 6)}; give the index')
    owner = {name: c for c, names in enumerate(synonyms) for name in names}
    near = {owner[name]: None for name in difflib.get_close_matches(text, owner, n=3, cutoff=0.6)}
    hint = " or ".join(f'"{short_name(classes[c])}"' for c in near)
    raise InputError(f'class "{wanted}" is not one of the network\'s {C} classes; '
                     + (f"did you mean {hint}?" if hint else "give one of its names, or an index"))


class ClassFinder:
    """From a data set's labels to a network's classes.

    A label may be a WordNet id, the name of a class, or its index. Where the
    network has no names at all and as many classes as the data set has labels,
    they are taken to be in the same order.

    Parameters
    ----------
    network : Network
    labels : list of str or None
        The data set's, in its own order, if it has one.

    Attributes
    ----------
    assumed : str or None
        What is taken for granted.
    """

    def __init__(self, network, labels):
        self.network, self.assumed = network, None
        wnids = network.wnids if network.wnids and len(network.wnids) == len(network.classes) else []
        self.known = {wnid: c for c, wnid in enumerate(wnids)}
        if labels and not network.named and len(labels) == len(network.classes):
            self.known = {label: c for c, label in enumerate(labels)}
            self.assumed = "the network's classes are taken to be in the order of the data set's"

    def __call__(self, label):
        """The class of a label; an InputError where the network has none of that kind."""
        if label not in self.known:
            try:
                self.known[label] = find_class(self.network.classes, label)
            except InputError as error:
                raise InputError(f"the label {label!r} names no class of {self.network.name}: {error}") from None
        return self.known[label]


def read_labels(path):
    """The names of the classes from a text file.

    Parameters
    ----------
    path : path
        UTF-8, one class a line, in the order of the scores; a WordNet id may be
        in front: "n01440764 tench, Tinca tinca".

    Returns
    -------
    names : list of str
        Without the ids.
    wnids : list of str, or None
        The ids, where each line has one.

    Raises
    ------
    InputError
        The file cannot be read, or is not text.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not valid UTF-8 text"
        raise InputError(f"--labels {path} cannot be read ({reason}); give a text file, one name per line") from None
    found = [re.fullmatch(r"(?:(n\d{8})(?:\s+|$))?(.*)", line.strip()).groups() for line in lines if line.strip()]
    wnids = [wnid for wnid, _ in found]
    return [name or wnid for wnid, name in found], wnids if wnids and all(wnids) else None
