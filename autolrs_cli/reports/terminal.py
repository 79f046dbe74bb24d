"""The comparison on a terminal."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from autolrs_cli.reports import words
from autolrs_cli.reports.comparison import Comparison
from autolrs_cli.reports.speedups import Estimate
from autolrs_cli.reports.tables import seed_table


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
        f"{first['recipe']} scale={first['scale']}: {len(comparison.runs)} runs of {len(comparison.arms)} arms, "
        f"target {comparison.goal}"
    )


def _table(title: str | None, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, name in enumerate(columns):
        narrowest = max(map(len, arm_words)) if number == 0 else None
        table.add_column(name, justify="left" if number == 0 else "right", overflow="fold", min_width=narrowest)
    return table


def _arms(comparison: Comparison) -> Table:
    goal = comparison.goal
    table = _table(
        "arms (medians over seeds)",
        "arm",
        "lengths",
        "reached",
        "steps to target",
        "all steps",
        f"final {goal.metric}",
    )
    for arm in comparison.arms:
        own = comparison.outcomes[arm.name].values()
        reached = [outcome for outcome in own if outcome.reached]
        lengths = arm.lengths if len(arm.lengths) < 2 else (arm.lengths[0], arm.lengths[-1])
        costs = [
            words.median([outcome.cost(cost) for outcome in reached])
            for cost in ("step", "total_steps")
        ]
        table.add_row(
            arm.name,
            f"{'-'.join(map(str, lengths))}{f' ({len(arm.lengths)})' if len(arm.lengths) > 1 else ''}",
            f"{len(reached)} of {len(own)}",
            *("-" if cost is None else f"{cost:,.0f}" for cost in costs),
            words.figure(words.median(comparison.finals[arm.name])),
        )
    return table


def _speedups(comparison: Comparison) -> RenderableType:
    table = _table(
        f"speedups: {comparison.baseline.name} / arm, medians over seeds",
        "arm",
        "counted in",
        "speedup",
        "95 % interval",
        "faster",
    )
    table.columns[1].justify = "left"
    for found in comparison.speedups:
        for name, counted, estimate in (
            (found.arm, "training steps", found.training),
            ("", "all steps (net)", found.net),
            ("", "seconds (net)", found.seconds),
        ):
            shown = None if found.mostly_misses else estimate
            median = "none" if shown is None else words.ratio(shown.median)
            table.add_row(name, counted, median, words.interval(shown), _wins(estimate))
    verdicts = [Text(f"{found.arm}: {words.verdict(found)}", style="bold") for found in comparison.speedups]
    return Group(table, *verdicts)


def _wins(estimate: Estimate | None) -> str:
    if estimate is None:
        return "-"
    return f"{estimate.wins} of {estimate.pairs}" + (f", {estimate.ties} tied" if estimate.ties else "")


def _seeds(comparison: Comparison) -> RenderableType:
    header, *lines = seed_table(comparison)
    table = _table("every seed: speedup in training steps | net", "arm", "seed: speedups")
    table.columns[1].justify, table.columns[1].overflow = "left", None
    for number, arm in enumerate(header[1:], 1):
        cells = (f"{line[0]}: {line[number]}".replace(" ", NO_BREAK) for line in lines if line[number] != "-")
        table.add_row(arm, "   ".join(cells))
    return Group(table, Text("0: the arm misses the target; >=: the baseline does", style="dim"))
