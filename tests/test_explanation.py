"""What a person in a notebook does: one obvious call for each thing, names and indices alike."""

import warnings
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
from PIL import Image

import cam_numpy as cam
from cam_numpy.errors import Assumed, CamNotApplicable, InputError
from cam_numpy.image.preprocessing import PRESETS
from cam_numpy.network import catalogue
from tests import loops, networks
from tests.conftest import scene
from tests.networks import BODY, GAP, C, K

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def e(small, photo):
    return cam.explain(photo, cam.load(small))


# --- from a photo and a network ---------------------------------------------------------------------

def test_a_network_is_given_as_a_path_a_text_or_opened(small, photo, e):
    for network in (small, str(small)):
        np.testing.assert_array_equal(cam.explain(photo, network).S, e.S)
    assert cam.explain(photo, "tiny-imagenet-gmp").form.name == "gmp"
    assert cam.explain(photo).model == "tiny-imagenet-gap.onnx"


def test_a_photo_is_given_as_a_path_an_image_or_an_array(small, photo, e):
    for given in (str(photo), Image.open(photo), np.asarray(Image.open(photo))):
        np.testing.assert_array_equal(cam.explain(given, small).f, e.f)
    assert e.name == "photo.png" and cam.explain(Image.open(photo), small).name == "photo"


def test_the_scores_are_the_networks_own(small, photo, e):
    """Asked of onnxruntime directly. Therefore the check proves something."""
    network = cam.load(small)
    session = onnxruntime.InferenceSession(small, providers=["CPUExecutionProvider"])
    x, _ = network.preprocessing(e.photo)
    np.testing.assert_array_equal(e.S, session.run(["S"], {"x": x[None]})[0][0])
    assert cam.check_scores(e.f, e.w, e.b, e.S) == e.max_abs_error == e.form.check(e.f, e.w, e.b, e.S)
    wrong = e.S.copy()
    wrong[3] += 0.01
    with pytest.raises(ValueError, match="for class 3"):
        cam.check_scores(e.f, e.w, e.b, wrong)


def test_a_network_whose_scores_the_maps_do_not_explain_is_refused(small, photo):
    network = cam.load(small)
    network.b = network.b + 0.01
    with pytest.raises(CamNotApplicable, match="do not add up to the scores"):
        cam.explain(photo, network)


# --- names and indices --------------------------------------------------------------------------------

@pytest.mark.parametrize("c", [3, np.int64(3), "3", "thing 3", "RES 3"])
def test_a_class_is_given_by_index_or_by_name(small, photo, e, c):
    M = loops.activation_map(e.f.tolist(), e.w.tolist(), 3)
    np.testing.assert_allclose(e.M(c), M, rtol=1e-5, atol=1e-5)
    assert e.index(c) == 3 and e.units(c) == e.units(3) and e.box(c) == e.box(3)
    covered = cam.occlusion_map(photo, small, c, patch=9)
    np.testing.assert_array_equal(covered, cam.occlusion_map(photo, small, 3, patch=9))


def test_several_classes_may_mix_names_and_indices(e):
    maps = e.M(["thing 3", 0, "res 6"])
    np.testing.assert_array_equal(maps, np.stack([e.M(3), e.M(0), e.M(6)]))
    assert e.M([2]).shape == (1, 4, 6)


@pytest.mark.parametrize("c, message", [
    (C, "class 7 does not exist; the network has classes 0 to 6"),
    (-1, "class -1 does not exist"),
    ("cow", 'class "cow" is not one of the network\'s 7 classes'),
    ("thing", 'class "thing" may be 0 "thing 0"'),
    (1.0, "class 1.0 is neither an index nor a name"),
    (True, "class True is neither"),
    (None, "class None is neither"),
])
def test_a_class_that_is_not_there(e, c, message):
    for call in (e.M, e.units, e.box, e.show):
        with pytest.raises(InputError) as refused:
            call(c)
        assert str(refused.value).startswith(message)
    if c is not None:  # which is what `minus` is where it is left out
        with pytest.raises(InputError):
            e.M(0, minus=c)


# --- what an explanation says ------------------------------------------------------------------------

def test_the_best_classes(e):
    top = e.top(3)
    order = sorted(range(C), key=lambda c: -e.S[c])
    assert [one.index for one in top] == order[:3] == e.ranking[:3].tolist()
    P = loops.probabilities(e.S.tolist())
    for one in top:
        assert one.name == f"thing {one.index}" and one.S == e.S[one.index]
        assert one.P == pytest.approx(P[one.index], rel=1e-5)
    assert len(e.top(99)) == C


@pytest.mark.parametrize("c", range(C))
def test_all_units_and_the_bias_add_up_to_the_score(e, c):
    units = e.units(c, K)
    assert sum(unit.product for unit in units) + e.b[c] == pytest.approx(e.S[c], abs=1e-5)
    assert [unit.product for unit in units] == sorted((unit.product for unit in units), reverse=True)
    for k, w, F, product, (x, y) in units:
        assert w == e.w[c, k] and F == e.F[k] and product == pytest.approx(w * F)
        assert e.f[k, y, x] == e.f[k].max()


def test_one_class_against_another(e):
    difference = e.M(2, minus=5)
    np.testing.assert_allclose(difference, e.M(2) - e.M(5), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(difference, -e.M("thing 5", minus="thing 2"), rtol=1e-6, atol=1e-6)
    # mean (M_a - M_b) + b_a - b_b = S_a - S_b
    assert difference.mean() + e.b[2] - e.b[5] == pytest.approx(e.S[2] - e.S[5], abs=1e-5)
    assert not e.M(4, minus=4).any()


def test_a_box_is_in_the_photos_pixels(small):
    big = cam.explain(scene(240, 330), small)
    for c in range(C):
        box = big.box(c)
        if box is not None:
            x0, y0, x1, y1 = box
            assert 0 <= x0 <= x1 < 330 and 0 <= y0 <= y1 < 240
            assert box == big.view.largest_box(big.M(c)) and big.box(c, threshold=0.9) != box
    assert any(big.box(c) is not None and big.box(c)[2] > 24 for c in range(C))  # more than the input has


# --- how it shows itself ------------------------------------------------------------------------------

def test_in_a_terminal_it_is_one_line(e, small, tmp_path):
    (tmp_path / ("a" * 90 + ".png")).write_bytes((tmp_path / "photo.png").read_bytes())
    long = cam.explain(next(tmp_path.glob("aaa*.png")), small)
    for one in (e, long):
        assert len(repr(one)) <= 100 and "\n" not in repr(one) and one.top(1)[0].name in repr(one)


def test_in_jupyter_it_is_the_figure(e):
    assert e._repr_png_().startswith(PNG)
    assert e.show()._repr_png_() == e._repr_png_()


def test_the_figure_has_what_was_asked_for(e):
    def titles(figure):
        texts = [text.get_text() for axes in figure.axes for text in axes.texts]
        return [text for text in texts if text.startswith("thing")]

    assert titles(e.show()) == [one.name for one in e.top(3)]
    assert titles(e.show("thing 4", 1)) == ["thing 4", "thing 1"]
    assert not any(axes.patches for axes in e.show(0).axes)
    with_boxes = e.show(0, 1, 2, 3, 4, 5, 6, boxes=True)
    drawn = [bool(axes.patches) for axes in with_boxes.axes[1 : 1 + C]]
    assert drawn == [e.box(c) is not None for c in range(C)] and any(drawn)


def test_arrays_are_read_only_and_explanations_can_be_compared(e, small, photo):
    for array in (e.f, e.F, e.w, e.b, e.S, e.P):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    other = cam.explain(photo, small)
    assert e == e and e != other and len({e, other}) == 2


def test_a_second_photo_leaves_the_first_explanation_alone(small, photo):
    network = cam.load(small)
    first = cam.explain(photo, network)
    before = [a.copy() for a in (first.f, first.F, first.S, first.P)]
    cam.explain(scene(40, 60, seed=5), network)
    for then, now in zip(before, (first.f, first.F, first.S, first.P), strict=True):
        np.testing.assert_array_equal(then, now)


# --- what a network is ---------------------------------------------------------------------------------

@pytest.fixture
def public(tmp_path, monkeypatch):
    """A small network, and labels, where the cache would have "squeezenet1.0", whose preset is caffe."""
    monkeypatch.setenv("CAM_NUMPY_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    model = catalogue.MODELS["squeezenet1.0"]
    path = networks.save(tmp_path / "cache" / model.file, [*BODY, *GAP, *networks.GEMM], metadata=None,
                         x=(None, 3, 224, 224))
    labels = tmp_path / "cache" / catalogue.LABELS.file
    labels.write_text("".join(f"n0000000{c} kind {c}, Sort {c}\n" for c in range(C)), encoding="utf-8")
    monkeypatch.setitem(catalogue.MODELS, "squeezenet1.0", replace(
        model, bytes=path.stat().st_size, sha256=catalogue.checksum(path)))
    known = replace(catalogue.LABELS, bytes=labels.stat().st_size, sha256=catalogue.checksum(labels))
    monkeypatch.setattr("cam_numpy.network.locate.LABELS", known)
    return path


@pytest.mark.parametrize("how", ["by name", "by file", "by a copy of the file"])
def test_a_public_network_brings_its_own_preprocessing_and_names(public, tmp_path, how):
    copy = tmp_path / "renamed.onnx"
    copy.write_bytes(public.read_bytes())
    given = {"by name": "squeezenet1.0", "by file": public, "by a copy of the file": copy}[how]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing has to be assumed
        network = cam.load(given)
    assert network.preprocessing == PRESETS["caffe"] and network.classes[2] == "kind 2, Sort 2"
    assert network.assumed == [] and network.wnids[2] == "n00000002"


def test_what_is_given_comes_before_what_the_catalogue_knows(public, tmp_path):
    assert cam.load("squeezenet1.0", preprocessing="imagenet").preprocessing == PRESETS["imagenet"]
    changed = cam.load("squeezenet1.0", preprocessing={"bgr": False}).preprocessing
    assert changed == replace(PRESETS["caffe"], bgr=False)
    (tmp_path / "names.txt").write_text("\n".join("abcdefg"), encoding="utf-8")
    assert cam.load("squeezenet1.0", labels=tmp_path / "names.txt").classes == list("abcdefg")


def test_a_public_file_that_was_tampered_with_is_refused(public):
    data = bytearray(public.read_bytes())
    data[-1] ^= 1
    public.write_bytes(data)
    with pytest.raises(InputError, match="is damaged: it is not the file that was published; delete it"):
        cam.load("squeezenet1.0")


def test_what_is_not_here_yet_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("CAM_NUMPY_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=r'cam-numpy fetch resnet18-v1, or cam_numpy\.fetch\("resnet18-v1'):
        cam.explain(None, "resnet18-v1")


def test_what_was_assumed_is_said_once_and_no_more_where_it_is_given(tmp_path):
    bare = networks.classifier(tmp_path / "bare.onnx", metadata=None)
    (tmp_path / "names.txt").write_text("\n".join("abcdefg"), encoding="utf-8")
    with pytest.warns(Assumed) as caught:
        network = cam.load(bare)
    texts = [str(warning.message) for warning in caught]
    assert texts == [f"bare.onnx: {text}" for text in network.assumed] and len(texts) == 2
    assert "ImageNet's preprocessing is assumed" in texts[0] and "does not name its classes" in texts[1]
    assert {warning.filename for warning in caught} == {__file__}  # where the user called
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cam.load(bare, preprocessing="zero-one", labels=tmp_path / "names.txt")


@pytest.mark.parametrize("attributes, message", [
    ({"maen": (0, 0, 0)}, "preprocessing has no maen; give some of size, resize, mean"),
    ({"size": 0}, "the input's size is 0 pixels"),
])
def test_preprocessing_that_there_is_not(small, attributes, message):
    with pytest.raises(InputError, match=message):
        cam.load(small, preprocessing=attributes)


def test_sizes_are_given_by_name(e):
    """So nobody swaps them unseen."""
    with pytest.raises(TypeError):
        cam.upsample(e.M(0), (40, 60))
    with pytest.raises(TypeError):
        e.view.lay(e.M(0), (60, 40))
    assert cam.upsample(e.M(0), height=40, width=60).shape == (40, 60)
    assert e.view.lay(e.M(0), height=40, width=60).shape == (40, 60)


def test_a_network_says_what_it_is(small):
    assert repr(cam.load(small)) == "<Network small.onnx: 5 units, 7 classes, exact (gap)>"
    assert str(cam.inspect(small)).startswith("small.onnx: exact") and cam.inspect(small).units == K
