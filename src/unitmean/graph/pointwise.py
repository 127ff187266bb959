"""Operators on one number at a time, or on numbers that meet at the same place."""

from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from unitmean.graph.call import Call
from unitmean.graph.ids import fitted
from unitmean.graph.linear import gained, product

Ids = Int64[Tensor, "..."]


def same(call: Call) -> Ids:
    """Homogeneous of degree one, element by element."""
    return call.narrow(call.first)


def converted(call: Call) -> Ids:
    """Another type, perhaps that of another tensor, whose numbers aren't read."""
    if call.tensor("other"):
        call.ids("other")
    return same(call)


def unchanged(call: Call) -> Ids | None:
    """The same numbers, unless the network is in training mode."""
    return None if call.value("train") else same(call)


def copied(call: Call) -> Ids:
    """One tensor's numbers in the place of another's."""
    call.ids("self")  # whatever they are
    return call.narrow("src")


def bounded(call: Call) -> Ids:
    """A clamp at zero is a rectifier; any other bound is not homogeneous."""
    names = ("min", "max") if call.name != "hardtanh" else ("min_val", "max_val")
    if all(not call.has(name) or call.any_factor(name) for name in names):
        return call.narrow(call.first)
    low, high = (call.value(name) for name in names)
    for name in (call.first, *filter(call.tensor, names)):
        call.pin(call.ids(name), f"clamps it to [{low}, {high}]")
    return call.narrow(call.first)


def thresholded(call: Call) -> Ids | None:
    """x where it is above a threshold, else a constant: a rectifier where both are zero."""
    return same(call) if call.any_factor("threshold") and call.any_factor("value") else None


def finite(call: Call) -> Ids | None:
    """Numbers in the place of NaN and infinities; what is finite keeps its factor."""
    found = [name for name in ("nan", "posinf", "neginf") if call.has(name)]
    return same(call) if all(map(call.any_factor, found)) else None


def met(call: Call) -> Ids:
    """A sum, a maximum or a minimum makes the factors of its terms equal."""
    return _met(call, call.first, "other")


def _met(call: Call, a: str, b: str) -> Ids:
    if not (call.tensor(a) or call.tensor(b)):
        return call.ones()
    for one, other in ((a, b), (b, a)):
        if call.any_factor(other):
            return call.narrow(one)
    for one, other in ((a, b), (b, a)):
        if not call.tensor(other):
            call.pin(call.ids(one), f"has the constant {call.value(other)} beside it")
            return call.narrow(one)
        if call.constant(other):
            ids, shape = call.narrow(one), call.shape(other)
            tied = fitted(call.variables, ids, shape, call.said("has one stored number for several channels"))
            call.absorb(other, divide=tied)
            return ids
    first, second = call.narrow(a), call.narrow(b)
    call.merge(first, second, "ties it to another activation")
    return _broadcast(first, second)


def multiplied(call: Call) -> Ids:
    """A product's factor is the product of factors; constant tensors are weights."""
    if not call.tensor("other"):
        return call.narrow(call.first)
    for x, constant in ((call.first, "other"), ("other", call.first)):
        if call.constant(constant):
            return gained(call, x, constant)
    return product(call, call.narrow(call.first), call.narrow("other"))


def divided(call: Call) -> Ids | None:
    """A quotient keeps the numerator's factor; a denominator must have the factor one."""
    if call.has("rounding_mode"):
        return None
    if not call.tensor("other"):
        return call.narrow(call.first)
    if call.constant("other"):
        return gained(call, call.first, "other", inverse=True)
    call.pin(call.ids("other"), "divides something by it")
    return _broadcast(call.narrow(call.first), call.narrow("other"))


def _broadcast(ids: Ids, other: Ids) -> Ids:
    together: list[Tensor] = torch.broadcast_tensors(ids, other)
    return together[0]


def compared(call: Call) -> Ids:
    """Which of two numbers is larger doesn't depend on a factor that they share."""
    _met(call, call.first, "other")
    return call.ones()


def signed(call: Call) -> Ids:
    """A sign, and whether there is a number, doesn't depend on a positive factor."""
    call.ids(call.first)  # whatever they are
    return call.ones()


def chosen(call: Call) -> Ids | None:
    """One of two tensors, place by place."""
    if not call.has("self"):
        return None
    call.pin(call.ids("condition"), "chooses by it")
    return _met(call, "self", "other")


def masked(call: Call) -> Ids:
    """Numbers replaced where a mask says so: zero and infinity fit any factor, other constants pin it."""
    if not call.any_factor("value"):
        for name in ("self", *filter(call.tensor, ["value"])):
            call.pin(call.ids(name), "fills it with a number")
    return call.narrow("self")


def gate(call: Call) -> Any:
    """Pins its input and result, yet counts as no obstacle: what the result multiplies stays free."""
    call.variables.pin(call.ids(call.first), call.said("is not homogeneous"))
    return call.fixed("is not homogeneous")
