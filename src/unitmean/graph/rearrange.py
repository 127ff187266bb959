"""Operators that only move numbers: the same operator can run on ids, or on any other tensors."""

import operator as python
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx

from unitmean.graph.nodes import operator

# Those whose results are new memory; a schema says of all others that their results are views.
_MOVING = set(
    "repeat tile flip fliplr flipud rot90 roll channel_shuffle native_channel_shuffle pixel_shuffle "
    "pixel_unshuffle repeat_interleave cat concat concatenate stack hstack vstack dstack column_stack "
    "index index_select gather take_along_dim tril triu slice_scatter select_scatter diagonal_scatter "
    "reshape flatten unflatten contiguous _unsafe_view _reshape_copy split_with_sizes_copy tensor_split "
    "unsafe_split unsafe_split_with_sizes unsafe_chunk "
    "_unsafe_index meshgrid atleast_1d atleast_2d atleast_3d slice_copy select_copy expand_copy "
    "view_copy permute_copy transpose_copy unsqueeze_copy squeeze_copy".split()
)
# Views of memory rather than of numbers, or of numbers changed on the way.
_UNSAFE = set("as_strided conj _conj _neg_view view_as_real view_as_complex real imag resolve_neg".split())
_INDICES = {"index", "indices", "repeats"}
# Variants that accept any memory layout: ids are laid out otherwise than the tensors they describe.
_TOLERANT: dict[str, Any] = {
    "view": torch.reshape,
    "_unsafe_view": torch.reshape,
    "view_as": torch.ops.aten.reshape_as.default,
}


def rearranges(node: fx.Node) -> bool:
    """Whether the operator only moves, repeats or drops numbers, by its name or its schema."""
    if node.target is python.getitem:
        return True
    schema = getattr(node.target, "_schema", None)
    if schema is None or schema.is_mutable or operator(node) in _UNSAFE:
        return False
    if operator(node) not in _MOVING and not all(result.alias_info for result in schema.returns):
        return False
    return bool(schema.returns) and _kinds(node.meta.get("val")) <= _kinds(
        [source.meta.get("val") for source in node.all_input_nodes]
    )


def rearranged(
    node: fx.Node, tensors: Callable[[fx.Node], Any], numbers: Callable[[fx.Node], Tensor | None]
) -> Any:
    """The operator on other tensors of the same shapes; None where its indices aren't known."""
    indices = _indices(node)
    known = {index: numbers(index) for index in indices}
    if any(found is None for found in known.values()):
        return None
    args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda n: known[n] if n in known else tensors(n))
    target: Any = _TOLERANT.get(operator(node), node.target)
    if target is torch.reshape:
        return torch.reshape(args[0], node.meta["val"].shape)
    try:
        return target(*args, **kwargs)
    except RuntimeError:  # a view of numbers that aren't laid out for it
        args, kwargs = torch.utils._pytree.tree_map_only(Tensor, Tensor.contiguous, (args, kwargs))
        return target(*args, **kwargs)


def _indices(node: fx.Node) -> list[fx.Node]:
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return []
    bound = dict(zip((a.name for a in schema.arguments), node.args, strict=False)) | dict(node.kwargs)
    found = [bound[name] for name in _INDICES if name in bound and not isinstance(bound[name], int)]
    return [n for n in torch.utils._pytree.tree_leaves(found) if isinstance(n, fx.Node)]


def _kinds(value: Any) -> set[torch.dtype]:
    return {v.dtype for v in torch.utils._pytree.tree_leaves(value) if isinstance(v, Tensor)}
