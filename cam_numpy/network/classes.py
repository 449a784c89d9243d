"""The names of classes: shown short, found by what a person types.

A name is what WordNet gives, synonyms with commas: "goldfish, Carassius auratus".
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..input import read_file
from ..paper._checks import shown

ADVICE = "a text file with one name per line"
MOST_BYTES = 10_000_000  # of a file of labels: ImageNet's has 31,675


def short_name(name):
    """The first synonym: "goldfish"."""
    return name.split(",")[0].strip()


def find_class(classes, wanted, words=True):
    """The index of the class that `wanted` means.

    Parameters
    ----------
    classes : list of str
        The name of each class.
    wanted : int or str
        An index; or one of a class's names, or an index in digits, or words that only one class
        has. A name comes before an index: the class called "7" is not always class 7. Upper and
        lower case are the same.
    words : bool
        False where only whole names and indices count.

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
    if not isinstance(wanted, str):
        if isinstance(wanted, (list, tuple)) or np.ndim(wanted) or np.asarray(wanted).dtype.kind not in "iu":
            raise InputError(f"class {shown(wanted)} is neither an index nor a name; "
                             "give an integer or a string")
        return _in_range(int(wanted), len(classes))
    text = " ".join(wanted.casefold().split())
    synonyms = [_synonyms(name) for name in classes]
    whole = [c for c, names in enumerate(synonyms) if text and text in names]
    if not whole and re.fullmatch(r"-?[0-9]{1,9}", text):
        return _in_range(int(text), len(classes))
    word = re.compile(rf"\b{re.escape(text)}\b")
    part = [c for c, names in enumerate(synonyms) if text and word.search(names[-1])] if words else []
    for matches in (whole, part):
        if len(matches) == 1:
            return matches[0]
        if matches:
            listed = ", ".join(f'{c} "{short_name(classes[c])}"' for c in matches[:6])
            raise InputError(f'class "{wanted}" may be {listed}{" ..." * (len(matches) > 6)}; '
                             "give the index")
    owner = {name: c for c, names in enumerate(synonyms) for name in names}
    near = {owner[name]: None for name in difflib.get_close_matches(text, owner, n=3, cutoff=0.6)}
    hint = " or ".join(f'"{short_name(classes[c])}"' for c in near)
    raise InputError(f'class "{wanted}" is not one of the network\'s {len(classes)} classes; '
                     + (f"did you mean {hint}?" if hint else "give one of its names, or an index")
                     + " (`cam-numpy inspect MODEL --classes` and network.classes list them)" * words)


def _synonyms(name):
    """All that a class may be called, its whole name last."""
    name = " ".join(name.casefold().split())
    return [*(part.strip() for part in name.split(",")), name]


def _in_range(c, C):
    if not 0 <= c < C:
        raise InputError(f"class {shown(c)} does not exist; the network has classes 0 to {C - 1}")
    return c


def name_that_is_an_index(classes):
    """The first class whose name is the index of another class, or None."""
    for c, name in enumerate(classes):
        for one in _synonyms(name):
            if re.fullmatch(r"[0-9]{1,9}", one) and int(one) < len(classes) and int(one) != c:
                return c
    return None


class ClassFinder:
    """From the labels of a data set to the classes of a network.

    A label may be a WordNet id, one of the names of a class, or its index; a word of a name is
    not enough. Where the network has no names at all and as many classes as the data set has
    labels, they are assumed to be in the same order.

    Parameters
    ----------
    network : Network
    labels : list of str or None
        The data set's, in its own order, if it has one.

    Attributes
    ----------
    assumed : str or None
        The assumption made, if one was.
    """

    def __init__(self, network, labels):
        self.network, self.assumed = network, None
        wnids = network.wnids if network.wnids and len(network.wnids) == len(network.classes) else []
        self.known = {wnid: c for c, wnid in enumerate(wnids)}
        if labels and not network.named and len(set(labels)) == len(labels) == len(network.classes):
            self.known = {label: c for c, label in enumerate(labels)}
            self.assumed = "the network's classes are assumed to be in the order of the data set's labels"

    def __call__(self, label):
        """The class of a label; an InputError where the network has none of that kind."""
        if label not in self.known:
            try:
                self.known[label] = find_class(self.network.classes, label, words=False)
            except InputError as error:
                raise InputError(f"the label {label!r} names no class of {self.network.name}: "
                                 f"{error}") from None
        return self.known[label]


def read_labels(source):
    """The names of the classes, from a text file or a list.

    Parameters
    ----------
    source : path, or list of str
        Of a file in UTF-8, one class per line; or the lines themselves. In the order of the scores;
        a WordNet id may come first: "n01440764 tench, Tinca tinca".

    Returns
    -------
    names : list of str
        Without the ids.
    wnids : list of str, or None
        The ids, where each line has one.

    Raises
    ------
    InputError
        The file cannot be read, is not text, or has no names, or a line without one.
    """
    path, lines = (source, _lines(source)) if isinstance(source, (str, Path)) else ("labels", _names(source))
    if lines == [""]:
        raise InputError(f"{path} names no class; give {ADVICE}")
    if "" in lines:  # left out, it would give all later classes the wrong name
        raise InputError(f"{path}, line {lines.index('') + 1} is blank; give {ADVICE}")
    found = [re.fullmatch(r"(?:(n[0-9]{8})(?:\s+|$))?(.*)", line, re.DOTALL).groups() for line in lines]
    wnids = [wnid for wnid, _ in found]
    return [name or wnid for wnid, name in found], wnids if all(wnids) else None


def name_classes(names, wnids, C, binary, model):
    """The names of a network's classes.

    Parameters
    ----------
    names, wnids : list of str, or None
        What the file says, or the caller.
    C : int
    binary : bool
        The network has a single score, for the second of two classes.
    model : str
        The network's name, for the messages.

    Returns
    -------
    names : list of str
    wnids : list of str, or None
    assumed : list of str
        Assumptions made where neither the file nor the caller gave a value.

    Raises
    ------
    InputError
        There are more names than classes, or fewer.
    """
    if names is None:
        return [f"class {c}" for c in range(C)], None, [
            'it does not name its classes, so they are called "class 0", "class 1" ... '
            "(to change this: labels)"]
    if binary and len(names) == 1:
        names = [f"not {names[0]}", names[0]]
    if len(names) != C:
        raise InputError(f"{model} has {C} classes but {len(names)} names are given; "
                         "give as labels a file with one name per line, in the order of the scores")
    if (c := name_that_is_an_index(names)) is None:
        return names, wnids, []
    return names, wnids, [f'its class {c} is called "{names[c]}", which is also the index of another class: '
                          "in words, the name is meant"]


def _names(source):
    """The lines of a list of names."""
    if not isinstance(source, (list, tuple)) or not all(isinstance(name, str) for name in source):
        raise InputError(f"labels is {shown(source)}; give a list of names, or {ADVICE}")
    return [name.strip() for name in source] or [""]


def _lines(path):
    """The lines of a text file."""
    try:
        text = read_file(path, MOST_BYTES, ADVICE).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not valid UTF-8 text; give {ADVICE}") from None
    return [line.strip() for line in re.split("\r\n|\r|\n", text.rstrip())]
