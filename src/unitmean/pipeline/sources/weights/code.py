"""The weights that a network of one's own is made with."""

from pathlib import Path

from unitmean.pipeline.sources.weights.source import UNKNOWN, UNKNOWN_LICENCE, Origin, Request, WeightsSource


def get(request: Request, partial: Path) -> Origin:
    from unitmean.networks.own import code_of, own_network

    state = own_network(request.model).state_dict()
    return Origin(code_of(request.model) or {}, UNKNOWN_LICENCE, UNKNOWN, None, made=dict(state))


SOURCE = WeightsSource("code", "those that the code of model.code makes its network with", (), get)
