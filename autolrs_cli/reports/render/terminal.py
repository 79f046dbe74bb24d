"""The comparison on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from rich import box
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from autolrs_cli.reports.compare.comparison import Comparison
from autolrs_cli.reports.compare.outcomes import median_cost
from autolrs_cli.reports.compare.speedups import Estimate, Speedup
from autolrs_cli.reports.render import format as words
from autolrs_cli.reports.render.tables import seed_table
from autolrs_cli.terminal import formats
from autolrs_cli.wording import counted


def render(comparison: Comparison) -> RenderableType:
    """Return the whole comparison: arms, speedups, every seed, and what weakens them."""
    parts: list[RenderableType] = []
    if comparison.refused:
        parts.append(Text(words.FORCED, style="bold red"))
        parts += [Text(f"  {line}", style="red") for line in comparison.refused]
        parts.append(Text(""))
    parts += [Text(headline(comparison), style="bold"), Text("")]
    parts += [_arms(comparison), Text(""), _speedups(comparison), Text(""), _seeds(comparison), Text("")]
    parts.append(Text(words.direction(comparison)))
    parts += [Text(f"warning: {line}", style="yellow") for line in comparison.warnings]
    return Group(*parts)


def headline(comparison: Comparison) -> str:
    """Say what was compared, and the target."""
    first = comparison.runs[0].description
    return (
        f"{first['recipe']} scale={first['scale']}: {counted(len(comparison.runs), 'run')} of "
        f"{counted(len(comparison.arms), 'arm')}, "
        f"target {comparison.goal}"
    )


# So that the figures beside them keep their words on 80 columns.
WIDEST_WORD = 24


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, name in enumerate(columns):
        justify: Literal["left", "right"] = "left" if number == 0 else "right"
        table.add_column(name, justify=justify, overflow="fold", min_width=max(map(len, name.split())))
    return table


def _keep_words_whole(table: Table, comparison: Comparison) -> None:
    """Let the names of arms be broken between their words only."""
    table.columns[0].min_width = min(
        max(len(word) for arm in comparison.arms for word in arm.name.split()), WIDEST_WORD
    )


def _arms(comparison: Comparison) -> RenderableType:
    goal = comparison.goal
    limit = ("times the limit",) if comparison.limit else ()
    columns = ("arm", "reached", "steps to target", "all steps", *limit, "tuning", f"final {goal.metric}")
    table = _table("arms (medians over seeds)", *columns)
    _keep_words_whole(table, comparison)
    for arm in comparison.arms:
        own = comparison.outcomes[arm.name].values()
        steps, every = median_cost(own, "step"), median_cost(own, "total_steps")
        table.add_row(
            arm.name,
            f"{sum(outcome.reached for outcome in own)} of {len(own)}",
            words.steps(steps),
            words.steps(every),
            *([words.multiples(comparison.limit, own)] if comparison.limit else []),
            words.tuning(comparison.tuning[arm.name]),
            formats.number(words.median(comparison.finals[arm.name])),
        )
    several = [arm for arm in comparison.arms if len(arm.lengths) > 1]
    lines = [f"{arm.name} was run at lengths {', '.join(map(str, arm.lengths))}" for arm in several]
    lines = [*_seeds_of_arms(comparison), *_read_out(comparison), *lines]
    if comparison.limit:
        lines.append(str(comparison.limit))
    return Group(table, *(Text(line, style="dim") for line in lines))


def _seeds_of_arms(comparison: Comparison) -> list[str]:
    """Say on how many seeds the arms were run: those of a number on one line."""
    arms: dict[str, list[str]] = {}
    for name, own in comparison.outcomes.items():
        arms.setdefault(words.seeds(own), []).append(name)
    if len(arms) == 1:
        return [f"seeds of every arm: {seeds}" for seeds in arms]
    return [f"seeds {seeds}: {', '.join(names)}" for seeds, names in arms.items()]


def _read_out(comparison: Comparison) -> list[str]:
    """Say whose curves decide, where that differs."""
    arms: dict[str, list[str]] = {}
    for name, weights in comparison.weights.items():
        arms.setdefault(weights, []).append(name)
    return [
        f"read out by {kind} weights: {', '.join(names)}" for kind, names in arms.items() if len(arms) > 1
    ]


def _speedups(comparison: Comparison) -> RenderableType:
    table = _table(
        f"speedups: {comparison.baseline.name} / arm, medians over seeds",
        "arm",
        "steps",
        "speedup",
        "interval",
        "faster",
    )
    table.columns[1].justify = "left"
    _keep_words_whole(table, comparison)
    for found in comparison.speedups:
        for number, (which, estimate) in enumerate(_counted(found)):
            shown = None if found.mostly_misses else estimate
            name = "" if number else found.arm
            table.add_row(name, which, words.point(found, estimate), words.interval(shown), _wins(estimate))
    verdicts = [Text(f"{found.arm}: {words.verdict(found)}", style="bold") for found in comparison.speedups]
    return Group(table, *verdicts)


def _counted(found: Speedup) -> Iterator[tuple[str, Estimate | None]]:
    """Yield what is counted, and the speedup in it."""
    yield "training", found.training
    yield "net", found.net
    yield "all-in, 1 run", found.all_in
    if found.all_in is not None and len(found.pairs) > 1:
        yield f"all-in, {words.sharing(found)}", found.all_in_shared
    yield "seconds", found.seconds


def _wins(estimate: Estimate | None) -> str:
    if estimate is None:
        return "-"
    tied = f", {estimate.ties} tied" if estimate.ties else ""
    return f"{words.BOUNDS[estimate.bound]}{estimate.wins} of {estimate.pairs}{tied}"


def _seeds(comparison: Comparison) -> RenderableType:
    header, *lines = seed_table(comparison)
    table = _table("every seed: speedup in training steps | net", "arm", "seed: speedups")
    table.columns[1].justify = "left"
    _keep_words_whole(table, comparison)
    for number, arm in enumerate(header[1:], 1):
        cells = [f"{line[0]}: {line[number]}" for line in lines if line[number] != "-"]
        table.add_row(arm, Columns(cells, padding=(0, 3)))
    return Group(table, Text("0: the arm misses the target; the marks are explained below", style="dim"))
