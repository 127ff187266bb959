"""The root mean square: its square is the diagonal of a Gram matrix."""

from unitmean.statistics.statistic import Statistic

STATISTIC = Statistic(
    "rms",
    of=lambda summary, _: (summary.mean.square() + summary.deviation.square()).sqrt(),
    called=lambda _: "root mean square",
)
