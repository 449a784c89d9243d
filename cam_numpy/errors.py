"""The error of a user's input, as opposed to a bug of ours."""

from __future__ import annotations

import sys

LONGEST = 1000  # characters of a message, whatever was given


class InputError(ValueError):
    """Something given cannot be used: what, what was given, what to do, in one line."""

    def __str__(self):
        return one_line(super().__str__())


def one_line(text):
    """A message as every terminal shows it: control characters and the like escaped, and not too long."""
    text = "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode()
                   for letter in text)
    # the end says what to do
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"


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
        return one_line(f"CAM does not apply to {self.model}: {self.reason}")


def complain(error):
    """Print an error of the user's input; returns the exit status that goes with it."""
    print(f"cam-numpy: {error}", file=sys.stderr)
    return 2
