"""The error of a user's input, as opposed to a bug of ours."""

from __future__ import annotations

import sys


class InputError(ValueError):
    """Something given cannot be used: what, what was given, what to do, in one line."""

    def __str__(self):
        return printable(super().__str__())


def printable(text):
    """A text on one line, as every terminal shows it: control characters and the like are escaped.

    Examples
    --------
    >>> printable("two\\nlines") == r"two\\nlines"
    True
    """
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode()
                   for letter in text)


class Assumed(UserWarning):
    """Something that neither a network's file nor the caller says, and that was assumed."""


class CamNotApplicable(InputError):
    """A network to which CAM does not apply: why, and what the paper would do.

    Attributes
    ----------
    reason : str
        What is in the way, and what the paper would do about it.
    model : str
        The network's name.
    """

    def __init__(self, reason, model="this network"):
        super().__init__(reason)
        self.reason, self.model = reason, model

    def __str__(self):
        return printable(f"CAM does not apply to {self.model}: {self.reason}")


def complain(error):
    """Print an error of the user's input; returns the exit status that goes with it."""
    print(f"cam-numpy: {error}", file=sys.stderr)
    return 2
