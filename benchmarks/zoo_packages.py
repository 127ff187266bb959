"""What can be normalised of other packages' networks: `python benchmarks/zoo_packages.py --out docs/zoo.md`.

transformers, segmentation-models-pytorch, torch-geometric and pytorchcv are no requirements: install them by
hand. Networks have random weights, most are made small, and they go through `normalise` and `verify` as a
user's would.
The page's section on them is written anew, the rest of it stays.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import torch
import torch_geometric as pyg
import transformers as hf
from pytorchcv import __version__ as of_cv
from pytorchcv.model_provider import get_model
from sections import write_section
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

import unitmean
from unitmean.errors import NetworkError
from unitmean.graph.observe import OUTPUT
from unitmean.graph.variables import ONE

HEADING = "# Networks of other packages"
TEXT = """
What `python benchmarks/zoo_packages.py` found with transformers {hf}, segmentation-models-pytorch {smp},
torch-geometric {pyg}, pytorchcv {cv} and torch {torch}: networks with random weights and rectifiers for
activations, most of them small, over two batches, which for those that take words or graphs are dicts of
arguments. *Change* is that of the output in float32, relative; *own* is float32's own error there. Where
`normalise` refuses a network, *why not* is the reason of its first channel that is not free; the row is what
`strict=False` makes of it.

| network | rectifiers | channels | free | proved | change | own | why not |
|---|---:|---:|---:|---|---:|---:|---|
"""
WORDS, WIDTH, INNER, HEADS = 96, 32, 64, 4
Batch = Tensor | dict[str, Tensor]


def words(*names: str) -> list[Batch]:
    """Two batches of two texts, by the names of the arguments that take them."""
    return [{name: torch.randint(3, WORDS - 6, (2, 12)) for name in names} for _ in range(2)]


def pictures(side: int = 64) -> list[Batch]:
    return [torch.rand(2, 3, side, side) for _ in range(2)]


def language() -> Iterator[tuple[nn.Module, list[Batch]]]:
    """Networks that take words."""
    ids, both = words("input_ids"), words("input_ids", "decoder_input_ids")
    t5: dict[str, Any] = dict(
        vocab_size=WORDS, d_model=WIDTH, d_kv=8, d_ff=INNER, num_layers=2, num_heads=HEADS
    )
    bert: dict[str, Any] = dict(
        vocab_size=WORDS, hidden_size=WIDTH, intermediate_size=INNER, num_hidden_layers=2, hidden_act="relu"
    )
    pair: dict[str, Any] = dict(vocab_size=WORDS, d_model=WIDTH, encoder_layers=1, decoder_layers=1)
    for side in ("encoder", "decoder"):
        pair |= {f"{side}_attention_heads": HEADS, f"{side}_ffn_dim": INNER}
    opt = hf.OPTConfig(
        vocab_size=WORDS, hidden_size=WIDTH, word_embed_proj_dim=WIDTH, ffn_dim=INNER, num_hidden_layers=2
    )
    opt.num_attention_heads, opt.use_cache = HEADS, False
    yield hf.OPTForCausalLM(opt), ids
    yield hf.T5EncoderModel(hf.T5Config(**t5)), ids
    start = hf.T5Config(**t5, decoder_start_token_id=0, use_cache=False)
    yield hf.T5ForConditionalGeneration(start), both
    yield hf.BertModel(hf.BertConfig(**bert, num_attention_heads=HEADS)), ids
    yield hf.M2M100ForConditionalGeneration(hf.M2M100Config(**pair, use_cache=False)), both
    yield hf.PegasusModel(hf.PegasusConfig(**pair, activation_function="relu", use_cache=False)), both
    gpt: dict[str, Any] = dict(
        vocab_size=WORDS, n_embd=WIDTH, n_layer=2, n_head=HEADS, bos_token_id=1, eos_token_id=2
    )
    yield hf.GPT2Model(hf.GPT2Config(**gpt, activation_function="relu", use_cache=False)), ids
    yield hf.LlamaModel(hf.LlamaConfig(**bert, num_attention_heads=HEADS, use_cache=False)), ids


def vision() -> Iterator[tuple[nn.Module, list[Batch]]]:
    """Networks that take pictures."""
    stages: dict[str, Any] = dict(embedding_size=16, hidden_sizes=[32, 64], depths=[1, 1])
    vit: dict[str, Any] = dict(hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=HEADS)
    vit |= dict(intermediate_size=INNER, hidden_act="relu", image_size=64, patch_size=16)
    yield hf.ResNetForImageClassification(hf.ResNetConfig(**stages)), pictures()
    yield hf.RegNetForImageClassification(hf.RegNetConfig(**stages, groups_width=8)), pictures()
    yield hf.BitModel(hf.BitConfig(**stages, num_groups=8)), pictures()
    yield hf.MobileNetV1Model(hf.MobileNetV1Config(depth_multiplier=0.25, hidden_act="relu")), pictures()
    yield hf.ViTModel(hf.ViTConfig(**vit)), pictures()
    yield hf.CLIPVisionModel(hf.CLIPVisionConfig(**vit)), pictures()
    sizes: dict[str, Any] = dict(hidden_sizes=[16, 16, 32, 32], num_attention_heads=[1, 1, 2, 2])
    yield hf.SegformerModel(hf.SegformerConfig(**sizes, depths=[1] * 4, hidden_act="relu")), pictures()
    for name in ("Unet", "UnetPlusPlus", "MAnet", "Linknet", "FPN", "PSPNet", "DeepLabV3", "PAN", "UPerNet"):
        made: Callable[..., nn.Module] = getattr(smp, name)
        yield made(encoder_name="resnet18", encoder_weights=None), pictures(128)
    for side, names in (
        (128, "centernet_resnet18_voc cgnet_cityscapes lednet_cityscapes segnet_cityscapes unet_cityscapes"),
        (224, "diaresnet10 drnc26 espnetv2_wd2 fishnet99 hrnet_w18_small_v1 menet108_8x1_g3 msdnet22"),
        (224, "octresnet10_ad2 resattnet56 sknet50"),
    ):
        for name in names.split():
            yield get_model(name, in_size=(side, side)), pictures(side)


def graphs() -> Iterator[tuple[nn.Module, list[Batch]]]:
    """Networks that take nodes and the edges between them."""
    nodes, sizes, three = 48, (8, 32, 3), {"out_channels": 3}
    given: list[Batch] = [
        {"x": torch.randn(nodes, sizes[0]), "edge_index": torch.randint(0, nodes, (2, 4 * nodes))}
        for _ in range(2)
    ]
    for name in ("GCN", "GraphSAGE", "GIN", "EdgeCNN", "GAT"):
        made: Callable[..., nn.Module] = getattr(pyg.nn, name)
        yield made(*sizes, **three), given
    yield pyg.nn.GraphSAGE(*sizes, **three, aggr="median", norm="graph_norm"), given
    yield pyg.nn.GCN(*sizes, **three, jk="lstm"), given
    degrees = dict(deg=torch.ones(12, dtype=torch.long), scalers=["identity", "amplification"])
    yield pyg.nn.PNA(*sizes, **three, aggregators=["mean", "max", "std"], **degrees), given


def row(network: nn.Module, batches: list[Batch]) -> str:
    """One line of the table; raises NetworkError for a network that is refused even in part."""
    network.eval()
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
        elif name.endswith(("bias", "running_mean")):
            tensor.normal_(0, 0.1)
    reason = "–"
    try:
        result = unitmean.normalise(network, batches)
    except NetworkError:
        result = unitmean.normalise(network, batches, strict=False)
        reason = next(reason for site in result.plan.sites for reason in site.reasons if reason)
    proof = unitmean.verify(network, result.state, batches, result)
    before = outputs(network, batches)
    network.load_state_dict(result.state)
    pairs = zip(before, outputs(network, batches), strict=True)
    change = max(float((new - old).abs().max() / old.abs().max()) for old, new in pairs)
    own = max(d.float32_error for place, d in proof.deviations.items() if place.startswith(OUTPUT))
    ids = torch.cat([site.variables for site in result.plan.sites])
    cells = [
        f"{type(network).__module__.split('.')[0]} {type(network).__name__}",
        f"{len(result.plan.sites)}",
        f"{len(ids):,}",
        f"{int((ids != ONE).sum()):,}",
        "yes" if proof else "no",
        f"{change:.1e}",
        f"{own:.1e}",
        reason,
    ]
    return f"| {' | '.join(cells)} |\n"


def outputs(network: nn.Module, batches: list[Batch]) -> list[Tensor]:
    """All floating tensors that the network returns."""
    with torch.no_grad():
        found = [network(**batch) if isinstance(batch, dict) else network(batch) for batch in batches]
    return [leaf for leaf in tree_leaves(found) if isinstance(leaf, Tensor) and leaf.is_floating_point()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the page that gets the section")
    options = parser.parse_args()
    torch.manual_seed(0)
    versions = {"hf": hf.__version__, "smp": smp.__version__, "pyg": pyg.__version__, "cv": of_cv}
    text = TEXT.format(**versions, torch=torch.__version__)
    for network, batches in (*language(), *vision(), *graphs()):
        text += row(network, batches)
        print(text.splitlines()[-1], flush=True)
    write_section(options.out, HEADING, text)


if __name__ == "__main__":
    main()
