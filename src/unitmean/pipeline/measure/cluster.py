"""Shards measured on a Ray cluster, by one actor a device: bit for bit what this process would find."""

import os
from collections import deque
from collections.abc import Generator, Iterable
from dataclasses import replace
from typing import Any

import torch

from unitmean.errors import ConfigError, UnitmeanError
from unitmean.networks.own import modules_beside
from unitmean.pipeline.index.index import Index
from unitmean.pipeline.measure.measurement import Advance, Measurement, Sums

# How often an actor is started again, and a shard measured again, after a worker has died.
RETRIES = 5


class Worker:
    """A measurement on one device, with the driver's number of threads, on which sums' last bits depend."""

    def __init__(self, measurement: Measurement, threads: int) -> None:
        torch.set_num_threads(threads)
        self._measurement = measurement

    def process(self) -> int:
        """The worker's process id."""
        return os.getpid()

    def of(self, images: Index) -> Sums:
        return self._measurement.of(images, lambda _: None)


def by_ray(
    measurement: Measurement, shards: Iterable[Index], advance: Advance
) -> Generator[Sums, None, None]:
    """The moments of shards, in order; joins the cluster of RAY_ADDRESS, or starts Ray on this machine.

    A shard whose worker dies is measured again. Every node must find the images under the same paths.
    """
    ray = require_ray()
    started = not ray.is_initialized()
    if started:
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        ray.init(include_dashboard=False, log_to_driver=False, logging_level="error")
    workers: list[Any] = []
    try:
        for module in modules_beside(measurement.network.architecture):
            ray.cloudpickle.register_pickle_by_value(module)  # workers can't import it
        # Kept for as long as the actors: one that is restarted reads it again.
        shared = ray.put(replace(measurement))  # a copy without cached properties
        workers = _workers(ray, measurement.device, shared)
        pending: deque[tuple[int, Any]] = deque()
        for number, shard in enumerate(shards):
            images = replace(shard, root=shard.root.absolute())
            pending.append((len(shard), workers[number % len(workers)].of.remote(images)))
            if len(pending) > 2 * len(workers):
                yield _result(ray, pending, advance)
        while pending:
            yield _result(ray, pending, advance)
    finally:
        for worker in workers:
            ray.kill(worker)
        if started:
            ray.shutdown()


def _workers(ray: Any, device: str, shared: Any) -> list[Any]:
    """An actor for each GPU, or for each node where the device is the CPU."""
    gpu = device == "cuda"
    count = int(ray.cluster_resources().get("GPU", 0)) if gpu else sum(node["Alive"] for node in ray.nodes())
    if count == 0:
        raise ConfigError(
            "runtime.device=cuda with collect.engine=ray needs a Ray cluster with GPUs; found none: "
            "use runtime.device=cpu"
        )
    actor = ray.remote(
        num_cpus=1,
        num_gpus=1 if gpu else 0,
        max_restarts=RETRIES,
        max_task_retries=RETRIES,
        scheduling_strategy="SPREAD",
    )(Worker)
    return [actor.remote(shared, torch.get_num_threads()) for _ in range(count)]


def _result(ray: Any, pending: deque[tuple[int, Any]], advance: Advance) -> Sums:
    images, reference = pending.popleft()
    try:
        sums: Sums = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, UnitmeanError):
            raise error.cause from None
        raise
    except ray.exceptions.RayActorError as error:
        raise UnitmeanError(
            f"a worker may die {RETRIES} times; found it dead again: {error}; look at its node's memory, "
            "then run again: what was measured is kept"
        ) from error
    advance(images)
    return sums


def require_ray() -> Any:
    """The package; ConfigError where it isn't installed."""
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise ConfigError(
            f"collect.engine=ray needs Ray; found {error}: pip install 'unitmean[ray]', "
            "or use collect.engine=local"
        ) from error
    return ray
