"""Where a command writes: never over one of its own inputs, and never twice to one place."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError
from ..output import identity
from .options import writable_folder


class Targets:
    """The files that a command may write in a folder.

    Parameters
    ----------
    folder : path
        That of --out; where it is missing, `output.whole_file` makes it.
    inputs : sequence of path or None
        All files that the command reads.

    Raises
    ------
    InputError
        The folder cannot be made, or may not be written to.
    """

    def __init__(self, folder, inputs):
        self.folder = writable_folder(folder)
        self._inputs = {identity(path) for path in inputs if path is not None} - {None}
        self._stems, self._names = set(), set()

    def stem(self, photo):
        """The stem of a photo's name, numbered where an earlier photo of this run has it already."""
        stem = name = Path(photo).stem
        n = 1
        while name.casefold() in self._stems:
            n += 1
            name = f"{stem}-{n}"
        self._stems.add(name.casefold())
        return name

    def path(self, name):
        """The path of a file to write.

        Raises
        ------
        InputError
            It is an input of this run, or was written in this run already.
        """
        path = self.folder / name
        if identity(path) in self._inputs:
            raise InputError(f"{path} is an input, and would be written over; give --out another folder")
        if name.casefold() in self._names:
            raise InputError(f"{path} was just written, and would be written over; explain that photo "
                             "by itself, with another --out")
        self._names.add(name.casefold())
        return path
