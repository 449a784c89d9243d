"""The command as a process: streams that are full, closed or unread, signals at any moment."""

import json
import os
import signal
import subprocess
import sys
import time
import warnings

import pytest
from PIL import Image

from cam_numpy.__main__ import main
from cam_numpy.commands import process
from cam_numpy.commands.progress import Progress
from tests.conftest import scene

FULL = "/dev/full"
needs_full = pytest.mark.skipif(not os.path.exists(FULL), reason="this system has no /dev/full")
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and streams of POSIX")


def start(*arguments, **options):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen([sys.executable, "-m", "cam_numpy", *map(str, arguments)], text=True, **pipes)


def finish(*arguments, **options):
    """(status, stdout, stderr) of a process."""
    started = start(*arguments, **options)
    out, err = started.communicate(timeout=60)
    return started.returncode, out, err


@pytest.fixture
def photos(tmp_path):
    paths = [tmp_path / f"{name}.png" for name in "abc"]
    for seed, path in enumerate(paths):
        Image.fromarray(scene(20, 30, seed)).save(path)
    return paths


@pytest.fixture
def explain(small, photos, tmp_path):
    return ["explain", *photos, "--plain", "--model", small, "--out", tmp_path / "out"]


def written(tmp_path):
    return sorted(os.listdir(tmp_path / "out"))


ALL = ["a.cam.png", "b.cam.png", "c.cam.png"]


# --- streams -------------------------------------------------------------------------------------

@posix
def test_a_reader_that_leaves_stops_no_work(explain, tmp_path):
    """`cam-numpy explain a b c | head -1`"""
    reading, writing = os.pipe()
    os.close(reading)
    status, _, err = finish(*explain, stdout=writing)
    os.close(writing)
    assert status == 0 and written(tmp_path) == ALL and err.splitlines() == [
        f"[{i}/3] {tmp_path / name}.png" for i, name in enumerate("abc", 1)]


@needs_full
@pytest.mark.parametrize("arguments", [["--help"], ["explain", "--help"], ["models"], ["inspect", "small"]])
def test_a_full_disk_behind_standard_output(small, arguments):
    arguments = [small if argument == "small" else argument for argument in arguments]
    with open(FULL, "w") as full:
        status, _, err = finish(*arguments, stdout=full)
    assert status == 2 and err == ("cam-numpy: standard output cannot be written (No space left on device); "
                                   "make room, or send it elsewhere\n")


@needs_full
def test_a_full_disk_behind_standard_output_stops_no_work(explain, tmp_path):
    with open(FULL, "w") as full:
        status, _, err = finish(*explain, stdout=full)
    assert status == 2 and written(tmp_path) == ALL and err.count("cam-numpy: ") == 1


@needs_full
def test_a_full_disk_behind_standard_error(explain, tmp_path):
    with open(FULL, "w") as full:
        status, out, _ = finish("explain", tmp_path / "none.png", *explain[1:], "--json", stderr=full)
    assert status == 2 and len([json.loads(line) for line in out.splitlines()]) == 3


@posix
def test_with_standard_error_closed_nothing_but_json_reaches_standard_output(explain, tmp_path):
    arguments = ["explain", tmp_path / "none.png", *explain[1:], "--json"]
    status, out, _ = finish(*arguments, preexec_fn=lambda: os.close(2))
    assert status == 2 and len([json.loads(line) for line in out.splitlines()]) == 3


@posix
def test_a_closed_stream_gives_its_number_to_no_file(explain, tmp_path):
    """A library in C writes to number 2, whatever file has it: it must not be ours."""
    finish(*explain, preexec_fn=lambda: os.closerange(0, 3))
    assert written(tmp_path) == ALL
    for name in ALL:
        Image.open(tmp_path / "out" / name).load()


@posix
def test_what_libraries_in_c_write_to_standard_error_is_not_shown(small, tmp_path):
    tiff = tmp_path / "p.tif"
    Image.fromarray(scene(20, 30)).save(tiff, compression="tiff_lzw")
    data = bytearray(tiff.read_bytes())
    data[8:200] = b"\xff" * 192  # the strip's data: libtiff has words for that
    tiff.write_bytes(data)
    status, _, err = finish("explain", tiff, "--model", small, "--out", tmp_path)
    assert status == 2 and err.count("\n") == 1 and err.startswith(f"cam-numpy: {tiff} is damaged")


def test_say_and_tell_obey_no_escape_sequence(capsys):
    process.say("one\x1b[2Jtwo\nthree\x07")
    process.tell("\x9b31mred\rline")
    assert capsys.readouterr() == (r"one\x1b[2Jtwo" "\n" r"three\x07" "\n", r"\x9b31mred\rline" "\n")


def test_progress_fits_in_one_line(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "30")
    with pytest.raises(KeyError), Progress("things", every=0) as line:
        line(1, 9, "of a very long name\n" * 9)
        raise KeyError
    assert len(capsys.readouterr().err.strip("\r\n")) == 29


# --- memory, and libraries that warn -----------------------------------------------------------------

@posix
def test_a_large_photo_is_in_memory_once(small, tmp_path):
    """Its overlay is painted over it."""
    side, peaks = 3000, []
    for name, size in (("small.png", (20, 30)), ("large.png", (side, side))):
        Image.new("RGB", size, "teal").save(tmp_path / name, compress_level=1)
        started = start("explain", tmp_path / name, "--plain", "--model", small, "--out", tmp_path,
                        stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(started.pid, 0)
        started.returncode = os.waitstatus_to_exitcode(status)
        assert started.returncode == 0, started.communicate()
        peaks.append(used.ru_maxrss * (1 if sys.platform == "darwin" else 1024))  # bytes there, KiB elsewhere
    assert peaks[1] - peaks[0] < 1.5 * 4 * side**2  # Pillow keeps 4 bytes a pixel


def test_one_photo_that_memory_does_not_hold(explain, tmp_path, capsys, monkeypatch):
    import cam_numpy.explanation

    real, seen = cam_numpy.explanation.read_photo, []

    def read_photo(photo):
        seen.append(photo)
        if len(seen) == 1:
            raise MemoryError
        return real(photo)

    monkeypatch.setattr(cam_numpy.explanation, "read_photo", read_photo)
    assert main(list(map(str, explain))) == 2 and written(tmp_path) == ALL[1:]
    err = capsys.readouterr().err
    assert "cam-numpy: there is not enough memory (none is left); give a smaller photo" in err


def test_no_memory_at_all(capsys, monkeypatch):
    def load(*_, **__):
        raise MemoryError("Unable to allocate 3 GiB")

    monkeypatch.setattr("cam_numpy.network.network.load", load)
    assert main(["explain"]) == 2
    assert capsys.readouterr().err == (
        "cam-numpy: there is not enough memory (Unable to allocate 3 GiB); give a smaller photo or a smaller "
        "--size, or close other programs\n")


def test_warnings_of_libraries_are_not_shown(explain, capsys, monkeypatch):
    """Such as NumPy's of an overflow."""
    import cam_numpy.explanation

    real = cam_numpy.explanation.read_photo

    def read_photo(photo):
        warnings.warn("overflow encountered in exp", RuntimeWarning, stacklevel=1)
        return real(photo)

    monkeypatch.setattr(cam_numpy.explanation, "read_photo", read_photo)
    with warnings.catch_warnings(record=True) as caught:
        assert main([*map(str, explain[:2]), *map(str, explain[4:])]) == 0
    assert capsys.readouterr().err == "" and not caught


def test_without_any_streams(explain, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdout", None)
    monkeypatch.setattr("sys.stderr", None)
    assert main(list(map(str, explain))) == 0 and written(tmp_path) == ALL


def test_a_mistake_in_the_command_line_is_one_line(capsys):
    for arguments in ([], ["expl"], ["explain", "--top"], ["explain", "--no\nsuch\x1b[2J"], ["fetch"],
                      ["explain", "--colors", "pink"], ["explain", "--size", "1" * 5000],
                      ["explain", "--mean", "1_0"], ["explain", "--mean", "١,٢,٣"],
                      ["explain", "--top", "٣"], ["explain", "--model=--"]):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        out, err = capsys.readouterr()
        assert stopped.value.code == 2 and out == "" and err.count("\n") == 1 and len(err) < 1100, arguments
        assert err.startswith("cam-numpy: ") and err.endswith("--help\n") and "\x1b" not in err


@pytest.mark.parametrize("option", ["--out", "--preprocessing", "--model", "--labels", "--output"])
def test_an_empty_name_is_refused(option, capsys):
    for empty in ("", " "):
        with pytest.raises(SystemExit):
            main(["explain", f"{option}={empty}"])
        assert f"argument {option}: {empty!r} names nothing; give a name" in capsys.readouterr().err


# --- signals -------------------------------------------------------------------------------------

WAITS = """
import sys, time
from cam_numpy.__main__ import main
from cam_numpy.commands import process
from cam_numpy.output import whole_file

def work():
    try:
        with whole_file({target!r}) as unfinished:
            unfinished.write_text("half", encoding="utf-8")
            print("ready", flush=True)
            time.sleep(30)
    finally:
        time.sleep(0.4)  # tidying up takes a moment
        process.say("tidied up")

process.run(work)
"""


@posix
@pytest.mark.parametrize("number, again", [
    (signal.SIGINT, None), (signal.SIGTERM, None), (signal.SIGINT, signal.SIGINT),
    (signal.SIGTERM, signal.SIGINT),
])
def test_a_signal_leaves_nothing_half_written(tmp_path, number, again):
    """Nor does a second one, while the first is at work."""
    code = WAITS.format(target=str(tmp_path / "whole.txt"))
    started = subprocess.Popen([sys.executable, "-c", code], text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    assert started.stdout.readline() == "ready\n" and len(os.listdir(tmp_path)) == 1
    started.send_signal(number)
    if again:
        time.sleep(0.1)
        started.send_signal(again)
    out, err = started.communicate(timeout=20)
    assert out == "tidied up\n" and err == "cam-numpy: interrupted\n" and os.listdir(tmp_path) == []
    assert started.returncode == 128 + number


@posix
@pytest.mark.parametrize("work, status, err", [
    # one more when all is done: Python takes handlers away long before a process has ended
    ("atexit.register(os.kill, os.getpid(), signal.SIGTERM); return 2", 2, ""),
    # the first is taken for something else, such as a damaged photo
    ("os.kill(os.getpid(), signal.SIGINT)", 130, "cam-numpy: interrupted\n"),
])
def test_the_status_tells_of_a_signal_while_there_was_work(work, status, err):
    code = f"""
import atexit, os, signal
from cam_numpy.commands import process

def work():
    try:
        {work}
    except KeyboardInterrupt:
        return 2

process.run(work)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (status, err)


@posix
def test_a_signal_that_is_to_be_ignored_is_ignored():
    """As `nohup` has it."""
    code = ("import os, signal; from cam_numpy.commands import process; "
            "signal.signal(signal.SIGHUP, signal.SIG_IGN); "
            "process.run(lambda: os.kill(os.getpid(), signal.SIGHUP) or 0)")
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


@posix
def test_ctrl_c_while_modules_are_imported():
    """Whatever they make of it, as modules in C do; or where Python drops it, in a callback."""
    code = """
import os, signal, time, weakref
from cam_numpy.commands import process

class Thing:
    pass

def imports():
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)
    except KeyboardInterrupt as stop:
        raise ImportError("a module") from stop

def drops():
    thing = Thing()
    alive = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.SIGINT) or time.sleep(0.2))
    del thing
    time.sleep(10)

process.run({})
"""
    for work in ("imports", "drops"):
        began = time.monotonic()
        done = subprocess.run([sys.executable, "-c", code.replace("{}", work)], capture_output=True,
                              text=True, timeout=60)
        assert (done.returncode, done.stderr) == (130, "cam-numpy: interrupted\n"), work
        assert time.monotonic() - began < 8


@posix
@pytest.mark.parametrize("signalled", [True, False])
def test_what_was_interrupted_half_way_does_not_complain(signalled):
    """As NumPy's archive does, which then cannot be closed; without a signal it would be a bug."""
    code = f"""
import os, signal
from cam_numpy.commands import process

class Archive:
    def __del__(self):
        raise ValueError("Can't close the file")

def work():
    archive = Archive()
    try:
        {signalled} and os.kill(os.getpid(), signal.SIGINT)
    finally:
        del archive
    return 0

process.run(work)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    if signalled:
        assert (done.returncode, done.stderr) == (130, "cam-numpy: interrupted\n")
    else:
        assert done.returncode == 0 and "Can't close the file" in done.stderr


@posix
def test_a_signal_before_the_command_is_imported_waits():
    code = """
import os, signal, sys
from cam_numpy.__main__ import run
from cam_numpy.commands.signals import Signals

assert not {"re", "threading", "warnings", "argparse"} & set(sys.modules)
assert not {"cam_numpy.names", "cam_numpy.errors", "cam_numpy.commands.process"} & set(sys.modules)
real = Signals.__init__

def interrupted(self):
    real(self)
    os.kill(os.getpid(), signal.SIGTERM)

Signals.__init__ = interrupted
run()
"""
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 128 + signal.SIGTERM and done.stderr == "cam-numpy: interrupted\n"


@posix
def test_ctrl_c_while_pillow_is_imported_is_no_damaged_photo(explain, tmp_path):
    """A module in C makes another error of it; the photos after that one are not begun."""
    code = f"""
import os, signal
import cam_numpy.image.photo as photo
from cam_numpy.__main__ import run

def interrupted(file):
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        raise ImportError("PIL._imaging failed to import") from None

photo.Image.open = interrupted
import sys
sys.argv[1:] = {list(map(str, explain))!r}
run()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == f"[1/3] {tmp_path / 'a.png'}\ncam-numpy: interrupted\n"


def test_the_package_is_imported_without_numpy():
    """So that the command is in charge of Ctrl-C before NumPy, a third of a second, is imported."""
    code = ("import sys; sys.modules.pop('typing', None); import cam_numpy.__main__; "
            "print('numpy' in sys.modules or 'typing' in sys.modules); cam_numpy.iou; "
            "print('numpy' in sys.modules, 'PIL' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "False\nTrue False\n", done.stderr
