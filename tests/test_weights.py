"""What measures the shipped networks, on a handful of made-up pictures. The trainer is in test_train.py."""

import re

import numpy as np
import pytest

from cam_numpy.image.photo import read_photo
from tests.conftest import zipped
from weights import better_boxes, compare, measure
from weights.tiny_imagenet import TinyImageNet


def test_the_zip_and_the_folder_give_the_same_pictures(tiny_imagenet, tmp_path, shipped):
    archive = zipped(tiny_imagenet, tmp_path / "t.zip", inside="tiny-imagenet-200/")
    for ours, theirs in zip(TinyImageNet(tiny_imagenet).train(4), TinyImageNet(archive).train(4)):
        np.testing.assert_array_equal(ours, theirs)
    assert TinyImageNet(tmp_path).wnids == shipped.wnids[:3]  # the folder above is understood too


def test_the_accuracy_is_a_count(tiny_imagenet, shipped, capsys):
    """Top-1 and top-5 of `measure`, counted once more picture by picture."""
    ranks = []
    for line in (tiny_imagenet / "val" / "val_annotations.txt").read_text(encoding="utf-8").splitlines():
        name, wnid = line.split("\t")[:2]
        path = tiny_imagenet / "val" / "images" / name
        S = shipped.see(read_photo(path.read_bytes(), path)).S
        ranks.append(sorted(S, reverse=True).index(S[shipped.wnids.index(wnid)]))
    measure.main([str(tiny_imagenet)])
    shown = re.search(r"^  96 +(\S+)% +(\S+)% .* ms \(the default\)$", capsys.readouterr().out, re.M)
    assert float(shown[1]) == 25 * sum(rank < 1 for rank in ranks)
    assert float(shown[2]) == 25 * sum(rank < 5 for rank in ranks)


@pytest.mark.parametrize("command, options, rows", [
    (compare, ["--occlusion", "2"], ["GT-known localisation", "MaxBoxAcc", "top-pixels", "occlusion"]),
    (better_boxes, [], better_boxes.WAYS),
])
def test_the_tables_of_the_course_are_made(tiny_imagenet, capsys, command, options, rows):
    command.main([str(tiny_imagenet), *options])
    lines = capsys.readouterr().out.splitlines()
    assert "Tiny ImageNet, 4 pictures" in lines[0]
    for row in rows:
        assert any(re.match(rf"\| {re.escape(row)} \|.*\d", line) for line in lines), row
