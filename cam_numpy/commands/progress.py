"""One progress line for every command that takes long."""

from __future__ import annotations

import shutil
import sys
import time

from ..names import cut
from .process import tell


class Progress:
    """A line on standard error that counts up, where somebody watches it.

    ``with Progress("photos") as line`` ends the line however the work ends, so that whatever is
    printed next begins a line of its own. Call ``line(done, total, note)`` as often as you like.

    Parameters
    ----------
    what : str
        What is counted, such as "photos".
    every : float
        Seconds between two updates.
    """

    def __init__(self, what, every=0.5):
        self.what, self.every = what, every
        self._shown, self._width, self._began = 0.0, 0, time.monotonic()
        self._watched = sys.stderr.isatty()

    def __call__(self, done, total, note=""):
        """Show that `done` of `total` are done, with the time left and a note."""
        now = time.monotonic()
        if not self._watched or (now - self._shown < self.every and done < total):
            return
        self._shown = now
        left = (now - self._began) / done * (total - done) if done else 0
        text = f"{done:,} of {total:,} {self.what}, {left:.0f} s left" + (f"; {note}" if note else "")
        text = cut(text, shutil.get_terminal_size().columns - 1)  # "\r" does not go back two lines
        # spaces wipe out what is left of a longer line
        tell(f"{text:<{self._width}}", start="\r", end="")
        self._width = len(text)
        if done >= total:
            self.close()

    def close(self):
        """End the line: something else is going to be printed."""
        if self._width:
            tell("")
        self._width = 0

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()
