"""Weighted sums and norms: stored weights absorb a free factor on either side."""

from collections.abc import Sequence
from string import ascii_letters
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from unitmean.graph.call import Call
from unitmean.graph.ids import compact, fitted, per_channel, reduced
from unitmean.graph.variables import ONE

Ids = Int64[Tensor, "..."]


def weighted(call: Call) -> Ids:
    """A convolution or linear layer."""
    linear = call.name == "linear"
    ids, weight = call.ids("input"), call.shape("weight")
    if linear and len(weight) == 1:
        return _one_output(call, "abcdefgh"[: ids.ndim - 1])
    spatial = 0 if linear else len(weight) - 2
    dim = ids.ndim - 1 - spatial
    if call.constant("input") and call.stored_numbers("input"):  # as a learned state is
        ids = call.variables.new(ids.shape[dim]).reshape(-1, *(1,) * spatial)
        call.absorb("input", divide=ids)
        ids = ids.expand(call.shape("input"))
    inputs = per_channel(call.variables, ids, dim, call.said("sums over its positions"))
    transposed = call.name.startswith("conv_transpose")
    groups = 1 if linear else call.value("groups")
    outputs = call.variables.new(weight[1] * groups if transposed else weight[0])
    one, other = (outputs, inputs) if transposed else (inputs, outputs)
    within = one.reshape(groups, -1)  # the weight's second dimension counts within a group
    if groups > 1:
        within = within.repeat_interleave(len(other) // groups, 0)
    tail = (1,) * spatial
    first, second = other.reshape(-1, 1, *tail), within.reshape(len(within), -1, *tail)
    multiply, divide = (first, second) if transposed else (second, first)
    call.absorb("weight", multiply=multiply, divide=divide)
    if call.has("bias"):
        call.absorb("bias", divide=outputs)
    return outputs.reshape(-1, *tail)


def _one_output(call: Call, names: str) -> Ids:
    """A linear layer whose only output has no dimension of its own."""
    outputs = _contracted(call, call.value("input"), call.value("weight"), names + "k", "k", names)
    if call.has("bias"):
        call.absorb("bias", divide=outputs.reshape(()))
    return outputs


def multiplied_matrices(call: Call) -> Ids | None:
    """Matrix products of two tensors, as NumPy broadcasts them."""
    second = {"mm": "mat2", "bmm": "mat2", "mv": "vec"}.get(call.name, "other")
    a, b = call.value("self"), call.value(second)
    one, two = len(call.shape(a)), len(call.shape(b))
    if min(one, two) < 1:
        return None
    batch = "abcdefgh"[: max(one, two, 2) - 2]
    left = (batch[len(batch) - one + 2 :] if one > 2 else "") + ("mk" if one > 1 else "k")
    right = (batch[len(batch) - two + 2 :] if two > 2 else "") + ("kn" if two > 1 else "k")
    return _contracted(call, a, b, left, right, batch + "m" * (one > 1) + "n" * (two > 1))


def einsum(call: Call) -> Ids | None:
    """A sum over one tensor, or over products of two, no dimension of which has the letter of another."""
    tensors = call.value("tensors")
    terms, out = _letters(str(call.value("equation")), [len(call.shape(tensor)) for tensor in tensors])
    if len(tensors) > 2 or any(not t.isalpha() or len(set(t)) < len(t) for t in terms if t):
        return None
    if len(tensors) == 1:
        return _labelled(call, call.narrow(tensors[0]), terms[0], out)
    return _contracted(call, tensors[0], tensors[1], terms[0], terms[1], out)


def _letters(equation: str, dimensions: Sequence[int]) -> tuple[list[str], str]:
    """A letter for each dimension of each tensor, and of the result, also where the equation has dots."""
    left, arrow, out = equation.replace(" ", "").partition("->")
    free = sorted(set(ascii_letters) - set(equation))
    terms = left.split(",")
    dots = [n - len(term.replace("...", "")) for term, n in zip(terms, dimensions, strict=True)]
    if not arrow:
        out = "..." + "".join(sorted(c for c in left if c.isalpha() and left.count(c) == 1))
    shared = "".join(free[: max(dots)])
    terms = [t.replace("...", shared[len(shared) - n :]) for t, n in zip(terms, dots, strict=True)]
    return terms, out.replace("...", shared)


def _contracted(call: Call, a: Any, b: Any, left: str, right: str, out: str) -> Ids:
    """A product of tensors whose dimensions have names, summed over the names that `out` lacks."""
    for x, w, of_x, of_w in ((a, b, left, right), (b, a, right, left)):
        if call.constant(w):
            own = call.narrow(x)
            if _mixes_positions(own, of_x, of_w):
                return _labelled(call, own, of_x, out)
            ids = _labelled(call, own, of_x, of_w)
            ids = fitted(call.variables, ids, call.shape(w), call.said("weighs it alike"))
            sizes = [n if c in out else 1 for c, n in zip(of_w, call.shape(w), strict=True)]
            outputs = call.variables.new(int(torch.tensor(sizes).prod())).reshape(sizes)
            call.absorb(w, multiply=ids, divide=outputs)
            return _labelled(call, outputs, of_w, out)
    names = out + "".join(c for c in left if c not in out)
    one, two = (_labelled(call, call.narrow(n), of, names) for n, of in ((a, left), (b, right)))
    ids = product(call, one, two)
    dims = list(range(len(out), len(names)))
    return reduced(call.variables, ids, dims, call.said("sums over it")).reshape(ids.shape[: len(out)])


def _mixes_positions(ids: Ids, of_x: str, of_w: str) -> bool:
    """Whether all channels lie along dimensions that the weights lack, as where these are a graph's edges."""
    varying = {name for name, size in zip(of_x, ids.shape, strict=True) if size > 1}
    return bool(varying) and varying.isdisjoint(of_w)


def _labelled(call: Call, ids: Ids, have: str, want: str) -> Ids:
    """Ids with dimensions named `have` laid out as `want`, merged along dimensions that it lacks."""
    lost = [d for d, name in enumerate(have) if name not in want]
    ids = reduced(call.variables, ids, lost, call.said("sums over it"))
    kept = [name for name in have if name in want]
    ids = ids.reshape([size for d, size in enumerate(ids.shape) if d not in lost])
    ids = ids.permute([kept.index(name) for name in want if name in kept])
    return ids[tuple(slice(None) if name in kept else None for name in want)]


def product(call: Call, one: Ids, two: Ids) -> Ids:
    """A product's factor is the product of factors: where both are free, one of them becomes one.

    It is that of the second, unless the second is a rectifier's and the first is not.
    """
    one, two = torch.broadcast_tensors(compact(one), compact(two))
    clash = ~call.variables.pinned(one) & ~call.variables.pinned(two)
    if clash.any():
        first = call.variables.rectified(two) & ~call.variables.rectified(one)
        call.pin(torch.where(first, one, two)[clash], "multiplies it by another activation")
    pinned = call.variables.pinned(two)
    found = torch.where(pinned, one, two)
    # Of two that are pinned, the one for which a reason is known.
    return torch.where(pinned & (found == ONE) & call.variables.pinned(one), two, found)


def attended(call: Call) -> Ids:
    """Attention averages `value` over positions; what its weights come from keeps the factor one."""
    for name in ("query", "key", "attn_mask"):
        if call.has(name):
            call.pin(call.ids(name), "is not homogeneous in it")
    return reduced(call.variables, call.narrow("value"), [-2], call.said("mixes positions"))


def embedded(call: Call) -> Ids:
    """Rows of a stored table."""
    outputs = call.variables.new(call.shape("weight")[1])
    call.absorb("weight", divide=outputs)
    return outputs


def batch_norm(call: Call) -> Any:
    """(x - mean) / sqrt(var + eps) * weight + bias, with stored statistics; var and eps stay as they are."""
    ofbatch = call.value("use_input_stats" if call.name == "instance_norm" else "training")
    if ofbatch or not call.has("running_mean"):
        return normalised(call)
    inputs = per_channel(call.variables, call.ids("input"), 1, call.said("treats positions alike"))
    call.absorb("running_mean", divide=inputs)
    outputs = inputs
    if call.has("weight"):
        outputs = call.variables.new(len(inputs))
        call.absorb("weight", multiply=inputs, divide=outputs)
    if call.has("bias"):
        call.absorb("bias", divide=outputs)
    return _results(call, _along(outputs, 1, call.ids("input").ndim))


def normalised(call: Call) -> Any:
    """A norm by the input's own statistics: eps pins the input; weight, bias absorb the output's factor."""
    call.pin(call.ids("input"), "divides by a statistic of it")
    if call.has("running_mean"):
        call.value("running_var")
    if not call.has("weight"):
        return call.fixed("has no weight that could take up a factor")
    shape, ndim = call.shape("weight"), call.ids("input").ndim
    outputs = call.variables.new(shape.numel()).reshape(shape)
    call.absorb("weight", divide=outputs)
    if call.has("bias"):
        call.absorb("bias", divide=outputs)
    last = call.name in {
        "layer_norm",
        "native_layer_norm",
        "rms_norm",
    }  # their weights have the shape of the last dimensions
    return _results(call, outputs if last else _along(outputs, 1, ndim))


def _results(call: Call, ids: Ids) -> Ids | tuple[Ids, ...]:
    """`ids` for the first result, the factor one for statistics that some operators also return."""
    found = call.node.meta["val"]
    return ids if isinstance(found, Tensor) else (ids, *(call.ones(i) for i in range(1, len(found))))


def _along(outputs: Int64[Tensor, " channels"], dim: int, ndim: int) -> Ids:
    return outputs.reshape([-1 if d == dim else 1 for d in range(ndim)])


def gained(call: Call, x: Any, constant: Any, *, inverse: bool = False) -> Ids:
    """An activation times a constant tensor, or divided by it.

    A constant with a number for each channel takes up factors as weights do; else factors pass unchanged.
    """
    ids, shape = call.narrow(x), call.shape(constant)
    if not call.stored_numbers(constant):
        return ids
    ndim = max(ids.ndim, len(shape))
    ids = ids.reshape((1,) * (ndim - ids.ndim) + ids.shape)
    shape = (1,) * (ndim - len(shape)) + shape
    varying = [d for d in range(ndim) if ids.shape[d] > 1]
    own = [d for d in range(ndim) if shape[d] > 1]
    channels = varying or own
    if not set(channels) <= set(own) or (not varying and len(own) != 1):
        return ids
    sizes = [shape[d] if d in channels else 1 for d in range(ndim)]
    outputs = call.variables.new(int(torch.tensor(sizes).prod())).reshape(sizes)
    fit = [fitted(call.variables, side, call.shape(constant), "") for side in (ids, outputs)]
    multiply, divide = reversed(fit) if inverse else fit
    call.absorb(constant, multiply=multiply, divide=divide)
    return outputs
