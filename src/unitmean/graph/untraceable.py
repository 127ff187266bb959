"""What may be done about a network that torch.export can't trace, by what it says."""

import re

_ADVICE = (
    (
        r"data.dependent|Could not guard|GuardOn|\.item\(\)|dynamic control flow|unbacked|torch\.cond",
        "its forward decides by the numbers it sees: take that out of its forward, or normalise the part "
        "between",
    ),
    (
        r"[Kk]ernel size can't be greater|too small|output size|invalid shape|shape '.*' is invalid"
        r"|mat1 and mat2|size of tensor|expected input\[|must match the size|channels, but got",
        "the input doesn't fit: give batches of the size and shape that the network was made for",
    ),
    (
        r"[Ii]nput type .* and (weight|bias) type|same dtype|expected scalar type|expected m1 and m2",
        "inputs and weights must be of one type: convert the batches, or the model",
    ),
    (
        r"missing .* required .*argument|takes .* positional argument|unexpected keyword",
        "a batch must hold the arguments of its forward: for several make a tuple of them its first element",
    ),
)


def advice(words: str) -> str:
    """What to do, as a clause; what fits anything where the message is none that is known."""
    for pattern, remedy in _ADVICE:
        if re.search(pattern, words):
            return remedy
    return (
        "call it on the same input yourself to see whether it runs; if another part is what can't be traced, "
        "wrap the part that is to be normalised in a module of its own"
    )
