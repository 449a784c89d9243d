"""Tiny ImageNet in its public layout, from the folder or straight from its zip.

The data set (Stanford CS231n): 200 classes of ImageNet, 64x64 JPEG pictures.

    tiny-imagenet-200/wnids.txt                          one class id a line
    tiny-imagenet-200/words.txt                          id <tab> names
    tiny-imagenet-200/train/<id>/images/<id>_<n>.JPEG    500 pictures a class
    tiny-imagenet-200/val/images/val_<n>.JPEG
    tiny-imagenet-200/val/val_annotations.txt            file, id, box
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image


class TinyImageNet:
    """The data set, open for reading.

    Parameters
    ----------
    source : path
        The folder ``tiny-imagenet-200``, a folder that holds it, or the zip.

    Attributes
    ----------
    wnids : list of str
        The 200 class ids, in the order of ``wnids.txt``: index c is class c.
    names : list of str
        The names of each class, as WordNet gives them.
    """

    def __init__(self, source):
        self.root = zipfile.Path(source) if zipfile.is_zipfile(source) else Path(source)
        if (self.root / "tiny-imagenet-200").is_dir():
            self.root = self.root / "tiny-imagenet-200"
        if not (self.root / "wnids.txt").is_file():
            raise FileNotFoundError(
                f"no Tiny ImageNet in {source}: neither wnids.txt nor a folder "
                "tiny-imagenet-200; give the data set's folder or its zip"
            )
        self.wnids = self._text("wnids.txt").split()
        words = dict(line.split("\t", 1) for line in self._text("words.txt").splitlines())
        self.names = [words[wnid] for wnid in self.wnids]

    def _text(self, name):
        return (self.root / name).read_text(encoding="utf-8")

    def train(self, per_class=None):
        """The training pictures, `per_class` of each class (None: all of them).

        Returns
        -------
        images : (N, 64, 64, 3) uint8
        labels : (N,) int64
        """
        found = []
        for c, wnid in enumerate(self.wnids):
            lines = self._text(f"train/{wnid}/{wnid}_boxes.txt").splitlines()
            for line in lines[:per_class]:
                found.append((f"train/{wnid}/images/{line.split()[0]}", c))
        return self._read(found)

    def val(self, limit=None):
        """The annotated validation pictures that are there, `limit` at most.

        Returns
        -------
        images : (N, 64, 64, 3) uint8
        labels : (N,) int64
        """
        index = {wnid: c for c, wnid in enumerate(self.wnids)}
        rows = [line.split("\t") for line in self._text("val/val_annotations.txt").splitlines()]
        return self._read([(f"val/images/{row[0]}", index[row[1]]) for row in rows[:limit]])

    def _read(self, found):
        images = np.empty((len(found), 64, 64, 3), np.uint8)
        for i, (name, _) in enumerate(found):
            with Image.open(io.BytesIO((self.root / name).read_bytes())) as picture:
                images[i] = np.asarray(picture.convert("RGB"))
        return images, np.array([c for _, c in found], np.int64)
