"""A network is refused for its rectifiers' channels, and for nothing else."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import orthogonal, spectral_norm
from unit.graph.chains import change, image

import unitmean
from unitmean.errors import NetworkError
from unitmean.graph.analysis import analyse
from unitmean.graph.strict import only_outputs, require_whole


def conv(inputs: int = 4) -> nn.Module:
    return nn.Conv2d(inputs, 4, 3, padding=1)


class Ending(nn.Module):
    def __init__(self, ending: Callable[["Ending", Tensor], Tensor]) -> None:
        super().__init__()
        self.body, self.fc = nn.Sequential(conv(3), nn.ReLU(), conv()), nn.Linear(4, 4)
        self.gate, self.ending = conv(), ending

    def forward(self, x: Tensor) -> Tensor:
        return self.ending(self, self.body(x))


ENDINGS: dict[str, Callable[[Ending, Tensor], Tensor]] = {
    "tanh": lambda m, x: x.tanh(),
    "exp": lambda m, x: x.exp(),
    "normalize": lambda m, x: F.normalize(x.mean((2, 3))),
    "softplus": lambda m, x: F.softplus(x),
    "softmax": lambda m, x: x.softmax(1),
    "squeeze and excite": lambda m, x: m.fc(
        (F.relu(x) * m.fc(x.mean((2, 3))).sigmoid()[..., None, None].expand_as(x)).mean((2, 3))
    ),
    "gate that is enlarged": lambda m, x: m.fc(
        (F.relu(x) * F.interpolate(F.avg_pool2d(m.gate(F.relu(x)), 2).sigmoid(), scale_factor=2)).mean((2, 3))
    ),
    "zeros_like": lambda m, x: m.fc((F.relu(x) + torch.zeros_like(F.relu(x))).mean((2, 3))),
    "shape of another": lambda m, x: m.fc(x.mean((2, 3))) * torch.ones_like(F.relu(m.gate(x).mean((2, 3)))),
    "noise": lambda m, x: m.fc(x.mean((2, 3))) + torch.randn_like(x).mean((2, 3)),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_what_holds_no_rectifier_is_no_reason(name: str) -> None:
    require_whole(analyse(Ending(ENDINGS[name]).eval(), image()), "strict=False")


def held(*layers: nn.Module) -> str:
    with pytest.raises(NetworkError) as error:
        require_whole(analyse(nn.Sequential(*layers).eval(), image()), "strict=False")
    return str(error.value)


@pytest.mark.parametrize(
    ("last", "because"),
    [
        (
            spectral_norm(conv()),
            "is also used by conv2d, so that it takes in what it gives out",
        ),
        (orthogonal(nn.Conv2d(4, 36, 3)), "conv2d in 4 uses a tensor that can't take up a factor"),
    ],
)
def test_what_a_weight_ties_to_the_output_is_none(last: nn.Module, because: str) -> None:
    said = held(conv(3), nn.ReLU(), conv(), nn.ReLU(), last)
    assert "3 has 0 of 4 channels free" in said and "1 of 2 rectifiers are held" in said
    assert f"{because} (it is the network's output)" in said


def test_the_reason_names_the_operator_and_the_layer() -> None:
    said = held(conv(3), nn.ReLU(), nn.GELU(), conv())
    assert "1 has 0 of 4 channels free, because gelu in 2 is not homogeneous" in said
    assert "strict=False normalises what is free" in said
    said = held(spectral_norm(conv(3)), nn.ReLU(), conv(), nn.ReLU(), conv())
    assert "because 0.parametrizations.weight.original is also used by conv2d" in said
    assert "1 of 2 rectifiers are held" in said and "1 of 2 rectifiers are free as a whole" in said


@pytest.mark.filterwarnings("ignore:The tensor attributes")  # an LSTM gathers its weights before it runs
def test_what_comes_before_a_rectifier_is_named_too() -> None:
    assert "because group_norm in 1 has no weight" in held(
        conv(3), nn.GroupNorm(2, 4, affine=False), nn.ReLU(), conv()
    )
    assert "because lstm in 1.lstm is not homogeneous" in held(
        nn.Flatten(2), Sequence(), nn.ReLU(), nn.Linear(5, 2)
    )


class Sequence(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(144, 5, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.lstm(x)[0]
        return found


def test_a_feature_extractor_is_told_how_to_divide_its_outputs() -> None:
    features = nn.Sequential(conv(3), nn.ReLU())
    assert 'outputs="normalise"' in only_outputs(analyse(features.eval(), image()))
    assert only_outputs(analyse(features, image(), outputs="normalise")) == ""
    assert only_outputs(analyse(nn.Sequential(*features, conv(), nn.ReLU()).eval(), image())) == ""
    with pytest.warns(UserWarning, match='outputs="normalise" divides them too'):
        unitmean.normalise(features, [image()])


def test_many_rectifiers_are_listed_in_part() -> None:
    said = held(conv(3), *(layer for _ in range(14) for layer in (nn.ReLU(), nn.Tanh(), conv())))
    assert "and 2 more rectifiers" in said


class Fused(nn.Module):
    """Two activations weighed by rectified parameters, and by what layers make of a stored table."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.last = conv(3), conv(3), conv()
        self.weights = nn.Parameter(torch.ones(2))
        self.table = nn.Buffer(torch.ones(4, 3))
        self.mlp = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 1))

    def forward(self, x: Tensor) -> Tensor:
        w = F.relu(self.weights)
        both = F.relu(self.a(x)) * w[0] + F.relu(self.b(x)) * w[1]
        found: Tensor = self.last(both * self.mlp(self.table).sigmoid().view(-1, 1, 1))
        return found


def test_rectified_parameters_are_no_rectifiers_and_layers_on_a_stored_table_are() -> None:
    plan = analyse(Fused().eval(), image())
    require_whole(plan, "strict=False")
    assert [site.channels for site in plan.sites] == [4, 4, 5]
    assert change(Fused().eval(), image()) < 1e-12
