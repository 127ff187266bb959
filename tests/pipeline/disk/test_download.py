"""Downloads from a server in this process."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from unitmean.errors import ConfigError, DownloadError
from unitmean.pipeline.disk import download as module
from unitmean.pipeline.disk.download import check_digest, download

CONTENT = bytes(range(256)) * 40
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """What it was asked for, and how often or how it fails."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/weights.pth"
        self.requests: list[str | None] = []
        self.failures, self.cuts, self.shift = 0, 0, 0
        self.ranges = True
        self.silence: threading.Event | None = None


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        server.requests.append(self.headers.get("Range"))
        if self.path == "/404":
            return self.send_error(404)
        if server.failures > 0:
            server.failures -= 1
            return self.send_error(503)
        start, status = 0, 200
        if server.ranges and (wanted := self.headers.get("Range")):
            start, status = int(wanted.removeprefix("bytes=").removesuffix("-")), 206
            if start >= len(CONTENT):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
                self.send_header("Content-Length", "0")
                return self.end_headers()
        body = CONTENT[start:]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status == 206:
            self.send_header(
                "Content-Range", f"bytes {start + server.shift}-{len(CONTENT) - 1}/{len(CONTENT)}"
            )
        self.end_headers()
        if server.cuts > 0:
            server.cuts -= 1
            body = body[: len(body) // 2]
        self.wfile.write(body)
        if server.silence:
            server.silence.wait(5)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(module, "CHUNK", 512)
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass(frozen=True)
class Get:
    """`download` to `path`."""

    path: Path
    partial: Path

    def __call__(self, url: str, digest: str = DIGEST, **options: Any) -> str:
        return download(url, self.path, digest, self.partial, pause=0.001, **options)

    def part(self, url: str) -> Path:
        return self.partial / f"{hashlib.sha256(url.encode()).hexdigest()}.part"


@pytest.fixture
def get(tmp_path: Path) -> Get:
    return Get(tmp_path / "out" / "w.pth", tmp_path / "partial")


@pytest.mark.parametrize("digest", [DIGEST, DIGEST[:8], DIGEST[:12].upper()])
def test_success(server: Server, get: Get, digest: str) -> None:
    assert get(server.url, digest) == DIGEST
    assert get.path.read_bytes() == CONTENT
    assert [*get.partial.iterdir()] == []
    assert [file.name for file in get.path.parent.iterdir()] == ["w.pth"]


def test_a_cut_connection_is_resumed(server: Server, get: Get) -> None:
    server.cuts = 2
    assert get(server.url) == DIGEST
    assert get.path.read_bytes() == CONTENT
    half = len(CONTENT) // 2
    assert server.requests == [None, f"bytes={half}-", f"bytes={half + half // 2}-"]


def test_after_too_many_cuts_the_part_is_kept_and_the_next_call_goes_on(server: Server, get: Get) -> None:
    server.cuts = 2
    with pytest.raises(DownloadError, match="after 2 attempts.*7680 bytes are kept"):
        get(server.url, attempts=2)
    assert not get.path.exists()
    assert get.part(server.url).read_bytes() == CONTENT[:7680]
    assert get(server.url) == DIGEST
    assert server.requests[2:] == ["bytes=7680-"]


def test_a_server_without_ranges_starts_again(server: Server, get: Get) -> None:
    server.ranges, server.cuts = False, 1
    assert get(server.url) == DIGEST
    assert get.path.read_bytes() == CONTENT
    assert server.requests == [None, f"bytes={len(CONTENT) // 2}-"]


def test_a_server_that_sends_another_range_starts_again(server: Server, get: Get) -> None:
    server.cuts, server.shift = 1, 3
    assert get(server.url) == DIGEST
    assert server.requests == [None, f"bytes={len(CONTENT) // 2}-", None]


def test_a_complete_part_needs_no_bytes(server: Server, get: Get) -> None:
    get.partial.mkdir()
    get.part(server.url).write_bytes(CONTENT)
    assert get(server.url) == DIGEST
    assert server.requests == [f"bytes={len(CONTENT)}-"]


def test_a_part_that_is_too_long_is_dropped(server: Server, get: Get) -> None:
    get.partial.mkdir()
    get.part(server.url).write_bytes(CONTENT + b"more")
    assert get(server.url) == DIGEST
    assert get.path.read_bytes() == CONTENT


def test_a_wrong_hash_names_both_and_removes_the_file(server: Server, get: Get) -> None:
    with pytest.raises(DownloadError, match=f"sha256 {'0' * 64}; found {DIGEST}"):
        get(server.url, "0" * 64)
    assert not get.path.exists()
    assert [*get.partial.iterdir()] == []


def test_404_is_final(server: Server, get: Get) -> None:
    url = server.url.replace("weights.pth", "404")
    with pytest.raises(DownloadError, match="404 Not Found"):
        get(url)
    assert len(server.requests) == 1
    assert not get.path.exists() and [*get.partial.iterdir()] == []


def test_a_fault_of_the_server_may_pass(server: Server, get: Get) -> None:
    server.failures = 3
    assert get(server.url) == DIGEST
    server.failures = 4
    with pytest.raises(DownloadError, match="503.*run again"):
        get(server.url)


def test_connection_refused(server: Server, get: Get) -> None:
    server.shutdown()
    server.server_close()
    with pytest.raises(DownloadError, match="after 4 attempts: no connection"):
        get(server.url)
    assert not get.path.exists()


def test_no_such_host(get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    with pytest.raises(DownloadError, match="no connection"):
        get("http://nowhere.invalid/w.pth", attempts=1)


def test_a_silent_server_times_out(server: Server, get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT", (0.5, 0.1))
    server.silence, server.cuts = threading.Event(), 9
    try:
        with pytest.raises(DownloadError, match="after 1 attempts"):
            get(server.url, attempts=1)
    finally:
        server.silence.set()
    assert not get.path.exists()


@pytest.mark.parametrize("url", ["weights.pth", "ftp://a/b", "file:///etc/hosts", "http://"])
def test_not_an_address(get: Get, url: str) -> None:
    with pytest.raises(DownloadError, match="http or https address"):
        get(url)


@pytest.mark.parametrize("digest", ["", "0123456", "xyzxyzxyz", "0" * 65, "dcbb9e9d\n"])
def test_not_a_digest(digest: str) -> None:
    with pytest.raises(ConfigError, match="8 or more hex digits"):
        check_digest(digest)
