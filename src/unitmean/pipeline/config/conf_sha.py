"""The fingerprint of conf/ that params.yaml carries."""

import hashlib
from pathlib import Path


def conf_sha(conf: Path) -> str:
    """Sha256 over the names and contents of the YAML files under `conf`, in the order of their names.

    The line ends of Windows, as git writes them there, count as plain ones.
    """
    digest = hashlib.sha256()
    for path in sorted(conf.rglob("*.yaml"), key=lambda path: path.relative_to(conf).as_posix()):
        # Hashes have one length, so that no two different trees give the same bytes.
        for part in (path.relative_to(conf).as_posix().encode(), path.read_bytes().replace(b"\r\n", b"\n")):
            digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()
