"""Recurrent layers that aren't homogeneous: the matrix that reads their input takes up its factors."""

from jaxtyping import Int64
from torch import Tensor, fx
from torch.utils._pytree import tree_leaves

from unitmean.graph.call import Call
from unitmean.graph.ids import constants, per_channel

Ids = Int64[Tensor, "..."]


def recurrent(call: Call) -> tuple[Ids, ...] | None:
    """LSTM, GRU and RNN layers with gates or tanh; packed sequences aren't known.

    Only the first layer reads the input, by the first of the parameters of each direction.
    """
    if not call.has("input"):
        return None
    inputs = per_channel(call.variables, call.ids("input"), -1, call.said("treats steps alike"))
    directions = 2 if call.value("bidirectional") else 1
    params: list[fx.Node] = call.value("params")
    each = len(params) // (call.value("num_layers") * directions)
    for weight in params[: each * directions : each]:
        call.absorb(weight, multiply=inputs.reshape(1, -1), divide=constants((1, 1)))
    for state in tree_leaves(call.value("hx")):
        if not call.constant(state):
            call.pin(call.ids(state), "is not homogeneous in it")
    fixed: tuple[Ids, ...] = call.fixed("is not homogeneous")
    return fixed
