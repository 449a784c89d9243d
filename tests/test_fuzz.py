"""A short run of each fuzzer; thousands are commands of their own, as `python -m tests.fuzz heads`."""

import subprocess
import sys

import pytest

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and streams of POSIX")


@pytest.mark.parametrize("fuzzer, count", [
    ("fuzz files", 100), ("fuzz heads", 60), ("fuzz_photos", 80), ("fuzz_datasets", 80),
    ("fuzz_arrays", 300), ("fuzz_lines", 30), ("fuzz_names", 12),
    pytest.param("fuzz_process fresh-signals", 1, marks=posix),
    pytest.param("fuzz_process signals", 8, marks=posix),
    pytest.param("fuzz_process streams", 8, marks=posix),
])
def test_whatever_is_given_is_taken_or_refused_soon_and_quietly(fuzzer, count):
    """In a process of its own: a crash of native code could not be caught here."""
    done = subprocess.run([sys.executable, "-m", *f"tests.{fuzzer}".split(), f"{count}", "7"],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{count} ") and done.stdout.count("\n") == 1
    assert "Traceback" not in done.stderr  # libtiff prints its own complaints
