"""A model normalised, and proved by what the model itself returns."""

from typing import Any

import torch
from torch import nn

import unitmean


def proved(model: nn.Module, batches: list[Any], **how: Any) -> unitmean.Normalised:
    """The result; proved here by the module itself, too."""
    before = [model(*(x if isinstance(x, tuple) else (x,))).detach() for x, _ in batches]
    result = unitmean.normalise(model, batches, **how)
    assert unitmean.verify(model, result.state, batches, result)
    own = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.load_state_dict(result.state)
    after = [model(*(x if isinstance(x, tuple) else (x,))).detach() for x, _ in batches]
    model.load_state_dict(own)
    for old, new in zip(before, after, strict=True):
        torch.testing.assert_close(new, old, rtol=1e-4, atol=1e-5)
    return result
