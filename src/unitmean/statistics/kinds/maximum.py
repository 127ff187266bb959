"""The largest activation, which activations in few bits must hold."""

from unitmean.statistics.statistic import Statistic

STATISTIC = Statistic("max", of=lambda summary, _: summary.maximum, called=lambda _: "maximum")
