"""How each exported file is loaded, in paragraphs that a page can show."""

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class File:
    """One exported file: its name, and paragraphs of text or code, each with whether it is code."""

    name: str
    paragraphs: tuple[tuple[str, bool], ...]


def file(entry: Mapping[str, str]) -> File:
    """An entry of card.json: `name`, and in `how` Markdown, in which four spaces mean code."""
    blocks = [block for block in entry["how"].strip("\n").split("\n\n") if block.strip()]
    return File(
        entry["name"],
        tuple(
            (re.sub(r"^    ", "", block, flags=re.MULTILINE), True)
            if block.startswith("    ")
            else (block.replace("`", "").replace("\n", " "), False)
            for block in blocks
        ),
    )
