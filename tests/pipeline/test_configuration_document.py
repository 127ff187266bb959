"""docs/configuration.md holds every key of the schema: its type, default, range and meaning.

`make docs` writes it again.
"""

from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_origin

from unitmean.pipeline.config.check import SOURCES
from unitmean.pipeline.config.keys import all_keys, as_typed, expected, keys, limits, meaning, needs, sections

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "configuration.md"
HEAD = """\
# Configuration

Every key of `params.yaml`, as `src/unitmean/pipeline/config/schema.py` has it; a test holds this page to it.
Give keys as Hydra overrides: `unitmean repro dataset.subset=5000 'rescale.exports=[adain]'`, or
`+exports=all` for the preset in `conf/exports/`. `null` means none.
"""


def enum_words(kind: Any) -> str:
    """What an enum's own docstring says of it."""
    for part in [kind, *get_args(kind)]:
        if isinstance(part, type) and issubclass(part, Enum):
            return (part.__doc__ or "").strip().rstrip(".")
    return ""


def default(section: str, key: str) -> str:
    """As YAML would show it."""
    value = getattr(sections()[section](), key)
    if key == "conf_sha":
        return "computed"
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(v.name if isinstance(v, Enum) else str(v) for v in value)}]"
    return value.name if isinstance(value, Enum) else str(value)


def rows(section: str) -> Iterator[str]:
    for key, kind in keys(section).items():
        name = f"{section}.{key}"
        words = [enum_words(kind), meaning(section, key), str(limits(section, key) or "")]
        words += [
            f"read with {section}.{other}={'…' if value is None else as_typed(value)}"
            for other, value in needs(section, key).items()
            if other != "enabled"
        ]
        sources = SOURCES.get(section, {})
        needed = [f"{section}.source={name}" for name, source in sources.items() if key in source.needs]
        if needed:
            words.append(f"must be given with {', '.join(needed)}")
        text = "; ".join(word for word in words if word).replace("|", "\\|")
        yield f"| `{name}` | {expected(section, key)} | `{default(section, key)}` | {text} |"


def document() -> str:
    parts = [HEAD]
    for section, kind in sections().items():
        words = (kind.__doc__ or "").strip()
        if "enabled" in keys(section):
            words += f" Its other keys are read with `{section}.enabled=true` alone."
        parts.append(
            f"## `{section}`\n\n{words}\n\n"
            "| key | takes | default | meaning |\n|---|---|---|---|\n" + "\n".join(rows(section)) + "\n"
        )
    return "\n".join(parts)


def test_the_document_is_the_schemas() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(), "run `make docs` to write it again"


def test_every_key_is_there_once() -> None:
    text = document()
    assert [name for name in all_keys() if text.count(f"| `{name}` |") != 1] == []


def test_meanings_ranges_and_defaults_arrive() -> None:
    text = document()
    assert (
        "| `dataset.pixels` | a whole number | `256` | generated: height and width in pixels; at least 8 |"
        in text
    )
    assert "| `transfer.style_layers` | a list, each item a text or null | `null` | Rectifiers;" in text
    assert "nearly dead, and its factor is one" in text
    assert "must be given with dataset.source=folder" in text
    assert get_origin(keys("rescale")["exports"]) is list and "all: all that fit" in text


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
