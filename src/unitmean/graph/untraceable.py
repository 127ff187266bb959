"""What may be done about a network that torch.export can't trace, by what it says."""

import keyword
import re

import torch
from torch import fx, nn

LONGEST = 300  # characters that are quoted of an error: it may spell the sizes of every box
_ADVICE = (
    (
        r"Could not extract specialized integer",
        "its forward needs as an integer what depends on the numbers it sees, as len(x) or int(index.max()) "
        "may: write x.shape[0], or give it as an argument",
    ),
    (
        r"data.dependent|Could not guard|GuardOn|\.item\(\)|dynamic control flow|unbacked|torch\.cond",
        "its forward decides by the numbers it sees: take that out of its forward, or normalise the part "
        "between, such as a detector's model.backbone",
    ),
    (
        r"[Kk]ernel size can't be greater|too small|output size|invalid shape|shape '.*' is invalid"
        r"|mat1 and mat2|reduction dim|size of tensor|expected input\[|must match the size|channels, but got",
        "the input doesn't fit: give batches of the size and shape that the network was made for",
    ),
    (
        r"[Ii]nput type .* and (weight|bias) type|same dtype|expected scalar type|expected m1 and m2",
        "inputs and weights must be of one type: convert the batches, or the model",
    ),
    (
        r"is not a known type",
        "its forward must return tensors in tuples, lists and dicts: for Hugging Face's models that keep a "
        "cache set model.config.use_cache = False",
    ),
    (
        r"missing .* required .*argument|takes .* positional argument|unexpected keyword",
        "a batch must hold the arguments of its forward: for several give a dict of them by name, or make a "
        "tuple of them its first element",
    ),
)


# Names of torch.fx.GraphModule's own attributes, and what can't stand in generated code.
_TAKEN = {"self"}.union(dir(fx.GraphModule(nn.Module(), fx.Graph()))) - set(dir(nn.Module()))
_TAKEN -= {"graph", "meta", "recompile"}
_KEYWORDS = "|".join(word for word in keyword.kwlist if word != "True")
_UNWRITABLE = re.compile(rf"^(?:{_KEYWORDS}|__.*__)$|[\"\\\n]")


def told(error: Exception, remedy: str = "") -> str:
    """What an error says, less advice to those who develop PyTorch, and what to do about it."""
    words = str(error).strip() or type(error).__name__
    first = words.splitlines()[0].partition(" If this type holds")[0]
    first = first if len(first) <= LONGEST else f"{first[:LONGEST]} …"
    return f"{first.rstrip('.')}; {remedy or _advice(words)}"


def _advice(words: str) -> str:
    """What to do about an error with these words, as a clause; general advice where they aren't known."""
    for pattern, remedy in _ADVICE:
        if re.search(pattern, words):
            return remedy
    return (
        "call it on the same input yourself to see whether it runs; if another part is what can't be traced, "
        "wrap the part that is to be normalised in a module of its own"
    )


def scripted(module: nn.Module) -> str:
    """What to do about a part that is TorchScript, as a clause; "" where there is none."""
    for name, part in module.named_modules():
        if isinstance(part, torch.jit.ScriptModule):
            return (
                f"{name or 'the network'} is TorchScript, whose operators can't be followed: build the "
                "network from the module that was scripted, and load its weights by state_dict()"
            )
    return ""


def unnameable(module: nn.Module) -> str:
    """The first name of a part or tensor that can't stand in a graph's code, or is GraphModule's own."""
    names: tuple[str, ...] = (
        *(name for name, _ in module.named_modules()),
        *(name for name, _ in module.named_parameters()),
        *(name for name, _ in module.named_buffers()),
    )
    for name in names:
        first, *rest = name.split(".")
        if first in _TAKEN or any(map(_UNWRITABLE.search, (first, *rest))):
            return name
    return ""


def vectorised(graph: fx.Graph) -> bool:
    """Whether the graph has operators of torch.vmap's own, which mean nothing outside torch.vmap."""
    return any("_vmap_" in str(node.target) or "_batch_dim" in str(node.target) for node in graph.nodes)
