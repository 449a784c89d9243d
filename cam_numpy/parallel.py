"""Work on all cores, a few items at a time."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor


def in_order(work, items, workers=None):
    """Call work(item) for each item, in several threads.

    Parameters
    ----------
    work : callable
    items : iterable
    workers : int, optional
        Threads; by default as many as there are cores.

    Yields
    ------
    future : concurrent.futures.Future
        One for each item, in order, only a few items ahead of the one that is looked at: what
        waits in memory does not grow with the number of items.
    """
    workers = workers or os.cpu_count() or 1
    pool, waiting = ThreadPoolExecutor(workers), deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > 2 * workers:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
    finally:
        # without waiting: a second Ctrl-C meanwhile would lose what the first has left
        pool.shutdown(wait=False, cancel_futures=True)
