"""The command as a process, out of luck: `python -m tests.fuzz_process KIND [COUNT] [SEED]`.

KIND is "signals" (one or two, at any moment), "streams" (closed, full, or read by somebody who
leaves), "disks" (a full one; this needs the right to mount a small one) or "lines" (the command
lines of `fuzz_lines`, each in a process). Nothing half-written may be left, no traceback be printed,
and the exit status must say what happened.

Each process is forked from this one, which has imported all that the command may need but has
opened no network: its threads would not live on in a fork. That takes milliseconds rather than a
second. "fresh-signals" and so on start Python anew, so that the imports are met, too, and the end.
"""

from __future__ import annotations

import atexit
import importlib
import os
import pkgutil
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from functools import cache
from pathlib import Path

from PIL import Image

import cam_numpy
from cam_numpy.__main__ import main
from cam_numpy.commands import process
from tests import fuzz_lines
from tests.fuzzing import MEMORY, peak, run

PATIENCE = 60  # seconds for one process
PICTURES = 60  # of the data set; they take a moment
SIGNALS = [signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)]
BEFORE = 0.15  # seconds in which Python itself starts, and may print what it likes of a signal
FRESH = False  # whether each process is a Python of its own


@cache
def folder():
    """That of `fuzz_lines`, and a data set that takes a moment."""
    here = fuzz_lines.folder()
    rows = [f"{i}.png,thing {i % 7},0,0,9,9" for i in range(PICTURES)]
    for i in range(PICTURES):
        shutil.copy(here / "a.png", here / f"{i}.png")
    (here / "many.csv").write_text("path,label,x0,y0,x1,y1\n" + "\n".join(rows), encoding="utf-8")
    (here / "out").mkdir()
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent.parent), *filter(None, sys.path)])
    return here


def work(rng):
    """A command line that does something, and needs a moment for it; what draws needs a longer one."""
    out, model = ["--out", "out"], ["--model", "net.onnx"]
    quick = (
        ["explain", "a.png", "b.jpg", "grey.png", *model, *out, "--plain", "--save-arrays"],
        ["explain", "a.png", "nowhere.png", "--json", "--plain", *model, *out],
        ["units", "--class", "3", *model], ["page", "a.png", *model, *out], ["evaluate", "many.csv", *model],
        ["inspect", "net.onnx"], ["inspect", "net.onnx", "--try", "a.png"], ["models"],
        ["evaluate", "--help"],
        ["learn", "pets", *model, "--out", "out/new.onnx", "--force"],
    )
    slow = (
        ["explain", "a.png", "--boxes", *model, *out], ["evaluate", "many.csv", *model, *out],
        ["evaluate", "many.csv", *model, "--method", "occlusion"], ["layers", "a.png", *model, *out],
        ["units", "a.png", "--class", "3", *model, *out],
    )
    return rng.choice(slow if rng.random() < 0.04 else quick)


class Started:
    """A process that runs a command line, its standard streams open, closed, full, or left by the reader."""

    def __init__(self, line, out="open", err="open"):
        self.line, self._opened = line, []
        given = None if out == "closed" else os.open(os.devnull, os.O_RDONLY)
        streams = [given, *map(self._stream, (out, err))]
        self.pid = (_spawned if FRESH else _forked)(line, streams)
        for number in filter(None, streams):
            os.close(number)

    def _stream(self, state):
        """The descriptor of a stream in a state; None where it is closed."""
        self._opened.append(tempfile.TemporaryFile() if state == "open" else None)
        if state == "open":
            return os.dup(self._opened[-1].fileno())
        if state == "full":
            return os.open("/dev/full", os.O_WRONLY)
        if state == "left":
            reading, writing = os.pipe()
            os.close(reading)
            return writing
        return None

    def finish(self):
        """(status, stdout, stderr), once it has ended, in time and without much memory."""
        patience = time.monotonic() + PATIENCE
        while not (ended := os.wait4(self.pid, os.WNOHANG))[0]:
            if time.monotonic() > patience:
                os.kill(self.pid, signal.SIGKILL)
                os.wait4(self.pid, 0)
                raise AssertionError(f"{self.line!r} hangs")
            time.sleep(0.001)
        unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
        taken = ended[2].ru_maxrss * unit / 2**20 - peak()
        assert taken < MEMORY, f"{self.line!r} takes {taken:.0f} MiB"
        return os.waitstatus_to_exitcode(ended[1]), *map(_content, self._opened)


def _content(file):
    """All that was written to a stream."""
    if file is None:
        return ""
    with file:
        file.seek(0)
        return file.read().decode("utf-8", "surrogateescape")


def _spawned(line, streams):
    """The process id of a new Python that runs a command line with these streams."""
    actions = [(os.POSIX_SPAWN_CLOSE, to) if number is None else (os.POSIX_SPAWN_DUP2, number, to)
               for to, number in enumerate(streams)]
    command = [sys.executable, "-m", "cam_numpy", *line]
    return os.posix_spawn(sys.executable, command, os.environ, file_actions=actions, setsigdef=SIGNALS)


def _forked(line, streams):
    """The process id of a copy of this one that runs a command line with these streams."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # until the command is in charge of them
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        return pid
    status = 1
    try:
        status = _child(line, streams)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _child(line, streams):
    """Run a command line as the whole process; returns the exit status."""
    atexit._clear()
    for number in SIGNALS:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    for to, number in enumerate(streams):
        os.close(to) if number is None else os.dup2(number, to)
    sys.stdin, sys.stdout, sys.stderr = (
        None if number is None else open(to, "r" if to == 0 else "w", encoding="utf-8", closefd=False,
                                         errors="backslashreplace" if to == 2 else "strict")
        for to, number in enumerate(streams))
    sys.argv = ["cam-numpy", *line]

    def in_charge():
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        return main()

    try:
        process.run(in_charge)
    except SystemExit as stop:
        status = stop.code or 0
    threading._shutdown()  # as Python ends: threads, what is registered, streams
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return status


def prepare():
    """Import all that a command may need, without opening a network."""
    for module in pkgutil.walk_packages(cam_numpy.__path__, "cam_numpy."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    importlib.import_module("matplotlib.backends.backend_agg")
    importlib.import_module("matplotlib.figure")
    Image.init()
    folder(), fuzz_lines.contents()


def told_plainly(line, status, out, err):
    told = f"{line!r}: status {status}\n{out[-1500:]}\n{err[-3000:]}"
    assert "Traceback" not in err + out and "Exception ignored" not in err, told
    for text in err.replace("\r", "\n").splitlines():
        assert re.match(r"cam-numpy: |\[\d+/\d+\] |$", text), told
    return told


def clean():
    """Nothing half-written is left; what is whole is removed."""
    out = folder() / "out"
    for path in sorted(out.glob("*")):
        assert not path.name.startswith("."), path
        if path.suffix == ".png":
            with Image.open(path) as image:
                image.load()
        path.unlink()


def signals(case):
    line, moments = case
    started = Started(line)
    for wait, number in moments:
        time.sleep(wait)
        os.kill(started.pid, number)
    status, out, err = started.finish()
    first = moments[0][1]
    if not FRESH or moments[0][0] > BEFORE:
        told = told_plainly(line, status, out, err)
        # killed by the signal itself: before the command began, or when all was done
        killed = [-number for _, number in moments] if FRESH else []
        assert status in (0, 2, 128 + first, *killed, *(128 + number for _, number in moments)), told
    clean()
    return {0: "in time", 2: "refused"}.get(status, "stopped")


def make_signals(rng):
    line, earliest = work(rng), 0.05 if FRESH else 0
    latest = 1.5 if FRESH else rng.choice((0.02, 0.1, 0.5))
    moments = [(rng.uniform(earliest, latest), rng.choice(SIGNALS))]
    if rng.random() < 0.4:
        moments.append((rng.uniform(0, latest / 5), rng.choice(SIGNALS)))
    return line, moments


def streams(case):
    line, out, err = case
    status, printed, complained = Started(line, out, err).finish()
    told = told_plainly(line, status, printed, complained)
    wrong = "nowhere.png" in line
    assert status == (2 if wrong or out == "full" else 0), told
    if err == "closed" and "--json" in line:
        assert all(text.startswith("{") for text in printed.splitlines()), told
    clean()
    return f"{out}, {err}"


def make_streams(rng):
    states = ("open", "closed", "full", "left")
    return work(rng), rng.choice(states), rng.choice(states)


@cache
def disk():
    """A disk of 256 KiB, as the folder "out"."""
    out = folder() / "out"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", out], check=True)
    atexit.register(lambda: subprocess.run(["umount", out], check=True))
    return out


def disks(case):
    line, taken = case
    filling = disk() / "filling"
    filling.write_bytes(bytes(taken))
    status, out, err = Started(line).finish()
    told = told_plainly(line, status, out, err)
    full = "No space left on device" in err
    assert status == (2 if full or "nowhere.png" in line else 0), told
    if "evaluate" in line and "--help" not in line:
        assert "GT-known localisation" in out, told
    filling.unlink()
    clean()
    return "full" if full else "room enough"


def make_disks(rng):
    return work(rng), rng.choice((0, 100_000, 200_000, 240_000, 256_000, 262_144))


def lines(line):
    """In a process what `fuzz_lines` checks in its own."""
    if any("\0" in part for part in line):
        return "not a line"
    end = fuzz_lines.Ended(*Started(line).finish())
    word = fuzz_lines.judge(line, end)
    fuzz_lines.check_written(line)
    return word


KINDS = {"signals": (make_signals, signals), "streams": (make_streams, streams), "disks": (make_disks, disks),
         "lines": (fuzz_lines.make, lines)}

if __name__ == "__main__":
    FRESH = sys.argv[1].startswith("fresh-") or sys.platform == "darwin"  # whose libraries bear no fork
    prepare()
    make, attempt = KINDS[sys.argv[1].removeprefix("fresh-")]
    run(make, attempt, sys.argv[2:], count=100)
