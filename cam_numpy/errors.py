"""The error of a user's input, as opposed to a bug of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .names import plain

LONGEST = 1000  # characters of a message, whatever was given


class InputError(ValueError):
    """Something given cannot be used: what, what was given, what to do, in one line.

    Whatever was given, the message is one line, with nothing in it that a terminal obeys.
    """

    def __init__(self, message):
        super().__init__(_one_line(message))


class Assumed(UserWarning):
    """Something that neither a network's file nor the caller says, and that was assumed."""


class CamNotApplicable(InputError):  # noqa: N818 - it reads better where it is raised
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
        self.reason, self.model = _one_line(reason), plain(model)

    def __str__(self):
        return f"CAM does not apply to {self.model}: {self.reason}"


@contextmanager
def refused() -> Iterator[None]:
    """What the paper's functions refuse, as an error of the user's input."""
    try:
        yield
    except InputError:
        raise
    except ValueError as error:
        raise InputError(str(error)) from None


def _one_line(message):
    """A message in one line; of a long one the middle is left out, as its end says what to do."""
    message, half = plain(message), LONGEST // 2
    return message if len(message) <= LONGEST else f"{message[:half]} ... {message[5 - half :]}"
