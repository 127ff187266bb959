"""What can't be an argument is refused in words, before anything is measured."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from unit.graph.chains import chain

import unitmean

# Run as a program, as the types that tests check at run time would refuse most of it.
PROGRAM = """
import json
import sys
import torch
import unitmean
from torch import nn
from unitmean import analyse, factors, measure, normalise, verify

class Extra(nn.Sequential):
    def get_extra_state(self):
        return {"version": 1}

def chain(width=8):
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), nn.Conv2d(width, 4, 3)).eval()

model, x = chain(), torch.rand(2, 3, 12, 12)
state, result = model.state_dict(), normalise(model, [x])
found = {}
for call in json.load(sys.stdin):
    try:
        found[call] = ["", str(eval(call))]
    except unitmean.UnitmeanError as error:
        found[call] = [type(error).__name__, str(error)]
    except Exception as error:
        found[call] = ["another error", f"{type(error).__name__}: {error}"]
print(json.dumps(found))
"""
CASES = {
    "normalise(state, [x])": ("NetworkError", "a model must be a torch.nn.Module; found OrderedDict"),
    "normalise(nn.ReLU, [x])": ("NetworkError", "found the class ReLU: give the network itself"),
    "normalise(chain().to('meta'), [x])": ("NetworkError", "found '0.weight' on the device meta"),
    "normalise(Extra(*model).eval(), [x])": ("NetworkError", "tensors alone; found dict in '_extra_state'"),
    "normalise(nn.Sequential(nn.LazyConv2d(8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3)).eval(), [x])": (
        "NetworkError",
        "found '0.weight' not initialised yet: call the model",
    ),
    "measure(model, [x], None)": ("NetworkError", "a plan must be what unitmean.analyse"),
    "normalise(model, None)": ("DataError", "found NoneType: give [x] for a single batch x"),
    "normalise(model, torch.utils.data.TensorDataset(x))": (
        "DataError",
        "found TensorDataset: give torch.utils.data.DataLoader(",
    ),
    "normalise(model, x)": ("DataError", "found one tensor: give [x] for a single batch x"),
    "normalise(model, [x[:0], x])": ("DataError", "a batch must hold an image; found 0 x 3 x 12 x 12"),
    "normalise(model, [x, x[:0]])": ("DataError", "a batch must hold an image; found 0 x 3 x 12 x 12"),
    "normalise(model, [x.to('meta')])": ("DataError", "a batch must hold numbers"),
    "verify(model, None, [x])": ("WeightsError", "weights must be a state dict; found NoneType"),
    "verify(model, model, [x])": ("WeightsError", "found Sequential: give its .state_dict()"),
    "verify(model, result, [x])": ("WeightsError", "found Normalised: give its .state"),
    "verify(model, {n: t.numpy() for n, t in state.items()}, [x])": ("WeightsError", "found ndarray in"),
    "verify(model, {n: t.int() for n, t in state.items()}, [x])": ("WeightsError", "found torch.int32"),
    "verify(model, state, [x], state)": ("WeightsError", "a result must be what unitmean.normalise returned"),
    "verify(chain(5), chain(5).state_dict(), [x], result)": ("WeightsError", "in the shape (5, 3, 3, 3)"),
    "verify(chain()[:1], chain()[:1].state_dict(), [x], result)": ("WeightsError", "which the model has not"),
    "factors(result.plan, {})": ("DataError", "statistics must have every rectifier of the plan"),
    "bool(verify(model, result.state, [x], result))": ("", "True"),
}


@pytest.fixture(scope="module")
def answers() -> dict[str, list[str]]:
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, input=json.dumps(list(CASES)), capture_output=True, text=True, check=True)
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("call", CASES)
def test_it_is_refused_in_words(call: str, answers: dict[str, list[str]]) -> None:
    kind, words = CASES[call]
    found, said = answers[call]
    assert found == kind, said
    assert words in said


@pytest.mark.parametrize(("settings", "words"), [
    ({"statistic": "median"}, "statistic must be one of max, mean, quantile, rms; found 'median'"),
    ({"rounding": "up"}, "rounding must be one of none, pow2; found 'up'"),
    ({"quantile": 7.0}, "quantile must be above 0 and at most 1; found 7.0"),
    ({"min_active_fraction": -1.0}, "min_active_fraction must be from 0 to below 1; found -1.0"),
    ({"max_relative_error": 0.0}, "max_relative_error must be above 0; found 0.0"),
    ({"target_standard_error": float("nan")}, "target_standard_error must be above 0, or None; found nan"),
])  # fmt: skip
def test_wrong_settings_are_told_before_a_batch_is_read(settings: dict[str, Any], words: str) -> None:
    def batches() -> Iterator[Tensor]:
        raise AssertionError("a batch was read")
        yield torch.zeros(1)

    with pytest.raises(ValueError, match=words):
        unitmean.normalise(chain(), batches(), **settings)
