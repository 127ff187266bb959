"""What `unitmean normalise` writes: the weights, their card, other programs' files, a folder for the hub."""

import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from unitmean.disk.atomic import writing, written_over
from unitmean.errors import ConfigError
from unitmean.pipeline.disk.folders import writing_folder


@dataclass(frozen=True)
class Delivery:
    """The files beside `out`, a safetensors file that mustn't be `weights`; with `hub` a folder, too."""

    out: Path
    weights: Path
    hub: bool

    @property
    def hub_folder(self) -> Path:
        return self.out.with_name(f"{self.out.stem}_hub")

    def require_possible(self) -> None:
        """ConfigError where `out` is no safetensors file, or something would be written over."""
        if self.out.suffix.lower() != ".safetensors":
            raise ConfigError(
                f"--out must name a safetensors file; found {str(self.out)!r}: let it end in .safetensors "
                "(--export writes other programs' files beside it)"
            )
        self._require_other([self.out])
        card = self.out.with_suffix(".md")
        if card.exists() and (not card.is_file() or b"unitmean" not in card.read_bytes()):
            raise ConfigError(
                f"a card is written beside --out; found another file at {str(card)!r}: move it, or name "
                "another --out"
            )
        folder = self.hub_folder
        if self.hub and folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            raise ConfigError(  # it may be a repository by now
                f"the hub's folder must be new; found something at {str(folder)!r}: move it, or name another "
                "--out"
            )

    def write(self, folder: Path, model: str) -> list[Path]:
        """Copy what was proved from a model's folder; returns `out` and the hub's folder, if there is one."""
        files = self._files(folder, model)
        self._require_other(files)
        for target, source in files.items():
            with writing(target) as temporary:
                if isinstance(source, Path):
                    shutil.copyfile(source, temporary)
                else:
                    temporary.write_bytes(source)
        if not self.hub:
            return [self.out]
        with writing_folder(self.hub_folder) as made:
            shutil.copytree(folder / "hub", made, dirs_exist_ok=True)
        return [self.out, self.hub_folder]

    def _files(self, folder: Path, model: str) -> dict[Path, bytes | Path]:
        """By target: the proved file, exports, and the card, which names them as they are called there."""
        files: dict[Path, bytes | Path] = {self.out: folder / "normalised.safetensors"}
        named = {"normalised.safetensors": self.out.name}
        for source in sorted((folder / "exports").iterdir()):
            if source.suffix not in (".md", ".json"):  # card.json is the report's
                named[source.name] = source.name.replace(f"{model}_normalised", self.out.stem, 1)
                files[self.out.with_name(named[source.name])] = source
        card = (folder / "exports" / "README.md").read_text(encoding="utf-8")
        words = re.compile("|".join(map(re.escape, sorted(named, key=len, reverse=True))))
        files[self.out.with_suffix(".md")] = words.sub(lambda found: named[found[0]], card).encode()
        return files

    def _require_other(self, written: Iterable[Path]) -> None:
        """ConfigError where the weights that are read would be written over."""
        for path in written:
            if written_over(path, [self.weights]):
                raise ConfigError(
                    f"what is written must not be WEIGHTS itself; found {str(path)!r}: move it, or name "
                    "another --out"
                )
