"""What the README shows is what happens."""

import contextlib
import doctest
import io
import re
from pathlib import Path

import pytest

from cam_numpy.__main__ import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page, least", [("README.md", 8), ("tutorials/prerequisites.md", 8)])
def test_the_python_that_is_shown_runs_and_gives_the_numbers_shown(page, least):
    failures, tried = doctest.testfile(str(ROOT / page), module_relative=False, encoding="utf-8",
                                       optionflags=doctest.NORMALIZE_WHITESPACE)
    assert tried >= least and failures == 0


def test_the_output_in_the_readme_is_the_commands_own(tmp_path):
    shown = re.search(r"^photo    grace_hopper\.jpg.*?(?=^wrote)", README, re.M | re.S)[0]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main(["explain", "--out", str(tmp_path)]) == 0
    ours, theirs = shown.split(), printed.getvalue().split("wrote ")[0].split()
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        try:  # another processor rounds float32 in another way
            assert float(a.rstrip("%,")) == pytest.approx(float(b.rstrip("%,")), rel=2e-2, abs=2e-3)
        except ValueError:
            assert a == b


def test_the_folders_are_all_named():
    section = re.search(r"^## The folders\n(.*?)^## ", README, re.M | re.S)[1]
    named = set(re.findall(r"^    (\S+?)/? {2,}", section, re.M))
    assert {f"cam_numpy/{path.parent.name}" for path in (ROOT / "cam_numpy").glob("*/__init__.py")} <= named
    assert all((ROOT / name).exists() for name in named), named


@pytest.mark.parametrize("page", [
    "README.md", "weights/README.md", "tutorials/README.md", "tutorials/README.ko.md",
    "tutorials/prerequisites.md",
])
def test_every_file_that_a_page_points_to_is_there(page):
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text(encoding="utf-8")):
        assert target.startswith("https://") or (ROOT / page).parent.joinpath(target).exists(), target
