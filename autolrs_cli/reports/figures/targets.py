"""Figure of the speedups over the target: few arms together, many each in a panel of its own before the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from autolrs_cli.reports.compare.comparison import Comparison
from autolrs_cli.reports.compare.run_record import FloatArray
from autolrs_cli.reports.compare.target_curve import TargetCurve
from autolrs_cli.reports.figures.metric_axis import MetricAxis, metric_axis
from autolrs_cli.reports.figures.style import MEASURES, Style, arm_handles, figure, legend_below, styles

# Ratios that are mere upper bounds are drawn up to here.
MOST_BOUND = 4.0
# More lines than this in one panel are told apart by nobody.
MOST_TOGETHER = 5
COLUMNS = 3
# In panels of single arms, misses have this share of the height, below 0.
MISSES_SHARE = 0.2
OTHERS = "0.82"


def target_figure(comparison: Comparison) -> Figure:
    """Draw the speedups over the target, and which share of the runs misses it."""
    if len(comparison.curves) <= MOST_TOGETHER:
        return _together(comparison)
    return _one_by_one(comparison)


def _together(comparison: Comparison) -> Figure:
    """Draw kept steps and all steps side by side, and below them which share of the runs misses."""
    names = [curve.arm for curve in comparison.curves]
    look = styles([arm.name for arm in comparison.arms])
    base = comparison.baseline.name
    axis = _target_axis(comparison)
    with figure(2, 1, (4.8, 4.6)) as made:
        panels = made.subplots(2, 2, sharex=True, sharey="row", height_ratios=(3, 1.2), squeeze=False)
        for column, (which, title) in enumerate(MEASURES):
            upper, lower = panels[:, column]
            _draw_curves(upper, lower, comparison, which, axis)
            upper.set_title(title, loc="left", fontsize=9)
            lower.set_xlabel(f"target: {axis.label} (harder to the right)")
            for axes in (upper, lower):
                _mark_goal(axes, comparison, axis)
        panels[0, 0].set_ylabel(f"{base} / arm, median")
        panels[1, 0].set_ylabel("runs that\nmiss [%]")
        _set_direction(panels[0, 0], comparison, axis)
        names = [*names, base]
        legend_below(made, arm_handles(names, look), names, note=_bounds(comparison, base))
    return made


def _one_by_one(comparison: Comparison) -> Figure:
    """Draw each arm in colour before all others in grey; the share that misses stands at the panel's foot."""
    look = styles([arm.name for arm in comparison.arms])
    curves, base = comparison.curves, comparison.baseline.name
    axis = _target_axis(comparison)
    rows = -(-len(curves) // COLUMNS)
    with figure(COLUMNS, rows, (3.6, 2.4)) as made:
        panels = made.subplots(rows, COLUMNS, sharex=True, sharey=True, squeeze=False)
        for axes, curve in zip(panels.flat, curves, strict=False):
            for other in curves:
                axes.plot(axis.at(other.targets), other.training, color=OTHERS, linewidth=0.8, zorder=1)
            _draw_alone(axes, curve, look, axis)
            axes.axhline(1, color="0.4", linewidth=0.8, zorder=1)
            _mark_goal(axes, comparison, axis)
            axes.set_title(curve.arm, loc="left", fontsize=9)
        for axes in panels.flat[len(curves) :]:
            axes.remove()
        for axes in panels.flat[max(0, len(curves) - COLUMNS) : len(curves)]:
            axes.tick_params(labelbottom=True)  # the lowest of its column
            axes.set_xlabel(f"target: {axis.label} (harder to the right)")
        _leave_room_for_misses(panels[0, 0], _top(curves))
        _set_direction(panels[0, 0], comparison, axis)
        made.supylabel(f"speedup: {base} / arm, median", fontsize=9)
        legend_below(made, *_samples(base), columns=2, note=_bounds(comparison, base))
    return made


def _draw_alone(axes: Axes, curve: TargetCurve, look: Mapping[str, Style], axis: MetricAxis) -> None:
    x, colour = axis.at(curve.targets), look[curve.arm].colour
    foot, height = axes.get_xaxis_transform(), 0.85 * MISSES_SHARE
    axes.fill_between(x, height * curve.arm_misses, color=colour, alpha=0.3, linewidth=0, transform=foot)
    axes.plot(x, height * curve.baseline_misses, color="black", linewidth=0.8, transform=foot)
    axes.axhline(0, color="0.4", linewidth=0.5)
    for (which, _), line, width in zip(MEASURES, ("-", (0, (2, 1))), (1.8, 1.2), strict=True):
        values = getattr(curve, which)
        axes.plot(x, values, color=colour, linestyle=line, linewidth=width, alpha=0.35, zorder=3)
        sure = np.where(curve.upper_bound, np.nan, values)
        axes.plot(x, sure, color=colour, linestyle=line, linewidth=width, zorder=4)


def _leave_room_for_misses(axes: Axes, top: float) -> None:
    axes.set_ylim(-top * MISSES_SHARE / (1 - MISSES_SHARE), top)
    axes.set_yticks([tick for tick in MaxNLocator(4).tick_values(0, top) if 0 <= tick <= top])


def _samples(base: str) -> tuple[list[Line2D | Patch], list[str]]:
    (_, training), (_, net) = MEASURES
    return [
        Line2D([], [], color="black", linewidth=1.8),
        Line2D([], [], color="black", linewidth=1.2, linestyle=(0, (2, 1))),
        Patch(facecolor="0.4", alpha=0.25),
        Line2D([], [], color="black", linewidth=0.8),
        Line2D([], [], color=OTHERS, linewidth=0.8),
        Line2D([], [], color="0.4", linewidth=0.8, linestyle=(0, (2, 2))),
    ], [
        f"{training} of the arm",
        f"{net} of the arm",
        "runs of the arm that miss, from none to all of them",
        f"runs of {base} that miss, likewise",
        f"{training} of the other arms",
        "the target that was fixed",
    ]


def _mark_goal(axes: Axes, comparison: Comparison, axis: MetricAxis) -> None:
    place = axis.at(np.array([comparison.goal.value]))[0]
    axes.axvline(place, color="0.4", linewidth=0.8, linestyle=(0, (2, 2)))


def _set_direction(axes: Axes, comparison: Comparison, axis: MetricAxis) -> None:
    """Put harder targets to the right."""
    if axis.log:
        axes.set_xscale("log")
    if axis.from_one or comparison.goal.direction == "min":
        axes.invert_xaxis()


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
