"""Figures of one run, finished or not: its LRs, its losses, and each stage's search."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from autolrs_cli.contracts import Direction
from autolrs_cli.errors import ConfigError
from autolrs_cli.records.journal import Record, read_journal
from autolrs_cli.records.run_directory import RunDirectory
from autolrs_cli.reports.compare.run_record import FloatArray, read_run
from autolrs_cli.reports.figures.metric_axis import metric_axis
from autolrs_cli.reports.figures.search import search_figure, trials_figure
from autolrs_cli.reports.figures.style import COLOURS, figure, legend_of_labels, save

BLACK, RED, BLUE, GREEN = COLOURS[:4]


OF_A_SEARCH = ("stage_started", "trial_started", "trial_step", "trial_finished", "surrogate", "lr_chosen")


@dataclass
class RunStory:
    """A run's events, sorted by what they are."""

    title: str
    events: dict[str, list[Record]] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        """Take the next event in; a stage that diverged in training is taken back, its search included."""
        if record["event"] == "rolled_back":
            back_to = record["step"]
            for name, known in self.events.items():
                latest = back_to - 1 if name in OF_A_SEARCH else back_to
                if name in (*OF_A_SEARCH, "step", "eval"):
                    self.events[name] = [each for each in known if each["step"] <= latest]
        self.events.setdefault(str(record["event"]), []).append(record)

    def of(self, name: str) -> list[Record]:
        """Return the events of that name, in order."""
        return self.events.get(name, [])


def read_story(root: Path) -> RunStory:
    """Return what happened in a run so far.

    Raises:
        ConfigError: if it is not a run, or its journal is damaged.
    """
    description = read_run(root).description
    names = (str(description.get(key)) for key in ("recipe", "schedule", "search") if description.get(key))
    story = RunStory(f"{' '.join(names)}, scale={description['scale']}, seed {description['seed']}")
    try:
        for record in read_journal(RunDirectory(root).journal):
            story.add(record)
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"A journal must hold one event a line, but: {error} Restore it from a copy."
        ) from error
    return story


def write_run_figures(root: Path, out: Path) -> list[Path]:
    """Draw what a run has to show so far into `out`; return the files.

    Raises:
        ConfigError: if the run cannot be read, has made no step yet, or `out` cannot be written.
    """
    story = read_story(root)
    if not story.of("step"):
        raise ConfigError(f"A figure needs a training step, but {root} has made none yet. Wait for it.")
    figures: dict[str, Callable[[], Figure]] = {
        "lr": lambda: lr_figure(story),
        "loss": lambda: loss_figure(story),
    }
    if story.of("trial_finished"):
        figures["search"] = lambda: search_figure(story.title, story.events)
        figures["trials"] = lambda: trials_figure(story.title, story.events)
    try:
        return [path for name, draw in figures.items() for path in save(draw(), out, name)]
    except OSError as error:
        raise ConfigError(
            f"Figures must be written, but {out} cannot be: {error.strerror}. Name another folder with --out."
        ) from error


def lr_figure(story: RunStory) -> Figure:
    """Draw the LR of the kept steps, the searched intervals, and every tried LR."""
    with figure(1, 1, (7.2, 3.6)) as made:
        axes = made.subplots()
        for number, stage in enumerate(story.of("stage_started")):
            axes.fill_between(
                [stage["first_step"], stage["first_step"] + stage["steps"]],
                stage["lr_min"],
                stage["lr_max"],
                color="0.92" if number % 2 else "0.86",
                linewidth=0,
                label=None if number else "searched interval",
            )
        _tried(axes, [r for r in story.of("trial_finished") if r["status"] == "ok"], "o", "0.45", "tried")
        _tried(
            axes, [r for r in story.of("trial_finished") if r["status"] == "diverged"], "x", RED, "diverged"
        )
        _tried(
            axes,
            [r for r in story.of("trial_finished") if r["status"] == "stopped" and not r.get("end_lr")],
            "|",
            "0.45",
            "stopped early",
        )
        _tried(axes, story.of("rolled_back"), "X", RED, "diverged in training, taken back")
        steps = story.of("step")
        axes.step(
            _column(steps, "step"),
            _column(steps, "lr"),
            where="pre",
            color=BLUE,
            linewidth=1.6,
            label="trained at",
        )
        axes.set_yscale("log")
        axes.set_xlabel("training steps (search left out)")
        axes.set_ylabel("LR")
        axes.set_title(story.title, loc="left", fontsize=9)
        legend_of_labels(made, 4)
    return made


def _tried(axes: Axes, trials: Sequence[Record], marker: str, colour: str, label: str) -> None:
    if trials:
        x, y = _column(trials, "step"), _column(trials, "lr")
        axes.plot(x, y, marker=marker, color=colour, markersize=4, linestyle="", label=label, zorder=3)


def loss_figure(story: RunStory) -> Figure:
    """Draw training and held-out loss, and below them each held-out metric with a direction."""
    measured = [r for r in story.of("eval") if r["split"] == "target"]
    metric = _metric(story)
    has_metric = metric is not None and any(metric[0] in r["metrics"] for r in measured)
    with figure(1, 2 if has_metric else 1, (7.2, 3.0)) as made:
        panels = made.subplots(2 if has_metric else 1, 1, sharex=True, squeeze=False)[:, 0]
        steps = story.of("step")
        panels[0].plot(
            _column(steps, "step"), _column(steps, "loss"), color="0.6", linewidth=0.8, label="training"
        )
        _held_out(panels[0], measured, "loss", lambda values: values)
        panels[0].set_yscale("log")
        panels[0].set_ylabel("loss")
        panels[0].set_title(story.title, loc="left", fontsize=9)
        if metric is not None and has_metric:
            name, direction = metric
            axis = metric_axis(name, direction, _metric_column(measured, name))
            _held_out(panels[1], measured, name, axis.at, named=False)
            panels[1].set_ylabel(f"held-out {axis.label}")
            panels[1].set_yscale("log" if axis.log else "linear")
        panels[-1].set_xlabel("training steps (search left out)")
        legend_of_labels(made, 4)
    return made


def _held_out(
    axes: Axes,
    measured: Sequence[Record],
    name: str,
    at: Callable[[FloatArray], FloatArray],
    *,
    named: bool = True,
) -> None:
    """Draw a held-out measure, raw and averaged weights apart."""
    for weights, colour, marker in (("raw", BLUE, "o"), ("averaged", RED, "s")):
        rows = [r for r in measured if r["weights"] == weights and name in r["metrics"]]
        if rows:
            label = "held-out" if weights == "raw" else "held-out, averaged weights"
            axes.plot(
                _column(rows, "step"),
                at(_metric_column(rows, name)),
                color=colour,
                marker=marker,
                markersize=3,
                linestyle="-" if weights == "raw" else "--",
                label=label if named else None,
            )


def _metric(story: RunStory) -> tuple[str, Direction] | None:
    metric = story.of("run_started")[0]["description"].get("metric")
    return (metric["name"], metric["direction"]) if metric else None


def _column(records: Iterable[Record], name: str) -> FloatArray:
    return np.array([record.get(name) for record in records], dtype=np.float64)


def _metric_column(records: Iterable[Record], name: str) -> FloatArray:
    return np.array([record["metrics"].get(name) for record in records], dtype=np.float64)
