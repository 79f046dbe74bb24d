"""What the runs of each arm were spent on, as stacked bars."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from autolrs_cli.reports.compare.arms import Arm
from autolrs_cli.reports.compare.comparison import Comparison
from autolrs_cli.reports.figures.fit import row_labels, rows_inches
from autolrs_cli.reports.figures.style import LABEL_SIZE, figure, legend_below

# Colour and hatch of each bucket; neighbours differ in lightness, and what the search costs is hatched.
LOOKS = {
    "startup": ("#BBBBBB", ""),
    "warm_up": ("#56B4E9", ""),
    "training": ("#0072B2", ""),
    "search_kept": ("#009E73", ""),
    "search_discarded": ("#D55E00", "///"),
    "search_model": ("#E69F00", "..."),
    "evaluation": ("#009E73", ""),
    "repeated": ("#000000", ""),
    "rest": ("#EEEEEE", ""),
}
# Buckets that are nowhere more than this share of an arm's bar are drawn as one: "rest".
SMALL_SHARE = 0.01
ROW_INCHES, LABEL_INCHES = 0.36, 2.3


def ledger_figure(comparison: Comparison) -> Figure:
    """Draw means over the seeds' runs of the usual length: optimizer steps, and seconds."""
    arms = comparison.arms
    names = row_labels([arm.name for arm in arms], LABEL_INCHES, LABEL_SIZE)
    with figure(2, 1, (5.2, 1.5 + rows_inches(names, ROW_INCHES, LABEL_SIZE) * len(arms))) as made:
        panels = made.subplots(1, 2, sharey=True)
        shown: dict[str, None] = {}
        for axes, unit, label in zip(
            panels, ("steps", "seconds"), ("optimizer steps", "time [s]"), strict=True
        ):
            table = _table(arms, comparison.budget, unit)
            _bars(axes, table)
            shown |= dict.fromkeys(table)
            axes.set_xlabel(label)
            axes.set_yticks(range(len(arms)), names, fontsize=LABEL_SIZE)
            axes.set_ylim(len(arms) - 0.4, -0.6)
            axes.grid(visible=False, axis="y")
        patches = [_patch(bucket) for bucket in LOOKS if bucket in shown]
        legend_below(made, patches, [str(patch.get_label()) for patch in patches], columns=9, handle_length=2)
    return made


def _table(arms: Sequence[Arm], budget: int, unit: str) -> dict[str, np.ndarray]:
    """Return bucket -> mean of each arm, in the order of `LOOKS`; small and unknown buckets are summed in `rest`."""
    runs = [arm.at_length(budget) for arm in arms]
    names = dict.fromkeys(name for own in runs for run in own for name in run.ledger)
    means = {
        name: np.array([np.mean([run.ledger.get(name, {}).get(unit, 0.0) for run in own]) for own in runs])
        for name in names
    }
    totals = sum(means.values(), np.zeros(len(arms)))
    large = [
        name
        for name in LOOKS
        if name in means and (means[name] > SMALL_SHARE * np.maximum(totals, 1e-9)).any()
    ]
    rest = totals - sum((means[name] for name in large), np.zeros(len(arms)))
    table = {name: means[name] for name in large}
    return {**table, "rest": rest} if (rest > 1e-6 * totals).any() else table


def _bars(axes: Axes, table: dict[str, np.ndarray]) -> None:
    left: np.ndarray | float = 0.0
    for bucket, values in table.items():
        look = _patch(bucket)
        axes.barh(
            range(len(values)),
            values,
            left=left,
            height=0.6,
            color=look.get_facecolor(),
            hatch=look.get_hatch(),
            edgecolor="white",
            linewidth=0.4,
        )
        left = left + values


def _patch(bucket: str) -> Patch:
    colour, hatch = LOOKS[bucket]
    return Patch(
        facecolor=colour, hatch=hatch, edgecolor="white", linewidth=0.4, label=bucket.replace("_", " ")
    )
