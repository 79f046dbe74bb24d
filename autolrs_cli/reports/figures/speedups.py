"""Figures of the speedups: every seed with median and interval, and over all targets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from autolrs_cli.reports.compare.comparison import Comparison
from autolrs_cli.reports.compare.run_record import FloatArray
from autolrs_cli.reports.compare.speedups import Estimate, Speedup
from autolrs_cli.reports.compare.target_curve import TargetCurve
from autolrs_cli.reports.figures.metric_axis import MetricAxis, metric_axis
from autolrs_cli.reports.figures.style import Style, figure, legend_below, styles

MEASURES = (("training", "training-step speedup"), ("net", "net speedup (search included)"))


# Ratios that are mere upper bounds are drawn up to here.
MOST_BOUND = 4.0


def seeds_figure(comparison: Comparison) -> Figure:
    """Draw each pair's speedup as a dot, the median as a bar, and the interval as a line."""
    look = styles([arm.name for arm in comparison.arms])
    count = len(comparison.speedups)
    with figure(2, 1, (4.8, 1.3 + 0.42 * count)) as made:
        panels = made.subplots(1, 2, sharey=True, squeeze=False)[0]
        for axes, (which, title) in zip(panels, MEASURES, strict=True):
            for row, found in enumerate(comparison.speedups):
                _dots(axes, row, found, getattr(found, which), look[found.arm])
            axes.axvline(1, color="0.4", linewidth=0.8)
            axes.set_xlim(left=-0.08)
            axes.set_xlabel(f"{title}: {comparison.baseline.name} / arm")
            axes.set_yticks(range(count), [found.arm for found in comparison.speedups])
            axes.set_ylim(count - 0.4, -0.6)
            axes.grid(visible=False, axis="y")
        made.supxlabel(
            "dot: a seed; bar and line: median and 95 % interval; cross at 0: the arm misses the target; "
            "hollow: the baseline misses (lower bound)",
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
            markerfacecolor=style.colour if pair.baseline.reached else "none",
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


def target_figure(comparison: Comparison) -> Figure:
    """Draw the speedups over the target, and below them which share of the runs misses it."""
    names = [curve.arm for curve in comparison.curves]
    look = styles([arm.name for arm in comparison.arms])
    base, goal = comparison.baseline.name, comparison.goal
    axis = _target_axis(comparison)
    with figure(2, 1, (4.8, 4.6)) as made:
        panels = made.subplots(2, 2, sharex=True, sharey="row", height_ratios=(3, 1.2), squeeze=False)
        for column, (which, title) in enumerate(MEASURES):
            upper, lower = panels[:, column]
            _draw_curves(upper, lower, comparison, which, axis)
            upper.set_title(title, loc="left", fontsize=9)
            lower.set_xlabel(f"target: {axis.label} (harder to the right)")
            for axes in (upper, lower):
                place = axis.at(np.array([goal.value]))[0]
                axes.axvline(place, color="0.4", linewidth=0.8, linestyle=(0, (2, 2)))
        panels[0, 0].set_ylabel(f"{base} / arm, median")
        panels[1, 0].set_ylabel("runs that\nmiss [%]")
        if axis.log:
            panels[0, 0].set_xscale("log")
        if axis.from_one or goal.direction == "min":
            panels[0, 0].invert_xaxis()
        legend_below(made, [*names, base], look, note=_bounds(comparison, base))
    return made


def _bounds(comparison: Comparison, base: str) -> str | None:
    """Say where ratios are bounds."""
    notes = []
    if any(curve.upper_bound.any() for curve in comparison.curves):
        notes.append(
            f"pale: {base} reaches the target at its shortest length, so the ratio is an upper bound"
        )
    if any(curve.baseline_misses.any() for curve in comparison.curves):
        notes.append(f"where runs of {base} miss, the ratio counts their full length: a lower bound")
    return "\n".join(notes) or None


def _draw_curves(upper: Axes, lower: Axes, comparison: Comparison, which: str, axis: MetricAxis) -> None:
    """Draw speedups into `upper`, upper bounds palely and without markers, and misses into `lower`."""
    look = styles([arm.name for arm in comparison.arms])
    for curve in comparison.curves:
        x, values, style = axis.at(curve.targets), getattr(curve, which), look[curve.arm]
        upper.plot(x, values, color=style.colour, linestyle=style.line, alpha=0.35, linewidth=1.2)
        _line(upper, x, np.where(curve.upper_bound, np.nan, values), style)
        _line(lower, x, 100 * curve.arm_misses, style)
    for curve in comparison.curves[:1]:
        _line(lower, axis.at(curve.targets), 100 * curve.baseline_misses, look[comparison.baseline.name])
    upper.axhline(1, color="0.4", linewidth=0.8)
    upper.set_ylim(0, _top(comparison.curves))
    lower.set_ylim(-5, 105)


def _top(curves: Sequence[TargetCurve]) -> float:
    """Return the upper end of the speedup axis: easy targets, where ratios are mere bounds, may leave it."""
    sure = _largest(
        [values[~curve.upper_bound] for curve in curves for values in (curve.training, curve.net)]
    )
    every = _largest([values for curve in curves for values in (curve.training, curve.net)])
    return max(2.0, 1.3 * sure, min(every, MOST_BOUND))


def _largest(values: Sequence[FloatArray]) -> float:
    joined = np.concatenate([*values, [0.0]])
    return float(joined[np.isfinite(joined)].max())


def _target_axis(comparison: Comparison) -> MetricAxis:
    goal = comparison.goal
    targets = [curve.targets for curve in comparison.curves[:1]]
    return metric_axis(goal.metric, goal.direction, np.concatenate([*targets, [goal.value]]))


def _line(axes: Axes, x: FloatArray, values: FloatArray, style: Style) -> None:
    axes.plot(
        x,
        values,
        color=style.colour,
        linestyle=style.line,
        marker=style.marker,
        markersize=4,
        markevery=max(len(values) // 8, 1),
        linewidth=1.4,
    )
