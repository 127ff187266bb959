"""A network as ONNX: RGB in [0, 1] goes in, every rectifier's activations and the output come out."""

import logging
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from unitmean.graph.observe import OUTPUT
from unitmean.layouts.layout import Layout, State
from unitmean.networks.architectures import Network
from unitmean.networks.loaded import Loaded

HOW = """\
Input `image`: float32, n x 3 x {sides}, RGB in [0, 1]; outputs: {names}.

    onnxruntime.InferenceSession("{file}").run(["output"], {{"image": image}})"""


class _Tuple(nn.Module):
    """Activations in the order of their names, the output last: ONNX has no dicts."""

    def __init__(self, loaded: Loaded, names: list[str], example: Tensor) -> None:
        super().__init__()
        self.loaded, self.names = loaded, names
        self.traced = None if loaded.by_hooks(names) else loaded.graph(example, names).graph

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        if self.traced is not None:
            return tuple(self.traced(self.loaded.input.apply(image)))
        found = self.loaded.activations(image, self.names)
        return tuple(found[name] for name in self.names)


def write(path: Path, network: Network, state: State, size: int) -> None:
    """One file with the weights in it; any batch size.

    With a head the picture must have `size` x `size` pixels, for which the head's pooling is exported, and
    where functions rectify, too; else it may have any size that the network takes.
    """
    loaded = Loaded(network, size)
    names, example = [*loaded.names, OUTPUT], torch.zeros(2, 3, size, size)
    sides = {2: "height", 3: "width"} if _any_size(loaded, network) else {}
    shapes = ({0: "batch"} | sides,)
    # The exporter logs its optimisations and the operator versions that it converts.
    level = logging.getLogger("torch.onnx").level
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                _Tuple(loaded, names, example).eval(),
                (example,),
                path,
                input_names=["image"],
                output_names=names,
                dynamic_shapes=shapes,
                external_data=False,
                dynamo=True,
                verbose=False,
            )
    finally:
        logging.getLogger("torch.onnx").setLevel(level)
    _forget_sources(path)


def _any_size(loaded: Loaded, network: Network) -> bool:
    return network.truncated and loaded.by_hooks(loaded.names)


def _forget_sources(path: Path) -> None:
    """Remove the exporter's notes on the source line of each operator, which name this machine's folders."""
    import onnx

    model = onnx.load(path)
    model.ClearField("metadata_props")
    for graph in (model.graph, *model.functions):
        graph.ClearField("metadata_props")
        graph.ClearField("doc_string")
        infos = () if graph is not model.graph else (*graph.input, *graph.output, *graph.initializer)
        for part in (*graph.node, *graph.value_info, *infos):
            part.ClearField("metadata_props")
            part.ClearField("doc_string")
    onnx.save(model, path)


def how(file: str, network: Network, size: int) -> str:
    loaded = Loaded(network, size)
    sides = "height x width" if _any_size(loaded, network) else f"{size} x {size}"
    names = ", ".join(f"`{name}`" for name in [*loaded.names, OUTPUT])
    return HOW.format(file=file, sides=sides, names=names)


LAYOUT = Layout(
    "onnx",
    fits="any; needs `unitmean[onnx]`",
    program="onnxruntime and others",
    suffix="onnx",
    misfit=lambda network: None,
    write=write,
    how=how,
    needs=("onnx", "onnxscript"),
)
