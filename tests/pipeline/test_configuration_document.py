"""docs/configuration.md holds every key of the schema: its type, default, range and meaning.

`python tests/pipeline/test_configuration_document.py` writes it again.
"""

import ast
import io
import tokenize
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_origin

from unitmean.pipeline.config import schema
from unitmean.pipeline.config.check import NEEDS, RANGES
from unitmean.pipeline.config.keys import all_keys, expected, keys, sections

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "configuration.md"
SOURCE = Path(str(schema.__file__)).read_text(encoding="utf-8")
HEAD = """\
# Configuration

Every key of `params.yaml`, as `src/unitmean/pipeline/config/schema.py` has it; a test holds this page to it.
Give keys as Hydra overrides: `unitmean repro dataset.subset=5000 'rescale.exports=[adain]'`, or
`+exports=all` for the preset in `conf/exports/`. `null` means none.
"""


def comments() -> dict[int, str]:
    """Line number to the comment on it."""
    tokens = tokenize.generate_tokens(io.StringIO(SOURCE).readline)
    return {t.start[0]: t.string.lstrip("# ") for t in tokens if t.type == tokenize.COMMENT}


def meaning(line: int, lines: list[str], found: dict[int, str]) -> str:
    """The comment behind a key or, failing that, those in the lines above it."""
    if line in found and not lines[line - 1].lstrip().startswith("#"):
        return found[line]
    above: list[str] = []
    while line - 1 in found and lines[line - 2].lstrip().startswith("#"):
        line -= 1
        above.insert(0, found[line])
    return " ".join(above)


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
    lines, found = SOURCE.splitlines(), comments()
    (node,) = [
        n
        for n in ast.parse(SOURCE).body
        if isinstance(n, ast.ClassDef) and n.name == sections()[section].__name__
    ]
    places = {n.target.id: n.lineno for n in node.body if isinstance(n, ast.AnnAssign)}  # type: ignore[union-attr]
    for key, kind in keys(section).items():
        name = f"{section}.{key}"
        words = [enum_words(kind), meaning(places[key], lines, found)]
        if name in RANGES:
            words.append(str(RANGES[name]))
        needed = [f"{s}.source={source}" for (s, source), ks in NEEDS.items() if s == section and key in ks]
        if needed:
            words.append(f"must be given with {', '.join(needed)}")
        text = "; ".join(word for word in words if word).replace("|", "\\|")
        yield f"| `{name}` | {expected(section, key)} | `{default(section, key)}` | {text} |"


def document() -> str:
    parts = [HEAD]
    for section, kind in sections().items():
        parts.append(
            f"## `{section}`\n\n{(kind.__doc__ or '').strip()}\n\n"
            "| key | takes | default | meaning |\n|---|---|---|---|\n" + "\n".join(rows(section)) + "\n"
        )
    return "\n".join(parts)


def test_the_document_is_the_schemas() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(), (
        "run `python tests/pipeline/test_configuration_document.py` to write it again"
    )


def test_every_key_is_there_once() -> None:
    text = document()
    assert [name for name in all_keys() if text.count(f"| `{name}` |") != 1] == []


def test_comments_ranges_and_defaults_arrive() -> None:
    text = document()
    assert (
        "| `dataset.pixels` | a whole number | `256` | generated: height and width in pixels; at least 8 |"
        in text
    )
    assert "| `transfer.style_layers` | a list, each item a text or null | `null` | Rectifiers;" in text
    assert "nearly dead, and its factor is one" in text  # from the comment above its key
    assert "must be given with dataset.source=folder" in text
    assert get_origin(keys("rescale")["exports"]) is list and "all: all that fit" in text


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
