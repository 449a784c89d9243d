"""Write a file whole or not at all."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path

from .errors import InputError

PNG_LEVEL = 2  # of zlib: several times as fast as the default 6, for a few more bytes


@contextmanager
def whole_file(path):
    """A temporary path beside `path`, put in its place when all went well.

    Parameters
    ----------
    path : path
        The file to write; one that is there is replaced.

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
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        yield unfinished
        os.replace(unfinished, path)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror or error}); "
                         "give --out another folder, or make room") from None
    finally:
        if unfinished.exists():
            unfinished.unlink()
