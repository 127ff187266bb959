"""An archive that is downloaded, decompressed and checked gives the rows that a plain folder gives."""

import bz2
import gzip
import hashlib
import lzma
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pipeline.index.same_images import COUNT, Contents, in_a_folder, indexed, tar_bytes
from pipeline.sources.asking import ask, parts

from unitmean.errors import ConfigError, DataError, DownloadError
from unitmean.pipeline.sources.archive import decompress

# A folder and its address.
Published = tuple[Path, str]


@pytest.fixture
def expected(tmp_path: Path) -> Contents:
    return in_a_folder(tmp_path)


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Published]:
    """Serves a folder over HTTP."""
    folder = tmp_path / "published"
    folder.mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(folder))

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setenv("NO_PROXY", "*")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress, bytes])
def test_an_archive_by_its_address(
    tmp_path: Path, expected: Contents, published: Published, compress: Callable[[bytes], bytes]
) -> None:
    folder, url = published
    data = compress(tar_bytes(range(COUNT)))
    (folder / "images.tgz").write_bytes(data)
    tar, partial = tmp_path / "images.tar", tmp_path / ".partial" / "downloads"
    for digest in (f"md5:{hashlib.md5(data).hexdigest()}", hashlib.sha256(data).hexdigest()):
        found = ask("url", tmp_path, url=f"{url}/images.tgz", digest=digest, expected=COUNT)
        assert tar.read_bytes() == tar_bytes(range(COUNT))
        assert indexed(parts(found), tmp_path)[0] == expected
        assert not list(partial.iterdir())


def test_another_archive_is_refused(tmp_path: Path, published: Published) -> None:
    folder, url = published
    data = gzip.compress(tar_bytes(range(2)))
    (folder / "a.tgz").write_bytes(data)
    tar, url = tmp_path / "images.tar", f"{url}/a.tgz"
    with pytest.raises(DownloadError, match="must have the md5 0000.*correct dataset.digest"):
        ask("url", tmp_path, url=url, digest="md5:" + "0" * 32)
    with pytest.raises(ConfigError, match="md5: and 32 hex digits; found 'md5:12'"):
        ask("url", tmp_path, url=url, digest="md5:12")
    with pytest.raises(ConfigError, match="needs dataset.url and dataset.digest"):
        ask("url", tmp_path, url=url, digest=None)
    (folder / "cut.tgz").write_bytes(data[:-20])
    with pytest.raises(DataError, match="must decompress"):
        decompress(folder / "cut.tgz", tar)
    assert not tar.exists()
