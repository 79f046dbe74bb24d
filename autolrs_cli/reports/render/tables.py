"""The comparison as rows: table.csv for programs (full precision), table.md for documents."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import orjson

from autolrs_cli.reports.compare.comparison import Comparison
from autolrs_cli.reports.compare.outcomes import Cost, median_cost
from autolrs_cli.reports.compare.provenance import provenance
from autolrs_cli.reports.compare.speedups import Estimate, Pair, Speedup
from autolrs_cli.reports.render import format as words
from autolrs_cli.terminal import formats

Row = dict[str, object]
ESTIMATES: dict[str, Cost] = {
    "training": "step",
    "net": "total_steps",
    "seconds": "seconds",
    "all_in": "all_in",
    "all_in_shared": "all_in_shared",
}


def rows(comparison: Comparison) -> list[Row]:
    """Return one row for each arm's summary (`seed` is empty) and one for each of its seeds."""
    found = []
    for arm in comparison.arms:
        speedup = next((s for s in comparison.speedups if s.arm == arm.name), None)
        found.append(_summary(comparison, arm.name, speedup))
        found += _seeds(comparison, arm.name, speedup)
    return found


def _summary(comparison: Comparison, arm: str, speedup: Speedup | None) -> Row:
    own, tuning = comparison.outcomes[arm], comparison.tuning[arm]
    row: Row = {
        "arm": arm,
        "baseline": comparison.baseline.name,
        "seed": "",
        "metric": comparison.goal.metric,
        "target": comparison.goal.value,
        "reached": sum(outcome.reached for outcome in own.values()),
        "runs": len(own),
        "step": "",
        "total_steps": "",
        "seconds": "",
        "length": "",
        "final": words.median(comparison.finals[arm]),
        "tuning": tuning.words,
        "tuning_steps": "" if tuning.steps is None else tuning.steps,
        "tuning_seconds": "" if tuning.seconds is None else tuning.seconds,
    }
    for name in ESTIMATES:
        estimate: Estimate | None = getattr(speedup, name) if speedup else None
        if estimate is not None and speedup is not None and not speedup.mostly_misses:
            low, high = estimate.interval or ("", "")
            row |= {f"{name}_speedup": estimate.median, f"{name}_low": low, f"{name}_high": high}
            row[f"{name}_probability_faster"] = estimate.probability_faster
            row[f"{name}_bound"] = estimate.bound
    return row | {"verdict": words.verdict(speedup) if speedup else "baseline", "run": ""}


def _seeds(comparison: Comparison, arm: str, speedup: Speedup | None) -> list[Row]:
    pairs = {pair.seed: pair for pair in speedup.pairs} if speedup else {}
    found = []
    for seed, outcome in sorted(comparison.outcomes[arm].items()):
        row: Row = {
            "arm": arm,
            "baseline": comparison.baseline.name,
            "seed": seed,
            "metric": comparison.goal.metric,
            "target": comparison.goal.value,
            "reached": int(outcome.reached),
            "runs": 1,
            "step": outcome.step,
            "total_steps": outcome.total_steps,
            "seconds": outcome.seconds,
            "length": outcome.length,
        }
        pair = pairs.get(seed)
        if pair is not None:
            for name, cost in ESTIMATES.items():
                if getattr(speedup, name) is not None:
                    row[f"{name}_speedup"] = pair.ratio(cost)
            row["verdict"] = "both miss" if pair.both_miss else _who_missed(pair)
        found.append(row | {"run": str(outcome.path)})
    return found


def _who_missed(pair: Pair) -> str:
    if not pair.arm.reached:
        return "arm misses"
    return "" if pair.baseline.reached else "baseline misses"


def as_json(comparison: Comparison) -> bytes:
    """Return the rows of `as_csv` as JSON; what is not known, and an end without a bound, is null."""
    found = [{key: None if value == "" else value for key, value in row.items()} for row in rows(comparison)]
    return orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def as_csv(comparison: Comparison) -> str:
    """Return all rows at full precision; `step`, `total_steps` and `seconds` of a miss are its full length."""
    every = rows(comparison)
    columns = list(
        dict.fromkeys(key for row in (*every[:1], *sorted(every, key=len, reverse=True)) for key in row)
    )
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(every)
    return text.getvalue()


def arm_table(comparison: Comparison) -> list[list[str]]:
    """Return the header and one line for each arm, in words and figures for a person."""
    goal = comparison.goal
    table = [
        [
            "arm",
            "seeds",
            "lengths",
            "read out",
            "reached",
            "median steps to target",
            "median of all steps",
            *(["times the practical limit: steps, all steps"] if comparison.limit else []),
            "steps of its tuning",
            f"median final {goal.metric}",
        ]
    ]
    for arm in comparison.arms:
        own = list(comparison.outcomes[arm.name].values())
        steps, every = median_cost(own, "step"), median_cost(own, "total_steps")
        table.append(
            [
                arm.name,
                words.seeds(comparison.outcomes[arm.name]),
                ", ".join(map(str, arm.lengths)),
                comparison.weights[arm.name],
                f"{sum(outcome.reached for outcome in own)} of {len(own)}",
                words.steps(steps),
                words.steps(every),
                *([words.multiples(comparison.limit, own)] if comparison.limit else []),
                words.tuning(comparison.tuning[arm.name]),
                formats.number(words.median(comparison.finals[arm.name])),
            ]
        )
    return table


def speedup_table(comparison: Comparison) -> list[list[str]]:
    """Return the header and one line for each arm but the baseline."""
    table = [
        [
            "arm",
            "training-step speedup",
            "probability of being faster",
            "net speedup",
            "probability of being faster",
            "all-in speedup (its tuning for one run)",
            "all-in speedup (its tuning shared among the seeds)",
            "net speedup in seconds",
            "misses",
            "verdict",
        ]
    ]
    return table + [
        [
            found.arm,
            words.median_and_interval(found, found.training),
            words.probability(found.training),
            words.median_and_interval(found, found.net),
            words.probability(found.net),
            words.all_in(found, found.all_in),
            words.all_in(found, found.all_in_shared, words.sharing(found)),
            words.median_and_interval(found, found.seconds),
            words.misses(found),
            words.verdict(found),
        ]
        for found in comparison.speedups
    ]


def seed_table(comparison: Comparison) -> list[list[str]]:
    """Return the header and one line for each common seed: training-step | net speedup of every arm."""
    pairs = {(found.arm, pair.seed): pair for found in comparison.speedups for pair in found.pairs}
    names = [found.arm for found in comparison.speedups]
    lines = [
        [str(seed), *(_both(pairs.get((name, seed))) for name in names)]
        for seed in sorted({seed for _, seed in pairs})
    ]
    return [["seed", *names], *lines]


def _both(pair: Pair | None) -> str:
    if pair is None or pair.both_miss:
        return "-" if pair is None else words.seed_ratio(pair, "step")
    return f"{words.seed_ratio(pair, 'step')} | {words.seed_ratio(pair, 'total_steps')}"


def as_markdown(comparison: Comparison, head: str) -> str:
    """Return the tables for a document, with everything that weakens them."""
    parts = (
        [f"**{words.FORCED}**", *(f"- {line}" for line in comparison.refused)] if comparison.refused else []
    )
    parts += [head, words.direction(comparison)]
    parts += [_markdown(table(comparison)) for table in (speedup_table, arm_table, seed_table)]
    parts += [
        "\n".join(f"- {line}" for line in lines) for lines in (comparison.warnings, provenance(comparison))
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _markdown(table: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in table]
    return "\n".join([lines[0], "|" + " --- |" * len(table[0]), *lines[1:]])
