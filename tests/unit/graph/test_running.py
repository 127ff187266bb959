"""A network run on inputs of many shapes."""

import gc
import weakref

import pytest
import torch
from unit.graph.chains import chain

from unitmean.graph import running
from unitmean.graph.inputs import Inputs
from unitmean.graph.observe import observe_outputs
from unitmean.graph.running import Running
from unitmean.graph.traced import Traced


def test_graphs_of_the_shapes_seen_last_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "KEPT", 2)
    model, traced = chain(), []

    def trace(x: Inputs, dynamic: bool) -> Traced:
        found = observe_outputs(model, x, [], dynamic=dynamic)
        traced.append(weakref.ref(found.graph))
        return found

    running_on = Running(trace)
    run = running_on.carrying(model.state_dict(), torch.float32, torch.device("cpu"))
    again = running_on.carrying(model.state_dict(), torch.float32, torch.device("cpu"))
    counts = []
    for size in (12, 16, 12, 20, 12, 16, 24, 28):
        x = torch.randn(1, 3, size, size)
        torch.testing.assert_close(run(x)["output"], model(x))
        torch.testing.assert_close(again(x)["output"], model(x))
        counts.append(len(traced))
    assert counts == [1, 2, 2, 3, 3, 4, 5, 6]
    gc.collect()
    assert sum(graph() is not None for graph in traced) == 2
