"""The file of `cam-numpy page`: what it holds, how large it is, and that names cannot break it."""

import base64
import configparser
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cam_numpy import InputError, explain
from cam_numpy.__main__ import main
from cam_numpy.explanation import Explanation
from cam_numpy.image.view import View
from cam_numpy.paper.forms import FORMS, GAP
from cam_numpy.show.page import page
from tests.conftest import scene

ROOT = Path(__file__).parent.parent
SHOW = ROOT / "cam_numpy" / "show"
K, C, H, W = 5, 7, 3, 4
HOSTILE = [
    "</script><script>document.title = 'broken'</script>",
    "<img src=x onerror=\"document.title = 'broken'\">",
    "quotes ' \" ` and \\ and \u2028", "two\nlines\r\n\tand a tab",
    "&amp; <!-- page.js --> <b> ${1 + 1}", "", "ж" * 150,
]


def made_up(seed=0, size=(64, 48), view=None, classes=None, form=GAP, sigmoid=False, name="photo.png",
            f=None, w=None, seen=(W * 4, H * 4)):
    """An explanation of small integers: on a photo of this size all about boxes is exact.

    `view` is the part of the photo that the network saw, `seen` the size of its input.
    """
    rng = np.random.default_rng(seed)
    f = rng.integers(0, 9, (K, H, W)).astype(np.float32) if f is None else f
    w = rng.integers(-4, 5, (C, K)).astype(np.float32) if w is None else w
    b = rng.integers(-2, 3, len(w)).astype(np.float32)
    return Explanation(
        photo=Image.fromarray(scene(size[1], size[0])), name=name, model="made-up.onnx",
        view=View(size, seen, view or (0, 0, *size)),
        classes=classes or [f"thing {c}, Res {c}" for c in range(len(w))],
        f=f, w=w, b=b, S=form.scores(f, w, b).astype(np.float32), form=form, sigmoid=sigmoid,
        max_abs_error=0.0,
    )


def of_the_size_of_resnet50():
    rng = np.random.default_rng(0)
    f = np.maximum(rng.normal(size=(2048, 7, 7)), 0).astype(np.float32)
    w = (rng.normal(size=(1000, 2048)) / 40).astype(np.float32)
    return made_up(f=f, w=w, size=(500, 400))


def data_of(html):
    """The explanation in a page."""
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)[1])


def unpacked(array):
    stored = np.frombuffer(base64.b64decode(array["base64"]), f"<f{array['bits'] // 8}").astype(np.float64)
    return np.ldexp(stored, array["exponent"]).reshape(array["shape"])


def test_the_command_writes_the_page(small, photo, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["page", str(photo), "--model", str(small), "--out", str(out), "--class", "thing 3", "1"]
    assert main(arguments) == 0
    written = out / "photo.cam.html"
    assert capsys.readouterr().out == f"wrote    {written}\n" and list(out.iterdir()) == [written]
    assert data_of(written.read_text(encoding="utf-8"))["start"] == [3, 1]


def test_open_shows_it_in_the_browser(small, photo, tmp_path, monkeypatch, capsys):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or len(opened) == 1)
    arguments = ["page", str(photo), "--model", str(small), "--out", str(tmp_path / "a folder"), "--open"]
    assert main(arguments) == 0 and opened == [(tmp_path / "a folder" / "photo.cam.html").as_uri()]
    assert "wrote" in capsys.readouterr().out
    assert main(arguments) == 0 and "open the page yourself" in capsys.readouterr().err


@pytest.mark.parametrize("classes, message", [
    ([0, 1, 2], "3 classes are given; .*give one or two"),
    (["cow"], "is not one of the network's 7 classes"),
])
def test_classes_that_a_page_cannot_show_are_refused(classes, message, tmp_path):
    with pytest.raises(InputError, match=message):
        made_up().page(tmp_path / "e.html", *classes)
    assert not list(tmp_path.iterdir())


def test_a_page_that_cannot_be_written_is_one_line(tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        (tmp_path / "no folder").write_text("", encoding="utf-8")
        made_up().page(tmp_path / "no folder" / "e.html")


@pytest.mark.parametrize("size", [(480, 360), (1000, 120)])  # a panorama has the longest map
def test_the_shipped_network_fits_in_1500_kilobytes(shipped, size):
    noise = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)  # the largest JPEG
    assert len(page(explain(noise, shipped)).encode()) <= 1_500_000


def test_a_resnet50_fits_in_8_megabytes_and_keeps_three_digits():
    e = of_the_size_of_resnet50()
    html = page(e)
    data = data_of(html)
    assert len(html.encode()) <= 8_000_000 and "small, w is rounded to float16" in " ".join(data["notes"])
    f, w, b = (unpacked(data[name]) for name in "fwb")
    np.testing.assert_array_equal(f, e.f)
    np.testing.assert_allclose(w, e.w, rtol=2**-11)
    np.testing.assert_allclose(e.form.scores(f, w, b), e.S, atol=5e-4 * np.abs(e.S).max())


@pytest.mark.parametrize("scale", [1e-6, 1.0, 3e6])
def test_float16_neither_overflows_nor_loses_small_numbers(scale):
    w = (np.random.default_rng(1).normal(size=(700, 200)) * scale).astype(np.float32)
    data = data_of(page(made_up(f=np.ones((200, 1, 2), np.float32), w=w)))
    assert data["w"]["bits"] == 16
    np.testing.assert_allclose(unpacked(data["w"]), w, rtol=2**-11, atol=1e-7 * scale)


def test_silenced_units_are_named():
    data = data_of(page(made_up().without([3, 1])))
    assert "Units silenced: 1, 3." in " ".join(data["notes"]) and data["silent"] == [1, 3]


class Tags(HTMLParser):
    """Every tag of a page with its attributes."""

    def __init__(self, html):
        super().__init__()
        self.tags = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, attributes))


def test_names_change_no_tag_of_the_page():
    hostile = page(made_up(classes=HOSTILE, name=HOSTILE[0]))
    assert Tags(hostile).tags == Tags(page(made_up())).tags
    assert data_of(hostile)["classes"] == HOSTILE and data_of(hostile)["photo"]["name"] == HOSTILE[0]


def test_a_name_that_is_no_unicode_text_can_be_written(tmp_path):
    made_up(name="a\udcff.png", classes=[f"\ud800 {c}" for c in range(C)]).page(tmp_path / "e.html")
    data = data_of((tmp_path / "e.html").read_text(encoding="utf-8"))
    assert data["photo"]["name"] == "a\udcff.png"


def test_every_form_of_head_has_its_words():
    css, html = ((SHOW / "web" / name).read_text(encoding="utf-8") for name in ("page.css", "page.html"))
    for name in FORMS.keys() - {"gsp"}:  # the page tells it as gap, with sums
        assert f'body[data-form="{name}"] [data-form]:not([data-form~="{name}"])' in css
    used = {form for forms in re.findall(r'data-form="(.*?)"', html) for form in forms.split()}
    assert used == FORMS.keys() - {"gsp"}


def test_all_files_of_the_page_are_package_data():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    installed = set(SHOW.glob(settings["options.package_data"]["cam_numpy.show"]))
    files = {path for path in SHOW.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert files and files == installed


def test_the_page_in_the_tutorials_is_todays():
    """`cam-numpy page --out tutorials` writes it again."""
    there = (ROOT / "tutorials" / "grace_hopper.cam.html").read_text(encoding="utf-8")
    today = page(explain())
    data = re.compile(r'(<script type="application/json" id="data">).*?(?=</script>)', re.S)
    assert data.sub(r"\1", there) == data.sub(r"\1", today)
    for key, value in data_of(today).items():  # the arrays and the JPEG are another machine's
        if key in ("f", "w", "b", "S"):
            np.testing.assert_allclose(unpacked(data_of(there)[key]), unpacked(value), rtol=1e-3, atol=1e-3)
        elif key == "scale":
            assert data_of(there)[key] == pytest.approx(value, rel=1e-3)
        elif key != "photo":
            assert data_of(there)[key] == value
