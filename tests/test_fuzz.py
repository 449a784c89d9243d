"""A hundred broken model files; thousands are a command of their own, `python -m tests.fuzz`."""

import subprocess
import sys


def test_broken_files_are_refused_soon_and_quietly():
    """In a process of its own: a crash of native code could not be caught here."""
    done = subprocess.run([sys.executable, "-m", "tests.fuzz", "100", "7"],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("100 files: ") and done.stdout.count("\n") == 1 and done.stderr == ""
