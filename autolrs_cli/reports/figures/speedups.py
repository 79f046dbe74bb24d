"""Figure of the speedups: every seed, with median and interval."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from autolrs_cli.reports.compare.comparison import Comparison
from autolrs_cli.reports.compare.speedups import Estimate, Speedup
from autolrs_cli.reports.figures.fit import row_labels, rows_inches
from autolrs_cli.reports.figures.style import LABEL_SIZE, MEASURES, Style, figure, styles

ROW_INCHES, LABEL_INCHES = 0.42, 2.3


def seeds_figure(comparison: Comparison) -> Figure:
    """Draw each pair's speedup as a dot, the median as a bar, and the interval as a line."""
    look = styles([arm.name for arm in comparison.arms])
    count = len(comparison.speedups)
    names = row_labels([found.arm for found in comparison.speedups], LABEL_INCHES, LABEL_SIZE)
    with figure(2, 1, (4.8, 1.3 + rows_inches(names, ROW_INCHES, LABEL_SIZE) * count)) as made:
        panels = made.subplots(1, 2, sharey=True, squeeze=False)[0]
        for axes, (which, title) in zip(panels, MEASURES, strict=True):
            for row, found in enumerate(comparison.speedups):
                _dots(axes, row, found, getattr(found, which), look[found.arm])
            axes.axvline(1, color="0.4", linewidth=0.8)
            axes.set_xlim(left=-0.08)
            axes.set_xlabel(f"{title}: {comparison.baseline.name} / arm")
            axes.set_yticks(range(count), names, fontsize=LABEL_SIZE)
            axes.set_ylim(count - 0.4, -0.6)
            axes.grid(visible=False, axis="y")
        made.supxlabel(
            "dot: a seed; bar and line: median and interval; cross at 0: the arm misses the target; "
            "hollow: a bound (the baseline misses, or what decays was not run any shorter)",
            fontsize=7,
        )
    return made


def _dots(axes: Axes, row: int, found: Speedup, estimate: Estimate | None, style: Style) -> None:
    if estimate is None:
        return
    known = [(pair, ratio) for pair in found.pairs if (ratio := pair.ratio(estimate.cost)) is not None]
    shifts = np.linspace(-0.18, 0.18, len(known)) if len(known) > 1 else [0.0]
    for (pair, ratio), shift in zip(known, shifts, strict=True):
        missed = not pair.arm.reached
        axes.plot(
            ratio,
            row + shift,
            marker="x" if missed else style.marker,
            color=style.colour,
            markerfacecolor=style.colour if pair.bound(estimate.cost) == "exact" else "none",
            markersize=5,
            linestyle="",
            alpha=0.75,
            clip_on=False,
        )
    if found.mostly_misses:
        return
    axes.plot([estimate.median] * 2, [row - 0.32, row + 0.32], color=style.colour, linewidth=2)
    if estimate.interval is not None:
        low, high = estimate.interval
        drawn = high if np.isfinite(high) else max(ratio for _, ratio in known) * 1.1
        axes.plot([low, drawn], [row + 0.32] * 2, color=style.colour, linewidth=1.2)
        if not np.isfinite(high):
            axes.plot(drawn, row + 0.32, marker=">", color=style.colour, markersize=5)
