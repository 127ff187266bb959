"""Tells images from other files, by a name's suffix or the first bytes, and counts the other files."""

import re
import struct
from dataclasses import dataclass, field
from pathlib import PurePosixPath

# Suffixes of the formats that are decoded. Other names, and names without a suffix, are decided by the bytes.
SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .apng .webp .bmp .dib .gif .tif .tiff .ppm .pgm .pbm .pnm "
    ".avif .avifs .jp2 .j2k .j2c .jpc .jpf .jpx".split()
)
START = 32
"""How many first bytes tell what a file is."""

_STARTS = (
    b"\xff\xd8\xff",  # JPEG
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"II*\0",  # TIFF
    b"MM\0*",
    b"\0\0\0\x0cjP  \r\n\x87\n",  # JPEG 2000, as a file and as a bare stream
    b"\xff\x4f\xff\x51\0",
)
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)  # their sizes in bytes


def is_image(start: bytes) -> bool:
    """Whether a file that begins with these 32 bytes (or fewer, if it has no more) claims to be an image."""
    return start.startswith(_STARTS) or _is_container(start) or _is_bitmap(start) or _is_netpbm(start)


def hidden(name: str) -> bool:
    """Whether a component of a name starts with a dot: macOS puts `._a.jpg` beside `a.jpg`."""
    return any(part.startswith(".") and part != ".." for part in PurePosixPath(name).parts)


def by_suffix(name: str) -> bool:
    """Whether a name has the suffix of an image."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES


@dataclass
class LeftOut:
    """How many files of each kind hold no image, and the first of them by name."""

    found: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, name: str) -> None:
        self._add(
            "with a leading dot" if hidden(name) else PurePosixPath(name).suffix or "(no suffix)",
            1,
            name,
        )

    def __add__(self, other: "LeftOut") -> "LeftOut":
        total = LeftOut(dict(self.found))
        for kind, (count, first) in other.found.items():
            total._add(kind, count, first)
        return total

    def __len__(self) -> int:
        return sum(count for count, _ in self.found.values())

    def __str__(self) -> str:
        """The five commonest kinds: `3 .txt, 1 (no suffix)`."""
        kinds = sorted(self.found.items(), key=lambda item: -item[1][0])
        more = f" and {len(kinds) - 5} more kinds" if len(kinds) > 5 else ""
        return ", ".join(f"{count} {kind}" for kind, (count, _) in kinds[:5]) + more

    def _add(self, kind: str, count: int, first: str) -> None:
        before, name = self.found.get(kind, (0, first))
        # The first by name, since folders list their files in any order.
        self.found[kind] = before + count, min(name, first)


def _is_container(start: bytes) -> bool:
    webp = start[:4] == b"RIFF" and start[8:12] == b"WEBP"
    return webp or (start[4:8] == b"ftyp" and start[8:12] in (b"avif", b"avis"))


def _is_bitmap(start: bytes) -> bool:
    # Two letters alone begin many a text.
    return len(start) >= 18 and start[:2] == b"BM" and struct.unpack("<I", start[14:18])[0] in _BMP_HEADERS


def _is_netpbm(start: bytes) -> bool:
    return re.match(rb"P[1-6][\n\r\t ][#0-9]", start) is not None
