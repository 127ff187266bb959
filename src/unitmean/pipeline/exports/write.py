"""The exports of one network: a folder with a file for each layout, and the card."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import dedent

from unitmean.disk.atomic import remove, write_json, write_text, writing
from unitmean.disk.digest import sha256
from unitmean.layouts.kinds import torchvision
from unitmean.layouts.layout import Layout
from unitmean.layouts.networks import Stored
from unitmean.pipeline.exports.card import card


def write_exports(
    folder: Path, layouts: Sequence[Layout], stored: Stored, digest: str, size: int, counts: Mapping[str, int]
) -> None:
    """Write `<model>_normalised_<layout>.<suffix>` for each layout, then card.json and the card, README.md.

    card.json holds `digest`, and what the report says of loading: Markdown for each file, Python for the
    canonical one.

    `stored` is the rescaled network, `digest` the sha256 of its canonical file, `size` the side of the
    pictures that the statistics were taken of, `counts` how many channels were normalised, tied, dead and
    pinned. What lay in the folder before is removed.
    """
    network, state = stored.network, stored.state
    remove(folder, folder=True)
    how: dict[str, str] = {}
    for layout in layouts:
        name = f"{network.name}_normalised_{layout.name}.{layout.suffix}"
        with writing(folder / name) as temporary:
            layout.write(temporary, network, state, size)
        how[name] = layout.how(name, network, size)
    hashes = {name: sha256(folder / name) for name in how}
    canonical = torchvision.loading(network, 'load_file("normalised.safetensors")')
    listed = [{"name": name, "how": words} for name, words in how.items()]
    write_json(folder / "card.json", {"sha256": digest, "canonical": dedent(canonical), "files": listed})
    write_text(folder / "README.md", card(network, stored.metadata, digest, hashes, how, counts))
