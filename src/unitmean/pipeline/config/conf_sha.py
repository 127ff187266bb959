"""The fingerprint of conf/ that params.yaml carries."""

from pathlib import Path

from unitmean.disk.digest import sha256_of


def conf_sha(conf: Path) -> str:
    """Sha256 over the names and contents of the YAML files under `conf`, in the order of their names.

    The line ends of Windows, as git writes them there, count as plain ones.
    """
    files = {path.relative_to(conf).as_posix(): path for path in conf.rglob("*.yaml")}
    return sha256_of((name, files[name].read_bytes().replace(b"\r\n", b"\n")) for name in sorted(files))
