"""How much of a held-out slice's verdict is noise of the slice? From finished runs of two LRs or more, several seeds.

    python scripts/slice_noise.py runs/bert recipe.eval_batch=32

KEY=VALUE cuts the slices into other batches than the runs had: the more there are, the surer the errors.
For each slice and each pair of LRs: the difference of the losses, its standard error over the slice's batches (both
runs see the same examples, so that what is hard for both cancels), and its spread over seeds. A slice is large enough
where its standard error is well below the difference, and below the spread of seeds: more examples would then not make
the verdict surer.
"""

from __future__ import annotations

import itertools
import json
import math
import statistics
import sys
from pathlib import Path

import torch
from omegaconf import OmegaConf
from rich.console import Console
from rich.table import Table

from autolrs_cli.contracts import EvalSplit
from autolrs_cli.runner.finished_run import StoredRun
from autolrs_cli.runner.plan import build_recipe
from autolrs_cli.runner.preparation import prepare_data
from autolrs_cli.training.loader import read_all

CPU = torch.device("cpu")
SLICES: tuple[EvalSplit, ...] = ("choose", "target")
Parts = list[tuple[float, float]]
"""Summed loss and number of terms of each batch of a slice."""


def measured(run: Path, batches: list[str]) -> dict[EvalSplit, Parts]:
    """Return the losses of a run's final weights, batch by batch."""
    stored = StoredRun(run)
    model = stored.model()
    config = OmegaConf.to_container(OmegaConf.merge(stored.config, OmegaConf.from_dotlist(batches)))
    assert isinstance(config, dict)
    recipe = build_recipe({str(key): value for key, value in config.items()})
    prepare_data(recipe)
    found: dict[EvalSplit, Parts] = {}
    with torch.no_grad():
        for split in SLICES:
            losses = (
                recipe.measure(model, batch)["loss"] for batch in read_all(recipe.eval_stream(split), 0, CPU)
            )
            found[split] = [(float(total), weight) for total, weight in losses]
    return found


def mean(parts: Parts) -> float:
    """Return the loss of the slice."""
    return sum(total for total, _ in parts) / sum(weight for _, weight in parts)


def standard_error(parts: Parts) -> float:
    """Return that of `mean`, by the spread of its batches (a ratio of sums: the linearised form)."""
    centre, terms, count = mean(parts), sum(weight for _, weight in parts), len(parts)
    residuals = (total - centre * weight for total, weight in parts)
    return math.sqrt(count / (count - 1) * sum(each * each for each in residuals)) / terms


def difference(one: Parts, other: Parts) -> Parts:
    """Return the batches of the difference of two runs on one slice."""
    return [(a - b, weight) for (a, weight), (b, _) in zip(one, other, strict=True)]


def main(arguments: list[str]) -> None:
    """Print a row for each pair of LRs and each slice."""
    batches = [argument for argument in arguments if "=" in argument]
    folders = [argument for argument in arguments if "=" not in argument]
    runs: dict[float, dict[int, dict[EvalSplit, Parts]]] = {}
    for path in sorted(path for folder in folders for path in Path(folder).rglob("summary.json")):
        summary = json.loads(path.read_text())
        if summary["status"] == "done":
            config = OmegaConf.load(path.with_name("config.yaml"))
            lr = float(OmegaConf.select(config, "original_schedule.peak_lr"))
            runs.setdefault(lr, {})[summary["seed"]] = measured(path.parent, batches)
    if len(runs) < 2:
        raise SystemExit("There must be finished runs of schedule=original at two LRs. Give their folder.")
    table = Table(box=None)
    for name in (
        "slice",
        "batches",
        "LRs",
        "seeds",
        "difference",
        "its SE",
        "unpaired SE",
        "spread of seeds",
    ):
        table.add_column(name, justify="right" if name != "slice" else "left")
    for one, other in itertools.combinations(sorted(runs), 2):
        seeds = sorted(runs[one].keys() & runs[other].keys())
        for split in SLICES:
            pairs = [(runs[one][seed][split], runs[other][seed][split]) for seed in seeds]
            gaps = [difference(*pair) for pair in pairs]
            alone = [math.hypot(*map(standard_error, pair)) for pair in pairs]
            table.add_row(
                split,
                str(len(gaps[0])),
                f"{one:g} - {other:g}",
                str(len(seeds)),
                f"{statistics.mean(map(mean, gaps)):+.4f}",
                f"{statistics.mean(map(standard_error, gaps)):.4f}",
                f"{statistics.mean(alone):.4f}",
                f"{statistics.stdev(map(mean, gaps)):.4f}" if len(seeds) > 1 else "",
            )
    Console(width=110).print(table)


if __name__ == "__main__":
    main(sys.argv[1:])
