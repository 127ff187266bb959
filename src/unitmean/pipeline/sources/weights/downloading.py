"""Downloads a weights file and checks its digest."""

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unitmean.errors import WeightsError
from unitmean.pipeline.sources.weights.source import Origin

if TYPE_CHECKING:
    from unitmean.networks.inputs import Input


def downloaded(
    url: str, expected: str, partial: Path, licence: str, spdx: str, input: "Input | None"
) -> Origin:
    """Download a file into the folder `partial`, unless it is there; `expected` begins its sha256."""
    from unitmean.disk.digest import sha256
    from unitmean.pipeline.disk.download import check_digest, download

    path = partial / hashlib.sha256(url.encode()).hexdigest()
    expected = check_digest(expected)
    # A complete download lies here when the run was stopped by something after it.
    digest = sha256(path) if path.is_file() else ""
    if not digest.startswith(expected):
        digest = download(url, path, expected, partial)
    facts: dict[str, Any] = {"from": url, "sha256": digest}
    return Origin(facts, licence, spdx, input, path, downloaded=True)


def digest_in(name: str) -> str:
    """The first digits of the sha256 that the name of a published file ends in; WeightsError without."""
    match = re.search(r"-([0-9a-f]{8,64})\.\w+$", name)
    if match is None:
        raise WeightsError(
            f"the name of a published weights file must end in its sha256; found {name!r}; "
            "get it by hand and use weights=file"
        )
    return match[1]
