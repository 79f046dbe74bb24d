"""Figures over the course of training: LRs, and loss and metric over three kinds of cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from autolrs_cli.contracts import Direction
from autolrs_cli.reports.compare.comparison import Comparison
from autolrs_cli.reports.compare.run_record import FloatArray, RunRecord
from autolrs_cli.reports.compare.time_to_target import metric_curve
from autolrs_cli.reports.figures.metric_axis import MetricAxis, metric_axis
from autolrs_cli.reports.figures.style import Style, arm_handles, figure, legend_below, styles
from autolrs_cli.wording import counted

Series = tuple[FloatArray, FloatArray]
"""Positions on the x axis and values, of one length."""
COSTS = (
    ("step", "training steps (search left out)"),
    ("total_steps", "all optimizer steps (search included)"),
    ("t", "time since the start [s]"),
)
MOST_COLUMNS = 3
LR_DECADES = 5
# Points of a median curve; training losses are averaged over this share of the run, to be readable.
GRID = 300
SMOOTHING_SHARE = 0.02


def lrs_figure(comparison: Comparison) -> Figure:
    """Draw the LR of every kept step, one panel for each arm, one line for each seed."""
    look = styles([arm.name for arm in comparison.arms])
    columns = min(MOST_COLUMNS, len(comparison.arms))
    rows = -(-len(comparison.arms) // columns)
    with figure(columns, rows, (3.4, 2.6)) as made:
        panels = made.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes, arm in zip(panels.flat, comparison.arms, strict=False):
            for run in arm.at_length(comparison.budget):
                points = run.points
                positive = np.where(points.lr > 0, points.lr, np.nan)
                axes.step(
                    points.step, positive, where="pre", color=look[arm.name].colour, alpha=0.6, linewidth=1
                )
            axes.set_yscale("log")
            seeds = counted(len(arm.runs), "seed").replace(" ", "\N{NO-BREAK SPACE}")
            axes.set_title(f"{arm.name} ({seeds})", loc="left", fontsize=9)
        for axes in panels.flat[len(comparison.arms) :]:
            axes.remove()
        for axes in panels.flat[max(0, len(comparison.arms) - columns) : len(comparison.arms)]:
            axes.tick_params(labelbottom=True)  # the lowest of its column
        cut = _cut_at_the_foot(panels[0, 0])
        made.supxlabel("training steps", fontsize=9)
        made.supylabel(f"LR (cut below {LR_DECADES} decades)" if cut else "LR", fontsize=9)
    return made


def _cut_at_the_foot(axes: Axes) -> bool:
    """Keep the last steps of decays to zero from filling the axis; return whether something was cut off."""
    low, high = axes.get_ylim()
    foot = high / 10**LR_DECADES
    if low < foot:
        axes.set_ylim(foot, high)
    return bool(low < foot)


def curves_figure(comparison: Comparison) -> Figure:
    """Draw metric, held-out loss and training loss over training steps, all steps, and seconds: medians over seeds."""
    names = [arm.name for arm in comparison.arms]
    look = styles(names)
    rows = _held_out_rows(comparison)
    with figure(len(COSTS), len(rows) + 1, (4.2, 2.7)) as made:
        panels = made.subplots(len(rows) + 1, len(COSTS), sharex="col", sharey="row", squeeze=False)
        for column, (cost, label) in enumerate(COSTS):
            for axes, (metric, direction, axis) in zip(panels[:, column], rows, strict=False):
                _draw(
                    axes,
                    comparison,
                    look,
                    partial(_held_out, metric=metric, direction=direction, cost=cost, axis=axis),
                )
            _draw(panels[-1, column], comparison, look, partial(_training, cost=cost))
            panels[-1, column].set_xlabel(label)
        for axes, (_, _, axis) in zip(panels[:, 0], rows, strict=False):
            axes.set_ylabel(f"held-out {axis.label}")
            axes.set_yscale("log" if axis.log else "linear")
        panels[-1, 0].set_ylabel("training loss")
        panels[-1, 0].set_yscale("log")
        _mark_target(panels[0], float(rows[0][2].at(np.array([comparison.goal.value]))[0]))
        legend_below(made, arm_handles(names, look), names)
    return made


def _held_out_rows(comparison: Comparison) -> list[tuple[str, Direction, MetricAxis]]:
    goal = comparison.goal
    wanted: list[tuple[str, Direction]] = [(goal.metric, goal.direction)]
    if goal.metric != "loss":
        wanted.append(("loss", "min"))
    runs = [run for arm in comparison.arms for run in arm.at_length(comparison.budget)]
    values = [np.concatenate([metric_curve(run, *name).values for run in runs]) for name in wanted]
    return [(*name, metric_axis(*name, found)) for name, found in zip(wanted, values, strict=True)]


def _mark_target(panels: Sequence[Axes], at: float) -> None:
    for axes in panels:
        axes.axhline(at, color="0.4", linewidth=0.8, linestyle=(0, (2, 2)))
    panels[0].annotate(
        "target",
        (1, at),
        xycoords=("axes fraction", "data"),
        ha="right",
        va="bottom",
        fontsize=7,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5},
    )


def _draw(
    axes: Axes, comparison: Comparison, look: dict[str, Style], series: Callable[[RunRecord], Series]
) -> None:
    """Draw each seed thinly and the median over seeds on top."""
    for number, arm in enumerate(comparison.arms):
        style = look[arm.name]
        found = [s for s in map(series, arm.at_length(comparison.budget)) if len(s[0])]
        for x, y in found:
            axes.plot(x, y, color=style.colour, alpha=0.18, linewidth=0.7)
        if found:
            x, y = _median(found)
            every = max(len(x) // 6, 1)
            axes.plot(
                x,
                y,
                color=style.colour,
                linestyle=style.line,
                linewidth=1.4,
                marker=style.marker,
                markersize=4,
                markevery=(every * (number + 1) // (len(comparison.arms) + 1), every),
            )


def _median(found: Sequence[Series]) -> Series:
    """Return the median over seeds on a common grid, as far as every seed goes."""
    start, end = max(x[0] for x, _ in found), min(x[-1] for x, _ in found)
    grid = np.linspace(start, end, GRID) if end > start else np.array([end])
    return grid, np.median([np.interp(grid, x, y) for x, y in found], axis=0)


def _held_out(run: RunRecord, metric: str, direction: Direction, cost: str, axis: MetricAxis) -> Series:
    curve = metric_curve(run, metric, direction)
    finite = np.isfinite(curve.values)
    return np.asarray(getattr(curve, cost), dtype=np.float64)[finite], axis.at(curve.values[finite])


def _training(run: RunRecord, cost: str) -> Series:
    points = run.points
    finite = np.isfinite(points.loss)
    x, y = np.asarray(getattr(points, cost))[finite], points.loss[finite]
    width = max(int(len(y) * SMOOTHING_SHARE), 1)
    if width == 1:
        return x, y
    return x[width - 1 :], np.convolve(y, np.full(width, 1 / width), mode="valid")
