"""Finds the weights file of a folder in the Hugging Face hub's form, or of hf://owner/name."""

from pathlib import Path

from unitmean.errors import WeightsError

WEIGHTS = "model.safetensors"
"""The weights' file in such a folder, as the Hugging Face hub expects it."""
SCHEME = "hf://"


def located(place: str | Path) -> Path:
    """The weights file of a folder (model.safetensors) or of `hf://owner/name[@revision]` (downloaded).

    Downloads go through huggingface_hub, into its cache and with its settings and token. Any other path is
    returned as it is. Raises WeightsError.
    """
    if str(place).startswith(SCHEME):
        return _downloaded(str(place))
    path = Path(place).expanduser()
    if not path.is_dir():
        return path
    if not (path / WEIGHTS).is_file():
        raise WeightsError(
            f"a folder of weights must hold {WEIGHTS}; found none in {str(path)!r}: give a folder that "
            "+exports=hub wrote, or a file"
        )
    return path / WEIGHTS


def _downloaded(address: str) -> Path:
    name, _, revision = address.removeprefix(SCHEME).partition("@")
    if len(name.split("/")) != 2 or not all(name.split("/")):
        raise WeightsError(
            f"a name on the hub must be hf://owner/name or hf://owner/name@revision; found {address!r}: "
            "correct it"
        )
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise WeightsError(
            f"{address} needs the package huggingface_hub; found none: install unitmean[hub], or download "
            f"{WEIGHTS} by hand and give its path"
        ) from error
    try:
        return Path(hf_hub_download(name, WEIGHTS, revision=revision or None, library_name="unitmean"))
    except Exception as error:  # a dozen unrelated types, those of the connection among them
        words = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise WeightsError(
            f"{address} must hold {WEIGHTS} that can be downloaded; found: {words}; check the name, the "
            "network and your token"
        ) from error
