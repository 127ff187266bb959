"""The mean activation, as Gatys et al. made it one."""

from unitmean.statistics.statistic import Statistic

STATISTIC = Statistic("mean", of=lambda summary, _: summary.mean, called=lambda _: "mean activation")
