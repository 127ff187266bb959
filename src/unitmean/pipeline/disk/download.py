"""Downloads that resume and are checked before they appear."""

import hashlib
import re
import shutil
import time
from pathlib import Path

import requests
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from unitmean.console import console, lively
from unitmean.disk.digest import sha256
from unitmean.errors import ConfigError, DownloadError

CHUNK = 1 << 16  # bytes: what a cut connection can cost
TIMEOUT = (10.0, 60.0)  # seconds to connect, seconds without a byte


class Interrupted(Exception):
    """A fault that may pass: worth another attempt."""


def download(
    url: str,
    path: Path,
    digest: str,
    partial: Path,
    *,
    attempts: int = 4,
    pause: float = 1.0,
    section: str = "weights",
) -> str:
    """Download `url` to `path` and return its sha256, of which `digest` must be the start (8 digits or more).

    `digest` may also be "md5:" and an md5, which is all that some publishers give. `section` is the section
    of the settings that errors name.

    What has arrived is kept in the folder `partial`, and the next call resumes from it. `pause` is in seconds
    and doubles with each attempt. Raises DownloadError; then nothing lies at `path`.
    """
    md5 = digest.startswith("md5:")
    expected = _check_md5(digest) if md5 else check_digest(digest)
    partial.mkdir(parents=True, exist_ok=True)
    part = partial / f"{hashlib.sha256(url.encode()).hexdigest()}.part"
    for attempt in range(attempts):
        try:
            _fetch(url, part)
            break
        except Interrupted as fault:
            if attempt + 1 == attempts:
                raise DownloadError(
                    f"{url} must arrive whole; after {attempts} attempts: {fault}; "
                    f"{_size(part)} bytes are kept: run again to resume"
                ) from fault
            time.sleep(pause * 2**attempt)
    found = sha256(part)
    compared = _md5(part) if md5 else found
    if not compared.startswith(expected):
        part.unlink()
        raise DownloadError(
            f"{url} must have the {'md5' if md5 else 'sha256'} {expected}; found {compared}; the file was "
            f"removed: run again, or correct {section}.{'sha256' if section == 'weights' else 'digest'} "
            "if the file was published anew"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    _move(part, path)
    return found


def check_digest(digest: str) -> str:
    """A sha256 or its first 8 or more hex digits, in lower case; ConfigError for anything else."""
    if re.fullmatch(r"[0-9a-fA-F]{8,64}", digest) is None:
        raise ConfigError(
            f"weights.sha256 must be a sha256 or its first 8 or more hex digits; found {digest!r}; "
            "`sha256sum FILE` prints it"
        )
    return digest.lower()


def _check_md5(digest: str) -> str:
    if re.fullmatch(r"md5:[0-9a-fA-F]{32}", digest) is None:
        raise ConfigError(
            f"dataset.digest must be a sha256, or md5: and 32 hex digits; found {digest!r}: "
            "`md5sum FILE` prints them"
        )
    return digest.removeprefix("md5:").lower()


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _fetch(url: str, part: Path) -> None:
    """Append to `part` what is missing of it."""
    have = _size(part)
    # identity: a compressed transfer would count other bytes than the file has.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            if response.status_code == 416 and have:
                _settle(response, part, have)
                return
            _check_status(response, url)
            resumed = response.status_code == 206 and _range_start(response) == have
            if response.status_code == 206 and not resumed:
                part.unlink(missing_ok=True)
                raise Interrupted("the server sent another part than was asked for")
            length = response.headers.get("Content-Length")
            total = int(length) + (have if resumed else 0) if length and length.isdigit() else None
            _append(response, part, have if resumed else 0, total)
    except (
        requests.exceptions.MissingSchema,
        requests.exceptions.InvalidSchema,
        requests.exceptions.InvalidURL,
    ):
        raise DownloadError(
            f"weights.url must be an http or https address; found {url!r}; use weights=file for a file"
        ) from None
    except requests.exceptions.Timeout as error:
        raise Interrupted(f"the server fell silent for {TIMEOUT[1]:.0f} s") from error
    except requests.exceptions.RequestException as error:
        raise Interrupted(
            f"no connection, or it was cut ({type(error).__name__}: {str(error)[:160]})"
        ) from error


def _check_status(response: requests.Response, url: str) -> None:
    status = f"{response.status_code} {response.reason}"
    if response.status_code >= 500 or response.status_code == 429:
        raise Interrupted(f"the server says {status}")
    if response.status_code not in (200, 206):
        raise DownloadError(
            f"{url} must exist and be open to all; the server says {status!r}; check the address, "
            "or get the file by hand and use weights=file weights.path=FILE"
        )


def _settle(response: requests.Response, part: Path, have: int) -> None:
    """On status 416 the partial file is complete, or else it doesn't fit the file and is removed."""
    if response.headers.get("Content-Range") != f"bytes */{have}":
        part.unlink()
        raise Interrupted("what was kept of an earlier download did not fit and was removed")


def _range_start(response: requests.Response) -> int | None:
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _append(response: requests.Response, part: Path, have: int, total: int | None) -> None:
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    shown = lively(stderr=True)
    with (
        part.open("ab" if have else "wb") as file,
        Progress(*columns, console=console(stderr=True), disable=not shown, transient=True) as bar,
    ):
        task = bar.add_task("", total=total, completed=have)
        for chunk in response.iter_content(CHUNK):
            file.write(chunk)
            bar.advance(task, len(chunk))
    if total is not None and _size(part) < total:
        raise Interrupted(f"the connection was cut after {_size(part)} of {total} bytes")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _move(part: Path, path: Path) -> None:
    """Rename, across file systems too, without ever leaving half a file at `path`."""
    beside = path.with_name(f".{path.name}-{part.stem[:8]}")
    try:
        shutil.move(part, beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
