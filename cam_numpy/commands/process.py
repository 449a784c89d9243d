"""What every command shares as a process: its streams, its signals, its exit status.

Exit statuses: 0; 2 where something given could not be used; 128 + n after signal n, 130 for
Ctrl-C. `inspect` has 1 besides, where CAM does not apply.
"""

from __future__ import annotations

import errno
import os
import sys

from ..errors import InputError
from ..names import plain
from .signals import Signals

REFUSED = InputError, MemoryError  # what ends in one line, not in a traceback
INTERRUPTED = 130  # the exit status
_signals = None  # of `run`
GONE = errno.EPIPE, errno.EINVAL  # the reader of a pipe; EINVAL is what Windows says


def say(text):
    """Print results on standard output.

    In `cam-numpy ... | head` the reader leaves early: what is left to print is dropped, and the
    work goes on.

    Raises
    ------
    InputError
        It cannot be written, as the disk is full.
    """
    try:
        _write(sys.stdout, text)
    except OSError as error:
        _into_nothing(sys.stdout)
        if error.errno not in GONE:
            raise InputError(f"standard output cannot be written ({error.strerror}); make room, or send it "
                             "elsewhere") from None


def tell(text, start="", end="\n"):
    """Print on standard error what is not a result: progress, errors. If that fails, nothing happens."""
    try:
        _write(sys.stderr, text, start, end)
    except OSError:
        _into_nothing(sys.stderr)


def complain(error):
    """Print one of `REFUSED`; returns the exit status that goes with it.

    Raises
    ------
    KeyboardInterrupt
        A signal came before: then nothing is printed. A module that is interrupted while it is
        imported can raise anything, and what is left of Ctrl-C may look like a damaged photo.
    """
    if _signals and _signals.number:
        raise KeyboardInterrupt
    if isinstance(error, MemoryError):
        reason = str(error) or "none is left"
        error = InputError(f"there is not enough memory ({reason}); give a smaller photo or a smaller "
                           "--size, or close other programs")
    tell(f"cam-numpy: {error}")
    return 2


def _write(stream, text, start="", end="\n"):
    """Write text in the letters that a stream has, and without those that a terminal obeys."""
    if stream is None:  # closed from the start, in a process that is not `run` here
        return
    text = "\n".join(map(plain, text.split("\n")))
    encoding = stream.encoding or "utf-8"
    stream.write(start + text.encode(encoding, "replace").decode(encoding) + end)
    stream.flush()


def _into_nothing(stream):
    """Send the rest of a stream nowhere: what is in its buffer would be tried again at the end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def run(main, signals=None):
    """Run `main` as this process: in order with the streams and signals that it was born with.

    Parameters
    ----------
    main : callable
        Returns an exit status.
    signals : Signals, optional
        Where they were taken over before this module was imported.
    """
    global _signals
    _signals = signals = signals or Signals()
    try:
        status = _status(main, signals)
        signals.ignore()  # ending takes a moment, and there is nothing left to tidy up
    except KeyboardInterrupt:  # a second one, while the first was seen to
        status = INTERRUPTED
    signals.ignore()
    if signals.number and status != INTERRUPTED:  # it was taken for something else: nobody has said so
        interrupted()
    sys.exit(128 + signals.number if signals.number else status)


def _status(main, signals):
    try:
        signals.release()
        _own_streams()
        return main()
    except SystemExit as stop:  # argparse's
        return stop.code
    except (KeyboardInterrupt, Exception):
        if not signals.number:
            raise
        return interrupted()  # modules in C that are interrupted while they are imported raise anything


def interrupted():
    """Say so; returns the exit status that goes with it."""
    tell("cam-numpy: interrupted")
    return INTERRUPTED


def _own_streams():
    """Make sure that all three streams are there, and that only we write to standard error."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass  # a stream was closed; a file that we open later must not get its number
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")
    else:
        sys.stderr = open(os.dup(2), "w", encoding=sys.stderr.encoding, errors="backslashreplace")
    os.dup2(number, 2)  # what libraries in C, such as libtiff, write there is not for the user
    os.close(number)
