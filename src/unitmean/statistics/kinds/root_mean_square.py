"""The root mean square, of which Gram matrices are made."""

from unitmean.statistics.statistic import Statistic

STATISTIC = Statistic(
    "rms",
    of=lambda summary, _: (summary.mean.square() + summary.deviation.square()).sqrt(),
    called=lambda _: "root mean square",
)
