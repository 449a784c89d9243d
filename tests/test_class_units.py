"""The units of a class over photos, and the command that draws them."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cam_numpy import InputError, class_units, explain, load
from cam_numpy.__main__ import main
from cam_numpy.show.units import as_text
from tests import networks
from tests.conftest import assert_texts_fit, scene
from tests.test_exports import EXPORTS


@pytest.fixture
def photos(tmp_path):
    """Four photos of different sizes."""
    paths = [tmp_path / f"photo{i}.png" for i in range(4)]
    for i, path in enumerate(paths):
        Image.fromarray(scene(60 + 7 * i, 90 - 9 * i, seed=i)).save(path)
    return paths


def test_without_photos_the_weights_rank(shipped):
    found = class_units("tabby", network=shipped, n=5)
    c = shipped.find_class("tabby")
    assert found.c == c and found.photos == 0 and found.K == 256 and found.name == shipped.classes[c]
    assert [unit.k for unit in found.units] == np.argsort(-shipped.w[c], kind="stable")[:5].tolist()
    for unit in found.units:
        assert unit.w == shipped.w[c, unit.k] and unit.product is None and unit.crops == []
        column = shipped.w[:, unit.k]
        assert unit.speaks_for[0] == (shipped.classes[int(column.argmax())], float(column.max()))
        assert unit.speaks_against[0] == (shipped.classes[int(column.argmin())], float(column.min()))
    with pytest.raises(InputError, match="no photos"):
        found.show()


def test_with_photos_the_mean_contribution_ranks(small, photos):
    network = load(small)
    found = class_units(3, photos, network)
    explained = [explain(photo, network) for photo in photos]
    mean = np.mean([network.w[3] * e.F for e in explained], axis=0)
    assert [unit.k for unit in found.units] == np.argsort(-mean, kind="stable").tolist()
    np.testing.assert_allclose([unit.product for unit in found.units], np.sort(mean)[::-1], rtol=1e-5)
    # with the bias they add up to the mean score
    assert sum(unit.product for unit in found.units) + network.b[3] == pytest.approx(
        np.mean([e.S[3] for e in explained]), rel=1e-4)


def test_a_crop_is_where_a_unit_fires_most(small, photos):
    network = load(small)
    explained = {photo.name: explain(photo, network) for photo in photos}
    for unit in class_units(3, photos, network).units:
        strongest = [crop.f for crop in unit.crops]
        assert strongest == sorted((float(e.f[unit.k].max()) for e in explained.values()), reverse=True)
        for crop in unit.crops:
            e = explained[crop.name]
            (_, H, W), (left, top, right, bottom) = e.f.shape, e.view.box
            y, x = np.unravel_index(e.f[unit.k].argmax(), (H, W))
            assert crop.box[0] <= left + (x + 0.5) * (right - left) / W <= crop.box[2]
            assert crop.box[1] <= top + (y + 0.5) * (bottom - top) / H <= crop.box[3]
            assert 0 <= crop.box[0] and crop.box[2] <= e.photo.width and crop.box[3] <= e.photo.height
            half = min(e.photo.size) / 2
            assert half <= crop.box[2] - crop.box[0] <= half + 2
            wanted = e.photo.crop(crop.box)
            wanted.thumbnail((160, 160))
            assert crop.picture.tobytes() == wanted.tobytes()


def test_photos_of_any_kind_and_any_size(small):
    arrays = [scene(50, 70), Image.fromarray(scene(1, 1)), scene(3, 400)]
    found = class_units(2, arrays, small)
    assert {crop.name for unit in found.units for crop in unit.crops} == {"photo 1", "photo 2", "photo 3"}
    assert class_units(2, arrays[0], small).photos == class_units(2, arrays[1], small).photos == 1


@pytest.mark.parametrize("count", [1, 2, 4])
def test_texts_fit_the_figure_and_crops_fill_it(shipped, photos, count):
    figure = class_units("standard poodle", photos[:count], shipped).show()
    assert_texts_fit(figure)
    assert max(axes.get_position().x1 for axes in figure.axes) > 0.9


def test_a_line_of_classes_is_cut_between_entries(shipped):
    found = class_units("Persian cat", network=shipped, n=40)
    lists = [line[13:] for line in as_text(found).splitlines() if line.startswith("    ")]
    assert len(lists) == 80 and max(map(len, lists)) <= 67
    assert any(line.endswith(", …") for line in lists)
    vocabularies = [words for unit in found.units for words in (unit.speaks_for, unit.speaks_against)]
    for line, wanted in zip(lists, vocabularies):
        whole = [f"{name.split(',')[0]} {w:+.2f}" for name, w in wanted]
        shown = line.removesuffix(", …").split(", ")
        assert shown == whole[:len(shown)] and line.endswith("…") == (len(shown) < len(whole))
    one = found.units[0]._replace(speaks_for=[("x" * 99, 1.0), ("y", 0.5)], speaks_against=[])
    text = as_text(replace(found, units=[one])).splitlines()
    assert text[-2].endswith("x… +1.00, …") and len(text[-2]) == 80 and text[-1].strip() == "against"


def test_progress_counts_the_photos(small, photos):
    counted = []
    class_units(1, photos, small, progress=lambda done, total: counted.append((done, total)))
    assert counted == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize("name", ["resnet", "gmp", "squeezenet", "nin", "densenet", "binary"])
def test_the_command(tmp_path, photos, capsys, name):
    arguments = ["units", *map(str, photos), "--class", "1", "--model", str(EXPORTS / f"{name}.onnx"),
                 "--out", str(tmp_path / "out"), "--top", "3"]
    assert main(arguments) == 0
    text, noise = capsys.readouterr()
    lines = text.split("wrote ")[0].splitlines()
    assert noise == "" and max(map(len, lines)) <= 80
    found = class_units(1, photos, load(EXPORTS / f"{name}.onnx"), n=3)
    shown = [line for line in lines if line.startswith("k = ")]
    assert [int(line.split()[2]) for line in shown] == [unit.k for unit in found.units]
    for line, unit in zip(shown, found.units):
        assert f"mean w_k^c F_k = {unit.product:.3f}   w_k^c = {unit.w:.3f}" in line
    with Image.open(tmp_path / "out" / "class-1.units.png") as figure:
        assert min(figure.size) > 300
    assert main([*arguments, "--json", "--top", "1"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert [unit["k"] for unit in record["units"]] == [found.units[0].k]
    assert record["photos"] == 4 and record["class"] == {"index": 1, "name": "class 1"}
    assert record["units"][0]["crops"][0]["photo"] == found.units[0].crops[0].name
    assert record["files"] == [str(tmp_path / "out" / "class-1.units.png")]


def test_the_command_without_photos_writes_nothing(tmp_path, small, capsys):
    assert main(["units", "--class", "thing 4", "--model", str(small), "--out", str(tmp_path / "out")]) == 0
    text = capsys.readouterr().out
    assert "5 units, ranked by w_k^c\n" in text and "wrote" not in text and not (tmp_path / "out").exists()
    k = int(load(small).w[4].argmax())
    assert text.split("k = ")[1].startswith(f"{k} ")


def test_a_class_whose_name_no_file_can_have(tmp_path, photos, capsys):
    names = tmp_path / "names.txt"
    names.write_text("\n".join(["a/b: c?", *"defghi"]), encoding="utf-8")
    path = networks.classifier(tmp_path / "small.onnx")
    assert main(["units", str(photos[0]), "--class", "0", "--labels", str(names), "--model", str(path),
                 "--out", str(tmp_path / "out")]) == 0
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["a-b-c.units.png"]


@pytest.mark.parametrize("arguments, says", [
    (["--class", "no such thing"], "no such thing"),
    (["nothing.jpg", "--class", "1"], "nothing.jpg"),
])
def test_the_command_refuses_in_one_line(tmp_path, small, capsys, arguments, says):
    assert main(["units", *arguments, "--model", str(small), "--out", str(tmp_path / "out")]) == 2
    text, noise = capsys.readouterr()
    assert text == "" and noise.count("\n") == 1 and says in noise
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
