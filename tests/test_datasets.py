"""Data sets: the same cases however they are laid out, or refused in one line."""

import os
import sys
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cam_numpy.errors import InputError
from cam_numpy.evaluation._archive import open_files
from cam_numpy.evaluation.datasets import Case, open_dataset
from tests.conftest import scene, zipped

A, B = "n00000002", "n00000001"  # not in the order of the alphabet
WIDTH, HEIGHT = 20, 10


def write(path, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def draw(path, seed=0, size=(WIDTH, HEIGHT), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(scene(size[1], size[0], seed)).save(path, **options)
    return path


def told(dataset):
    """(name, label, boxes) of every case."""
    return [(case.name, case.label, case.boxes) for case in dataset]


# --- Tiny ImageNet ----------------------------------------------------------------------

@pytest.fixture
def tiny(tmp_path):
    root = tmp_path / "data" / "tiny-imagenet-200"
    write(root / "wnids.txt", f"{A}\n{B}\n")
    write(root / "val" / "val_annotations.txt",
          f"val_0.JPEG\t{B}\t1\t2\t3\t4\nval_7.JPEG\t{A}\t0\t0\t19\t9\nval_2.JPEG\t{A}\t5\t6\t5\t6\n")
    for i in (0, 2):  # a copy without val_7
        draw(root / "val" / "images" / f"val_{i}.JPEG", i)
    return root


TINY = [("val/images/val_0.JPEG", B, ((1, 2, 3, 4),)), ("val/images/val_2.JPEG", A, ((5, 6, 5, 6),))]


@pytest.mark.parametrize("form", ["folder", "folder that holds it", "zip", "zip of the folder that holds it"])
def test_tiny_imagenet_is_the_same_in_every_form(tiny, tmp_path, form):
    path = {"folder": tiny, "folder that holds it": tiny.parent,
            "zip": zipped(tiny, tmp_path / "a.zip") if form == "zip" else None,
            "zip of the folder that holds it": zipped(tiny.parent, tmp_path / "b.zip")}[form]
    dataset = open_dataset(path)
    assert told(dataset) == TINY and len(dataset) == 2
    assert (dataset.name, dataset.labels) == ("Tiny ImageNet", [A, B])
    np.testing.assert_array_equal(np.asarray(dataset[1].photo), np.asarray(Image.open(tiny / TINY[1][0])))


def test_what_macos_puts_into_a_zip_is_no_data_set_and_no_picture(tiny, tmp_path):
    path = zipped(tiny.parent, tmp_path / "mac.zip")
    with zipfile.ZipFile(path, "a") as archive:
        for name in ("wnids.txt", "val/val_annotations.txt", "val/images/._val_7.JPEG"):
            archive.writestr(f"__MACOSX/tiny-imagenet-200/{name}", b"\0\5\26\7")
            archive.writestr(f"tiny-imagenet-200/._{Path(name).name}", b"\0\5\26\7")
    assert told(open_dataset(path)) == TINY


def test_threads_read_a_zip_of_thousands_of_files_as_one_does(tmp_path):
    pictures = [draw(tmp_path / "p.png", i, (8, 8)).read_bytes() for i in range(200)]
    lines = [f"val_{i}.JPEG\t{A}\t{i % 8}\t0\t7\t{i % 7}\n" for i in range(3000)]
    with zipfile.ZipFile(tmp_path / "t.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("wnids.txt", A)
        archive.writestr("val/val_annotations.txt", "".join(lines))
        for i in range(3000):
            archive.writestr(f"val/images/val_{i}.JPEG", pictures[i % 200])
    dataset = open_dataset(tmp_path / "t.zip")
    order = np.random.default_rng(0).permutation(400)  # the same ones by several threads, in disorder

    def content(i):
        case = dataset[int(i)]
        return case.name, case.boxes, case.photo.tobytes()

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(content, order)) == [content(i) for i in order]
    assert len(dataset) == 3000


# --- ILSVRC -----------------------------------------------------------------------------

def xml(*objects, size=(WIDTH, HEIGHT)):
    """A PASCAL VOC annotation of (name, xmin, ymin, xmax, ymax)s."""
    items = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin>"
        f"<xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>" for name, *box in objects)
    return (f"<annotation><filename>p</filename><size><width>{size[0]}</width><height>{size[1]}</height>"
            f"<depth>3</depth></size>{items}</annotation>")


ANNOTATIONS = {
    "v_1": xml((A, 1, 2, 3, 4), (B, 0, 0, 1, 1), (A, 7, 0, 7, 9)),
    "v_2": xml((B, -1, 0, WIDTH, HEIGHT)),  # overshoots by a pixel on three sides
}
ILSVRC = [("v_1", A, ((1, 2, 3, 4), (7, 0, 7, 9))), ("v_2", B, ((0, 0, 19, 9),))]
FORMS = {  # where the pictures are, and the annotations
    "official": ("ILSVRC/Data/CLS-LOC/val", "ILSVRC/Annotations/CLS-LOC/val"),
    "plain": ("val", "boxes"),
    "plain, deep": ("val", "Annotations/CLS-LOC/val"),
    "plain, together": ("val", "val"),
    "in wnid folders": ("val/WNID", "xml"),
}


def ilsvrc(root, form="plain"):
    pictures, annotations = FORMS[form]
    for stem, text in ANNOTATIONS.items():
        draw(root / pictures.replace("WNID", B if stem == "v_2" else A) / f"{stem}.JPEG", 3)
        write(root / annotations / f"{stem}.xml", text)
    write(root / "train.xml" / "other.xml", "not of these pictures")
    write(root / pictures.split("/WNID")[0] / "._v_1.JPEG", "macOS")
    write(root / pictures.split("/WNID")[0] / "list.txt", "no picture")
    return root


@pytest.mark.parametrize("form", FORMS)
def test_ilsvrc_is_the_same_in_every_form(tmp_path, form):
    top = ilsvrc(tmp_path / "top", form)
    for path in (top, zipped(top, tmp_path / "z.zip"), top / "ILSVRC" if form == "official" else tmp_path):
        cases = sorted(told(open_dataset(path)), key=lambda case: Path(case[0]).stem)
        assert [(Path(name).stem, label, boxes) for name, label, boxes in cases] == ILSVRC


def test_the_name_of_a_case_is_its_path(tmp_path):
    assert open_dataset(ilsvrc(tmp_path / "a", "in wnid folders"))[0].name == f"val/{B}/v_2.JPEG"
    assert open_dataset(ilsvrc(tmp_path / "b", "official"))[0].name == "Data/CLS-LOC/val/v_1.JPEG"


@pytest.mark.parametrize("form, where", [("official", "ILSVRC/Data/CLS-LOC"), ("plain", "")])
def test_wnids_of_ilsvrc_are_sorted_where_they_are_known(tmp_path, form, where):
    ilsvrc(tmp_path, form)
    assert open_dataset(tmp_path).labels is None
    for wnid in (A, B):
        (tmp_path / where / "train" / wnid).mkdir(parents=True)
    assert open_dataset(tmp_path).labels == [B, A]
    write(tmp_path / "LOC_synset_mapping.txt", f"{A} tench, Tinca tinca\nn00000009 goldfish\n{B} cat\n")
    assert open_dataset(tmp_path).labels == [B, A, "n00000009"]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_links_that_lead_back_are_not_followed(tmp_path):
    root = ilsvrc(tmp_path / "real")
    links = {"val/again": root / "val", "val/up": root, "boxes/loop": "loop", "val/gone": "nowhere"}
    for link, target in links.items():
        (root / link).symlink_to(target)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "set").symlink_to(root)  # a link elsewhere is
    assert [case[0] for case in told(open_dataset(tmp_path / "data"))] == ["val/v_1.JPEG", "val/v_2.JPEG"]


def test_boxes_count_the_pixels_as_stored(tmp_path):
    """A picture that a camera marked as lying on its side: 20 x 10 in the file, and so in its XML."""
    root, exif = ilsvrc(tmp_path), Image.Exif()
    exif[0x0112] = 6
    draw(root / "val" / "v_2.JPEG", exif=exif)
    assert open_dataset(root)[1].photo.size == (WIDTH, HEIGHT)


BAD_XML = {
    "missing": (None, "v_1.JPEG has no annotation: .*v_1.xml: there is no such file"),
    "cut": ("<annotation><object>", r"v_1.JPEG: its annotation .*v_1.xml is malformed \(no element found"),
    "no object": (xml(), "v_1.JPEG: .*names no object; get the file again"),
    "no name": (xml((A, 0, 0, 1, 1)).replace("name>", "game>"), "v_1.JPEG: .*an object is name and bndbox"),
    "no box": (xml((A, 0, 0, 1, 1)).replace("bndbox>", "box>"), "v_1.JPEG: .*an object is name and bndbox"),
    "words": (xml((A, "left", 0, 1, 1)), "v_1.JPEG: .*xmin to ymax being integers in order"),
    "turned": (xml((A, 5, 0, 4, 1)), "v_1.JPEG: .*xmin to ymax being integers in order"),
    "encoding": ('<?xml version="1.0" encoding="nope"?><a/>', "v_1.JPEG: .*is malformed"),
    "huge": (xml((A, 0, 0, 1, 1)) + " " * 1_000_000,
             "v_1.JPEG has no annotation: .*v_1.xml has 1,000,\\d+ bytes, more than the 1,000,000 that"),
    "outside": (xml((A, 20, 0, 25, 1)),
                r"v_1.JPEG: box \(20, 0, 25, 1\) lies outside of the picture of 20 x 10 pixels"),
    "resized": (xml((A, 0, 0, 1, 1), size=(500, 375)),
                "is for 500 x 375 pixels, the picture has 20 x 10; give the pic"),
}


@pytest.mark.parametrize("kind", BAD_XML)
def test_a_bad_annotation_is_refused_when_its_picture_is_read(tmp_path, kind):
    text, message = BAD_XML[kind]
    root = ilsvrc(tmp_path)
    (root / "boxes" / "v_1.xml").unlink()
    if text is not None:
        write(root / "boxes" / "v_1.xml", text)
    dataset = open_dataset(root)
    with pytest.raises(InputError, match=message) as refused:
        dataset[0]
    assert "\n" not in str(refused.value) and dataset[1].label == B


def test_an_annotation_without_a_size_is_taken(tmp_path):
    root = ilsvrc(tmp_path)
    write(root / "boxes" / "v_1.xml", xml((A, 0, 0, 1, 1)).replace("size>", "sizes>"))
    assert open_dataset(root)[0].boxes == ((0, 0, 1, 1),)


# --- CUB-200-2011 -----------------------------------------------------------------------

def cub(root, split=True):
    files = {
        "classes.txt": "1 001.Black_footed_Albatross\n2 002.Laysan_Albatross\n",
        "images.txt": "1 001.Black_footed_Albatross/a.jpg\n2 002.Laysan_Albatross/b.jpg\n"
                      "3 002.Laysan_Albatross/c.jpg\n",
        "image_class_labels.txt": "1 1\n2 2\n3 2\n",
        "bounding_boxes.txt": "1 2.0 1.0 5.0 4.0\n2 0.0 0.0 20.0 10.0\n3 3.5 0.0 30.0 2.25\n",
    }
    if split:
        files["train_test_split.txt"] = "1 0\n2 1\n3 0\n"
    for name, text in files.items():
        write(root / name, text)
    for i, line in enumerate(files["images.txt"].splitlines()):
        draw(root / "images" / line.split()[1], i)
    return root


CUB = [  # 5 columns and 4 rows; the whole picture; parts of pixels, and more than there is
    ("images/001.Black_footed_Albatross/a.jpg", "Black footed Albatross", ((2, 1, 6, 4),)),
    ("images/002.Laysan_Albatross/b.jpg", "Laysan Albatross", ((0, 0, 19, 9),)),
    ("images/002.Laysan_Albatross/c.jpg", "Laysan Albatross", ((3, 0, 19, 2),)),
]


def test_cub_lists_its_test_pictures_in_every_form(tmp_path):
    root = cub(tmp_path / "data" / "CUB_200_2011")
    for path in (root, root.parent, zipped(root.parent, tmp_path / "c.zip")):
        dataset = open_dataset(path)
        assert told(dataset) == [CUB[0], CUB[2]]
        assert dataset.labels == ["Black footed Albatross", "Laysan Albatross"]


def test_cub_without_a_split_lists_all_pictures(tmp_path):
    assert told(open_dataset(cub(tmp_path, split=False))) == CUB


# --- CSV --------------------------------------------------------------------------------

@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_csv_in_any_order_of_columns_and_rows(tmp_path, start, end):
    draw(tmp_path / "in" / "größe, 1.png", 1)
    draw(tmp_path / "b.png", 2)
    rows = ["y1,x1, y0,x0,note,label,path", '4,3,2,1,?,dog,"in/größe, 1.png"', "", "9,19,0,0,,a cat,b.png",
            '0,0,0,0,,dog,"in/größe, 1.png"']
    (tmp_path / "my.CSV").write_bytes((start + end.join(rows)).encode())
    dataset = open_dataset(tmp_path / "my.CSV")
    assert told(dataset) == [("in/größe, 1.png", "dog", ((1, 2, 3, 4), (0, 0, 0, 0))),
                             ("b.png", "a cat", ((0, 0, 19, 9),))]
    assert (dataset.name, dataset.labels, len(dataset)) == ("my.CSV", None, 2)
    assert isinstance(dataset[1], Case) and dataset[-1] == dataset[1]
    np.testing.assert_array_equal(np.asarray(dataset[1].photo), scene(HEIGHT, WIDTH, 2))


HEADER = "path,label,x0,y0,x1,y1\n"
BAD_CSV = {
    "empty": ("", "line 1: no column path, label, x0, y0, x1, y1; start with path,label,x0,y0,x1,y1"),
    "semicolons": ("path;label;x0;y0;x1;y1\n", "line 1: no column path, label, x0"),
    "no x1": ("path,label,x0,y0,y1\n", "line 1: no column x1; start with"),
    "only a header": (HEADER, "lists no pictures; give a line for each box"),
    "short": (HEADER + "a.png,dog,1,2,3\n", "line 2: it has 5 values, fewer than the first; give path,label"),
    "real number": (HEADER + "a.png,dog,1,2,3,4\na.png,dog,1,2,3.5,4\n",
                    "line 3: the box is 1,2,3.5,4; give integers"),
    "no number": (HEADER + "a.png,dog,1,2,,4\n",
                  "line 2: the box is 1,2,,4; give integers, x0 <= x1, y0 <= y1"),
    "turned": (HEADER + "a.png,dog,3,2,1,4\n",
               "line 2: the box is 3,2,1,4; give integers, x0 <= x1, y0 <= y1"),
    "no label": (HEADER + "a.png,,1,2,3,4\n", "line 2: a.png has no label; name its class"),
    "two labels": (HEADER + "a.png,dog,1,2,3,4\n./a.png,cat,1,2,3,4\n",
                   'line 3: ./a.png is "cat" here, "dog" before; give each picture one label'),
    "no picture": (HEADER + "b.png,dog,1,2,3,4\n",
                   "line 2: there is no picture .*b.png; give its path from the CSV's"),
    "open quote": (HEADER + '"a.png,dog,1,2,3,4\n',
                   "line 2: unexpected end of data; mend its quotes and commas"),
    "another encoding": ((HEADER + "größe").encode("latin-1"),
                         r"is not valid UTF-8 text \(byte 25\); save it as UTF-8"),
}


@pytest.mark.parametrize("kind", BAD_CSV)
def test_a_csv_with_a_mistake_is_refused_with_its_line(tmp_path, kind):
    content, message = BAD_CSV[kind]
    draw(tmp_path / "a.png")
    (tmp_path / "my.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message) as refused:
        open_dataset(tmp_path / "my.csv")
    assert str(refused.value).startswith(str(tmp_path / "my.csv")) and "\n" not in str(refused.value)


@pytest.mark.parametrize("box", ["0,0,20,9", "0,0,19,10", "-1,0,3,3", "0,-1,3,3", "30,30,40,40"])
def test_a_box_outside_of_its_picture_is_refused_when_it_is_read(tmp_path, tiny, box):
    draw(tmp_path / "a.png")
    write(tmp_path / "my.csv", HEADER + f"a.png,dog,{box}\n")
    write(tiny / "val" / "val_annotations.txt", f"val_0.JPEG\t{A}\t" + box.replace(",", "\t"))
    for dataset in (open_dataset(tmp_path / "my.csv"), open_dataset(tiny)):
        with pytest.raises(InputError, match=r"box \(.*\) lies outside of the picture of 20 x 10 pixels; co"):
            dataset[0]


# --- refused at opening -----------------------------------------------------------------

def change(file, text, make=cub):
    def build(path):
        write(make(path) / file, text)
    return build


def cut_zip(path):
    path.write_bytes(zipped(cub(path.parent / "c"), path).read_bytes()[:-40])


def two_data_sets(path):
    cub(path / "one")
    cub(path / "two")


def tiny_with(line):
    def build(path):
        write(path / "wnids.txt", A)
        write(path / "val" / "val_annotations.txt", f"\nval_0.JPEG\t{A}\t0\t0\t1\t1\n{line}\n")
    return build


BROKEN_TINY = "val_annotations.txt, line 3: .* is not file, wnid, x0, y0, x1, y1, tabs between; get the file"
BAD_SETS = {
    "missing": ("d", lambda p: None, "there is no such file or folder; check the name"),
    "missing csv": ("d.csv", lambda p: None, "there is no such file or folder; check the name"),
    "empty": ("d", lambda p: p.mkdir(),
              r"is empty; give Tiny ImageNet \(wnids.txt .*\) or ILSVRC \(.*\) or CUB-200-2011"),
    "hidden only": ("d", lambda p: write(p / ".DS_Store"), "is empty; give Tiny ImageNet"),
    "unknown": ("d", lambda p: write(p / "a.txt"), "no layout of a data set; give Tiny ImageNet .* or CSV"),
    "unknown zip": ("d.zip", lambda p: zipped(write(p.parent / "x" / "a").parent, p),
                    "has no layout of a data set; give"),
    "another file": ("d.txt", lambda p: write(p, "hello"), "is not a data set; give Tiny ImageNet .* or CSV"),
    "no zip": ("d.zip", lambda p: write(p, "hello"),
               "is not a zip, or a damaged one; get it again"),
    "cut zip": ("d.zip", cut_zip, "is damaged or cut off|is not a zip, or a damaged"),
    "two": ("d", two_data_sets, "holds 2 data sets; give one: .*one, .*two"),
    "tiny, no picture": ("d", tiny_with(""),
                         "is Tiny ImageNet without pictures to measure on; get the whole data set"),
    "tiny, short": ("d", tiny_with(f"val_1.JPEG\t{A}\t0\t0\t1"), BROKEN_TINY),
    "tiny, real": ("d", tiny_with(f"val_1.JPEG\t{A}\t0\t0\t1.5\t1"), BROKEN_TINY),
    "tiny, turned": ("d", tiny_with(f"val_1.JPEG\t{A}\t2\t0\t1\t1"), BROKEN_TINY),
    "tiny, class": ("d", tiny_with(f"val_1.JPEG\t{B}\t0\t0\t1\t1"), BROKEN_TINY),
    "ilsvrc, no picture": ("d", lambda p: write(p / "val" / "list.txt"),
                           "is ILSVRC without pictures to measure on"),
    "ilsvrc, no xml": ("d", lambda p: draw(p / "val" / "a.JPEG"),
                       "but no folder of XML files .*; put the annotations"),
    "ilsvrc, labels": ("d", change("LOC_synset_mapping.txt", "tench\n", ilsvrc),
                       'line 1: "tench" is not a wnid and names'),
    "cub, no file": ("d", lambda p: (cub(p) / "classes.txt").unlink(),
                     "classes.txt: there is no such file; check"),
    "cub, box": ("d", change("bounding_boxes.txt", "1 0 0 5 5\n2 0 0 0 5\n"),
                 'boxes.txt, line 2: "2 0 0 0 5" is not picture'),
    "cub, nan": ("d", change("bounding_boxes.txt", "1 nan 0 5 5\n"),
                 "line 1: .* is not picture id, x, y, width, height"),
    "cub, inf": ("d", change("bounding_boxes.txt", "1 0 0 inf 5\n"),
                 "line 1: .* is not picture id, x, y, width, height"),
    "cub, few boxes": ("d", change("bounding_boxes.txt", "1 0 0 5 5\n"),
                       "boxes.txt has no line for 2 of images.txt; get"),
    "cub, class": ("d", change("image_class_labels.txt", "1 9\n"),
                   'labels.txt, line 1: "1 9" is not picture id, class id'),
    "cub, split": ("d", change("train_test_split.txt", "1 2\n"),
                   'split.txt, line 1: "1 2" is not picture id, 0 or 1'),
    "cub, training": ("d", change("train_test_split.txt", "1 1\n2 1\n3 1"),
                      "is CUB-200-2011 without pictures to measure"),
}


@pytest.mark.parametrize("kind", BAD_SETS)
def test_what_is_no_data_set_is_refused_in_one_line(tmp_path, kind):
    name, make, message = BAD_SETS[kind]
    make(tmp_path / name)
    with pytest.raises(InputError, match=message) as refused:
        open_dataset(tmp_path / name)
    assert str(refused.value).startswith(str(tmp_path / name)) and "\n" not in str(refused.value)


def test_a_picture_that_is_damaged_or_gone_is_named(tiny, tmp_path):
    picture = tiny / "val" / "images" / "val_0.JPEG"
    dataset = open_dataset(tiny)
    picture.write_bytes(picture.read_bytes()[:300])
    with pytest.raises(InputError, match=r"val_0.JPEG is damaged or cut off .*; get the file again"):
        dataset[0]
    picture.unlink()
    with pytest.raises(InputError, match="val_0.JPEG: there is no such file; check the name"):
        dataset[0]


def test_a_picture_that_is_damaged_in_a_zip_is_named(tiny, tmp_path):
    path = zipped(tiny, tmp_path / "t.zip")
    content, picture = path.read_bytes(), (tiny / TINY[0][0]).read_bytes()
    assert content.count(picture) == 1
    path.write_bytes(content.replace(picture, picture[:-9] + b"\0" * 9))
    with pytest.raises(InputError, match=r"val_0.JPEG cannot be read \(Bad CRC.*; get it again"):
        open_dataset(path)[0]


# --- unlucky and hostile ------------------------------------------------------------------

@pytest.mark.parametrize("number", ["1_0", "٣", "３", "9" * 5000, "1e1", " ", "+"])
def test_only_plain_digits_are_numbers(tmp_path, number):
    draw(tmp_path / "a.png")
    write(tmp_path / "my.csv", HEADER + f"a.png,dog,0,0,{number},5\n")
    with pytest.raises(InputError, match="line 2: the box is .*; give integers, x0 <= x1"):
        open_dataset(tmp_path / "my.csv")
    root = ilsvrc(tmp_path / "i")
    write(root / "boxes" / "v_1.xml", xml((A, 0, 0, number, 5)))
    with pytest.raises(InputError, match="xmin to ymax being integers in order"):
        open_dataset(root)[0]
    change("bounding_boxes.txt", f"1 0 0 {number} 5\n")(tmp_path / "c")
    with pytest.raises(InputError, match="line 1: .* is not picture id, x, y, width, height"):
        open_dataset(tmp_path / "c")


@pytest.mark.parametrize("file, text, twice", [
    ("bounding_boxes.txt", "1 0 0 5 5\n2 0 0 5 5\n3 0 0 5 5\n1 1 1 5 5\n", "1"),
    ("images.txt", "7 a/b.jpg\n7 a/c.jpg\n", "7"), ("classes.txt", "1 a\n1 b\n", "1"),
])
def test_two_lines_for_one_thing_are_refused(tmp_path, file, text, twice):
    change(file, text)(tmp_path / "c")
    with pytest.raises(InputError, match=f"{file} has two lines for {twice}; get the file again"):
        open_dataset(tmp_path / "c")


def test_two_lines_for_one_picture_of_tiny_imagenet_are_refused(tmp_path):
    tiny_with(f"val_0.JPEG\t{A}\t2\t2\t3\t3")(tmp_path / "t")
    with pytest.raises(InputError, match="annotations.txt has two lines for val_0.JPEG; get the file again"):
        open_dataset(tmp_path / "t")


def test_two_columns_of_one_name_are_refused(tmp_path):
    write(tmp_path / "my.csv", "path,label,x0,y0,x1,y1,label\n")
    with pytest.raises(InputError, match="line 1: two columns label; start with path,label"):
        open_dataset(tmp_path / "my.csv")


@pytest.mark.parametrize("size, refused", [
    ((10, 20), True), ((20, 10), False), ((21, 10), False), ((30, 10), True), ((20, 15), True),
])
def test_an_annotation_of_a_turned_or_resized_picture_is_refused(tmp_path, size, refused):
    root = ilsvrc(tmp_path)
    write(root / "boxes" / "v_1.xml", xml((A, 0, 0, 5, 5), size=size))
    if not refused:
        assert open_dataset(root)[0].boxes == ((0, 0, 5, 5),)
        return
    with pytest.raises(InputError, match=f"is for {size[0]} x {size[1]} pixels, the picture has 20 x 10;"):
        open_dataset(root)[0]


def test_an_annotation_of_a_nearly_square_picture_that_was_turned_is_refused(tmp_path):
    root = ilsvrc(tmp_path)
    draw(root / "val" / "v_1.JPEG", size=(100, 96))
    write(root / "boxes" / "v_1.xml", xml((A, 0, 0, 90, 97), size=(96, 100)))
    with pytest.raises(InputError, match="is for 96 x 100 pixels, the picture has 100 x 96"):
        open_dataset(root)[0]


needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes in folders")


@needs_pipes
@pytest.mark.parametrize("name", ["d", "d.csv", "d.zip"])
def test_a_pipe_is_no_data_set(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match=f"{name} is a pipe, a socket or a device, not a file; give a"):
        open_dataset(tmp_path / name)


@needs_pipes
def test_a_pipe_or_a_device_in_a_data_set_is_refused(tiny):
    picture = tiny / "val" / "images" / "val_0.JPEG"
    dataset = open_dataset(tiny)
    picture.unlink()
    os.mkfifo(picture)
    with pytest.raises(InputError, match="val_0.JPEG is a pipe, a socket or a device"):
        dataset[0]
    (tiny / "wnids.txt").unlink()
    (tiny / "wnids.txt").symlink_to("/dev/zero")
    with pytest.raises(InputError, match="wnids.txt is a pipe, a socket or a device"):
        open_dataset(tiny)


@pytest.mark.skipif(os.name == "nt", reason="a file with holes is written out there")
@pytest.mark.parametrize("file", ["wnids.txt", "val/val_annotations.txt", "val/images/val_0.JPEG"])
def test_a_huge_file_is_refused_unread(tiny, file):
    os.truncate(tiny / file, 10**12)
    with pytest.raises(InputError, match=r"has 1,000,000,000,000 bytes, more than the \d+,000,000 that are"):
        open_dataset(tiny)[0]


def test_a_member_of_a_zip_that_unpacks_to_too_much_is_refused_unread(tiny, tmp_path):
    path = tmp_path / "t.zip"
    zipped(tiny, path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("CUB/images.txt", bytes(21_000_000))
    assert path.stat().st_size < 100_000
    tracemalloc.start()
    with pytest.raises(InputError, match="images.txt has 21,000,000 bytes, more than the 20,000,000 that"):
        open_files(path).below("CUB").text("images.txt")
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_whose_members_unpack_without_a_limit_is_refused(tiny, tmp_path, method):
    zipped(tiny, tmp_path / "t.zip")
    with zipfile.ZipFile(tmp_path / "t.zip", "a", method) as archive:
        archive.write(tiny / "val/images/val_2.JPEG", "val/images/val_7.JPEG")
    with pytest.raises(InputError, match=rf"val_7.JPEG is packed by method {method}; pack the zip"):
        open_dataset(tmp_path / "t.zip")[1]


def test_folders_without_end_in_a_zip_are_left_out(tiny, tmp_path):
    zipped(tiny, tmp_path / "t.zip")
    with zipfile.ZipFile(tmp_path / "t.zip", "a") as archive:
        archive.writestr("a/" * 30_000 + "b", b"")
    tracemalloc.start()
    assert told(open_dataset(tmp_path / "t.zip")) == TINY
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


@pytest.mark.skipif(os.name == "nt" or os.getuid() == 0, reason="root may read every file")
@pytest.mark.parametrize("name", ["d.zip", "d.csv"])
def test_a_file_that_may_not_be_read_is_the_reason(tmp_path, name):
    write(tmp_path / name, "hello").chmod(0)
    with pytest.raises(InputError, match=f"{name} may not be read; check its permissions"):
        open_dataset(tmp_path / name)


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "x" * 300 + ".csv"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="check the name"):
        open_dataset(tmp_path / name)
    write(tmp_path / "my.csv", HEADER + f"{name},dog,0,0,1,1\n")
    with pytest.raises(InputError, match="line 2: there is no picture|line contains NUL"):
        open_dataset(tmp_path / "my.csv")


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="names are valid Unicode there")
def test_pictures_whose_names_are_not_utf_8_are_read_and_named(tmp_path):
    root = ilsvrc(tmp_path)
    for path in (root / "val" / "v_1.JPEG", root / "boxes" / "v_1.xml"):
        path.rename(os.fsdecode(os.fsencode(path.parent) + b"/caf\xe9\n" + os.fsencode(path.suffix)))
    dataset = open_dataset(root)
    assert len(dataset) == 2 and dataset[0].name == "val/caf\udce9\n.JPEG"
    next((root / "boxes").glob("caf*")).unlink()
    with pytest.raises(InputError) as refused:
        dataset[0]
    assert str(refused.value).startswith(r"val/caf\udce9\n.JPEG has no annotation: ")


@pytest.mark.parametrize("text", [
    "<a>" * 300_000, "<a>" * 90_000 + "</a>" * 90_000,
    '<!DOCTYPE a [<!ENTITY b "' + "c" * 90_000 + '">]><a>' + "&b;" * 200_000 + "</a>",
], ids=["open", "deep", "entities"])
def test_hostile_xml_is_refused_in_little_memory(tmp_path, text):
    root = ilsvrc(tmp_path)
    write(root / "boxes" / "v_1.xml", text)
    with pytest.raises(InputError, match="v_1.JPEG: its annotation .* is malformed|names no object"):
        open_dataset(root)[0]
