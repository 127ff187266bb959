"""The largest activation, for activations that are stored in few bits."""

from unitmean.statistics.statistic import Statistic

STATISTIC = Statistic("max", of=lambda summary, _: summary.maximum, called=lambda _: "maximum")
