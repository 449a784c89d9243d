"""The command as a process, out of luck: `python -m tests.fuzz_process KIND [COUNT] [SEED]`.

KIND is "signals" (one or two, at any moment), "streams" (closed, full, or read by somebody who
leaves), "disks" (a full one; this needs the right to mount a small one) or "lines" (the command
lines of `fuzz_lines`, each in a process). Nothing half-written may be left, no traceback be printed,
and the exit status must say what happened.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

from PIL import Image

from tests import fuzz_lines
from tests.fuzzing import run

PATIENCE = 60  # seconds for one process
COMMAND = [sys.executable, "-m", "cam_numpy"]
SIGNALS = [signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)]
BEFORE = 0.15  # seconds in which Python itself starts, and may print what it likes of a signal


@cache
def folder():
    """That of `fuzz_lines`, and a data set that takes a moment."""
    here = fuzz_lines.folder()
    rows = [f"a.png,thing {i % 7},0,0,9,9" for i in range(300)]
    for i in range(300):
        shutil.copy(here / "a.png", here / f"{i}.png")
        rows[i] = rows[i].replace("a.png", f"{i}.png")
    (here / "many.csv").write_text("path,label,x0,y0,x1,y1\n" + "\n".join(rows), encoding="utf-8")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent.parent), *filter(None, sys.path)])
    return here


def work(rng):
    """A command line that does something, and needs a moment for it."""
    out, model = ["--out", "out"], ["--model", "net.onnx"]
    return rng.choice((
        ["explain", "a.png", "b.jpg", "grey.png", *model, *out, "--plain", "--save-arrays"],
        ["explain", "a.png", "--boxes", *model, *out], ["evaluate", "many.csv", *model, *out],
        ["evaluate", "many.csv", *model, "--method", "occlusion"], ["layers", "a.png", *model, *out],
        ["units", "a.png", "--class", "3", *model, *out], ["page", "a.png", *model, *out],
        ["inspect", "net.onnx"], ["models"], ["evaluate", "--help"],
        ["explain", "a.png", "nowhere.png", "--json", "--plain", *model, *out],
    ))


def finish(process, line):
    """(status, stdout, stderr) of a process that ends in time."""
    try:
        out, err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"{line!r} hangs") from None
    return process.returncode, out or "", err or ""


def told_plainly(line, status, out, err):
    told = f"{line!r}: status {status}\n{out[-1500:]}\n{err[-3000:]}"
    assert "Traceback" not in err + out and "Exception ignored" not in err, told
    for text in err.replace("\r", "\n").splitlines():
        assert re.match(r"cam-numpy: |\[\d+/\d+\] |$", text), told
    return told


def clean():
    """Nothing half-written is left; what is whole is removed."""
    out = folder() / "out"
    for path in sorted(out.glob("*")) if out.exists() else []:
        assert not path.name.startswith("."), path
        if path.suffix == ".png":
            with Image.open(path) as image:
                image.load()
        path.unlink()


def signals(case):
    line, moments = case
    process = subprocess.Popen(COMMAND + line, cwd=folder(), text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    for wait, number in moments:
        time.sleep(wait)
        process.send_signal(number)
    status, out, err = finish(process, line)
    first = moments[0][1]
    if moments[0][0] > BEFORE:
        told = told_plainly(line, status, out, err)
        # killed by the signal itself: before the command began, or when all was done
        assert status in (0, 2, 128 + first, *(-number for _, number in moments),
                          *(128 + number for _, number in moments)), told
    clean()
    return {0: "in time", 2: "refused"}.get(status, "stopped")


def make_signals(rng):
    moments = [(rng.uniform(0.05, 3), rng.choice(SIGNALS))]
    if rng.random() < 0.4:
        moments.append((rng.uniform(0, 0.5), rng.choice(SIGNALS)))
    return work(rng), moments


def streams(case):
    line, out, err = case
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    closed = [number for number, state in ((0, out), (1, out), (2, err)) if state == "closed"]
    opened = []
    for which, state in (("stdout", out), ("stderr", err)):
        if state == "full":
            opened.append(open("/dev/full", "w", encoding="utf-8"))
            options[which] = opened[-1]
        elif state == "left":
            reading, writing = os.pipe()
            os.close(reading)
            opened.append(os.fdopen(writing, "w"))
            options[which] = opened[-1]
    process = subprocess.Popen(COMMAND + line, cwd=folder(), text=True, **options,
                               preexec_fn=lambda: [os.close(number) for number in closed])
    status, printed, complained = finish(process, line)
    for file in opened:
        try:
            file.close()
        except OSError:
            pass
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
    out.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", out], check=True)
    import atexit

    atexit.register(lambda: subprocess.run(["umount", out], check=True))
    return out


def disks(case):
    line, taken = case
    filling = disk() / "filling"
    filling.write_bytes(bytes(taken))
    process = subprocess.Popen(COMMAND + line, cwd=folder(), text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    status, out, err = finish(process, line)
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
    process = subprocess.Popen(COMMAND + line, cwd=folder(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, encoding="utf-8", errors="surrogateescape")
    end = fuzz_lines.Ended(*finish(process, line))
    word = fuzz_lines.judge(line, end)
    fuzz_lines.check_written(line)
    return word


KINDS = {"signals": (make_signals, signals), "streams": (make_streams, streams), "disks": (make_disks, disks),
         "lines": (fuzz_lines.make, lines)}

if __name__ == "__main__":
    folder(), fuzz_lines.contents()
    make, attempt = KINDS[sys.argv[1]]
    run(make, attempt, sys.argv[2:], count=100)
