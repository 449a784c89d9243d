"""The command, as a user types it."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from cam_numpy import class_activation_map, explain, load
from cam_numpy.__main__ import main
from tests import loops, measures, networks
from tests.conftest import scene
from tests.test_network import BAD_MODELS
from tests.test_photo import BAD_PHOTOS

C, K = networks.C, networks.K


@pytest.fixture
def run(small, tmp_path, capsys):
    """Run `cam-numpy explain` with the small network; returns (status, stdout, stderr)."""
    def explain_(*arguments, model=small, out=tmp_path / "out"):
        status = main(["explain", *map(str, arguments), "--model", str(model), "--out", str(out)])
        return status, *capsys.readouterr()

    return explain_


def written(tmp_path):
    return sorted(path.name for path in (tmp_path / "out").glob("*"))


def test_prints_the_paper_with_its_numbers_and_writes_the_figure(run, small, photo, tmp_path):
    status, text, noise = run(photo)
    assert status == 0 and noise == "" and written(tmp_path) == ["photo.cam.png"]
    e = explain(photo, load(small))
    best = int(e.ranking[0])
    for part in ("f  (5, 4, 6)", "F  (5,)", "w  (7, 5)", "b  (7,)", "S  (7,)", "P  (7,)", "M  (3, 4, 6)",
                 f"thing {best} ", f"{e.P[best]:.1%}", f"{e.S[best]:.3f}", f"{e.M(best).mean():.3f}",
                 f"{e.b[best]:+.3f}", f"{e.max_abs_error:.1e}", "It holds"):
        assert part in text, part
    assert max(map(len, text.splitlines()[:-2])) <= 80  # the last lines are paths
    with Image.open(tmp_path / "out" / "photo.cam.png") as figure:
        assert min(figure.size) > 300


def test_fits_80_columns_with_all_there_is_to_say(tmp_path, capsys):
    """A long name, a cropped photo, nothing known of the file, and a ReLU before the pooling."""
    nodes = networks.BODY + [("Conv", ["f", "w4", "b"], "s0"), ("Relu", ["s0"], "s"),
                             ("GlobalAveragePool", ["s"], "p"), ("Flatten", ["p"], "S")]
    path = networks.save(tmp_path / f"{'a_network_of_long_name' * 3}.onnx", nodes,
                         {"w4": networks.weights()["w"][:, :, None, None]}, metadata=None)
    Image.fromarray(scene(1100, 1500)).save(tmp_path / f"{'a_photo_of_long_name' * 4}.png")
    photo = next(tmp_path.glob("*.png"))
    assert main(["explain", str(photo), "--model", str(path), "--out", str(tmp_path), "--plain"]) == 0
    lines = capsys.readouterr().out.split("wrote ")[0].splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("assumed  it does not say how photos") for line in lines)


def test_a_max_pooled_network_is_explained_by_its_own_identity(tmp_path, photo, capsys):
    nodes = networks.BODY + [("GlobalMaxPool", ["f"], "pooled"), networks.GAP[1]] + networks.GEMM
    path = networks.save(tmp_path / "gmp.onnx", nodes)
    assert main(["explain", str(photo), "--model", str(path), "--out", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    lines, e = text.split("wrote ")[0].splitlines(), explain(photo, load(path))
    assert max(map(len, lines)) <= 80 and "F_k = max_xy f_k(x, y)" in text
    best = int(e.ranking[0])
    row = next(line for line in lines if line.startswith(f"{best:>5}  "))
    numbers = [float(word) for word in row.replace("=", " ").split()[-5:]]
    want = [e.S[best], e.S[best] - e.b[best], e.b[best], e.M(best).mean(), e.M(best).max()]
    assert numbers == pytest.approx(want, abs=1e-3)
    unit = next(line for line in lines if line.startswith("    k = "))
    k, (x, y) = int(unit.split()[2]), (int(n) for n in unit.split(" at (")[1].rstrip(")").split(","))
    assert e.f[k, y, x] == e.f[k].max() == e.F[k]
    assert "S_c = sum_k w_k^c max_xy f_k(x, y) + b_c" in text and "a map does not add up to its score" in text
    assert main(["inspect", str(path)]) == 0
    assert "Therefore a map does not add up to its score" in " ".join(capsys.readouterr().out.split())


def test_the_units_listed_add_up_to_the_score(run, photo):
    lines = run(photo)[1].splitlines()
    start = next(i for i, line in enumerate(lines) if "unit by unit" in line)
    numbers = [float(line.split("  at (")[0].split()[-1]) for line in lines[start + 1 : start + 1 + 5 + 3]]
    assert sum(numbers[:-1]) == pytest.approx(numbers[-1], abs=0.005)


def test_json_says_the_same(run, small, photo, tmp_path):
    status, text, _ = run(photo, "--json", "--top", 2)
    record = json.loads(text)
    e = explain(photo, load(small))
    assert status == 0
    assert list(record) == ["photo", "size", "model", "form", "verdict", "map", "units", "top", "identity",
                            "assumed", "doubt", "files"]
    assert record["size"] == [60, 40] and record["map"] == [4, 6] and record["units"] == K
    assert record["photo"] == str(photo) and record["model"] == "small.onnx"
    assert [t["index"] for t in record["top"]] == e.ranking[:2].tolist()
    assert record["top"][0] == {"index": int(e.ranking[0]), "name": e.classes[e.ranking[0]],
                                "S": float(e.S.max()), "P": float(e.P.max()),
                                "units_for_90_percent": e.count_units(e.ranking[0])}
    assert (record["form"], record["verdict"]) == ("gap", "exact")  # the names that inspect has for them
    formula = "S_c = mean_xy M_c(x, y) + b_c"
    assert record["identity"] == {"formula": formula, "max_abs_error": e.max_abs_error}
    assert record["files"] == [str(tmp_path / "out" / "photo.cam.png")]


def test_saved_arrays_are_section_2(run, photo, tmp_path):
    run(photo, "--save-arrays", "--plain")
    assert written(tmp_path) == ["photo.cam.npz", "photo.cam.png"]
    with np.load(tmp_path / "out" / "photo.cam.npz") as a:
        assert sorted(a) == sorted(["f", "F", "w", "b", "S", "P", "M", "classes"])
        assert a["f"].shape == (K, 4, 6) and a["M"].shape == (C, 4, 6) and len(a["classes"]) == C
        np.testing.assert_allclose(a["f"].mean(axis=(1, 2)), a["F"], rtol=1e-5)
        np.testing.assert_allclose(a["w"] @ a["F"] + a["b"], a["S"], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(a["M"].mean(axis=(1, 2)) + a["b"], a["S"], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(a["M"][3], class_activation_map(a["f"], a["w"], 3), rtol=1e-4, atol=1e-5)


def test_plain_is_the_overlay_at_the_photos_own_size(run, photo, tmp_path):
    run(photo, "--plain")
    with Image.open(tmp_path / "out" / "photo.cam.png") as picture:
        assert picture.size == (60, 40) and picture.mode == "RGB"


def test_plain_writes_each_named_class(run, photo, tmp_path):
    status, text, _ = run(photo, "--plain", "--class", "thing 4", "--class", "1", "res 4", "--json")
    assert status == 0 and [t["index"] for t in json.loads(text)["top"]] == [4, 1]
    assert written(tmp_path) == ["photo.1.cam.png", "photo.4.cam.png"]


@pytest.mark.parametrize("colors", ["jet", "diverging"])
def test_other_colours(run, photo, tmp_path, colors):
    run(photo, "--plain", out=tmp_path / "out")
    plain = (tmp_path / "out" / "photo.cam.png").read_bytes()
    assert run(photo, "--plain", "--colors", colors)[0] == 0
    assert (tmp_path / "out" / "photo.cam.png").read_bytes() != plain


def test_more_classes_than_there_are(run, photo):
    status, text, _ = run(photo, "--top", 99, "--json")
    assert status == 0 and len(json.loads(text)["top"]) == C


def test_a_figure_holds_so_many_maps(tmp_path, capsys):
    nodes = networks.BODY + networks.GAP + [("Gemm", ["F", "w9"], "S", {"transB": 1})]
    path = networks.save(tmp_path / "n.onnx", nodes, {"w9": np.ones((9, K), np.float32)}, metadata=None)
    Image.fromarray(scene(40, 40)).save(tmp_path / "p.png")
    arguments = ["explain", str(tmp_path / "p.png"), "--model", str(path), "--out", str(tmp_path),
                 "--size", "16", "--top", "8"]
    assert main(arguments) == 0 and "p.cam.png (the first 7 of these classes)\n" in capsys.readouterr().out


def test_one_bad_photo_does_not_stop_the_others(run, photo, tmp_path):
    (tmp_path / "bad.jpg").write_text("no", encoding="utf-8")
    Image.open(photo).save(tmp_path / "last.png")
    status, text, noise = run(photo, tmp_path / "bad.jpg", tmp_path / "last.png", "--json", "--plain")
    assert status == 2 and len(text.splitlines()) == 2
    assert "[2/3] " in noise and f"cam-numpy: {tmp_path / 'bad.jpg'} is not an image" in noise
    assert written(tmp_path) == ["last.cam.png", "photo.cam.png"]


def test_photos_of_one_name_do_not_overwrite_each_other(run, photo, tmp_path):
    (tmp_path / "other").mkdir()
    Image.fromarray(scene(30, 50, seed=3)).save(tmp_path / "other" / "photo.jpg")
    run(photo, tmp_path / "other" / "photo.jpg", "--plain")
    assert written(tmp_path) == ["photo-2.cam.png", "photo.cam.png"]


def test_no_input_is_written_over(run, photo, tmp_path):
    """explain a.png a.cam.png, both from the folder that is written to."""
    (tmp_path / "out").mkdir()
    target, link = tmp_path / "out" / "photo.cam.png", tmp_path / "link.png"
    Image.fromarray(scene(30, 50, seed=3)).save(target)
    before = target.read_bytes()
    status, text, noise = run(photo, target, "--json")
    assert status == 2 and f"cam-numpy: {target} is an input, and would be written over; give --out" in noise
    assert target.read_bytes() == before and json.loads(text)["size"] == [50, 30]
    assert written(tmp_path) == ["photo.cam.cam.png", "photo.cam.png"]
    try:
        link.symlink_to(target)
    except OSError:
        return  # Windows wants a privilege for that
    assert run(photo, link)[0] == 2 and target.read_bytes() == before


def test_neither_a_model_nor_labels_are_written_over(run, small, photo, tmp_path):
    (tmp_path / "out").mkdir()
    names = tmp_path / "out" / "photo.cam.npz"
    names.write_text("".join(f"{c}\n" for c in range(C)), encoding="utf-8")
    assert run(photo, "--labels", names, "--save-arrays", "--plain")[0] == 2
    model = small.rename(tmp_path / "out" / "photo.cam.png")
    assert run(photo, model=model)[0] == 2 and load(model)
    assert names.read_text(encoding="utf-8").startswith("0\n1\n")


def test_a_target_as_long_as_names_may_be(run, photo, tmp_path):
    """And the hidden file beside it is no longer."""
    long = tmp_path / f"{'n' * 243}.png"
    photo.rename(long)
    status, _, _ = run(long, "--plain")
    assert status == 0 and written(tmp_path) == [f"{'n' * 243}.cam.png"]
    status, text, noise = run(long.rename(tmp_path / f"{'n' * 250}.png"), "--plain")
    assert status == 2 and "cannot be written (File name too long)" in noise and len(written(tmp_path)) == 1


@pytest.mark.parametrize("size", [(200, 50), (50, 200), (1, 60), (60, 1), (1, 1)])
def test_any_aspect_ratio(run, tmp_path, size):
    Image.fromarray(scene(size[1], size[0])).save(tmp_path / "p.png")
    status, text, _ = run(tmp_path / "p.png")
    assert status == 0 and f"p.png, {size[0]} x {size[1]} pixels" in text


# --- boxes ---------------------------------------------------------------------------------------

@pytest.fixture
def large(tmp_path):
    """The path of a made-up photo of 330 x 240 pixels: boxes are drawn two pixels wide."""
    path = tmp_path / "large.png"
    Image.fromarray(scene(240, 330, seed=4)).save(path)
    return path


def by_loops(e, c):
    """The box of class c in a photo of at most 224 pixels, seen whole."""
    shown = measures.laid(loops.activation_map(e.f.tolist(), e.w.tolist(), c), e.photo.size)
    return measures.largest(measures.boxes_of(shown, e.photo.size, 0.2))


def test_boxes_are_those_of_the_papers_rule(run, small, photo):
    status, text, _ = run(photo, "--boxes", "--top", C)
    e, lines = explain(photo, load(small)), text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("box      "))
    assert status == 0
    assert lines[start + C] == "         the largest component above 20 % of the map's maximum (Section 3)"
    wanted = [by_loops(e, c) for c in e.ranking.tolist()]
    for line, c, box in zip(lines[start:], e.ranking, wanted):
        where = ("columns {0} to {2}, rows {1} to {3}".format(*box) if box
                 else "none: its map is nowhere positive")
        assert line[9:].split(maxsplit=2) == ["thing", str(c), where]
    assert "IoU" not in text and len({box for box in wanted}) > 2  # not one box for all
    found = json.loads(run(photo, "--boxes", "--top", C, "--json")[1])["top"]
    assert [one["box"] for one in found] == [box and list(box) for box in wanted] and "iou" not in found[0]


def test_without_being_asked_for_there_are_no_boxes(run, photo):
    assert "box  " not in run(photo)[1] and "box" not in json.loads(run(photo, "--json")[1])["top"][0]


def test_a_true_box_is_compared_with(run, small, photo):
    """The best of several; given alone, it asks for the boxes too."""
    true = [(0, 0, 59, 39), (10, 20, 30, 39)]
    options = [part for box in true for part in ("--true-box", ",".join(map(str, box)))]
    e = explain(photo, load(small))
    record = json.loads(run(photo, *options, "--top", C, "--json")[1])
    text = run(photo, *options, "--top", C)[1]
    for one in record["top"]:
        box = by_loops(e, one["index"])
        assert one["box"] == (box and list(box))
        assert one["iou"] == pytest.approx(measures.best_overlap(box, true), abs=1e-12)
        if box:
            assert "rows {1} to {3}; IoU {4:.3f}\n".format(*box, one["iou"]) in text


def test_a_map_that_is_nowhere_positive_has_no_box(tmp_path, photo, capsys):
    w = networks.weights()["w"]
    w[2] = -np.abs(w[2])
    path = networks.classifier(tmp_path / "n.onnx", extra={"w": w})
    arguments = ["explain", str(photo), "--model", str(path), "--out", str(tmp_path), "--class", "2"]
    arguments += ["--true-box", "0,0,59,39"]
    assert main(arguments) == 0
    assert "box      thing 2              none: its map is nowhere positive\n" in capsys.readouterr().out
    assert main([*arguments, "--json", "--plain"]) == 0
    one = json.loads(capsys.readouterr().out)["top"][0]
    assert one["box"] is None and one["iou"] == 0.0


def test_boxes_of_large_photos_fit_80_columns(run, photo, tmp_path, monkeypatch):
    """A name that is cut, and columns and rows of four digits."""
    monkeypatch.setattr("cam_numpy.explanation.Explanation.box", lambda *_, **__: (1000, 1200, 9876, 5432))
    (tmp_path / "names.txt").write_text("a thing of a very long name indeed\n" * C, encoding="utf-8")
    text = run(photo, "--true-box", "0,0,59,39", "--labels", tmp_path / "names.txt")[1]
    assert "columns 1000 to 9876, rows 1200 to 5432; IoU 0.000\n" in text
    assert max(map(len, text.split("wrote ")[0].splitlines())) <= 80


def test_plain_has_the_boxes_in_their_colours(run, large, tmp_path):
    """The map's box on top of the true one; beside their lines nothing changes."""
    run(large, "--plain")
    bare = np.asarray(Image.open(tmp_path / "out" / "large.cam.png"))
    record = json.loads(run(large, "--plain", "--true-box", "10,20,99,120", "--json")[1])
    drawn = np.asarray(Image.open(tmp_path / "out" / "large.cam.png"))
    true, found = (frame(drawn.shape[:2], box, 2) for box in ((10, 20, 99, 120), record["top"][0]["box"]))
    assert (drawn[found] == (0x35, 0xE0, 0xFF)).all()
    assert (drawn[true & ~found] == 255).all() and (true & ~found).any()
    np.testing.assert_array_equal(drawn[~(true | found)], bare[~(true | found)])


def frame(shape, box, width):
    """Whether a pixel is of the outermost ones in a box, so many deep."""
    (y, x), (x0, y0, x1, y1) = np.indices(shape), box
    depth = np.minimum(np.minimum(x - x0, x1 - x), np.minimum(y - y0, y1 - y))
    return (depth >= 0) & (depth < width)


@pytest.mark.parametrize("box", ["0,0,60,39", "0,0,59,40", "100,100,200,200"])
@pytest.mark.parametrize("options", [[], ["--plain", "--save-arrays"], ["--json"]])
def test_a_true_box_outside_of_the_photo(run, photo, tmp_path, box, options):
    status, text, noise = run(photo, "--true-box", box, *options)
    assert status == 2 and text == "" and written(tmp_path) == []
    assert noise == (f"cam-numpy: --true-box {box} lies outside of the photo of 60 x 40 pixels; "
                     "give its first and last column and row, counted from 0\n")


@pytest.mark.parametrize("box", [
    "", "1,2,3", "1,2,3,4,5", "1,2,3,x", "5,0,4,9", "0,5,9,4", "-1,0,5,5", "1.5,0,5,5", "1,2,,4", "1;2;3;4",
])
def test_a_malformed_true_box(capsys, box):
    with pytest.raises(SystemExit) as stopped:
        main(["explain", f"--true-box={box}"])
    message = capsys.readouterr().err
    assert stopped.value.code == 2 and f"{box!r}: give its first and last column and row, such as" in message


# --- bad input: one line, status 2, nothing half-written -------------------------------------

@pytest.mark.parametrize("kind", BAD_PHOTOS)
def test_a_bad_photo(run, tmp_path, kind):
    make, _ = BAD_PHOTOS[kind]
    make(tmp_path / "p.jpg")
    status, text, noise = run(tmp_path / "p.jpg")
    assert status == 2 and text == "" and noise.count("\n") == 1 and noise.startswith("cam-numpy: ")
    assert written(tmp_path) == []


@pytest.mark.parametrize("kind", BAD_MODELS)
def test_a_bad_model(run, photo, tmp_path, kind):
    make, _ = BAD_MODELS[kind]
    make(tmp_path / "m.onnx")
    status, text, noise = run(photo, model=tmp_path / "m.onnx")
    assert status == 2 and text == "" and noise.count("\n") == 1 and "m.onnx" in noise
    assert written(tmp_path) == []


@pytest.mark.parametrize("wanted, message", [
    ("thingy 2", 'class "thingy 2" is not one of the network\'s 7 classes; did you mean "thing 2"'),
    ("zebra", 'class "zebra" is not one of the network\'s 7 classes; give one of its names, or an index'),
    ("7", "class 7 does not exist; the network has classes 0 to 6"),
    ("-1", "class -1 does not exist"),
    ("thing", 'class "thing" may be 0 "thing 0", 1 "thing 1"'),
    ("", 'class "" is not one of'),
])
def test_an_unknown_class(run, photo, tmp_path, wanted, message):
    status, text, noise = run(photo, f"--class={wanted}")
    assert status == 2 and text == "" and noise.startswith(f"cam-numpy: {message}") and noise.count("\n") == 1
    assert written(tmp_path) == []


def test_photos_behind_class_are_recognised(run, photo):
    status, _, noise = run("--class", "thing 1", photo)
    assert status == 2 and "give the photos before --class" in noise


def test_a_folder_that_cannot_be_made(run, photo, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    status, text, noise = run(photo, out=tmp_path / "file" / "out")
    assert status == 2 and text == "" and "--out" in noise and noise.count("\n") == 1


@pytest.mark.parametrize("options", [[], ["--plain"], ["--plain", "--save-arrays"]])
def test_a_target_that_cannot_be_replaced(run, photo, tmp_path, options):
    (tmp_path / "out" / "photo.cam.png").mkdir(parents=True)
    status, text, noise = run(photo, *options)
    assert status == 2 and text == ""
    assert noise.count("\n") == 1 and "photo.cam.png cannot be written" in noise
    assert written(tmp_path) == ["photo.cam.png"]  # nothing half-written beside it


def test_a_full_disk(run, photo, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    status, _, noise = run(photo, "--plain")
    assert status == 2 and "cannot be written (No space left on device)" in noise and written(tmp_path) == []


@pytest.mark.parametrize("top", ["0", "-3", "many"])
def test_a_wrong_number_of_classes(capsys, top):
    with pytest.raises(SystemExit) as stopped:
        main(["explain", f"--top={top}"])
    assert stopped.value.code == 2 and "give 1 or more" in capsys.readouterr().err


def test_ctrl_c_is_no_traceback(run, photo, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("cam_numpy.commands.explain._explain_one", interrupted)
    status, _, noise = run(photo)
    assert status == 130 and noise == "cam-numpy: interrupted\n"


# --- the process ---------------------------------------------------------------------------------

def python(code, **env):
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, **env},
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_plain_imports_no_matplotlib(small, photo, tmp_path):
    arguments = ["explain", str(photo), "--model", str(small), "--plain", "--out", str(tmp_path)]
    code = (f"import sys; from cam_numpy.__main__ import main; main({arguments!r}); "
            "print('matplotlib' in sys.modules)")
    assert python(code).endswith("False\n")


def test_help_imports_no_network_and_shows_examples():
    code = ("import sys\nfrom cam_numpy.__main__ import main\n"
            "try: main(['explain', '--help'])\nexcept SystemExit: print('onnxruntime' in sys.modules)")
    text = python(code)
    assert text.endswith("False\n") and "cam-numpy explain cat.jpg --class tabby" in text


def test_a_terminal_that_knows_ascii_only(small, tmp_path):
    path = tmp_path / "naïve 猫.png"
    Image.fromarray(scene(20, 20)).save(path)
    arguments = ["explain", str(path), "--model", str(small), "--plain", "--out", str(tmp_path)]
    code = f"from cam_numpy.__main__ import main; raise SystemExit(main({arguments!r}))"
    assert "20 x 20 pixels" in python(code, PYTHONIOENCODING="ascii")
    assert (tmp_path / "naïve 猫.cam.png").is_file()
