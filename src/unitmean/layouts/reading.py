"""Weights in any layout that is known, under torchvision's keys, or those of one's own network."""

from unitmean.errors import WeightsError
from unitmean.layouts.checkpoints import bare
from unitmean.layouts.kinds import layouts
from unitmean.layouts.layout import Canonical, State
from unitmean.networks.own import own
from unitmean.networks.skeleton import skeleton

OWN = "own"  # in place of a layout's name: the names are those of one's own network


def described(layout: str) -> str:
    """A layout's name as it stands in sentences."""
    return "a network of one's own" if layout == OWN else f"the {layout} layout"


def canonical(state_dict: State, architecture: str) -> Canonical:
    """Recognise the layout by its keys; tensors are shared, except where a layout transposes them.

    Raises WeightsError for a layout not known here and for keys the architecture has no place for.
    """
    bared, notes = bare(state_dict, skeleton(architecture).state_dict())
    if own(architecture):
        return Canonical(bared, OWN, None, tuple(notes))
    for layout in layouts().values():
        if layout.read and (found := layout.read(bared, architecture)):
            return found._replace(notes=(*notes, *found.notes))
    raise WeightsError(
        f"weights of {architecture} must come in a layout that is read here: "
        f"{', '.join(layout.keys for layout in layouts().values() if layout.read)}; "
        f"found the keys {list(state_dict)[:4]!r}; check model.name, or rename the keys"
    )
