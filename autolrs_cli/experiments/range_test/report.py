"""The record of an LR range test: a figure (PNG, SVG) and every point of it (CSV)."""

from __future__ import annotations

import csv
from pathlib import Path

from autolrs_cli.errors import ConfigError
from autolrs_cli.experiments.range_test.lr_range import Proposal, RangeTest
from autolrs_cli.reports.figures.style import COLOURS, figure, legend_of_labels, save

NAME = "range-test"


def write(folder: Path, title: str, test: RangeTest, proposal: Proposal) -> list[Path]:
    """Write figure and table into `folder`; return the paths.

    Raises:
        ConfigError: if it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [*_draw(folder, title, test, proposal), _table(folder / f"{NAME}.csv", test, proposal)]
    except OSError as error:
        raise ConfigError(
            f"The folder of --out must be writable, but {folder} is not: {error.strerror}. Name another one."
        ) from error


def _draw(folder: Path, title: str, test: RangeTest, proposal: Proposal) -> list[Path]:
    smoothed = proposal.smoothed
    with figure(inches=(6.4, 4.0)) as made:
        axes = made.subplots()
        axes.plot(test.lrs, test.losses, ".", color="#999999", markersize=4, label="loss of the step")
        axes.plot(
            test.lrs[: len(smoothed)], smoothed, color=COLOURS[2], linewidth=1.8, label="running median"
        )
        axes.axvspan(
            proposal.lr_min,
            proposal.lr_max,
            color=COLOURS[3],
            alpha=0.15,
            label="proposed interval",
            linewidth=0,
        )
        if proposal.climbs_at is not None:
            axes.axvline(proposal.climbs_at, color=COLOURS[1], linestyle="--", label="the loss climbs again")
        axes.set_xscale("log")
        top, bottom = max(smoothed[0], *smoothed[: _lowest(smoothed) + 1]), min(smoothed)
        axes.set_ylim(bottom - 0.1 * (top - bottom), top + 0.35 * (top - bottom))
        axes.set_xlabel("LR of the step (log scale)")
        axes.set_ylabel("training loss")
        axes.set_title(title, fontsize="medium")
        legend_of_labels(made, 2)
    return save(made, folder, NAME)


def _lowest(values: tuple[float, ...]) -> int:
    return min(range(len(values)), key=values.__getitem__)


def _table(path: Path, test: RangeTest, proposal: Proposal) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("step", "lr", "loss", "smoothed"))
        padded = [*proposal.smoothed, *[""] * (len(test.lrs) - len(proposal.smoothed))]
        for index, (lr, loss, smooth) in enumerate(zip(test.lrs, test.losses, padded, strict=True)):
            writer.writerow((index, repr(lr), repr(loss), smooth))
    return path
