"""What torch.hub finds in a checkout: `torch.hub.load(CHECKOUT, "normalised", path=…, source="local")`."""

import sys
from pathlib import Path
from typing import Any

dependencies = ["torch", "torchvision", "safetensors", "jaxtyping"]

# torch.hub puts the checkout itself on the path, not its src/; an installed unitmean comes first.
sys.path.append(str(Path(__file__).resolve().parent / "src"))


def normalised(path: str | Path, **settings: Any) -> Any:
    """The network in `path`, a normalised.safetensors, behind its own preprocessing: `unitmean.load`."""
    from unitmean.loading import load

    return load(path, **settings)
