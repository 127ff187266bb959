"""A network brought into the range of float16 by powers of two, which change no bit of what it computes."""

from dataclasses import replace

import torch

from unitmean.errors import DataError
from unitmean.graph.analysis import analyse
from unitmean.graph.reload import reloaded
from unitmean.pipeline.index.index import Index
from unitmean.pipeline.measure.measurement import Measurement
from unitmean.statistics.factors import choose

# What a channel's largest activation becomes. Above it a factor of a thousand is left for other images, since
# float16 ends at 65,504, and below it one of a million before numbers lose bits.
PEAK = 64.0
# A channel that is seldom above zero peaks low, while what its rectifier cuts off may be as large as in its
# neighbours. So none is raised by more than this factor over the channel with the largest peak of its layer.
RAISED = 256.0


def in_range(measurement: Measurement, images: Index) -> Measurement:
    """The measurement in float16, of a network whose channels were divided by powers of two to fit its range.

    Float32 measures one batch of the images. Each channel's largest activation in it becomes about `PEAK`, or
    less where the channel is hardly ever active (`RAISED`). Channels that must have one factor share it.
    `Measurement.undo` multiplies the sums back, without another rounding.
    """
    first = images.head(min(len(images), measurement.batch_size))
    precise = replace(measurement, precision="float32", compile=False, histograms=False)
    network, size = measurement.network, measurement.preprocessing.output_size
    plan = analyse(network.module, torch.zeros(1, 3, size, size), outputs="normalise")
    sums = precise.of(first)
    peaks = {site.name: sums[network.layer(site.name)].maximum for site in plan.sites}
    wanted = {name: peak.clamp(min=peak.max() / RAISED) / PEAK for name, peak in peaks.items()}
    live = {name: (peak > 0) & peak.isfinite() for name, peak in wanted.items()}
    factors = choose(plan, wanted, live, rounding="pow2")
    module = reloaded(network.module, plan.rescale(factors))
    undo = {site.name: factors[site.variables] for site in plan.sites}
    return replace(measurement, network=replace(network, module=module), precision="float16", undo=undo)


def float16_or_tf32(measurement: Measurement, images: Index) -> Measurement:
    """What `collect.precision=auto` takes on a GPU: float16, or TF32 where a batch overflows even so."""
    half = in_range(measurement, images)
    try:
        half.of(images.head(min(len(images), measurement.batch_size)))
    except DataError:
        return replace(measurement, precision="tf32")
    return half
