"""A section of a page that one program writes and others leave alone."""

from pathlib import Path

from unitmean.disk.atomic import write_text


def write_section(path: Path, heading: str, text: str) -> None:
    """Put the section under `heading`, a line such as "# timm's networks", in the place of the one before.

    Without one before it goes to the page's end.
    """
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    start = f"\n{heading}\n"
    before, found, rest = old.partition(start)
    after = "".join(rest.partition("\n# ")[1:]) if found else ""
    write_text(path, before + start + text + after)
