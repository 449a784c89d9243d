"""Open a file that a user names, or say why not: what is wrong with it, and what to do."""

from __future__ import annotations

import errno
import os
import stat

from .errors import InputError

ADVICE = {
    errno.EMFILE: "close some files, or raise the limit of open files",
    errno.ENFILE: "close some files, or raise the limit of open files",
    errno.EIO: "check the disk",
}


def open_file(path, most, what):
    """Open a regular file for reading bytes.

    A pipe or a device is refused before it is opened: it may have no end, or never begin.

    Parameters
    ----------
    path : path
    most : int
        The largest size taken, in bytes.
    what : str
        What to give instead, for the message: "an image file".

    Returns
    -------
    file : binary file object

    Raises
    ------
    InputError
        It is missing, not a regular file, too large, or may not be read.
    """
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise InputError(f"{path} is a folder; give {what}")
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{path} is a pipe, a socket or a device, not a file; give {what}")
        if status.st_size > most:
            raise too_large(path, status.st_size, most)
        return open(path, "rb")
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None


def read_file(path, most, what):
    """The bytes of a regular file; parameters and errors are those of `open_file`."""
    with open_file(path, most, what) as file:
        try:
            return file.read(most)
        except (OSError, MemoryError) as error:
            raise unreadable(path, error) from None


def unreadable(path, error):
    """The InputError for what the system said of a path.

    Parameters
    ----------
    path : path
    error : OSError, ValueError or MemoryError
        ValueError: no file can have this name.
    """
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return InputError(f"{path}: there is no such file; check the name")
    if isinstance(error, PermissionError):
        return InputError(f"{path} may not be read; check its permissions, and those of its folder")
    if isinstance(error, MemoryError):
        return InputError(f"{path} takes more memory than there is; give a smaller one")
    number, reason = getattr(error, "errno", None), getattr(error, "strerror", None) or error
    return InputError(f"{path} cannot be read ({reason}); {ADVICE.get(number, 'check the name')}")


def too_large(name, size, most):
    """The InputError for a file of `size` bytes, where `most` are taken."""
    return InputError(f"{name} has {size:,} bytes, more than the {most:,} that are read; give a smaller one")
