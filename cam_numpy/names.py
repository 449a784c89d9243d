"""Names that a user or a file gave, made fit to be printed and drawn.

Photos, classes, tensors, models and data sets may be called anything: a name may hold line breaks,
or sequences that a terminal obeys. Every such name goes through `plain` before a person sees it.
JSON needs no such care, because it escapes all of these characters.
"""

from __future__ import annotations

import re

# control characters (C0, C1), line and paragraph separators, marks that turn the direction of the
# text, and halves of a surrogate pair
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def plain(name):
    """A name in one line, with nothing in it that a terminal obeys.

    Parameters
    ----------
    name : str or path

    Returns
    -------
    name : str
        Characters that cannot be shown are escaped as Python escapes them.

    Examples
    --------
    >>> print(plain("a cat,\\nand \\x1b[31m a red dog"))
    a cat,\\nand \\x1b[31m a red dog
    """
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), str(name))


def cut(name, length):
    """The same in at most `length` characters.

    Examples
    --------
    >>> cut("a very long name", 7)
    'a very…'
    """
    name = plain(name)
    return name if len(name) <= length else name[: length - 1] + "…"
