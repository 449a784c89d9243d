"""One progress line for every command that takes long."""

from __future__ import annotations

import sys
import time


class Progress:
    """A line on standard error that counts up, where somebody watches it.

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
        # spaces wipe out what is left of a longer line
        print(f"\r{text:<{self._width}}", end="", file=sys.stderr, flush=True)
        self._width = len(text)
        if done >= total:
            self.close()

    def close(self):
        """End the line: something else is going to be printed."""
        if self._width:
            print(file=sys.stderr, flush=True)
        self._width = 0
