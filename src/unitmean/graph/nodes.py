"""What a node of a graph is: its operator, where it was recorded, and what lies at a path in a module."""

from typing import Any

from torch import fx, nn

# In the meta of nodes whose results depend on sizes that follow from the input's numbers; see `sizes`.
DIMS = "dimensions of unsettled size"  # for each leaf of the node's value
GIVEN = "given an unsettled size"


def operator(node: fx.Node) -> str:
    """The node's ATen operator without overload, such as "conv2d"; "" for anything else."""
    packet = getattr(node.target, "overloadpacket", None)
    return str(packet.__name__) if packet is not None else ""


def path(node: fx.Node) -> str:
    """The path of the innermost module in which the node was recorded; "" for the outermost."""
    stack = node.meta.get("nn_module_stack") or {}
    return str(next((path for path, _ in reversed(stack.values())), ""))


def unsettled(node: fx.Node) -> bool:
    """Whether what the node computes is known for some sizes only; expanding leaves numbers as they are."""
    return operator(node) != "expand" and (DIMS in node.meta or GIVEN in node.meta)


def named(node: fx.Node) -> str:
    """A node in a message: its operator and the module it stands in, or the stored tensor that it reads."""
    if node.op != "call_function":
        return repr(str(node.target))
    return f"{operator(node) or node.name} in {path(node) or 'the forward method'}"


def writes_into(node: fx.Node) -> fx.Node | None:
    """The node whose tensor this one writes into, if it writes into any."""
    schema = getattr(node.target, "_schema", None)
    found = node.args[0] if schema is not None and schema.is_mutable and node.args else None
    return found if isinstance(found, fx.Node) else None


def attribute(module: nn.Module, path: str) -> Any:
    """What lies at a dotted path in a module; None where nothing does."""
    found: Any = module
    for part in path.split("."):
        found = getattr(found, part, None)
    return found
