"""The parts of the exports' card (exports/card.py) that say how each file is loaded."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class File:
    """One exported file: its name, and paragraphs of text or code, each with whether it is code."""

    name: str
    paragraphs: tuple[tuple[str, bool], ...]


def files(card: str) -> list[File]:
    """The files under `### ` headings, without the canonical one, which the report explains itself."""
    found = [_file(*part.split("\n", 1)) for part in re.split(r"^### ", card, flags=re.MULTILINE)[1:]]
    return [file for file in found if file.name != "normalised.safetensors"]


def _file(name: str, text: str) -> File:
    blocks = [block for block in text.strip("\n").split("\n\n") if block.strip()]
    return File(
        name.strip(),
        tuple(
            (re.sub(r"^    ", "", block, flags=re.MULTILINE), True)
            if block.startswith("    ")
            else (block.replace("`", "").replace("\n", " "), False)
            for block in blocks
        ),
    )
