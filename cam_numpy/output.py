"""Write a file whole or not at all, and over none that is read."""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import InputError

PNG_LEVEL = 2  # of zlib: several times as fast as the default 6, for a few more bytes


@contextmanager
def whole_file(path):
    """A temporary path beside `path`, put in its place when all went well.

    Parameters
    ----------
    path : path
        The file to write; one that is there is replaced, a folder that is missing is made. Where
        it is a link, the link is replaced, and the file that it leads to stays as it is.

    Yields
    ------
    unfinished : Path
        Where to write.

    Raises
    ------
    InputError
        It cannot be written there.
    """
    path = Path(path)
    # a name that nobody can guess: no other process writes there, and no link waits there. It does
    # not hold the file's own name, which may be as long as names can be
    unfinished = path.with_name(f".{secrets.token_hex(8)}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield unfinished
        os.replace(unfinished, path)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror or error}); "
                         "give another folder, or make room") from None
    finally:
        with suppress(OSError):
            unfinished.unlink()


def identity(path):
    """What two names of one file have in common; None where there is no such file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
