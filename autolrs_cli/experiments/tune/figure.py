"""The figure of a study: loss over each parameter, the lengths of the runs, and the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autolrs_cli.experiments.tune.search_space import LrRange, Range, bounds, parameter_name
from autolrs_cli.experiments.tune.study import Configuration
from autolrs_cli.experiments.tune.trials_table import lengths_of
from autolrs_cli.reports.figures.style import figure, legend_below, save

# Paul Tol's "bright" without its yellow: told apart by colour-blind readers, and in grey by size and shape.
_COLOURS = ("#BBBBBB", "#66CCEE", "#4477AA", "#228833", "#AA3377")
_MARKERS = ("v", "s", "o", "D", "^")


def draw(
    path: Path, title: str, space: Mapping[str, Range], trials: Sequence[Configuration], best: Configuration
) -> None:
    """Write the figure as PNG to `path`, and as SVG beside it."""
    with figure(len(space), 1, (3.9 if len(space) > 1 else 5.0, 4.2)) as made:
        axes = made.subplots(1, len(space), sharey=True, squeeze=False)[0]
        for panel, (key, given) in zip(axes, space.items(), strict=True):
            _panel(panel, key, given, trials, best)
        losses = [one.loss for each in trials for one in each.results.values() if one.loss is not None]
        if min(losses) > 0:
            axes[0].set_yscale("log")
        axes[0].set_ylabel(f"loss on the slice that chooses LRs{' (log scale)' if min(losses) > 0 else ''}")
        handles, names = axes[0].get_legend_handles_labels()
        legend_below(made, handles, names, columns=5, handle_length=2)
        made.suptitle(title, fontsize="medium")
    save(made, path.parent, path.stem)


def _panel(panel: Any, key: str, given: Range, trials: Sequence[Configuration], best: Configuration) -> None:
    name = parameter_name(key, given)
    for index, length in enumerate(lengths_of(trials)):
        points = [(each.point[name], each.results[length].loss) for each in trials if length in each.results]
        reached = [(x, loss) for x, loss in points if loss is not None]
        if not reached:
            continue
        style = {"color": _COLOURS[index % 5], "marker": _MARKERS[index % 5], "s": 24 + 22 * index}
        panel.scatter(
            *zip(*reached, strict=True),
            label=f"run of {length:,} steps",
            edgecolors="black",
            linewidths=0.5,
            **style,
        )
    _failures(panel, name, trials)
    longest = max(best.results)
    panel.scatter(
        [best.point[name]],
        [best.results[longest].loss],
        marker="*",
        s=230,
        facecolors="none",
        edgecolors="black",
        linewidths=1.3,
        label="best",
        zorder=5,
    )
    low, high, continuous = bounds(given)
    if continuous:
        panel.set_xscale("log")
        panel.set_xlim(low / 1.15, high * 1.15)
    else:
        panel.set_xlim(low - 0.6, high + 0.6)
        panel.xaxis.get_major_locator().set_params(integer=True)
    panel.set_xlabel(f"{name} (LR, log scale)" if isinstance(given, LrRange) else _axis(name, continuous))
    panel.grid(visible=True, alpha=0.3)


def _axis(name: str, continuous: bool) -> str:
    words = {"cycles": "cycles in the run (count)"}
    return f"{name} (ratio, log scale)" if continuous else words.get(name, f"{name} (whole number)")


def _failures(panel: Any, name: str, trials: Sequence[Configuration]) -> None:
    """Mark diverged configurations at the upper edge: they have no loss."""
    diverged = [each.point[name] for each in trials if each.failed is not None]
    if diverged:
        panel.scatter(
            diverged,
            [0.985] * len(diverged),
            transform=panel.get_xaxis_transform(),
            marker="x",
            color="#EE6677",
            label="diverged",
            clip_on=False,
        )
