"""Where a command writes."""

import pytest

from cam_numpy.commands.targets import Targets
from cam_numpy.errors import InputError
from cam_numpy.output import whole_file


def test_stems_are_numbered_whatever_their_case(tmp_path):
    targets = Targets(tmp_path, [])
    stems = [targets.stem(photo) for photo in ("a/x.png", "b/x.jpg", "c/X.png", "x-2.png", "y.png")]
    assert stems == ["x", "x-2", "X-3", "x-2-2", "y"]


def test_nothing_is_written_twice_in_a_run(tmp_path):
    """A photo "a" with class 1, and a photo "a.1": both would be a.1.cam.png."""
    targets = Targets(tmp_path, [None])
    assert targets.path("a.1.cam.png") == tmp_path / "a.1.cam.png"
    with pytest.raises(InputError, match="was just written"):
        targets.path("A.1.cam.png")


def test_an_input_is_known_by_any_name(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a").write_text("a", encoding="utf-8")
    targets = Targets(tmp_path, [tmp_path / "sub" / ".." / "a", tmp_path / "none", "no\0name"])
    with pytest.raises(InputError, match="is an input"):
        targets.path("a")
    assert targets.path("none") == tmp_path / "none"


def test_a_link_is_replaced_and_what_it_leads_to_stays(tmp_path):
    (tmp_path / "own").write_text("own", encoding="utf-8")
    try:
        (tmp_path / "link").symlink_to(tmp_path / "own")
    except OSError:
        pytest.skip("links need a privilege here")
    with whole_file(tmp_path / "link") as unfinished:
        unfinished.write_text("new", encoding="utf-8")
    assert (tmp_path / "own").read_text(encoding="utf-8") == "own"
    assert (tmp_path / "link").read_text(encoding="utf-8") == "new" and not (tmp_path / "link").is_symlink()


def test_nobody_can_guess_the_unfinished_name(tmp_path):
    """Else another user could put a link there, in a folder that both may write to."""
    names = set()
    for _ in range(2):
        with whole_file(tmp_path / "a") as unfinished:
            names.add(unfinished.name)
            unfinished.write_text("a", encoding="utf-8")
    assert len(names) == 2 and [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_folder_that_became_a_file(tmp_path):
    (tmp_path / "folder").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be written"):
        with whole_file(tmp_path / "folder" / "a") as unfinished:
            unfinished.write_text("a", encoding="utf-8")
