"""What the fuzzers share: inputs without end, one after another, until one is a bug.

Each fuzzer has `make(rng)`, an input, and `attempt(input)`, which returns a word to be counted
("read", "refused") or raises. Whatever it raises is a bug, and so is an input that takes long or
much memory. An input is made again by its seed and number alone: `SEED NUMBER` on the command line.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter

SECONDS = 10  # of this process's own time for one input; most take some milliseconds
PATIENCE = 120  # seconds on the clock, however busy the machine is
MEMORY = 300  # MiB over what the first inputs take


def refused(error, *names):
    """"refused", where an error is one line of moderate length and holds all `names`."""
    text = str(error)
    if "\n" in text or len(text) > 1500 or not all(name in text for name in names):
        raise AssertionError(f"not one line about what was given: {text!r}") from error
    return "refused"


def run(make, attempt, arguments, count=3000):
    """Run the fuzzer for `COUNT SEED [FIRST]`, and print what it found in one line."""
    given = [int(argument) for argument in arguments]
    count, seed, first = [*given, *(count, 0, 0)[len(given) :]]
    counts, slowest, base = Counter(), 0.0, None
    for number in range(first, first + count):
        rng = random.Random(f"{seed} {number}")
        try:
            case = make(rng)
            start, began = time.process_time(), time.perf_counter()
            counts[attempt(case)] += 1
            seconds, waited = time.process_time() - start, time.perf_counter() - began
            assert seconds < SECONDS and waited < PATIENCE, f"{seconds:.1f} s, {waited:.1f} s on the clock"
            base = peak() if number - first == min(100, count // 2) else base
            assert base is None or peak() - base < MEMORY, f"{peak() - base:.0f} MiB over the first inputs"
        except BaseException:
            print(f"input {number} of seed {seed}: run it again with 1 {seed} {number}", file=sys.stderr)
            raise
        slowest = max(slowest, seconds)
    told = ", ".join(f"{n} {word}" for word, n in sorted(counts.items()))
    print(f"{count} inputs: {told}; slowest {slowest:.2f} s, {peak() - (base or 0):.0f} MiB over the first")


def peak():
    """The peak memory of this process in MiB; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
