"""The paper's claims beside our figures: one table, and a verdict in words whatever it is."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from autolrs_cli.reports.speedups import Estimate, Speedup

# "Over heavily-tuned LR schedules", on average over the three recipes: Jin et al., ICLR 2021, abstract.
CLAIM_OVER_TUNED = 1.31
Verdict = Literal["reproduced", "not reproduced", "undecided"]


@dataclass(frozen=True)
class ClaimCheck:
    """A claimed speedup in training steps, and what we measured."""

    recipe: str
    claim: float | None
    """None: the paper makes none for this recipe."""
    found: Speedup | None
    """AutoLRS against the original schedule; None: it could not be measured."""
    rivals: Mapping[str, Speedup]
    """Title -> that arm against the original schedule."""
    over_tuned: Mapping[str, Speedup]
    """Title of a tuned schedule -> AutoLRS against it."""
    target: str

    @property
    def verdict(self) -> tuple[Verdict, str]:
        """The verdict, and why.

        Reproduced: the whole interval lies above 1, and its upper end at or above the claim. Not reproduced: the
        whole interval lies below the claim, or more than half of the runs miss. Undecided: anything else, and always
        with fewer than five seeds, which make no interval.
        """
        if self.found is None or self.claim is None:
            return "undecided", "there is no figure, or no claim, to compare"
        if self.found.mostly_misses:
            return (
                "not reproduced",
                f"AutoLRS misses the target on {self.found.arm_misses} of {len(self.found.pairs)} seeds",
            )
        estimate = self.found.training
        if estimate is None:
            return "undecided", "no seed has a ratio"
        if estimate.interval is None:
            return "undecided", f"{estimate.pairs} seeds make no interval; five do"
        low, high = estimate.interval
        if high < self.claim:
            side = "faster than the original, but by less" if low > 1 else "the claim lies above the interval"
            return "not reproduced", side
        if low > 1:
            return "reproduced", "the interval lies above 1 and reaches the claim"
        return "undecided", "the interval holds both the claim and no speedup at all"


def mean_speedup(checks: Sequence[ClaimCheck]) -> tuple[float, float] | None:
    """Return the means over recipes of the median training-step and net speedups; None if one has none."""
    pairs = [_medians(check.found) for check in checks]
    known = [pair for pair in pairs if pair is not None]
    if not known or len(known) < len(pairs):
        return None
    return fmean(pair[0] for pair in known), fmean(pair[1] for pair in known)


def _medians(found: Speedup | None) -> tuple[float, float] | None:
    if found is None or found.training is None or found.net is None:
        return None
    return found.training.median, found.net.median


COLUMNS = ("recipe", "the paper claims", "training steps", "all steps", "misses", "verdict")


def rows(checks: Sequence[ClaimCheck]) -> list[tuple[str, ...]]:
    """Return the table, one row a recipe and one for the mean."""
    table: list[tuple[str, ...]] = [_row(check) for check in checks]
    means = mean_speedup(checks)
    claims = [check.claim for check in checks if check.claim is not None]
    if len(checks) > 1:
        ours = ("-", "-") if means is None else tuple(f"{mean:.2f}x" for mean in means)
        claimed = f"{fmean(claims):.2f}x" if len(claims) == len(checks) else "-"
        table.append(("mean", claimed, *ours, "", ""))
    return [*table, *_over_tuned_rows(checks)]


def _over_tuned_rows(checks: Sequence[ClaimCheck]) -> list[tuple[str, ...]]:
    """Return AutoLRS against each tuned schedule, and the mean that the paper makes a claim for."""
    entries = [
        (f"{check.recipe} over {title}", found)
        for check in checks
        for title, found in check.over_tuned.items()
    ]
    table: list[tuple[str, ...]] = [
        (name, "-", ratio(found.training), ratio(found.net), f"{found.arm_misses} of {len(found.pairs)}", "")
        for name, found in entries
    ]
    pairs = [_medians(found) for _, found in entries]
    known = [pair for pair in pairs if pair is not None]
    if known:
        ours = (f"{fmean(pair[i] for pair in known):.2f}x" for i in (0, 1))
        table.append(("mean over tuned", f"{CLAIM_OVER_TUNED:.2f}x", *ours, "", ""))
    return table


def _row(check: ClaimCheck) -> tuple[str, ...]:
    verdict, why = check.verdict
    claim = "-" if check.claim is None else f"{check.claim:.2f}x"
    if check.found is None:
        return (check.recipe, claim, "-", "-", "-", f"{verdict}: {why}")
    found = check.found
    misses = f"{found.arm_misses} of {len(found.pairs)}"
    return (check.recipe, claim, ratio(found.training), ratio(found.net), misses, f"{verdict}: {why}")


def ratio(estimate: Estimate | None) -> str:
    """Say a speedup with its interval, if it has one."""
    if estimate is None:
        return "-"
    if estimate.interval is None:
        return f"{estimate.median:.2f}x"
    low, high = (f"{end:.2f}" if math.isfinite(end) else "inf" for end in estimate.interval)
    return f"{estimate.median:.2f}x [{low}, {high}]"


def rival_rows(check: ClaimCheck) -> list[tuple[str, ...]]:
    """Return one row for every other arm of a recipe."""
    return [
        (title, ratio(found.training), ratio(found.net), f"{found.arm_misses} of {len(found.pairs)}")
        for title, found in check.rivals.items()
    ]


RIVAL_COLUMNS = ("against the original schedule", "training steps", "all steps", "misses")
DIRECTION = (
    "Every figure is steps of the original schedule / steps of the arm, to the same target, median over paired seeds "
    "with a 95 % interval where there are five: above 1, the arm needs fewer. Training steps leave the search out, as "
    "the paper does; all steps count it. A figure is about this scale, its data and its target only."
)


def render(checks: Sequence[ClaimCheck]) -> RenderableType:
    """Return the tables for a terminal."""
    parts: list[RenderableType] = [_table("the paper's claims and ours", COLUMNS, rows(checks)), Text("")]
    for check in checks:
        if check.rivals:
            parts += [
                _table(f"{check.recipe}, target {check.target}", RIVAL_COLUMNS, rival_rows(check)),
                Text(""),
            ]
    return Group(*parts, Text(DIRECTION))


def _table(title: str, columns: Sequence[str], content: Sequence[Sequence[str]]) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, name in enumerate(columns):
        numeric = name in ("the paper claims", "training steps", "all steps", "misses")
        table.add_column(name, justify="right" if numeric and number else "left", overflow="fold")
    for row in content:
        table.add_row(*row)
    return table


def as_markdown(checks: Sequence[ClaimCheck], command: str) -> str:
    """Return the tables as Markdown, with the command that made them."""
    parts = [f"Made by `{command}`.", _markdown(COLUMNS, rows(checks))]
    for check in checks:
        if check.rivals:
            parts += [
                f"## {check.recipe}, target {check.target}",
                _markdown(RIVAL_COLUMNS, rival_rows(check)),
            ]
    return "\n\n".join([*parts, DIRECTION]) + "\n"


def _markdown(columns: Sequence[str], content: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *content]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def as_csv(checks: Sequence[ClaimCheck]) -> str:
    """Return the claims and every other arm as CSV, numbers at full precision."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(
        (
            "recipe",
            "arm",
            "claim",
            "training_steps",
            "low",
            "high",
            "all_steps",
            "low",
            "high",
            "misses",
            "seeds",
        )
    )
    for check in checks:
        measured = {"autolrs": check.found, **check.rivals}
        for title, found in measured.items():
            if found is None:
                continue
            numbers = [*_numbers(found.training), *_numbers(found.net)]
            claim = check.claim if title == "autolrs" else ""
            writer.writerow((check.recipe, title, claim, *numbers, found.arm_misses, len(found.pairs)))
    return file.getvalue()


def _numbers(estimate: Estimate | None) -> tuple[float | str, float | str, float | str]:
    if estimate is None:
        return "", "", ""
    low, high = estimate.interval or ("", "")
    return estimate.median, low, high
