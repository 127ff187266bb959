"""Several threads may call the library at once, each with a model of its own."""

from concurrent.futures import ThreadPoolExecutor

import torch
from unit.graph.chains import randomised

import unitmean


def _network(seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    layers = [torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 4, 1)]
    return randomised(torch.nn.Sequential(*layers))


def test_threads_get_what_one_after_the_other_gets() -> None:
    batches = [torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0)) for _ in range(2)]
    networks = [_network(seed) for seed in range(4)]
    backends = torch.backends.mkldnn.enabled, torch.backends.cudnn.enabled
    alone = [unitmean.normalise(network, batches) for network in networks]
    for _ in range(2):
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(lambda network: unitmean.normalise(network, batches), networks))
        for one, other in zip(alone, together, strict=True):
            assert all(torch.equal(one.state[name], other.state[name]) for name in one.state)
    assert backends == (torch.backends.mkldnn.enabled, torch.backends.cudnn.enabled)
