"""A weights file on this machine."""

from pathlib import Path

from unitmean.errors import ConfigError, WeightsError
from unitmean.pipeline.sources.weights.source import UNKNOWN, UNKNOWN_LICENCE, Origin, Request, WeightsSource


def get(request: Request, partial: Path) -> Origin:
    from unitmean.disk.digest import sha256
    from unitmean.pipeline.disk.download import check_digest

    if not request.path:
        raise ConfigError(f"weights=file needs weights.path; found {request.path!r}; give the file's path")
    path = Path(request.path).expanduser()
    if not path.is_file():
        raise WeightsError(
            f"weights.path must be a file; found {'a folder' if path.is_dir() else 'nothing'} at "
            f"{request.path!r} (from {str(Path.cwd())!r}); correct it, or give an absolute path"
        )
    found = sha256(path)
    if request.sha256 and not found.startswith(check_digest(request.sha256)):
        raise WeightsError(
            f"{request.path} must have the sha256 {request.sha256.lower()}; found {found}; "
            "get the file again, or correct weights.sha256"
        )
    return Origin({"file": path.name, "sha256": found}, UNKNOWN_LICENCE, UNKNOWN, None, path)


SOURCE = WeightsSource("file", "a file, in any layout that is read", ("path",), get, reads=("sha256",))
