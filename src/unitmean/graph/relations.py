"""How each ATen operator relates the factors of its inputs and outputs.

RELATIONS, at the end, is the table. What it does not list has factor one on all sides, so that an unknown
operator costs normalisation and never correctness.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor
from torch.nn import functional as F

from unitmean.graph.call import Call
from unitmean.graph.ids import compact, per_channel, reduced
from unitmean.graph.trace import operator

Ids = Int64[Tensor, "..."]
Relation = Callable[[Call], Any]


def weighted(call: Call) -> Ids:
    """A weighted sum: the weights absorb a free factor on either side."""
    linear = call.name == "linear"
    ids, spatial = call.ids("input"), 0 if linear else len(call.shape("weight")) - 2
    dim = ids.ndim - 1 - spatial
    inputs = per_channel(call.variables, ids, dim, f"{call.name} sums over its positions")
    weight, bias = call.parameter("weight"), call.parameter("bias")
    if weight is None:
        call.pin(inputs, f"{call.name} weighs it by something computed")
        return call.ones()
    transposed = call.name.startswith("conv_transpose")
    groups = 1 if linear else call.value("groups")
    outputs = call.variables.new(call.shape("weight")[1] * groups if transposed else call.shape("weight")[0])
    if bias is None and call.has("bias"):
        call.pin(outputs, f"{call.name} adds something computed")
    one, other = (outputs, inputs) if transposed else (inputs, outputs)
    within = one.reshape(groups, -1)  # the weight's second dimension counts within a group
    if groups > 1:
        within = within.repeat_interleave(len(other) // groups, 0)
    tail = (1,) * spatial
    first, second = other.reshape(-1, 1, *tail), within.reshape(len(within), -1, *tail)
    multiply, divide = (first, second) if transposed else (second, first)
    call.absorb(weight, multiply=multiply, divide=divide)
    if bias is not None:
        call.absorb(bias, divide=outputs)
    return outputs.reshape(-1, *tail)


def batch_norm(call: Call) -> Ids | tuple[Ids, ...]:
    """(x - mean) / sqrt(var + eps) * weight + bias, with stored statistics; var and eps stay as they are."""
    inputs = per_channel(call.variables, call.ids("input"), 1, "batch_norm treats positions alike")
    mean, weight, bias = (call.parameter(name) for name in ("running_mean", "weight", "bias"))
    if call.value("training") or mean is None:
        call.pin(inputs, "batch_norm takes its statistics from the batch")
        return call.ones()
    call.absorb(mean, divide=inputs)
    outputs = inputs
    if weight is not None and bias is not None:
        outputs = call.variables.new(len(inputs))
        call.absorb(weight, multiply=inputs, divide=outputs)
        call.absorb(bias, divide=outputs)
    ids = _along(outputs, 1, call.ids("input").ndim)
    return ids if call.name == "batch_norm" else (ids, call.ones(1), call.ones(2))


def normalised(call: Call) -> Ids:
    """Layer and group norm: the input's factor would meet eps; weight and bias absorb the output's."""
    call.pin(call.ids("input"), f"{call.name} divides by a statistic of it")
    weight, bias = call.parameter("weight"), call.parameter("bias")
    if weight is None or bias is None:
        return call.ones()
    shape = call.shape("weight")
    outputs = call.variables.new(shape.numel()).reshape(shape)
    call.absorb(weight, divide=outputs)
    call.absorb(bias, divide=outputs)
    return outputs if call.name == "layer_norm" else _along(outputs, 1, call.ids("input").ndim)


def same(call: Call) -> Ids:
    """Homogeneous of degree one, element by element."""
    return call.ids(call.first)


def pooled(call: Call) -> Ids | tuple[Ids, Ids]:
    """Positions meet, channels don't; the number of pooled dimensions stands in the operator's name."""
    ids = call.ids(call.first)
    spatial = next(int(digit) for digit in call.name if digit.isdigit())
    dims = list(range(ids.ndim - spatial, ids.ndim))
    ids = reduced(call.variables, ids, dims, f"{call.name} mixes positions")
    return (ids, call.ones(1)) if call.name.endswith("_with_indices") else ids


def added(call: Call) -> Ids:
    """A sum makes its terms' factors equal."""
    other = call.value("other")
    if isinstance(other, int | float):
        if other != 0:
            call.pin(call.ids(call.first), f"the constant {other:g} is added to it")
        return call.ids(call.first)
    a, b = call.ids(call.first), call.ids("other")
    call.merge(a, b, "it is added to something")
    together: list[Tensor] = torch.broadcast_tensors(a, b)
    return together[0]


def multiplied(call: Call) -> Ids:
    """A product has the product of the factors: one of the two must have the factor one."""
    ids = call.ids(call.first)
    if isinstance(call.value("other"), int | float):
        return ids
    other = call.ids("other")
    ids, other = torch.broadcast_tensors(ids, other)
    clash = ~call.variables.pinned(ids) & ~call.variables.pinned(other)
    if clash.any():
        for side in (ids, other):
            call.pin(side[clash], "it is multiplied by another activation")
    return torch.where(call.variables.pinned(other), ids, other)


def divided(call: Call) -> Ids:
    """A quotient keeps the numerator's factor; a denominator must have the factor one."""
    ids = call.ids(call.first)
    if isinstance(call.value("other"), int | float):
        return ids
    call.pin(call.ids("other"), "something is divided by it")
    together: list[Tensor] = torch.broadcast_tensors(ids, call.ids("other"))
    return together[0]


def gate(call: Call) -> Ids:
    """Between zero and one: no obstacle where it only multiplies something, or leaves the network."""
    harmless = all(operator(user) == "mul" or user.op == "output" for user in call.node.users)
    if harmless:
        call.variables.pin(call.ids(call.first), f"{call.name} is a gate")
    else:
        call.pin(call.ids(call.first), f"{call.name} is not homogeneous")
    return call.ones()


def moved(call: Call) -> Any:
    """Numbers change places: run the operator itself on the ids."""
    return call.run()


def joined(call: Call) -> Ids:
    """`moved`, without writing out the positions that all parts store once."""
    parts = [call.ids_of(node) for node in call.value("tensors")]
    dim = call.value("dim") % parts[0].ndim
    for d in range(parts[0].ndim):
        if d != dim and all(part.stride(d) == 0 for part in parts):
            parts = [part.narrow(d, 0, 1) for part in parts]
    return torch.cat(parts, dim)


def averaged(call: Call) -> Ids:
    """A mean or sum over dimensions."""
    ids, dims = call.ids(call.first), call.value("dim")
    dims = list(range(ids.ndim)) if dims is None else [dims] if isinstance(dims, int) else list(dims)
    dims = [d % ids.ndim for d in dims] or list(range(ids.ndim))
    ids = reduced(call.variables, ids, dims, f"{call.name} mixes positions")
    if call.value("keepdim"):
        return ids
    for dim in sorted(dims, reverse=True):
        ids = ids.select(dim, 0)
    return ids


def padded(call: Call) -> Ids:
    """Zeros have any factor; mirrored and repeated borders travel; another constant has the factor one."""
    ids, pad = call.ids(call.first), list(call.value("pad"))
    mode = call.value("mode") if call.has("mode") else "constant"
    value = call.value("value") if call.has("value") else None
    if mode == "constant" and value not in (None, 0):
        call.pin(ids, f"it is padded with the constant {value:g}")
        return call.ones()
    dims = [ids.ndim - 1 - i // 2 for i in range(0, len(pad), 2) if any(pad[i : i + 2])]
    narrow = compact(ids)
    if all(narrow.shape[dim] == 1 for dim in dims):
        return narrow
    if mode != "constant":
        return reduced(call.variables, ids, dims, "its borders are mirrored or repeated")
    filled = F.pad(ids, pad, value=-1)
    zeros = filled == -1
    return filled.masked_scatter(zeros, call.variables.new(int(zeros.sum())))


def clamped(call: Call) -> Ids:
    """A clamp at zero is a rectifier; any other bound is not homogeneous."""
    low = call.value("min")
    high = call.value("max") if call.has("max") else None
    if low != 0 or high is not None:
        call.pin(call.ids(call.first), f"it is clamped to [{low}, {high}]")
    return call.ids(call.first)


def _along(ids: Int64[Tensor, " channels"], dim: int, ndim: int) -> Ids:
    return ids.reshape([-1 if d == dim else 1 for d in range(ndim)])


def _table(*rows: tuple[Relation, str]) -> dict[str, Relation]:
    return {name: relation for relation, names in rows for name in names.split()}


RELATIONS: dict[str, Relation] = _table(
    (weighted, "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d linear"),
    (batch_norm, "batch_norm _native_batch_norm_legit_no_training"),
    (normalised, "layer_norm group_norm"),
    (same, "relu leaky_relu prelu rrelu neg abs dropout feature_dropout alpha_dropout"),
    (same, "contiguous clone detach detach_ alias to _to_copy lift_fresh_copy"),
    (clamped, "clamp clamp_min"),
    (pooled, "max_pool1d max_pool2d max_pool3d max_pool2d_with_indices avg_pool1d avg_pool2d avg_pool3d"),
    (pooled, "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool2d"),
    (
        pooled,
        "upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_bilinear2d upsample_bicubic2d",
    ),
    (pooled, "upsample_linear1d upsample_trilinear3d"),
    (averaged, "mean sum amax"),
    (gate, "sigmoid hardsigmoid softmax log_softmax"),
    (added, "add sub"),
    (multiplied, "mul"),
    (divided, "div"),
    (padded, "pad constant_pad_nd"),
    (moved, "view reshape flatten unflatten squeeze unsqueeze transpose t permute movedim expand expand_as"),
    (joined, "cat concat"),
    (moved, "stack chunk split split_with_sizes tensor_split unbind select slice narrow repeat"),
    (moved, "flip roll channel_shuffle pixel_shuffle pixel_unshuffle getitem"),
)
