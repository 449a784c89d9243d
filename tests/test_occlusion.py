"""Occlusion: what a score loses when a patch covers a place, by plain slices."""

import numpy as np
import pytest
from PIL import Image

from cam_numpy import load, occlusion_map
from cam_numpy.errors import InputError
from cam_numpy.evaluation.datasets import Case
from cam_numpy.evaluation.run import evaluate
from cam_numpy.paper.localisation import CURVE, measure
from tests.conftest import scene
from tests.networks import C


@pytest.fixture
def network(small):
    return load(small, threads=1)


def by_slices(photo, network, c, patch):
    """A pass for each cell: everything at most half a patch away from its middle becomes the mean colour."""
    x, _ = network.preprocessing(Image.fromarray(photo))
    f, S = network.run(x)
    H, W = f.shape[1:]
    M = []
    for i in range(H):
        M.append([])
        for j in range(W):
            top = round(x.shape[1] / H * (i + 0.5) - patch / 2)
            left = round(x.shape[2] / W * (j + 0.5) - patch / 2)
            covered = x.copy()
            for row in range(x.shape[1]):
                for column in range(x.shape[2]):
                    if top <= row < top + patch and left <= column < left + patch:
                        covered[:, row, column] = 0
            M[-1].append(S[c] - network.run(covered)[1][c])
    return M


@pytest.mark.parametrize("patch", [1, 4, 5, 9])
def test_the_map_is_that_of_the_loops(network, patch):
    photo = scene(16, 24)
    M = occlusion_map(photo, network, 2, patch)
    assert M.shape == (4, 6) and M.dtype == np.float32
    np.testing.assert_allclose(M, by_slices(photo, network, 2, patch), rtol=0, atol=1e-6)


def test_a_third_of_the_short_side_is_covered_unless_told(network):
    photo = scene(16, 24)
    third = occlusion_map(photo, network, 1, round(16 / 3))
    np.testing.assert_array_equal(occlusion_map(photo, network, 1), third)


@pytest.mark.parametrize("size", [(16, 24), (33, 20), (16, 16)])
def test_covering_everything_leaves_the_score_of_grey(network, size):
    photo = scene(*size)
    x, _ = network.preprocessing(Image.fromarray(photo))
    f, S = network.run(x)
    grey = network.run(np.zeros_like(x))[1]
    M = occlusion_map(photo, network, 3, patch=2 * max(x.shape))
    assert M.shape == f.shape[1:]
    np.testing.assert_array_equal(M, np.full(M.shape, S[3] - grey[3]))


@pytest.fixture
def exact(small):
    """Its mean colour is one that 8 bits can say: 51, 102, 153."""
    return load(small, preprocessing={"mean": (0.2, 0.4, 0.6)})


def test_covering_the_mean_colour_changes_nothing(exact):
    photo = np.full((16, 24, 3), (51, 102, 153), np.uint8)
    assert (occlusion_map(photo, exact, 0) == 0).all()
    photo[4:8, 8:16] = scene(4, 8)  # cells (1, 2) and (1, 3)
    M = occlusion_map(photo, exact, 0, patch=4)
    changed = np.zeros((4, 6), bool)
    changed[1, 2:4] = True
    assert (M[~changed] == 0).all() and (M[changed] != 0).all()


def test_covering_all_but_what_counts_is_covering_a_cell(exact):
    """With a patch of a cell's size, in a network whose cells do not overlap, the losses add up."""
    photo = scene(16, 24)
    M = occlusion_map(photo, exact, 4, patch=4)
    x, _ = exact.preprocessing(Image.fromarray(photo))
    total = exact.run(x)[1][4] - exact.run(np.zeros_like(x))[1][4]
    assert M.sum() == pytest.approx(total, abs=1e-4)


@pytest.mark.parametrize("c, patch, message", [
    (C, None, "class 7 does not exist; the network has classes 0 to 6"),
    (-1, None, "class -1 does not exist"),
    (2.0, None, "class 2.0 is neither an index nor a name; give an integer or a string"),
    ("cow", None, 'class "cow" is not one of the network\'s 7 classes'),
    (0, 0, "patch is 0; it is a count; give a positive integer"), (0, -3, "patch is -3; "),
    (0, 2.5, "patch is 2.5; "),
])
def test_what_cannot_be_covered_is_refused_in_one_line(network, c, patch, message):
    with pytest.raises(InputError) as refused:
        occlusion_map(scene(16, 24), network, c, patch)
    assert str(refused.value).startswith(message) and "\n" not in str(refused.value)


class Four:
    """Four pictures in memory."""

    labels, name = None, "four"

    def __len__(self):
        return 4

    def __getitem__(self, i):
        return Case(f"{i}", Image.fromarray(scene(16, 20 + 4 * i, i)), f"{i}", ((3, 2, 15, 12),))


def test_evaluate_measures_the_occlusion_map(network):
    cam, occlusion = (evaluate(Four(), network, method=method, threshold=0.3).rows
                      for method in ("cam", "occlusion"))
    for name in ("picture", "rank", "whole", "centre"):
        np.testing.assert_array_equal(occlusion[name], cam[name])
    for i, row in enumerate(occlusion):
        case = Four()[i]
        M = occlusion_map(case.photo, network, i)
        wanted = measure(network.see(case.photo).view.boxes(M, [0.3, *CURVE]), case.boxes, case.photo.size)
        for name in ("known", "largest", "any"):
            np.testing.assert_array_equal(row[name], wanted[name])
    assert any((occlusion[name] != cam[name]).any() for name in ("known", "largest", "any"))


def test_the_examples_show_the_map_that_was_measured(network, tmp_path, monkeypatch):
    """Not that of Eq. 2, with the other's IoU above it."""
    from cam_numpy.evaluation import figures as evaluation_figures

    drawn = []
    monkeypatch.setattr(evaluation_figures, "draw_boxes", lambda axes, box, *rest: drawn.append(box))
    evaluation = evaluate(Four(), network, method="occlusion")
    settings = {"threshold": 0.2, "rule": "paper", "method": "occlusion"}
    evaluation_figures.draw_examples(evaluation, Four(), network, settings, tmp_path / "examples.png")
    order = np.argsort(-evaluation.rows["known"], kind="stable")
    for i, box in zip((order[0], order[1], order[-1]), drawn):
        case = Four()[i]
        M = occlusion_map(case.photo, network, int(i))
        assert box == network.see(case.photo).view.largest_box(M)


@pytest.mark.parametrize("wrong, message", [
    ({"c": 2.0}, "class 2.0 is neither an index nor a name; give an integer or a string"),
    ({"c": 10**5000}, "class a number of thousands of digits is neither an index nor a name; give"),
    ({"c": 1, "patch": 2.5}, "patch is 2.5; it is a count; give a positive integer"),
    ({"c": 1, "patch": True}, "patch is True; it is a count; give a positive integer"),
], ids=range(4))
def test_what_is_no_class_and_no_patch_is_refused_in_three_clauses(small, wrong, message):
    with pytest.raises(InputError, match=message):
        occlusion_map(scene(16, 20), load(small), **wrong)
