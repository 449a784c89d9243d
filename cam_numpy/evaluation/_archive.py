"""A folder and a zip, read in the same way, from several threads.

The name of a file is its path from the top, with / between the parts.
Listings leave out what is hidden (".DS_Store", the "._" twins that macOS puts into
zips, "__MACOSX"), and links to a folder that contains them, which would never end.
"""

from __future__ import annotations

import copy
import io
import math
import os
import posixpath
import threading
import zipfile
from pathlib import Path

from ..errors import InputError
from ..input import open_file, read_file, too_large, unreadable

MOST_TEXT = 20_000_000  # bytes of a text file; those of the data sets have less than a million
DEEPEST = 100  # folders in folders of a zip


def open_files(path):
    """Open a folder or a zip.

    Parameters
    ----------
    path : path

    Returns
    -------
    files : Folder or Zip

    Raises
    ------
    InputError
        It is missing, neither of the two, or a damaged zip.
    """
    path = Path(path)
    if os.path.isdir(path):
        return Folder(path)
    try:
        os.stat(path)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file or folder; check the name") from None
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None
    open_file(path, math.inf, "a folder or a zip").close()  # zipfile would not say why it cannot
    try:
        if zipfile.is_zipfile(path):
            return Zip(path)
    except Exception as error:  # a damaged directory can raise anything in zipfile
        reason = str(error) or type(error).__name__
        raise InputError(f"{path} is damaged or cut off ({reason}); get the zip again") from None
    if path.suffix.lower() == ".zip":
        raise InputError(f"{path} is not a zip, or a damaged one; get it again")
    raise InputError(f"{path} is neither a folder nor a zip; give one of them")


class Files:
    """What a folder and a zip have in common.

    Each of them knows `below`, `has`, `listing`, `where`, and `read`, which takes a name and the
    largest size in bytes, and raises InputError where a file is missing, damaged or larger.
    """

    def text(self, name):
        """The content of a text file in UTF-8, with or without a byte order mark."""
        try:
            return self.read(name, MOST_TEXT).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InputError(f"{self.where(name)} is not valid UTF-8 text (byte {error.start}); "
                             "save it as UTF-8") from None

    def lines(self, name, form, parse):
        """What `parse` makes of each line of a text file that is not blank.

        Raises
        ------
        InputError
            `parse` refuses a line, which does not have the form: its number.
        """
        rows = []
        for number, line in enumerate(io.StringIO(self.text(name), newline="\n"), 1):
            try:
                if line.strip():
                    rows.append(parse(line.strip()))
            except (ValueError, KeyError, OverflowError):
                raise InputError(f'{self.where(name)}, line {number}: "{line.strip()[:60]}" is not {form}; '
                                 "get the file again") from None
        return rows


class Folder(Files):
    """A folder on the disk."""

    def __init__(self, path):
        self.path = Path(path)

    def __str__(self):
        return str(self.path)

    def below(self, folder):
        """The files of a folder inside."""
        return Folder(self.path / folder)

    def where(self, name):
        """The whole path of a file, for a message."""
        return str(self.path / name)

    def has(self, name):
        """Whether there is such a file or folder."""
        return os.path.exists(self.path / name)

    def listing(self, folder=""):
        """The names of the folders and of the files in a folder, sorted."""
        top = os.path.join(self.path, folder)
        folders, files = [], []
        try:
            with os.scandir(top) as entries:
                for entry in entries:
                    if not _shown(entry.name):
                        continue
                    if not os.path.isdir(entry.path) if entry.is_symlink() else not entry.is_dir():
                        files.append(entry.name)
                    elif not (entry.is_symlink() and _leads_back(entry.path, top)):
                        folders.append(entry.name)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            raise InputError(f"{top} cannot be read ({error.strerror}); check its permissions") from None
        return sorted(folders), sorted(files)

    def read(self, name, most):
        """The content of a file, `most` bytes at most."""
        return read_file(self.path / name, most, "a file")


class Zip(Files):
    """A zip, or a folder inside of one. Its directory is read once."""

    def __init__(self, path):
        self.path, self._top = Path(path), ""
        self._zip, self._lock = zipfile.ZipFile(path), threading.Lock()
        self._tree = {"": (set(), set())}  # folder -> names of the folders in it, of the files in it
        for name in self._zip.namelist():
            folder, _, file = name.rpartition("/")
            if folder.count("/") < DEEPEST:
                self._grow(folder)[1].add(file)

    def __str__(self):
        return str(self.path / self._top)

    def _grow(self, folder):
        if folder not in self._tree:
            parent, _, last = folder.rpartition("/")
            self._grow(parent)[0].add(last)
            self._tree[folder] = (set(), set())
        return self._tree[folder]

    def _member(self, name):
        path = posixpath.normpath(posixpath.join(self._top, name))
        return "" if path == "." else path

    def below(self, folder):
        """The files of a folder inside."""
        inner = copy.copy(self)
        inner._top = self._member(folder)
        return inner

    def where(self, name):
        """The whole path of a file, for a message."""
        return str(self.path / self._member(name))

    def has(self, name):
        """Whether there is such a file or folder."""
        folder, _, last = self._member(name).rpartition("/")
        return any(last in names for names in self._tree.get(folder, ()))

    def listing(self, folder=""):
        """The names of the folders and of the files in a folder, sorted."""
        folders, files = self._tree.get(self._member(folder), ((), ()))
        return sorted(filter(_shown, folders)), sorted(filter(_shown, files))

    def read(self, name, most):
        """The content of a file, `most` bytes at most."""
        where = self.where(name)
        try:
            member = self._zip.getinfo(self._member(name))
        except KeyError:
            raise InputError(f"{where}: there is no such file; check the name") from None
        if member.file_size > most:
            raise too_large(where, member.file_size, most)
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            # zipfile unpacks the others without regard to the size that they state
            raise InputError(f"{where} is packed by method {member.compress_type}; pack the zip with deflate")
        try:
            # the lock: zipfile counts its readers without one, and closes the file when it loses count
            with self._lock, self._zip.open(member) as file:
                return file.read(member.file_size)
        except Exception as error:  # a damaged zip can raise anything in zipfile
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise InputError(f"{where} cannot be read ({reason}); get it again") from None


def _shown(name):
    return name != "" and not name.startswith(".") and name != "__MACOSX"


def _leads_back(link, folder):
    target, folder = Path(link).resolve(), Path(folder).resolve()
    return target == folder or target in folder.parents
