"""Download a file whole and right, or not at all.

What arrives goes to a hidden file beside the target, under a name that no other process has. It
takes the target's name only once its checksum is right, so the target never exists half-written.
A connection that breaks off leaves `<target>.part`, which the next attempt goes on from; nothing
else, neither Ctrl-C nor a full disk, leaves anything.
"""

from __future__ import annotations

import http.client
import os
import secrets
import stat
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import contextmanager, suppress
from functools import cache
from itertools import chain
from pathlib import Path

from ..errors import InputError
from .catalogue import LABELS, checksum, find_model, is_right, local_path

PIECE = 1 << 16  # bytes read at once
FIRST = 512  # bytes that tell a file from a page about it
NETWORK_ERRORS = (OSError, http.client.HTTPException, ValueError)


class _Failed(Exception):
    """A mirror did not give the file, for this reason."""


def fetch(name: str, progress: Callable[[int, int], None] | None = None) -> Path:
    """Download a public network, so that `cam_numpy.load` knows it by its name.

    The names of ImageNet's classes come with it. What is there already is not fetched again.

    Parameters
    ----------
    name : str
        As `cam-numpy models` lists it.
    progress : callable(int, int), optional
        Called with (bytes done, bytes in all) after each piece of at most 64 KiB.

    Returns
    -------
    path : Path
        Where the network lies.

    Raises
    ------
    InputError
        There is no such network, no mirror gave it, or it cannot be written.
    """
    model = find_model(name)
    fetch_file(LABELS, progress)
    return fetch_file(model, progress)


def fetch_file(file, progress=None, timeout=30):
    """Have a file of the catalogue in the cache: fetch it, unless it is there and right.

    Parameters
    ----------
    file : Model or LABELS
    progress, timeout
        See `fetch_url`.

    Returns
    -------
    path : Path

    Raises
    ------
    InputError
        See `fetch_url`.
    """
    target = local_path(file)
    with _disk(target):
        if is_right(file):
            return target
    return fetch_url(file.urls, target, file.bytes, file.sha256, progress, timeout)


def fetch_url(urls, target, size, sha256, progress=None, timeout=30):
    """Download a file.

    Parameters
    ----------
    urls : sequence of str
        http or https addresses of the same file, tried in turn.
    target : path
        Where to put it. Its folder is made; a file that is there is replaced.
    size : int
        The file's size in bytes; no more is ever written.
    sha256 : str
        Its checksum.
    progress : callable(int, int), optional
        Called with (bytes done, bytes in all) after each piece of at most 64 KiB.
    timeout : float
        Seconds without a byte after which a mirror is given up.

    Returns
    -------
    target : Path

    Raises
    ------
    InputError
        No mirror gave the file, or it cannot be written; the message says what happened at each
        mirror.
    """
    target = Path(target)
    part = target.with_name(f"{target.name}.part")
    unfinished = target.with_name(f".{target.name}.{secrets.token_hex(6)}.unfinished")
    with _disk(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    reasons = []
    try:
        _adopt(part, unfinished)
        for url in urls:
            try:
                _download(url, unfinished, size, sha256, progress, timeout)
            except _Failed as failure:
                reasons.append(f"{''.join(url.split('/')[2:3]) or url}: {failure}")
            else:
                with _disk(target):
                    os.replace(unfinished, target)
                return target
        have = _size(unfinished)
        if 0 < have < size:
            with _disk(part):
                os.replace(unfinished, part)
            advice = f"run it again to go on from byte {have} of {size}"
        else:
            advice = f"check the connection and run it again, or save the file as {target} yourself"
    finally:
        unfinished.unlink(missing_ok=True)
    raise InputError(f"{target.name} could not be fetched; {', '.join(reasons)}; {advice}")


def _adopt(part, unfinished):
    """Make ours what an earlier attempt left; renaming sees to it that only one process gets it."""
    with suppress(OSError):  # there is none, or another process was faster
        os.replace(part, unfinished)
        status = os.lstat(unfinished)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            unfinished.unlink()  # a link: what it leads to is not ours to write to


def _size(path):
    return path.stat().st_size if path.exists() else 0


def _download(url, unfinished, size, sha256, progress, timeout):
    """Get the whole file from one mirror, going on from what is there."""
    have = _size(unfinished)
    response, start = _ask(url, have if have < size else 0, timeout)
    with response:
        _receive(response, start, unfinished, size, progress, timeout)
    with _disk(unfinished):
        if checksum(unfinished) == sha256:
            return
        unfinished.unlink()
    if not start:
        raise _Failed("the file there has the right size but other content")
    _download(url, unfinished, size, sha256, progress, timeout)  # what is wrong may be the part from before


def _ask(url, start, timeout):
    """Open `url` at byte `start`, or at 0 where the server cannot; returns (response, start)."""
    headers = {"User-Agent": "cam_numpy", **({"Range": f"bytes={start}-"} if start else {})}
    try:
        response = _opener().open(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if start:
            return _ask(url, 0, timeout)
        redirect = error.code < 400  # one that urllib would not follow
        meaning = "redirects that lead nowhere" if redirect else http.client.responses.get(error.code, "")
        raise _Failed(f"HTTP {error.code} {meaning}") from None
    except NETWORK_ERRORS as error:
        raise _Failed(_reason(error, timeout)) from None
    if not start or response.status == 200:  # 200: all of it, whatever was asked for
        return response, 0
    if response.status == 206 and (response.headers.get("Content-Range") or "").startswith(f"bytes {start}-"):
        return response, start
    response.close()
    return _ask(url, 0, timeout)


@cache
def _opener():
    """urllib's opener, less the protocols other than http and https; it reads certificates: only once."""
    opener = urllib.request.OpenerDirector()
    for name in ("Proxy", "Unknown", "HTTP", "HTTPS", "HTTPDefaultError", "HTTPRedirect"):
        opener.add_handler(getattr(urllib.request, f"{name}Handler")())
    opener.add_handler(urllib.request.HTTPErrorProcessor())
    return opener


def _receive(response, start, unfinished, size, progress, timeout):
    """Write a response's body to `unfinished` from byte `start` on, up to exactly `size` bytes."""
    promised, done = response.length, start  # promised: None where the server does not say

    def read(how, amount):
        try:
            return how(amount)
        except NETWORK_ERRORS as error:
            raise _Failed(f"{_reason(error, timeout)} after {done} of {size} bytes") from None

    first = b"" if start else read(response.read, FIRST)
    if first.startswith(b"version https://git-lfs"):
        raise _Failed("a Git-LFS pointer instead of the file")
    if first.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype html", b"<html")):
        raise _Failed("an HTML page instead of the file")
    if promised is not None and start + promised != size:
        raise _Failed(f"a file of {start + promised} bytes instead of {size}")
    with _disk(unfinished):
        file = open(unfinished, "ab" if start else "wb", buffering=0)
    with file:
        for piece in chain([first], iter(lambda: read(response.read1, PIECE), b"")):
            if done + len(piece) > size:
                with _disk(unfinished):
                    file.truncate(0)  # nothing to go on from
                raise _Failed(f"a file of more than {size} bytes")
            rest = memoryview(piece)
            with _disk(unfinished):
                while rest:
                    rest = rest[file.write(rest):]
            done += len(piece)
            if progress:
                progress(done, size)
        with _disk(unfinished):
            os.fsync(file.fileno())
    if done < size:
        raise _Failed(f"the connection broke off after {done} of {size} bytes")


@contextmanager
def _disk(path):
    """Say what the disk refused. Network errors are OSErrors too: no network call belongs in here."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path.parent} cannot be used ({error.strerror or error}); make room there, "
                         "or name another folder in CAM_NUMPY_CACHE") from None


def _reason(error, timeout):
    """What a network error says, in a few words."""
    error = getattr(error, "reason", error)  # what URLError wraps
    if isinstance(error, TimeoutError):
        return f"nothing came for {timeout:g} s"
    if isinstance(error, http.client.IncompleteRead):
        return "the connection broke off"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())[:150]
