"""The claims as tables: for a terminal, as Markdown, as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import fmean
from typing import Literal

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from autolrs_cli.reports import claims
from autolrs_cli.reports.claims import CLAIM_OVER_TUNED, CLAIMED_OVER_TUNED, ClaimCheck, Judged
from autolrs_cli.reports.compare.limit import PracticalLimit
from autolrs_cli.reports.compare.outcomes import Cost, median_cost
from autolrs_cli.reports.compare.speedups import Estimate, Speedup
from autolrs_cli.reports.render.format import BOUNDS, FIGURES, multiples

COLUMNS = (
    *("what", "read out", "the paper claims", "training steps", "faster on", "all steps"),
    *(
        "all-in, 1 run",
        "all-in, shared",
        "misses",
        "seeds",
        "times the limit",
        "verdict",
    ),
)
DIRECTION = (
    "Every figure is a ratio of steps to the same target, named in its row or its heading: above 1, the schedule "
    "under the stroke needs fewer. It is the median over paired seeds. Training steps leave the search out, as the "
    "paper does; all steps count it; all-in adds what tuning took to find an arm's settings, all of it for one run, "
    "or shared among the seeds of the row. Read out: whose loss decides over and under the stroke, that of the raw "
    f"weights or of their mean; where they differ, averaging has a part in the figure. {FIGURES} None is widened for "
    "the number of rows. No figure is named where more than half of the runs miss the target. Misses: over and "
    "under the stroke. Times the limit: median steps, and all steps, over the practical limit, below. A figure is "
    "about this scale, its data and its target only."
)
VERDICT = COLUMNS.index("verdict")
NUMERIC = COLUMNS[2:-1]
# A terminal has no room for these: verdicts stand below, the others in table.md.
ELSEWHERE = ("faster on", "all-in, shared", "seeds", "times the limit", "verdict")
WIDTHS = {"what": 18, "read out": 8, "misses": 6}


@dataclass(frozen=True)
class TableSection:
    """Rows under one heading, each a comparison or a mean of some."""

    title: str
    rows: tuple[tuple[str, ...], ...]
    """Cells in the order of COLUMNS."""


def sections(checks: Sequence[ClaimCheck]) -> list[TableSection]:
    """Return the tables: the claims, AutoLRS against tuned schedules, every arm of each recipe, and its duels."""
    found = [TableSection("the paper's claims and ours: original / AutoLRS", tuple(_claims(checks)))]
    over_tuned = {
        f"{check.recipe}: {title} / AutoLRS": (check, title, each)
        for check in checks
        for title, each in check.over_tuned.items()
    }
    if over_tuned:
        rows = [_row(name, check, each, against=title) for name, (check, title, each) in over_tuned.items()]
        if {check.recipe for check in checks if check.over_tuned} >= CLAIMED_OVER_TUNED:
            rows.append(
                _mean_row({name: each for name, (_, _, each) in over_tuned.items()}, CLAIM_OVER_TUNED)
            )
        found.append(TableSection("AutoLRS against tuned schedules", tuple(rows)))
    for check in checks:
        rows = [_row(title, check, each, limit=check.limit) for title, each in check.rivals.items()]
        if rows:
            found.append(TableSection(f"{check.recipe}: original / arm, target {check.target}", tuple(rows)))
        found += [
            TableSection(
                f"{check.recipe}: each / {ours}, on their common seeds",
                tuple(_row(title, check, each, against=title) for title, each in duels.items()),
            )
            for ours, duels in check.duels.items()
        ]
    return found


def _claims(checks: Sequence[ClaimCheck]) -> Iterator[tuple[str, ...]]:
    for check in checks:
        yield _row(
            check.recipe, check, check.found, claim=check.claim, judged=check.verdict, limit=check.limit
        )
    known = [check.claim for check in checks if check.claim is not None]
    seeds = {len(check.found.pairs) for check in checks if check.found is not None}
    if len(checks) > 1 and len(known) == len(checks) and len(seeds) == 1:
        yield _mean_row({check.recipe: check.found for check in checks}, fmean(known))


def _row(
    name: str,
    check: ClaimCheck,
    found: Speedup | None,
    *,
    against: str | None = None,
    claim: float | None = None,
    judged: Judged = ("undecided", ""),
    limit: PracticalLimit | None = None,
) -> tuple[str, ...]:
    verdict, why = judged
    said = f"{verdict}: {why}" if why else ""
    claimed = "" if claim is None else f"{claim:.2f}x"
    if found is None:
        return (name, "", claimed, *["-"] * 6, "", "", said)
    weights = [check.read_out.get(each, "") for each in (against or found.baseline, found.arm)]
    faster = "-" if found.training is None else f"{_wins(found.training)} of {found.training.pairs}"
    misses = f"{found.baseline_misses}, {found.arm_misses}"
    steps = named(found, found.training), faster, named(found, found.net)
    counts = misses, str(len(found.pairs)), _times(found, limit)
    read_out = weights[0] if weights[0] == weights[1] else f"{weights[0]} / {weights[1]}"
    return (
        name,
        read_out,
        claimed,
        *steps,
        *(_tuned(found, each) for each in all_in(found)),
        *counts,
        said,
    )


def all_in(found: Speedup) -> tuple[Estimate | None, Estimate | None]:
    """Return the two speedups that count tuning."""
    return found.all_in, found.all_in_shared


def _tuned(found: Speedup, estimate: Estimate | None) -> str:
    if found.mostly_misses or found.training is None:
        return named(found, found.training)
    return "unknown" if estimate is None else ratio(estimate)


def _mean_row(speedups: Mapping[str, Speedup | None], claim: float) -> tuple[str, ...]:
    mean = claims.mean_speedup(list(speedups.values()))
    verdict, why = claims.judge_mean(speedups, claim)
    cells = ("none", "none") if mean is None else (ratio(mean.training), ratio(mean.net))
    return ("mean", "", f"{claim:.2f}x", cells[0], "", cells[1], *[""] * 5, f"{verdict}: {why}")


def _times(found: Speedup, limit: PracticalLimit | None) -> str:
    """Say an arm's median steps, and all steps, to the target as multiples of the practical limit, if there is one."""
    return "" if limit is None else multiples(limit, [pair.arm for pair in found.pairs])


def times_limit(found: Speedup, limit: PracticalLimit | None, kind: Cost) -> float | None:
    """Return an arm's median steps to the target over the practical limit; None where half of its runs miss."""
    steps = median_cost([pair.arm for pair in found.pairs], kind)
    return None if limit is None or steps is None else limit.multiple(steps)


def _wins(estimate: Estimate) -> str:
    return f"{estimate.wins + estimate.ties / 2:g}"


def named(found: Speedup, estimate: Estimate | None) -> str:
    """Say a speedup, or that there is none because more than half of the arm's runs miss (method rule 4)."""
    return "none" if found.mostly_misses else ratio(estimate)


def ratio(estimate: Estimate | None) -> str:
    """Say an estimate with its interval, if it has one."""
    if estimate is None:
        return "-"
    median = f"{BOUNDS[estimate.bound]}{estimate.median:.2f}x"
    if estimate.interval is None:
        return median
    low, high = (f"{end:.2f}" if math.isfinite(end) else "inf" for end in estimate.interval)
    return f"{median} [{low}, {high}]"


def render(checks: Sequence[ClaimCheck]) -> RenderableType:
    """Return the tables for a terminal."""
    parts: list[RenderableType] = []
    for section in sections(checks):
        # In a column of their own, verdicts would leave the figures no room.
        said = [f"{row[0]}: {row[VERDICT]}" for row in section.rows if row[VERDICT]]
        parts += [_table(section), *(Text(line, style="bold") for line in said), Text("")]
    return Group(*parts, Text(DIRECTION))


def _table(section: TableSection) -> Table:
    table = Table(title=section.title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    used = [place for place in _used(section) if COLUMNS[place] not in ELSEWHERE]
    for place in used:
        name = COLUMNS[place]
        justify: Literal["left", "right"] = "right" if name in NUMERIC else "left"
        table.add_column(name, justify=justify, overflow="fold", max_width=WIDTHS.get(name, 12))
    for row in section.rows:
        table.add_row(*(row[place] for place in used))
    return table


def _used(section: TableSection) -> list[int]:
    """Return the columns in which some row has something."""
    return [place for place in range(len(COLUMNS)) if any(row[place] for row in section.rows)]


def as_markdown(checks: Sequence[ClaimCheck], command: str) -> str:
    """Return the tables as Markdown, with the command that made them and what they were made of."""
    parts = [f"Made by `{command}`."]
    for number, section in enumerate(sections(checks)):
        parts += [f"## {section.title}", _markdown(section)]
        if number == 0:
            parts.append(DIRECTION)
    for check in checks:
        if check.provenance:
            parts += [f"## {check.recipe}: where it comes from"]
            parts.append("\n".join(f"- {line}" for line in check.provenance))
    return "\n\n".join(parts) + "\n"


def _markdown(section: TableSection) -> str:
    used = _used(section)
    lines = [tuple(COLUMNS), ("---",) * len(COLUMNS), *section.rows]
    return "\n".join(f"| {' | '.join(line[place] for place in used)} |" for line in lines)


CSV_COLUMNS = (
    *("recipe", "arm", "baseline", "arm_in_report", "claim"),
    *("training_steps", "training_low", "training_high", "training_bound", "faster"),
    *("all_steps", "all_steps_low", "all_steps_high", "all_steps_bound"),
    *("all_in", "all_in_low", "all_in_high", "all_in_bound"),
    *("all_in_shared", "all_in_shared_low", "all_in_shared_high", "all_in_shared_bound"),
    *("misses", "seeds", "times_limit", "times_limit_all_steps", "verdict"),
)


def as_csv(checks: Sequence[ClaimCheck]) -> str:
    """Return every comparison as CSV, numbers at full precision; blank where there is no speedup."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(CSV_COLUMNS)
    for check in checks:
        if check.found is not None:
            verdict = ": ".join(check.verdict)
            named_as = (check.recipe, "autolrs", "original", check.claim)
            writer.writerow(_csv_row(*named_as, check.found, verdict, check.limit))
        for title, found in check.rivals.items():
            writer.writerow(_csv_row(check.recipe, title, "original", None, found, "", check.limit))
        for ours, duels in (("autolrs", check.over_tuned), *check.duels.items()):
            for title, found in duels.items():
                writer.writerow(_csv_row(check.recipe, ours, title, None, found, ""))
    return file.getvalue()


def _csv_row(
    recipe: str,
    arm: str,
    baseline: str,
    claim: float | None,
    found: Speedup,
    verdict: str,
    limit: PracticalLimit | None = None,
) -> tuple[object, ...]:
    training, *others = (_numbers(found, each) for each in (found.training, found.net, *all_in(found)))
    faster = "" if found.training is None else found.training.probability_faster
    times = [times_limit(found, limit, kind) for kind in ("step", "total_steps")]
    counts = found.arm_misses, len(found.pairs), *("" if each is None else each for each in times)
    claimed = "" if claim is None else claim
    figures = (*training, faster, *chain.from_iterable(others))
    return (recipe, arm, baseline, found.arm, claimed, *figures, *counts, verdict)


def _numbers(found: Speedup, estimate: Estimate | None) -> tuple[float | str, ...]:
    """Return median, interval and bound."""
    if estimate is None or found.mostly_misses:
        return "", "", "", ""
    low, high = estimate.interval or ("", "")
    return estimate.median, low, high, estimate.bound
