"""A proof of a small network, in memory."""

import dataclasses
from collections.abc import Callable

import pandas as pd
import torch
from torch import Tensor, nn
from unit.graph.chains import chain, randomised

from unitmean.graph.analysis import analyse
from unitmean.graph.plan import Plan
from unitmean.graph.reload import reloaded
from unitmean.layouts.networks import Stored
from unitmean.networks.architectures import Network
from unitmean.networks.inputs import TORCHVISION
from unitmean.pipeline.index.batches import unit
from unitmean.pipeline.index.preprocess import Preprocessing
from unitmean.pipeline.measure.measurement import Measurement, Sums
from unitmean.pipeline.measure.tables import summary
from unitmean.pipeline.proof.compared import failures
from unitmean.pipeline.proof.founded import Tables
from unitmean.pipeline.proof.prove import Proof, Shown, prove
from unitmean.pipeline.proof.tolerances import Tolerances
from unitmean.pipeline.rescale.choosing import Rules, choose_factors
from unitmean.pipeline.rescale.factors import from_frame
from unitmean.proof.algebra import discrepancies

SIZE = 16  # of which there is no smaller one to try: exporting a network takes a second
TOLERANCES = Tolerances(1e-12, 3.0, 8.0, 1e-6, 1.0)
State = dict[str, Tensor]


class Residual(nn.Module):
    """Two blocks whose channels are tied through additions, batch norm, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.a = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 6, 1))
        self.b = nn.Sequential(nn.Conv2d(6, 9, 3, padding=1), nn.ReLU(), nn.Conv2d(9, 6, 1))
        self.relu_a, self.relu_b = nn.ReLU(), nn.ReLU()
        self.head = nn.Linear(6, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = self.relu_a(x + self.a(x))
        x = self.relu_b(x + self.b(x))
        scores: Tensor = self.head(x.mean((2, 3)))
        return scores


def deep(depth: int = 6) -> nn.Module:
    """More layers, for rounding to add up."""
    layers: list[nn.Module] = []
    for i in range(depth):
        layers += [nn.Conv2d(3 if i == 0 else 12, 12, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 20))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "chain": chain,
    "batch norm": lambda: chain(norm=True),
    "features": lambda: chain(head=False),
    "residual": Residual,
    "deep": deep,
}


@dataclasses.dataclass(frozen=True)
class Case:
    """What a proof is of: both networks, the plan, the tables, the images behind them and others."""

    original: Stored
    rescaled: Stored
    plan: Plan
    rules: Rules
    table: pd.DataFrame
    statistics: pd.DataFrame
    first: Sums
    images: Tensor
    held: Tensor

    def with_state(self, state: State) -> "Case":
        """The same with another rescaled file."""
        module = reloaded(self.rescaled.network.module, state)
        network = dataclasses.replace(self.rescaled.network, module=module)
        return dataclasses.replace(self, rescaled=Stored(network, state, self.rescaled.metadata))

    def algebra(self) -> list[str]:
        """What a proof says of the file's numbers alone, which takes no time."""
        factors = from_frame(self.original.network, self.plan, self.table)
        wrong = discrepancies(self.plan, factors, self.original.state, self.rescaled.state)
        unseen = pd.DataFrame(columns=["status", "mean_after", "target", "allowed"], dtype=float)
        return list(failures(wrong, {}, None, unseen, self.original.network, TOLERANCES, "none"))

    def measurement(self, network: Network) -> Measurement:
        return measurement(network, self.plan, self.images.shape[-1])

    def prove(self) -> Proof:
        again = self.measurement(self.rescaled.network)
        shown = Shown(
            images=unit(self.images[:3]).split(1),
            random=1,
            collected=self.first,
            first=self.first,
            again=again.over(self.images.split(8)),
            held_out=[(self.held, [None] * len(self.held))],
            numbering=lambda count: None,
        )
        tables = Tables(self.table, self.statistics, summary(self.first), self.rules)
        return prove(self.original, self.rescaled, self.plan, tables, shown, again, 0, TOLERANCES)


def measurement(network: Network, plan: Plan, size: int) -> Measurement:
    return Measurement(network, plan.sites, Preprocessing("warp", size), 8, {})


def case(name: str, seed: int = 0, rounding: str = "none") -> Case:
    """A network normalised rightly; its first live channel of the first layer is made dead."""
    module = randomised(NETWORKS[name](), seed)
    state = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    if name == "chain":
        state["0.weight"][1], state["0.bias"][1] = 0.0, -1.0
        module = reloaded(module, state)
    network = Network(module, name, TORCHVISION, name == "features", {})
    return normalised(network, state, SIZE, seed, rounding)


def normalised(network: Network, state: State, size: int, seed: int = 0, rounding: str = "none") -> Case:
    """Of a network, the right file, by the means over 16 images of noise; 8 more are held out."""
    outputs = network.free_outputs()
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (24, 3, size, size), generator=generator, dtype=torch.uint8)
    plan = analyse(network.module, torch.zeros(1, 3, size, size), outputs=outputs)
    first = measurement(network, plan, size).over(images[:16].split(8))
    rules = Rules(rounding, "mean", 0.5, 0.0, 0.9)
    statistics = summary(first)
    chosen = choose_factors(network, plan, statistics, rules)
    original = Stored(network, state, {})
    file = Stored(network, state, {"rescale": rules.record(outputs)})
    made = Case(original, file, plan, rules, chosen.table, statistics, first, images[:16], images[16:])
    return made.with_state({k: t.clone() for k, t in plan.rescale(chosen.factors, state).items()})
