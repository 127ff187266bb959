"""The report's figures."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from unitmean.pipeline.report.findings import LIVE

ACCENT, INK, GREY, PALE = "#0f6b66", "#1c1f1e", "#8b918f", "#d9dddb"
FEW = 30  # between an axis' ends: matplotlib would label such an axis by long numbers
WIDTH = 5.0  # inches: narrow, so that figures stay legible on a phone

STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica Neue", "Helvetica", "Arial", "DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": PALE,
    "axes.labelcolor": INK,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "xtick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.left": False,
    "xtick.minor.visible": False,
    "legend.frameon": False,
    "svg.fonttype": "none",  # as text: the reader's fonts, searchable, small
    "svg.hashsalt": "unitmean",  # equal numbers give equal bytes
}


def means(table: pd.DataFrame, kind: str = "svg") -> bytes:
    """Each layer's channel means before and after, on a logarithmic axis; `table` is means.csv.

    kind: "svg", or "png" on white.
    """
    live = table[table["status"].isin(LIVE) & (table["mean_before"] > 0)]
    which = "all channels" if len(live) == len(table) else f"{len(live):,} of {len(table):,} channels"
    sites = [str(site) for site in live["site"].unique()]
    with _rows(sites) as (figure, axes):
        for row, site in enumerate(sites):
            of_site = live[live["site"] == site]
            low, p5, median, p95, high = np.quantile(of_site["mean_before"], [0, 0.05, 0.5, 0.95, 1])
            first = row == 0
            axes.hlines(row, low, high, color=PALE, lw=2, label=f"before: {which}" if first else "")
            axes.hlines(row, p5, p95, color=GREY, lw=5, label="90% of them" if first else "")
            axes.plot(median, row, "o", ms=4, mfc="white", mec=INK, mew=1, label="median" if first else None)
            low, high = of_site["mean_after"].min(), of_site["mean_after"].max()
            axes.hlines(row, low, high, color=ACCENT, lw=5)
            axes.plot(
                [low, high],
                [row, row],
                "d",
                color=ACCENT,
                ms=6,
                label=f"after: {which}" if first else None,
            )
        axes.axvline(1, color=ACCENT, lw=0.8, zorder=0)
        low, high = axes.get_xlim()
        if high / low < FEW:
            _plain_decades(axes.xaxis)
        axes.set_xlabel("mean activation of a channel")
        return _drawn(figure, axes, kind)


def invariance(layers: pd.DataFrame) -> bytes:
    """Each layer's relative difference, in float64 and float32; `layers` is layers.csv."""
    sites = [str(site) for site in layers["site"]]
    columns = ["float64", "float32", "float32_error"]
    positive = layers[columns].where(layers[columns] > 0).min().min()
    zero = (positive if pd.notna(positive) else 1e-16) / 30
    with _rows(sites) as (figure, axes):
        rows = np.arange(len(sites))
        marks: dict[str, dict[str, Any]] = {
            "float64": {"label": "changed, float64", "color": ACCENT, "marker": "D", "s": 26},
            "float32": {"label": "changed, float32", "color": INK, "marker": "o", "s": 26},
            "float32_error": {
                "label": "float32's own rounding",
                "facecolors": "none",
                "edgecolors": GREY,
                "marker": "o",
                "s": 70,
            },
        }
        for column, mark in marks.items():
            axes.scatter(layers[column].clip(lower=zero), rows, **mark)
        if (layers[columns] == 0).any(axis=None):
            axes.axvline(zero, color=PALE, lw=0.8, zorder=0)
            axes.text(zero, -0.75, "exactly 0", ha="center", va="bottom", color=GREY, fontsize=8.5)
        axes.set_xlabel("relative difference of a layer's activations")
        return _drawn(figure, axes)


def convergence(table: pd.DataFrame) -> bytes:
    """The means' relative standard errors by the number of images; `table` is convergence.csv."""
    with mpl.rc_context(STYLE | {"axes.spines.left": True}):
        figure, axes = _canvas(2.5)
        images = table["images"]
        # A single shard's band has no width, and would not be seen.
        draw, width = (axes.fill_between, 0) if len(table) > 1 else (axes.vlines, 8)
        draw(images, table["median"], table["at_share"], color=PALE, lw=width)
        axes.plot(images, table["worst"], "v:", color=GREY, lw=1, ms=4, label="the worst channel's")
        axes.plot(images, table["at_share"], "-", color=GREY, lw=1, label="most channels stay below")
        axes.plot(images, table["median"], "o-", color=ACCENT, lw=2, ms=4, label="median")
        axes.set_xlim(0, 1.05 * images.max())
        axes.set_yscale("log")
        axes.grid(axis="y", color=PALE, lw=0.6)
        axes.set_ylim(bottom=table["median"].min() / 3)
        _plain_decades(axes.yaxis)
        axes.set_xlabel("images measured")
        axes.set_ylabel("relative to the mean")
        return _drawn(figure, axes)


def style_layers(layers: pd.DataFrame) -> bytes:
    """Each layer's share of the style loss before the first step; `layers` is style.csv."""
    sites = [str(layer) for layer in layers["layer"]]
    with _rows(sites) as (figure, axes):
        for name, colour in (("plain", GREY), ("normalised", ACCENT)):
            share = layers[name] / layers[name].sum()
            shown = share > 0
            rows = np.arange(len(sites))[shown]
            axes.plot(share[shown], rows, "o-", color=colour, lw=1.2, ms=7, label=name)
        axes.set_xlabel("share of the style loss, layers weighed alike")
        return _drawn(figure, axes)


def descent(losses: pd.DataFrame) -> bytes:
    """Both losses by step, as a fraction of the first at the picture's size; `losses` is losses.csv."""
    with mpl.rc_context(STYLE | {"axes.spines.left": True}):
        figure, axes = _canvas(2.5)
        for name, colour in (("plain", GREY), ("normalised", ACCENT)):
            for i, (_, size) in enumerate(losses.groupby(f"{name}_pixels")):
                fraction = size[name] / size[name].iloc[0]
                axes.plot(size["step"], fraction, color=colour, lw=2, label="" if i else name)
        axes.set_yscale("log")
        _plain_decades(axes.yaxis)
        axes.grid(axis="y", color=PALE, lw=0.6)
        axes.set_xlabel("step")
        axes.set_ylabel("loss / first loss" + " at its size" * (losses["plain_pixels"].nunique() > 1))
        return _drawn(figure, axes)


@contextmanager
def _rows(names: Sequence[str]) -> Iterator[tuple[Figure, Axes]]:
    """A logarithmic axis with one named row after the other, the first on top."""
    with mpl.rc_context(STYLE):
        figure, axes = _canvas(0.24 * len(names) + 1.2)
        axes.set_xscale("log")
        axes.grid(axis="x", color=PALE, lw=0.6)
        axes.set_axisbelow(True)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.4, -0.9)
        yield figure, axes


def _plain_decades(axis: Axis) -> None:
    """Label a logarithmic axis by plain numbers, as 0.05, even where it spans less than a decade."""
    low, high = axis.get_view_interval()
    steps = (1, 2, 5) if high / low < 100 else (1,)
    axis.set_major_locator(LogLocator(subs=steps, numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _canvas(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.add_subplot()


def _drawn(figure: Figure, axes: Axes, kind: str = "svg") -> bytes:
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        columns = 2 if len(labels) == 4 else 3
        figure.legend(handles, labels, loc="outside upper left", ncols=columns, fontsize=8.5)
    buffer = BytesIO()
    if kind == "svg":
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    else:
        figure.savefig(buffer, format=kind, dpi=200, metadata={"Software": None})
    return buffer.getvalue()
