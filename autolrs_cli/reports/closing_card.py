"""The closing card: what the run found, what it cost, where it lies, and what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from autolrs_cli.reports.flags import MEANINGS
from autolrs_cli.terminal import formats

Summary = Mapping[str, Any]


FILES = (
    ("config.yaml", "every setting"),
    ("journal.jsonl", "every event"),
    ("schedule.csv", "the LR of every step"),
    ("model.safetensors", "weights"),
    ("preprocessing", "classes, normalisation, tokenizer: what the model's input must go through"),
    ("model_averaged.safetensors", "averaged weights"),
    ("model_best.safetensors", "weights at the best evaluation"),
    ("summary.json", "this card for scripts"),
)


def closing_card(summary: Summary, directory: Path, next_command: str | None = None) -> RenderableType:
    """Return the card for a run's summary.

    Args:
        summary: contents of summary.json.
        directory: the run directory.
        next_command: what makes the other side of the comparison, after a run that is done.
    """
    parts: list[RenderableType] = [Text(_verdict(summary), style="bold")]
    if summary.get("raw_metrics"):
        parts.append(
            Text(
                f"with averaged weights ({summary['average']}); raw: {formats.metrics(summary['raw_metrics'])}"
            )
        )
    parts += [Text(f"{name}: {note}") for name, note in summary["notes"].items()]
    if summary["chosen"]:
        parts += [Text(""), _chosen(summary["chosen"])]
    parts += [Text(f"warning: {line}", style="yellow") for line in _doubts(summary)]
    parts += [Text(""), _ledger(summary["ledger"])]
    parts += [Text(line) for line in (_cost(summary),) if line]
    parts += [Text(""), _whole(f"run directory: {directory}")]
    parts += [_whole(f"  {name:<27} {what}") for name, what in FILES if (directory / name).exists()]
    commands = _next(summary["status"], shlex.quote(str(directory)), next_command)
    return Group(*parts, Text(""), Text("next", style="bold"), *(_whole(f"  {line}") for line in commands))


def _whole(line: str) -> Text:
    """Return a line that is copied as it stands: a terminal may fold it, but no line break gets into it."""
    return Text(line, no_wrap=True, overflow="ignore")


def _next(status: str, directory: str, other_side: str | None) -> list[str]:
    """Return what one would type now, each with what it is for."""
    if status == "interrupted":
        return [f"go on with it:           autolrs resume {directory}"]
    if status == "failed":
        return [f"look at it:              autolrs watch {directory}"]
    other = [f"the other side:          {other_side}"] if other_side else []
    return [
        *other,
        f"compare the two:         autolrs compare {directory} OTHER_RUN_DIR",
        f"figures:                 autolrs plot {directory}",
        f"the model elsewhere:     autolrs export {directory} FOLDER",
    ]


def _verdict(summary: Summary) -> str:
    processes = summary.get("processes", 1)
    shared = f" on {processes} processes" if processes > 1 else ""
    name = f"{summary['recipe']} under schedule={summary['schedule']}{shared}"
    steps = f"{summary['step']} kept steps, {summary['total_steps']} in all"
    if summary["status"] != "done":
        return f"{name}: {summary['status']} after {steps}. {summary['reason'] or ''}".rstrip()
    return f"{name}: done after {steps}. Held out: {formats.metrics(summary['metrics'])}{_target(summary['target'])}"


def _target(target: Mapping[str, Any] | None) -> str:
    if target is None:
        return ""
    goal = f"{target['metric']} {target['value']:g}"
    if not target["reached"]:
        return f"; target {goal} missed"
    return f"; target {goal} reached at step {target['step']} ({target['total_steps']} in all)"


def _chosen(rows: list[Mapping[str, Any]]) -> Table:
    table = Table(title="chosen LRs", title_justify="left", box=None, pad_edge=False)
    for name in ("stage", "steps", "LR"):
        table.add_column(name, justify="right")
    table.add_column("why" if any(row.get("account") for row in rows) else "flags")
    for row in rows:
        flags = ", ".join(flag.replace("_", " ") for flag in row["flags"])
        why = "; ".join(filter(None, (flags, row.get("account"))))
        table.add_row(str(row["stage"] + 1), str(row["steps"]), f"{row['lr']:.4e}", why)
    return table


def _doubts(summary: Summary) -> list[str]:
    rows = summary["chosen"]
    found = []
    for flag, meaning in MEANINGS.items():
        stages = ", ".join(str(row["stage"] + 1) for row in rows if flag in row["flags"])
        if stages:
            found.append(f"stage {stages}: {meaning.sentence}")
    return found


def _ledger(ledger: Mapping[str, Mapping[str, float]]) -> Table:
    total = sum(entry["seconds"] for entry in ledger.values()) or 1.0
    table = Table(title="ledger", title_justify="left", box=None, pad_edge=False)
    table.add_column("what")
    for name in ("steps", "seconds", "share"):
        table.add_column(name, justify="right")
    for bucket, entry in ledger.items():
        if entry["seconds"] or entry["steps"]:
            steps = f"{entry['steps']:.0f}" if entry["steps"] else ""
            seconds = entry["seconds"]
            table.add_row(bucket.replace("_", " "), steps, f"{seconds:.1f}", f"{seconds / total:.1%}")
    return table


def _cost(summary: Summary) -> str:
    kept, total = summary["step"], summary["total_steps"]
    if not kept or total == kept:
        return ""
    searched, repeated = (summary["ledger"][name]["steps"] for name in ("search_discarded", "repeated"))
    lost = f", and interruptions {repeated} repeated ones" if repeated else ""
    return (
        f"The search cost {searched} discarded steps{lost}: {total / kept:.2f} steps made for each step kept."
    )
