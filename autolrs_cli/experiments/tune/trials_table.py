"""What a study found, as a table of its configurations."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from autolrs_cli.experiments.tune.search_space import Range, bounds, parameter_name
from autolrs_cli.experiments.tune.study import Configuration

EDGE = 0.05
STATES = {"COMPLETE": "longest run", "PRUNED": "stopped", "FAIL": "diverged", "RUNNING": "open"}


def lengths_of(configurations: Sequence[Configuration]) -> list[int]:
    """Return the lengths of all runs, ascending."""
    return sorted({length for each in configurations for length in each.results})


def write_trials(path: Path, configurations: Sequence[Configuration]) -> None:
    """Write one line per configuration: parameters and losses at full precision, empty where there is none."""
    lengths = lengths_of(configurations)
    names = list(configurations[0].point) if configurations else []
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        losses = [f"loss_at_{length}_steps" for length in lengths]
        writer.writerow(["trial", "bracket", *names, *losses, "steps", "state"])
        for each in configurations:
            found = [each.results.get(length) for length in lengths]
            writer.writerow(
                [
                    each.number,
                    each.bracket,
                    *(repr(each.point[name]) for name in names),
                    *("" if one is None or one.loss is None else repr(one.loss) for one in found),
                    sum(one.steps for one in each.results.values()),
                    STATES[each.state.name],
                ]
            )


def at_an_edge(space: Mapping[str, Range], best: Configuration) -> list[str]:
    """Return a warning for each LR or share whose best value lies within 5 % of an end of its range (on a log axis)."""
    found = []
    for key, given in space.items():
        low, high, continuous = bounds(given)
        value = best.point[parameter_name(key, given)]
        share = math.log(value / low) / math.log(high / low) if continuous else 0.5
        if not EDGE < share < 1 - EDGE:
            found.append(
                f"the best {parameter_name(key, given)} ({value:.4g}) lies at an edge of what was looked at "
                f"({low:.4g} to {high:.4g}); widen it with tune.space.{key}.{'low' if share <= EDGE else 'high'}, "
                "in a new study"
            )
    return found
