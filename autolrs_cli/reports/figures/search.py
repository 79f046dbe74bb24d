"""Each stage's search: what was asked, what the trials did, and what the surrogate believed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from autolrs_cli.records.journal import Record
from autolrs_cli.reports.figures.style import COLOURS, figure, legend_below
from autolrs_cli.terminal.formats import LOSS_NAMES

Events = Mapping[str, Sequence[Record]]
COLUMNS = 3
# More stages than this make no figure that a person reads; the last ones are drawn.
MOST_STAGES = 24
RED, BLUE = COLOURS[1:3]


@dataclass(frozen=True)
class SearchedStage:
    """The events of one stage's search."""

    started: Record
    trials: Sequence[Record]
    surrogates: Sequence[Record]
    losses: Mapping[int, Sequence[Record]]
    """Trial -> its events `trial_step`."""
    chosen: Record | None


def searches(events: Events) -> list[SearchedStage]:
    """Return the searched stages, the last `MOST_STAGES` of them."""

    def of(name: str, stage: int) -> list[Record]:
        return [record for record in events.get(name, ()) if record.get("stage") == stage]

    found = []
    for started in list(events.get("stage_started", ()))[-MOST_STAGES:]:
        stage = started["stage"]
        losses: dict[int, list[Record]] = {}
        for record in of("trial_step", stage):
            losses.setdefault(record["trial"], []).append(record)
        chosen = of("lr_chosen", stage)
        found.append(
            SearchedStage(
                started,
                of("trial_finished", stage),
                of("surrogate", stage),
                losses,
                chosen[-1] if chosen else None,
            )
        )
    return found


def search_figure(title: str, events: Events) -> Figure:
    """Draw predicted loss over LR: the trials, the surrogate's last belief, and the chosen LR."""
    handles = [
        Line2D([], [], color="black", marker="o", linestyle="", label="trial (predicted loss)"),
        Line2D([], [], color=RED, marker="x", linestyle="", label="diverged trial"),
        Line2D([], [], color=BLUE, label="surrogate, with 1 and 2 standard deviations"),
        Line2D([], [], color=RED, linestyle="--", label="chosen LR"),
        Line2D([], [], color="0.45", marker="|", linestyle="", label="stopped early"),
    ]
    with _panels(title, searches(events), "LR", "predicted loss") as (made, pairs):
        for axes, stage in pairs:
            _belief(axes, stage)
            axes.set_xscale("log")
            tried = [trial["lr"] for trial in stage.trials]
            low, high = min([stage.started["lr_min"], *tried]), max([stage.started["lr_max"], *tried])
            axes.set_xlim(low / 1.15, high * 1.15)
        names = [str(handle.get_label()) for handle in handles]
        legend_below(made, handles, names, columns=2, handle_length=2)
    return made


def _ramp(axes: Axes, stage: SearchedStage, ramp: Record) -> None:
    """Draw the loss along a ramp, over its LRs."""
    losses = [record for record in stage.losses.get(ramp["trial"], ()) if record["loss"] is not None]
    last = max(1, stage.started["trial_steps"] - 1)
    growth = ramp["end_lr"] / ramp["lr"]
    lrs = [ramp["lr"] * growth ** ((record["trial_step"] - 1) / last) for record in losses]
    values = [record["loss"] for record in losses]
    axes.plot(lrs, values, color="black", linewidth=0.9)
    if values:
        shown = [*values, *(trial["predicted"] for trial in stage.trials if trial["predicted"] is not None)]
        fall = values[0] - min(shown)
        axes.set_ylim(min(shown) - 0.1 * fall, values[0] + 0.5 * fall or None)


def _belief(axes: Axes, stage: SearchedStage) -> None:
    if stage.surrogates:
        last = stage.surrogates[-1]
        lrs, mean, std = (np.array(last[name], dtype=np.float64) for name in ("lrs", "mean", "std"))
        for width, alpha in ((2, 0.12), (1, 0.2)):
            axes.fill_between(
                lrs, mean - width * std, mean + width * std, color=BLUE, alpha=alpha, linewidth=0
            )
        axes.plot(lrs, mean, color=BLUE, linewidth=1.2)
    known = [trial for trial in stage.trials if trial["predicted"] is not None]
    for trial in known:
        axes.plot(trial["lr"], trial["predicted"], "o", color="black", markersize=4)
        axes.annotate(
            str(trial["trial"] + 1),
            (trial["lr"], trial["predicted"]),
            (3, 3),
            textcoords="offset points",
            fontsize=6,
        )
    if known:
        _look_at(axes, [float(trial["predicted"]) for trial in known])
    for trial in stage.trials:
        if trial.get("end_lr") is not None:
            _ramp(axes, stage, trial)
            continue
        if trial["status"] == "diverged":
            axes.plot(trial["lr"], 0.97, "x", color=RED, markersize=5, transform=axes.get_xaxis_transform())
        if trial["status"] == "stopped":
            axes.plot(
                trial["lr"], 0.97, "|", color="0.45", markersize=6, transform=axes.get_xaxis_transform()
            )
    if stage.chosen is not None:
        axes.axvline(stage.chosen["lr"], color=RED, linestyle="--", linewidth=1)


def _look_at(axes: Axes, values: Sequence[float]) -> None:
    """Show the trials; the surrogate's band may leave the panel."""
    low, high = min(values), max(values)
    margin = 0.25 * (high - low) or 0.25 * abs(high) or 1.0
    axes.set_ylim(low - margin, high + margin)


def trials_figure(title: str, events: Events) -> Figure:
    """Draw the losses of every trial of each stage, coloured by LR."""
    stages = searches(events)
    lrs = [trial["lr"] for trial in events.get("trial_started", ())] or [1e-3, 1.0]
    scale = LogNorm(min(lrs) * 0.999, max(lrs) * 1.001)
    colours = ScalarMappable(scale, mpl.colormaps["cividis"])
    tried = {(r.get("stage"), r.get("trial")): r["lr"] for r in events.get("trial_started", ())}
    with _panels(title, stages, "trial step", "loss of the trial") as (made, pairs):
        for axes, stage in pairs:
            for trial, points in stage.losses.items():
                lr = tried.get((stage.started["stage"], trial), lrs[0])
                x = [point["trial_step"] for point in points]
                y = np.array([point["loss"] for point in points], dtype=np.float64)
                axes.plot(x, y, color=colours.to_rgba(lr), linewidth=0.9, marker="." if len(x) < 30 else "")
            axes.set_yscale("log")
        made.colorbar(colours, ax=[axes for axes, _ in pairs], label="LR of the trial", shrink=0.8)
    return made


@contextmanager
def _panels(
    title: str, stages: Sequence[SearchedStage], x: str, y: str
) -> Iterator[tuple[Figure, list[tuple[Axes, SearchedStage]]]]:
    """Yield a figure with a panel for each stage, named and labelled."""
    columns = max(min(COLUMNS, len(stages)), 1)
    rows = -(-len(stages) // columns)
    with figure(columns, max(rows, 1), (3.5 if columns > 1 else 6.5, 2.7)) as made:
        grid = made.subplots(max(rows, 1), columns, squeeze=False)
        for axes in grid.flat[len(stages) :]:
            axes.remove()
        pairs = list(zip(grid.flat, stages, strict=False))
        for axes, stage in pairs:
            judged = LOSS_NAMES.get(stage.started["objective"], "")
            steps = f"{stage.started['steps']} steps from {stage.started['first_step']}"
            axes.set_title(f"stage {stage.started['stage'] + 1}: {steps}, {judged}", loc="left", fontsize=8)
            axes.set_xlabel(x, fontsize=8)
        made.suptitle(title, fontsize=9, x=0.01, ha="left")
        made.supylabel(y, fontsize=9)
        yield made, pairs
