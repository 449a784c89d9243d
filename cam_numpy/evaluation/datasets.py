"""The data sets that localisation is measured on: pictures, their classes, their boxes.

`open_dataset` knows each of them by the files in it:

=============  =====================================================================
Tiny ImageNet  wnids.txt, val/val_annotations.txt, val/images/
ILSVRC         Data/CLS-LOC/val/ and Annotations/CLS-LOC/val/; or val/ and, in any
               one folder beside or in it, an XML file for each picture
CUB-200-2011   images.txt, image_class_labels.txt, bounding_boxes.txt, classes.txt,
               images/
CSV            a line ``path,label,x0,y0,x1,y1`` for each box
=============  =====================================================================

Boxes count the pixels as the file stores them, which is how the benchmarks were annotated. Pictures
are read the same way: EXIF orientation is left alone.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from PIL import Image

from ..errors import InputError
from ..image.photo import MOST_BYTES, read_photo
from ._archive import Folder, open_files

WNID = r"n\d{8}"  # the id of a class in WordNet
PICTURES = {".jpeg", ".jpg", ".png"}  # the suffixes, where a folder is listed
OTHER_SPLITS = ("train", "test")  # not searched for the annotations of val: it would take long
XML_BYTES = 1_000_000  # the largest annotation that is parsed; those of ILSVRC have a few thousand bytes


def open_dataset(path: str | Path) -> DataSet:
    """Open a data set for reading.

    Parameters
    ----------
    path : path
        Its folder, a folder that holds it, a zip of either, or a CSV file.

    Returns
    -------
    dataset : DataSet

    Raises
    ------
    InputError
        It is missing, damaged, of an unknown layout, without a picture, or has a
        line that cannot be read.
    """
    path, known = Path(path), _known([TinyImageNet, ILSVRC, CUB, CSV])
    if os.path.isfile(path) and path.suffix.lower() == ".csv":
        return CSV(path)
    if os.path.isfile(path) and path.suffix.lower() != ".zip":
        raise InputError(f"{path} is not a data set; give {known}")
    layout, files = find(path, [TinyImageNet, ILSVRC, CUB], known)
    return layout(files)


def find(path, layouts, known=None):
    """Find the one data set of some layouts in a folder or zip, or in a folder at its top.

    Parameters
    ----------
    path : path
    layouts : list of classes
    known : str, optional
        What an error says that one can give.

    Returns
    -------
    layout : class
    files : Folder or Zip
        The argument of `layout`.

    Raises
    ------
    InputError
        There is none, or more than one.
    """
    top, known = open_files(path), known or _known(layouts)
    folders, names = top.listing()
    if not folders and not names:
        raise InputError(f"{path} is empty; give {known}")
    for places in ([top], [top.below(folder) for folder in folders]):
        fitting = [(layout, files) for files in places for layout in layouts if layout.fits(files)]
        first = {str(files): (layout, files) for layout, files in reversed(fitting)}  # of each place
        if len(first) > 1:
            raise InputError(f"{path} holds {len(first)} data sets; give one: {', '.join(sorted(first))}")
        if first:
            return first.popitem()[1]
    raise InputError(f"{path} has no layout of a data set; give {known}")


def _known(layouts):
    return " or ".join(f"{layout.name} ({layout.form})" for layout in layouts)


@dataclass(frozen=True)
class Case:
    """A picture with its label and its boxes.

    Attributes
    ----------
    name : str
        The picture's path in the data set.
    photo : PIL.Image.Image
        Mode RGB, the pixels as the file stores them.
    label : str
        The class.
    boxes : tuple of (int, int, int, int)
        (x0, y0, x1, y1), all inside the photo: first and last column and row, both included.
    """

    name: str
    photo: Image.Image
    label: str
    boxes: tuple


class DataSet:
    """Pictures in a fixed order: ``len(dataset)``, ``dataset[i]``, from any thread.

    ``dataset[i]`` reads a picture; it raises InputError where the picture or its
    annotation cannot be used.

    Attributes
    ----------
    name : str
    labels : list of str or None
        All classes in the data set's own order, where it has one.
    """

    name, form = "", ""  # form: the files by which it is known
    labels = None
    clips = False  # whether a box that overshoots the picture is clipped rather than refused

    def __init__(self, files, annotations):
        self._files, self._annotations, self._names = files, annotations, list(annotations)
        if not annotations:
            raise InputError(f"{files} is {self.name} without pictures to measure on; get the whole data set")

    def __len__(self):
        return len(self._names)

    def called(self, names):
        """The paths of the pictures whose files have one of these names."""
        return [self._files.where(path) for path in self._names if PurePosixPath(path).name in names]

    def __getitem__(self, i):
        name = self._names[i]
        photo = self._photo(name)
        label, boxes = self._annotation(name, photo.size)
        return Case(name, photo, label, tuple(self._inside(box, photo.size, name) for box in boxes))

    def _photo(self, name):
        return read_photo(self._files.read(name, MOST_BYTES), self._files.where(name), upright=False)

    def _annotation(self, name, size):
        """The label and the boxes of a picture, size being (width, height)."""
        return self._annotations[name]

    def _inside(self, box, size, name):
        x0, y0, x1, y1 = box
        width, height = size
        if self.clips:
            x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, width - 1), min(y1, height - 1)
        if not (0 <= x0 <= x1 < width and 0 <= y0 <= y1 < height):
            raise InputError(f"{self._files.where(name)}: box {box} lies outside of the picture of "
                             f"{width} x {height} pixels; count from 0, the last column and row included")
        return x0, y0, x1, y1


class TinyImageNet(DataSet):
    """Tiny ImageNet (Stanford CS231n): 200 classes, 64 x 64 pixels; its validation pictures.

    A line of ``val/val_annotations.txt`` is: file, wnid, x0, y0, x1, y1, tabs between,
    both ends of the box included. Missing pictures are skipped: some copies hold only a subset.

    `labels` are the wnids, in the order of ``wnids.txt``.
    """

    name, form = "Tiny ImageNet", "wnids.txt and val/val_annotations.txt"

    @staticmethod
    def fits(files):
        return files.has("wnids.txt") and files.has("val/val_annotations.txt")

    def __init__(self, files):
        self.labels = files.text("wnids.txt").split()
        known, there = set(self.labels), set(files.listing("val/images")[1])

        def parse(line):
            file, wnid, *box = line.split("\t")
            if wnid not in known:
                raise ValueError
            return file, (wnid, [_box(box)])

        truths = _unique(files, "val/val_annotations.txt", "file, wnid, x0, y0, x1, y1, tabs between", parse)
        super().__init__(files, {f"val/images/{file}": truth for file, truth in truths.items()
                                 if file in there})


class ILSVRC(DataSet):
    """The localisation task of ILSVRC; its validation pictures.

    The official tree, or ``val/`` with the pictures (in one folder, or in one a
    class) and the annotations in any one folder beside or in it, as XML files with the
    pictures' stems.

    The XML has the form of PASCAL VOC. The label is the name of the first object, a
    wnid; objects of another name are ignored. Coordinates are used unchanged, as first and last
    pixel counted from 0, and clipped to the picture: a few of them overshoot it. Annotations are
    read with their pictures, not before.

    `labels` are the wnids, sorted, from LOC_synset_mapping.txt or a folder ``train``, where there
    is one.
    """

    name, form = "ILSVRC", "Data/CLS-LOC/val, or val and a folder of XML files"
    clips = True

    @staticmethod
    def fits(files):
        return files.has("Data/CLS-LOC/val") or files.has("val")

    def __init__(self, files):
        base = "Data/CLS-LOC/" if files.has("Data/CLS-LOC/val") else ""
        folders, names = files.listing(f"{base}val")
        for folder in folders:
            names += [f"{folder}/{name}" for name in files.listing(f"{base}val/{folder}")[1]]
        pictures = [f"{base}val/{name}" for name in names if PurePosixPath(name).suffix.lower() in PICTURES]
        super().__init__(files, dict.fromkeys(pictures))
        self._xml = self._find_annotations({PurePosixPath(name).stem for name in pictures})
        self.labels = self._find_labels(base)

    def _find_annotations(self, stems):
        """The folder of the XML files: the official one, or the nearest with one of the stems."""
        level = ["Annotations/CLS-LOC/val", ""]
        for _ in range(4):
            below = []
            for place in level:
                folders, names = self._files.listing(place)
                if any(name.endswith(".xml") and name[:-4] in stems for name in names):
                    return place
                below += [f"{place}/{folder}".lstrip("/") for folder in folders if folder not in OTHER_SPLITS]
            level = below
        raise InputError(f"{self._files} has pictures in val, but no folder of XML files with their stems; "
                         "put the annotations beside val")

    def _find_labels(self, base):
        for mapping in ("LOC_synset_mapping.txt", "../LOC_synset_mapping.txt"):
            if self._files.has(mapping):
                return sorted(self._files.lines(mapping, "a wnid and names", _wnid))
        folders = self._files.listing(f"{base}train")[0]
        return folders if folders and all(re.fullmatch(WNID, folder) for folder in folders) else None

    def _annotation(self, name, size):
        xml = f"{self._xml}/{PurePosixPath(name).stem}.xml".lstrip("/")
        where = f"{name}: its annotation {self._files.where(xml)}"
        try:
            content = self._files.read(xml, XML_BYTES)
        except InputError as error:
            raise InputError(f"{name} has no annotation: {error}") from None
        try:
            stated, objects = _objects(content)
        except ElementTree.ParseError as error:
            raise InputError(f"{where} is malformed ({error}); get the file again") from None
        except (ValueError, TypeError, AttributeError, LookupError):
            raise InputError(f"{where} is malformed (an object is name and bndbox, xmin to ymax being "
                             "integers in order); get the file again") from None
        if not objects:
            raise InputError(f"{where} names no object; get the file again")
        # a copy of the data set in another size, or turned: its boxes would be somewhere else
        off = any(abs(side - own) > 0.1 * side for side, own in zip(stated, size, strict=True))
        if all(stated) and (off or size != stated == size[::-1]):
            raise InputError(f"{where} is for {stated[0]} x {stated[1]} pixels, the picture has "
                             f"{size[0]} x {size[1]}; give the pictures in their own size")
        label = objects[0][0]
        return label, [box for other, box in objects if other == label]


def _objects(xml):
    """The picture's (width, height) as an annotation of PASCAL VOC states it, and its (name, box)es."""
    root = ElementTree.fromstring(xml)
    ends = [f"bndbox/{end}" for end in ("xmin", "ymin", "xmax", "ymax")]
    return (tuple(_integer(root.findtext(f"size/{side}") or "0") for side in ("width", "height")),
            [(item.findtext("name").strip(), _box(map(item.findtext, ends))) for item in root.iter("object")])


class CUB(DataSet):
    """Caltech-UCSD Birds-200-2011 (Wah et al.): 200 classes; its test pictures.

    The lines of its files start with the id of a picture, or of a class. Boxes are x, y,
    width, height, as real numbers: a box has the pixels that it covers, columns
    floor(x) to ceil(x + width) - 1, clipped to the picture. Without train_test_split.txt,
    all pictures are listed.

    `labels` are the names of the classes in the order of classes.txt:
    "001.Black_footed_Albatross" is "Black footed Albatross".
    """

    name, form = "CUB-200-2011", "images.txt and bounding_boxes.txt"
    clips = True

    @staticmethod
    def fits(files):
        return files.has("images.txt") and files.has("bounding_boxes.txt")

    def __init__(self, files):
        classes = _table(files, "classes.txt", "class id, name", _readable)
        images = _table(files, "images.txt", "picture id, path")
        labels = _table(files, "image_class_labels.txt", "picture id, class id", classes.__getitem__, images)
        boxes = _table(files, "bounding_boxes.txt", "picture id, x, y, width, height", _covered, images)
        training = dict.fromkeys(images, False)
        if files.has("train_test_split.txt"):
            training = _table(files, "train_test_split.txt", "picture id, 0 or 1", ["0", "1"].index, images)
        self.labels = list(classes.values())
        super().__init__(files, {f"images/{image}": (labels[n], [boxes[n]])
                                 for n, image in images.items() if not training[n]})


class CSV(DataSet):
    """Your own list of boxes.

    The first line names the columns, in any order: path, label, x0, y0, x1, y1; other columns are
    ignored. Paths start from the CSV's folder. A picture with several boxes has a
    line for each. UTF-8, commas; first and last column and row of a box from 0 on, both
    included.
    """

    columns = ("path", "label", "x0", "y0", "x1", "y1")
    name, form = "CSV", "a .csv file of " + ",".join(columns)

    def __init__(self, path):
        files = Folder(path.parent)
        table = csv.reader(io.StringIO(files.text(path.name), newline=""), strict=True)
        annotations = {}
        try:
            header = [title.strip() for title in next(table, [])]
            if missing := [column for column in self.columns if column not in header]:
                raise InputError(f"no column {', '.join(missing)}; start with {','.join(self.columns)}")
            if twice := [column for column in self.columns if header.count(column) > 1]:
                raise InputError(f"two columns {', '.join(twice)}; start with {','.join(self.columns)}")
            places = [header.index(column) for column in self.columns]
            for row in table:
                if any(row):
                    self._add(row, places, annotations, files)
        except InputError as error:
            raise InputError(f"{path}, line {max(1, table.line_num)}: {error}") from None
        except csv.Error as error:
            raise InputError(f"{path}, line {table.line_num}: {error}; mend its quotes and commas") from None
        if not annotations:
            raise InputError(f"{path} lists no pictures; give a line for each box")
        super().__init__(files, annotations)
        self.name = path.name

    def _add(self, row, places, annotations, files):
        if len(row) <= max(places):
            raise InputError(f"it has {len(row)} values, fewer than the first; give {','.join(self.columns)}")
        path, label, *numbers = (row[place].strip() for place in places)
        name = PurePath(path).as_posix()
        try:
            box = _box(numbers)
        except ValueError:
            raise InputError(f"the box is {','.join(numbers)}; give integers, x0 <= x1, y0 <= y1") from None
        if not label:
            raise InputError(f"{path} has no label; name its class")
        if name not in annotations and not files.has(name):
            raise InputError(f"there is no picture {files.where(name)}; give its path from the CSV's folder")
        known, boxes = annotations.setdefault(name, (label, []))
        if known != label:
            raise InputError(f'{path} is "{label}" here, "{known}" before; give each picture one label')
        boxes.append(box)


def _box(numbers):
    """Four texts as a box, or a ValueError."""
    x0, y0, x1, y1 = box = tuple(map(_integer, numbers))
    if x0 > x1 or y0 > y1:
        raise ValueError("the box ends before it starts")
    return box


def _integer(text):
    """An integer in decimal digits, or a ValueError. int() takes 1_0 too, and the digits of all scripts."""
    if not re.fullmatch(r"[+-]?[0-9]{1,9}", text.strip()):
        raise ValueError("not an integer")
    return int(text)


def _real(text):
    """A decimal fraction, or a ValueError. float() takes 1_0 too, and the digits of all scripts."""
    if not re.fullmatch(r"[+-]?[0-9]{1,9}(\.[0-9]{0,20})?", text):
        raise ValueError("not a decimal fraction")
    return float(text)


def _covered(text):
    """The pixels that a box of CUB covers."""
    x, y, width, height = map(_real, text.split())
    if not (width > 0 and height > 0):
        raise ValueError("the box is empty")
    return math.floor(x), math.floor(y), math.ceil(x + width) - 1, math.ceil(y + height) - 1


def _readable(name):
    return re.sub(r"^\d+\.", "", name).replace("_", " ")


def _wnid(line):
    wnid = line.split()[0]
    if not re.fullmatch(WNID, wnid):
        raise ValueError("no wnid")
    return wnid


def _unique(files, name, form, parse):
    """{key: value} of a file for whose lines `parse` returns such pairs, each key once."""
    table = {}
    for key, value in files.lines(name, form, parse):
        if key in table:
            raise InputError(f"{files.where(name)} has two lines for {key}; get the file again")
        table[key] = value
    return table


def _table(files, name, form, convert=str, ids=()):
    """{id: the rest of its line} of one of CUB's files, which has all the ids."""
    def parse(line):
        n, rest = line.split(maxsplit=1)
        return n, convert(rest)

    table = _unique(files, name, form, parse)
    for n in ids:
        if n not in table:
            raise InputError(f"{files.where(name)} has no line for {n} of images.txt; get the file again")
    return table
