"""Tiny ImageNet in its public layout, from the folder or straight from its zip.

The data set (Stanford CS231n): 200 classes of ImageNet, 64x64 JPEG pictures.

    tiny-imagenet-200/wnids.txt                          one class id a line
    tiny-imagenet-200/words.txt                          id <tab> names
    tiny-imagenet-200/train/<id>/images/<id>_<n>.JPEG    500 pictures a class
    tiny-imagenet-200/val/images/val_<n>.JPEG
    tiny-imagenet-200/val/val_annotations.txt            file, id, box
"""

from __future__ import annotations

import numpy as np

from cam_numpy.errors import InputError
from cam_numpy.evaluation import datasets


class TinyImageNet(datasets.TinyImageNet):
    """The data set as `cam_numpy.evaluation.datasets` reads it, and what training needs.

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

    Raises
    ------
    FileNotFoundError
        It is not there.
    """

    def __init__(self, source):
        try:
            _, self._files = datasets.find(source, [datasets.TinyImageNet])
            super().__init__(self._files)
        except InputError as error:
            raise FileNotFoundError(f"no Tiny ImageNet in {source}: {error}") from None
        self.wnids = self.labels
        words = dict(line.split("\t", 1) for line in self._files.text("words.txt").splitlines())
        self.names = [words[wnid] for wnid in self.wnids]

    def train(self, per_class=None):
        """The training pictures, `per_class` of each class (None: all of them).

        Returns
        -------
        images : (N, 64, 64, 3) uint8
        labels : (N,) int64
        """
        found = []
        for c, wnid in enumerate(self.wnids):
            lines = self._files.text(f"train/{wnid}/{wnid}_boxes.txt").splitlines()
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
        found = [(name, index[wnid]) for name, (wnid, _) in self._annotations.items()]
        return self._read(found[:limit])

    def _read(self, found):
        images = np.empty((len(found), 64, 64, 3), np.uint8)
        for i, (name, _) in enumerate(found):
            images[i] = np.asarray(self._photo(name))
        return images, np.array([c for _, c in found], np.int64)
