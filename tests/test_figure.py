"""The figure is the same whatever a user's settings of matplotlib are."""

import os
import subprocess
import sys
import warnings

import matplotlib
import pytest
from PIL import Image

from cam_numpy import explain, load
from cam_numpy.show.figure import save

SETTINGS = {
    "text.usetex": True, "image.cmap": "nonsense", "savefig.dpi": 10, "figure.dpi": 10, "font.size": 40,
    "axes.facecolor": "red", "savefig.bbox": "tight", "axes.unicode_minus": False,
}


@pytest.fixture
def drawn(small, photo, tmp_path):
    """The bytes of the figure."""
    def draw():
        save(explain(photo, load(small)).show(boxes=True), tmp_path / "figure.png")
        return (tmp_path / "figure.png").read_bytes()

    return draw


def test_a_users_settings_change_nothing_and_are_not_changed(drawn):
    plain = drawn()
    with matplotlib.rc_context():
        for key, value in SETTINGS.items():
            dict.__setitem__(matplotlib.rcParams, key, value)  # unchecked, as old versions read files
        assert drawn() == plain
        assert {key: matplotlib.rcParams[key] for key in SETTINGS} == SETTINGS


def test_a_figure_that_a_user_saves_is_in_our_settings_too(small, photo, tmp_path):
    e = explain(photo, load(small))
    e.show().savefig(tmp_path / "plain.png")
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("error")
        for key, value in SETTINGS.items():
            dict.__setitem__(matplotlib.rcParams, key, value)
        figure = e.show()
        figure.savefig(tmp_path / "saved.png")
        figure.canvas.draw()
    with Image.open(tmp_path / "saved.png") as saved, Image.open(tmp_path / "plain.png") as plain:
        assert saved.tobytes() == plain.tobytes() == bytes(figure.canvas.buffer_rgba())


def test_letters_that_no_font_has_are_no_warning(small, photo, tmp_path, drawn):
    photo.rename(photo.with_name("猫 \U0001f408.png"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*to change this")
        save(explain(photo.with_name("猫 \U0001f408.png"), load(small)).show(), tmp_path / "figure.png")


def run(code, folder, **env):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **env}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, env=env,
                          timeout=120)


def test_a_backend_that_is_missing(tmp_path):
    """Jupyter names its own in the environment of every shell that it starts."""
    code = """
import os
from cam_numpy.show.figure import blank, own_settings, save
with own_settings():
    save(blank((2, 1)), "figure.png")
import matplotlib
print(os.environ["MPLBACKEND"], dict.__getitem__(matplotlib.rcParams, "backend"))
"""
    done = run(code, tmp_path, MPLBACKEND="module://of_nobody")
    assert done.stderr == "" and (tmp_path / "figure.png").is_file()
    assert run(code, tmp_path, MPLBACKEND="svg").stdout == "svg svg\n"


def test_settings_that_cannot_be_read(small, photo, tmp_path):
    (tmp_path / "matplotlibrc").write_bytes(b"\xff")
    arguments = ["explain", str(photo), "--model", str(small)]
    done = run(f"from cam_numpy.__main__ import main; raise SystemExit(main({arguments}))", tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "mend your matplotlibrc" in done.stderr
