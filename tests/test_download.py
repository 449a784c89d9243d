"""The catalogue and the downloader, against a server on 127.0.0.1 that misbehaves."""

import errno
import hashlib
import io
import os
import random
import re
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cam_numpy.errors import InputError
from cam_numpy.network import catalogue, download
from cam_numpy.network.catalogue import (
    LABELS,
    MODELS,
    cache_folder,
    find_model,
    is_fetched,
    local_path,
)
from cam_numpy.network.download import fetch_file, fetch_url

DATA = random.Random(0).randbytes(200_001)  # four pieces, none like another
SIZE, SHA256 = len(DATA), hashlib.sha256(DATA).hexdigest()
HALF = 100_000
STALL = 0.3  # seconds that the tests wait for a server that says nothing
PATIENCE = 30  # and for any other, however busy the machine is
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0000\nsize 4956208\n"
HTML = b"\xef\xbb\xbf\n<!DOCTYPE html><html><title>Sign in to the hotel's network</title></html>"


class Misbehaving(BaseHTTPRequestHandler):
    """Each path answers in its own way; every request is noted in `server.seen`."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        name = self.path.strip("/")
        self.server.seen.append((name, self.headers["Range"]))
        with suppress(BrokenPipeError, ConnectionResetError):  # the client has hung up
            if name.startswith("status-"):
                self.head(int(name.removeprefix("status-")), 0)
            else:
                getattr(self, name.replace("-", "_"))()

    def head(self, status, length, **headers):
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()

    def send(self, body, **headers):
        self.head(200, len(body), **headers)
        self.wfile.write(body)

    def good(self): self.send(DATA)
    def wrong(self): self.send(DATA[::-1])
    def short(self): self.send(DATA[:HALF])
    def long(self): self.send(DATA + b"!")
    def html(self): self.send(HTML)
    def lfs(self): self.send(LFS)

    def redirect(self): self.head(302, 0, Location="/good")
    def circle(self): self.head(302, 0, Location="/circle")
    def to_disk(self): self.head(302, 0, Location="file:///etc/hosts")
    def to_ftp(self): self.head(302, 0, Location="ftp://127.0.0.1/x")

    def endless(self):  # no length given: until the connection closes
        self.head(200, None)
        self.wfile.write(DATA + DATA)

    def early(self):
        self.head(200, None)
        self.wfile.write(DATA[:HALF])

    def silent(self):
        self.server.released.wait(5)

    def stalls(self):
        self.head(200, SIZE)
        self.wfile.write(DATA[:HALF])
        self.server.released.wait(5)

    def cut(self):  # breaks off, and knows no ranges
        self.head(200, SIZE)
        self.wfile.write(DATA[:HALF])

    def cut_once(self):  # breaks off, unless asked for the rest
        if self.headers["Range"]:
            return self.rest()
        self.head(200, SIZE, Accept_Ranges="bytes")
        self.wfile.write(DATA[:HALF])

    def rest(self):
        start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        self.head(206, SIZE - start, Content_Range=f"bytes {start}-{SIZE - 1}/{SIZE}")
        self.wfile.write(DATA[start:])

    def ranges(self):
        return self.rest() if self.headers["Range"] else self.good()

    def other_range(self):
        if not self.headers["Range"]:
            return self.good()
        self.head(206, 10, Content_Range=f"bytes 0-9/{SIZE}")
        self.wfile.write(DATA[:10])

    def no_such_range(self):
        return self.head(416, 0) if self.headers["Range"] else self.good()


@pytest.fixture(scope="module")
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Misbehaving) as server:
        server.seen, server.released = [], threading.Event()
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "*")


@pytest.fixture
def url(server):
    server.seen.clear()
    return lambda name: f"http://127.0.0.1:{server.server_port}/{name}"


@pytest.fixture
def target(tmp_path):
    return tmp_path / "cache" / "net.onnx"


@pytest.fixture
def get(url, target):
    """Fetch the data from the server's paths, in turn."""
    def get_(*names, **options):
        timeout = STALL if {"silent", "stalls"} & set(names) else PATIENCE
        return fetch_url([url(name) for name in names], target, SIZE,
                     **{"sha256": SHA256, "timeout": timeout, **options})

    return get_


def left(target):
    """All that lies in the target's folder."""
    return sorted(path.name for path in target.parent.iterdir()) if target.parent.exists() else []


def complaint(action, *arguments, **options):
    with pytest.raises(InputError) as caught:
        action(*arguments, **options)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


# The downloader


@pytest.mark.parametrize("name", ["good", "redirect"])
def test_brings_the_file_and_nothing_else(get, target, name):
    told = []
    assert get(name, progress=lambda *counts: told.append(counts)) == target
    assert target.read_bytes() == DATA and left(target) == ["net.onnx"]
    assert told == sorted(told) and told[-1] == (SIZE, SIZE) and len(told) > 3


FAILURES = [
    ("wrong", "right size but other content"), ("short", "a file of 100000 bytes instead of 200001"),
    ("long", "a file of 200002 bytes instead of 200001"), ("endless", "a file of more than 200001 bytes"),
    ("html", "an HTML page"), ("lfs", "a Git-LFS pointer"),
    ("status-404", "HTTP 404 Not Found"), ("status-500", "HTTP 500 Internal Server Error"),
    ("status-204", "a file of 0 bytes instead of 200001"), ("circle", "HTTP 302 redirects that lead nowhere"),
    ("to-disk", "HTTP 302 redirects that lead nowhere"), ("to-ftp", "unknown url type: ftp"),
    ("silent", "nothing came for 0.3 s"),
]


@pytest.mark.parametrize("name, reason", FAILURES, ids=[name for name, _ in FAILURES])
def test_a_failure_is_named_and_leaves_nothing(get, target, name, reason):
    message = complaint(get, name)
    assert re.match(r"net\.onnx could not be fetched; 127\.0\.0\.1:\d+: ", message) and reason in message
    assert f"or save the file as {target} yourself" in message and left(target) == []


@pytest.mark.parametrize("name, reason", [
    ("stalls", "nothing came for 0.3 s after 100000 of"), ("cut", "the connection broke off after 100000 of"),
    ("early", "the connection broke off after 100000 of"),
])
def test_what_broke_off_leaves_a_part(get, target, name, reason):
    message = complaint(get, name)
    assert reason in message and message.endswith("run it again to go on from byte 100000 of 200001")
    assert left(target) == ["net.onnx.part"] and target.with_name("net.onnx.part").read_bytes() == DATA[:HALF]


def test_a_failure_keeps_the_file_that_is_there(get, target):
    target.parent.mkdir()
    target.write_bytes(b"earlier")
    complaint(get, "wrong")
    assert target.read_bytes() == b"earlier" and left(target) == ["net.onnx"]


def test_mirrors_are_tried_in_turn(get, server, target):
    get("status-404", "html", "wrong", "good", "long")
    assert [name for name, _ in server.seen] == ["status-404", "html", "wrong", "good"]
    assert target.read_bytes() == DATA


def test_every_mirror_gets_its_reason(get):
    message = complaint(get, "status-404", "lfs")
    assert message.index("HTTP 404") < message.index("Git-LFS")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_offline(target, scheme):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    message = complaint(fetch_url, [f"{scheme}://127.0.0.1:{port}/good"], target, SIZE, SHA256)
    assert "refused" in message and "check the connection" in message and left(target) == []


@pytest.mark.parametrize("address", [
    "ftp://127.0.0.1/x", "file:///etc/hosts", "net.onnx", "http://127.0.0.1:x/", "http://[::1/", "",
])
def test_only_http_and_https(target, address):
    complaint(fetch_url, [address], target, SIZE, SHA256)
    assert left(target) == []


# What is left of a download, and going on from there


def test_goes_on_where_the_connection_broke_off(get, server, target):
    assert "go on from byte 100000 of 200001" in complaint(get, "cut-once")
    assert left(target) == ["net.onnx.part"]
    told = []
    get("cut-once", progress=lambda *counts: told.append(counts))
    assert server.seen == [("cut-once", None), ("cut-once", f"bytes={HALF}-")] and told[0][0] >= HALF
    assert target.read_bytes() == DATA and left(target) == ["net.onnx"]


def test_the_next_mirror_goes_on_as_well(get, server, target):
    get("cut-once", "status-404", "ranges")
    assert server.seen[-1] == ("ranges", f"bytes={HALF}-") and target.read_bytes() == DATA


def test_an_attempt_without_connection_keeps_the_part(get, target):
    complaint(get, "cut-once")
    complaint(get, "status-500", "html", "silent")
    assert left(target) == ["net.onnx.part"]


@pytest.mark.parametrize("name", ["good", "other-range", "no-such-range"])
def test_starts_anew_where_the_server_cannot_go_on(get, server, target, name):
    complaint(get, "cut-once")
    get(name)
    assert target.read_bytes() == DATA and left(target) == ["net.onnx"]


@pytest.mark.parametrize("part", [b"x" * HALF, b"x" * SIZE, b"x" * (SIZE + 1), b""])
def test_a_wrong_part_does_no_harm(get, target, part):
    target.parent.mkdir()
    target.with_name("net.onnx.part").write_bytes(part)
    get("ranges")
    assert target.read_bytes() == DATA and left(target) == ["net.onnx"]


def test_a_wrong_part_is_thrown_away(get, target):
    target.parent.mkdir()
    target.with_name("net.onnx.part").write_bytes(b"x" * HALF)
    complaint(get, "wrong")
    assert left(target) == []


def test_a_part_as_long_as_the_file_or_longer_is_thrown_away(get, target):
    target.parent.mkdir()
    target.with_name("net.onnx.part").write_bytes(DATA + b"!")
    assert "check the connection" in complaint(get, "status-404")
    assert left(target) == []


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_link_in_place_of_the_part_is_not_followed(get, target, tmp_path, link):
    """Whoever may write to the folder could else have any file of the user's written to."""
    target.parent.mkdir()
    precious = tmp_path / "precious"
    precious.write_bytes(DATA[:HALF])
    try:
        link(precious, target.with_name("net.onnx.part"))
    except OSError:
        pytest.skip("links need a privilege here")
    get("ranges")
    assert precious.read_bytes() == DATA[:HALF] and target.read_bytes() == DATA
    assert left(target) == ["net.onnx"] and not target.is_symlink()


def test_ctrl_c_leaves_nothing(get, target):
    def interrupt(done, size):
        if done > HALF:
            raise KeyboardInterrupt

    complaint(get, "cut-once")  # not even what was there before
    with pytest.raises(KeyboardInterrupt):
        get("ranges", progress=interrupt)
    assert left(target) == []


def test_full_disk_leaves_nothing(get, target, monkeypatch):
    class Full(io.FileIO):
        def write(self, data):  # a disk takes what it can before it refuses
            if self.tell() > HALF:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data[:30_000])

    monkeypatch.setattr(download, "open", lambda path, mode, buffering: Full(path, mode), raising=False)
    message = complaint(get, "good", "good")
    assert message.startswith(f"{target.parent} cannot be used (No space left on device); make room")
    assert left(target) == []


def test_a_folder_that_cannot_be_made(get, target):
    target.parent.write_text("a file", encoding="utf-8")
    assert f"{target.parent} cannot be used (" in complaint(get, "good")


def test_two_at_once(get, server, target):
    complaint(get, "cut-once")
    results = []
    threads = [threading.Thread(target=lambda: results.append(get("ranges"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [target, target] and target.read_bytes() == DATA and left(target) == ["net.onnx"]
    assert [asked for _, asked in server.seen].count(f"bytes={HALF}-") == 1  # only one went on


# The catalogue


@pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))
def test_the_catalogue_is_whole(model):
    assert MODELS[model.name] is model and model.bytes > 0 and model.file.endswith(".onnx")
    assert re.fullmatch("[0-9a-f]{64}", model.sha256)
    assert len(set(model.urls)) == 2
    for address in model.urls:
        assert address.startswith("https://huggingface.co/") and address.endswith(f"/{model.file}")
    assert model.preprocessing in ("imagenet", "caffe", "efficientnet-lite")
    assert model.form in ("exact", "approximate")
    assert model.labels == LABELS.name and model.licence in ("Apache-2.0", "BSD-3-Clause", "MIT")
    assert find_model(model.name.upper()) is find_model(model.file) is model


def test_the_names_of_the_classes_have_a_checksum():
    assert re.fullmatch("[0-9a-f]{64}", LABELS.sha256) and LABELS.bytes == 31675


def test_no_two_models_share_a_file():
    assert len(MODELS) == 10
    for what in ("name", "file", "bytes", "sha256", "urls"):
        assert len({getattr(model, what) for model in MODELS.values()}) == 10


def test_an_unknown_name_gets_those_that_come_near():
    assert "did you mean squeezenet1." in complaint(find_model, "squeezenet")
    assert "resnet18-v1" in complaint(find_model, "resnet18")
    assert "give one of tiny-imagenet-gap, tiny-imagenet-gmp, squeezenet1.1, " in complaint(find_model, "vit")


@pytest.mark.parametrize("platform, variables, folder", [
    ("linux", {}, "~/.cache/cam_numpy"), ("linux", {"XDG_CACHE_HOME": "not/absolute"}, "~/.cache/cam_numpy"),
    ("darwin", {}, "~/Library/Caches/cam_numpy"), ("win32", {}, "~/AppData/Local/cam_numpy/Cache"),
    ("win32", {"LOCALAPPDATA": "there"}, "there/cam_numpy/Cache"),
    ("win32", {"CAM_NUMPY_CACHE": "~/mine", "LOCALAPPDATA": "there"}, "~/mine"),
    ("linux", {"CAM_NUMPY_CACHE": ""}, "~/.cache/cam_numpy"),
])
def test_the_cache_is_where_the_system_keeps_caches(monkeypatch, platform, variables, folder):
    for name in ("CAM_NUMPY_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert cache_folder() == Path(folder).expanduser()


def test_xdg_cache_home_is_heeded(monkeypatch, tmp_path):
    monkeypatch.delenv("CAM_NUMPY_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache_folder() == tmp_path / "cam_numpy"


def test_a_user_without_home_is_told(monkeypatch):
    def no_home():
        raise RuntimeError

    for name in ("CAM_NUMPY_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(catalogue.Path, "home", no_home)
    assert "name a folder in CAM_NUMPY_CACHE" in complaint(cache_folder)


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("CAM_NUMPY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_model_is_fetched_once_and_again_when_damaged(url, server, cache):
    model = replace(MODELS["squeezenet1.1"], bytes=SIZE, sha256=SHA256, urls=(url("good"),))
    assert not is_fetched(model)
    path = fetch_file(model, timeout=PATIENCE)
    assert path == local_path(model) == cache / "squeezenet1.1-7.onnx" and is_fetched(model)
    fetch_file(model)
    assert len(server.seen) == 1
    path.write_bytes(DATA[::-1])  # as many bytes, but others
    fetch_file(model)
    assert len(server.seen) == 2 and path.read_bytes() == DATA


def test_a_tampered_file_of_the_right_size_is_not_used(url, cache):
    model = replace(MODELS["squeezenet1.1"], bytes=SIZE, sha256=SHA256, urls=(url("good"),))
    path = fetch_file(model, timeout=PATIENCE)
    assert catalogue.checked_path(model) == path
    path.write_bytes(DATA[:-1] + b"!")
    assert is_fetched(model) and not catalogue.is_right(model)
    message = complaint(catalogue.checked_path, model)
    assert f"{path} is damaged: it is not the file that was published" in message


def test_a_checksum_is_remembered_as_long_as_the_file_is_the_same(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(DATA)
    now = time.time() + 10  # so that the file is not new
    monkeypatch.setattr(catalogue.time, "time", lambda: now)
    assert catalogue.checksum(path) == SHA256
    with monkeypatch.context() as patched:
        patched.setattr(catalogue.hashlib, "sha256", lambda: pytest.fail("read again"))
        assert catalogue.checksum(path) == SHA256
    before = path.stat()
    path.write_bytes(DATA[::-1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # the time of writing can be forged
    assert catalogue.checksum(path) == hashlib.sha256(DATA[::-1]).hexdigest()


def test_a_file_that_may_not_be_read_is_no_model_of_the_catalogue(tmp_path, monkeypatch):
    path = tmp_path / "n.onnx"
    with open(path, "wb") as file:
        file.truncate(MODELS["squeezenet1.1"].bytes)
    monkeypatch.setattr(catalogue, "open", lambda *_: exec("raise PermissionError"), raising=False)
    assert catalogue.model_in(path) is None


def test_the_package_and_the_catalogue_touch_no_network():
    code = ("import sys, cam_numpy, cam_numpy.network.catalogue; "
            "sys.exit(bool({'socket', 'urllib.request'} & set(sys.modules)))")
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
