"""The activations of ReLU modules by hooks, for pictures of any size."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from unitmean.graph.reload import reloaded

SIDE = 224  # pixels of the picture with which the uses of rectifiers are counted

Use = tuple[str, int]
"""The path of a module, and which of its uses it is, from one up."""


class _Enough(Exception):
    """Stops a forward pass once all requested activations are there."""


def unhooked(module: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """A copy with these tensors and without the user's hooks, for whom what is tried out is no call."""
    copy = reloaded(module, state)
    for part in copy.modules():
        part._forward_hooks.clear()
        part._forward_pre_hooks.clear()
    return copy


def uses(module: nn.Module) -> list[Use]:
    """Each use of a ReLU module, in the order of execution; as defined where no such picture can be shown."""
    paths = [path for path, part in module.named_modules() if isinstance(part, nn.ReLU)]
    return _calls(module, paths) or [(path, 1) for path in paths]


def activations(
    module: nn.Module,
    forward: Callable[[], Tensor],
    asked: Mapping[Use, str],
    *,
    whole: bool,
    copies: bool,
) -> tuple[dict[str, Tensor], Tensor | None]:
    """What the uses that are asked for return in `forward`, by name, and what that returns itself.

    Unless `whole`, the pass stops behind the last use that is asked for, and None takes the latter's place.
    copies: the forward method may write into what a module returned, so that copies are kept.
    """
    found: dict[str, Tensor] = {}

    def keep(use: Use, output: Tensor) -> None:
        if use in asked:
            found[asked[use]] = output.clone() if copies else output
        if len(found) == len(asked) and not whole:
            raise _Enough

    with _noting(module, {path for path, _ in asked}, keep):
        try:
            return found, forward()
        except _Enough:
            return found, None


def _calls(module: nn.Module, paths: Sequence[str]) -> list[Use]:
    """Each use of these parts, in the order of execution; none where no picture of 224 pixels can be shown.

    It is run without numbers.
    """
    found: list[Use] = []
    try:  # a network of another size, or one that looks at numbers or can't be copied, fails
        state = {name: value.to("meta") for name, value in module.state_dict().items()}
        empty = unhooked(module, state).to("meta")
        with _noting(empty, paths, lambda use, output: found.append(use)), torch.no_grad():
            empty(torch.empty(1, 3, SIDE, SIDE, device="meta"))
    except Exception:
        return []
    return found


@contextmanager
def _noting(module: nn.Module, paths: Collection[str], note: Callable[[Use, Tensor], None]) -> Iterator[None]:
    """Call `note` after each use of these parts."""
    seen: Counter[str] = Counter()

    def of(path: str) -> Callable[..., None]:
        def hook(part: nn.Module, inputs: Any, output: Tensor) -> None:
            seen[path] += 1
            note((path, seen[path]), output)

        return hook

    handles = [module.get_submodule(path).register_forward_hook(of(path)) for path in paths]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
