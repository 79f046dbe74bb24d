"""What `autolrs sweep` says in the end: what became of each run, and the comparison of those that are done."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from autolrs_cli.exit_codes import EndCause, ExitCode
from autolrs_cli.experiments.launchers.job import Job
from autolrs_cli.experiments.launchers.mailbox import SweepFiles, forget_finished
from autolrs_cli.experiments.run_status import GOES_ON, RunState, explain_exit, state_of
from autolrs_cli.experiments.sweep.progress import Progress, SweepProgress
from autolrs_cli.experiments.sweep.stale import said_of_stale
from autolrs_cli.terminal.console import say
from autolrs_cli.terminal.formats import duration

MOST_METRICS = 2  # the loss and the recipe's own, which come first
STYLES = {
    "done": "green",
    "failed": "red",
    "stale": "red",
    "interrupted": "yellow",
    "in use": "yellow",
    "to come": "yellow",
}


@dataclass(frozen=True)
class Ending:
    """How a sweep ended."""

    runs: list[tuple[Job, RunState]]
    files: SweepFiles | None
    """None: nothing had to be run."""
    signal: str | None
    """Who interrupted it."""
    left: bool = False
    """Whether its runs go on without the command."""


def outcomes(
    jobs: Sequence[Job], before: Sequence[RunState], progress: SweepProgress | None
) -> list[tuple[Job, RunState]]:
    """Return what has become of each run.

    Args:
        jobs: all of them.
        before: what had become of them before this command.
        progress: how their processes ended; None: none was started.
    """
    if progress is None:
        return list(zip(jobs, before, strict=True))
    return [
        (run.job, state if run.place is None and state.state == "stale" else _outcome(run))
        for run, state in zip(progress.runs, before, strict=True)
    ]


def _outcome(run: Progress) -> RunState:
    found = state_of(Path(run.job.root))
    if run.reason and found.state in ("to come", "interrupted"):
        return replace(found, reason=run.reason)
    if run.code in (None, 0, *GOES_ON) or found.state not in ("to come", "interrupted"):
        return found
    assert run.code is not None
    assert run.place is not None
    files, number = run.place
    reason = explain_exit(run.code, files.log(number))
    if run.code < 0 and found.state == "interrupted":  # killed: nothing is known to be wrong with the run
        return RunState("interrupted", reason, found.summary)
    return RunState("failed", reason, found.summary, goes_on=True)


def print_ending(ending: Ending, directory: Path, console: Console, *, compare: bool) -> int:
    """Print the table of runs, the comparison and what to type next; return the exit code."""
    console.print(_table(ending))
    names = [state.state for _, state in ending.runs]
    forget_finished(
        directory, {Path(job.root).resolve() for job, state in ending.runs if state.state == "done"}
    )
    if names.count("done") < len(names):
        say(console, _next(ending, names))
    if compare:
        _compare([job for job, state in ending.runs if state.has_result], directory, console)
    return _exit_code(ending, names)


def _exit_code(ending: Ending, names: Sequence[str]) -> ExitCode:
    if ending.signal is not None:
        return ExitCode.of_signal(signal.Signals[ending.signal])
    if {"failed", "in use", "stale"} & set(names):
        return ExitCode.FAILED
    if any(state.cause is EndCause.TIME_LIMIT for _, state in ending.runs):
        return ExitCode.TIME_LIMIT
    return ExitCode.DONE if set(names) == {"done"} else ExitCode.FAILED


def _table(ending: Ending) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("run", overflow="fold")
    table.add_column("became")
    for name in ("steps", "in all", "seconds"):
        table.add_column(name, justify="right")
    table.add_column("result, or why", overflow="fold")
    for job, state in ending.runs:
        summary = state.summary or {}
        seconds = sum(each["seconds"] for each in summary["ledger"].values()) if summary else None
        table.add_row(
            Text(job.label),
            Text(state.state, style=STYLES[state.state]),
            f"{summary['step']:,}" if summary else "-",
            f"{summary['total_steps']:,}" if summary else "-",
            duration(seconds),
            Text(_result(state)),
        )
    return table


def _result(state: RunState) -> str:
    metrics = (state.summary or {}).get("metrics") or {}
    if state.state != "done":
        return state.reason.splitlines()[0] if state.reason else ""
    shown = [f"{name} {value:.4g}" for name, value in metrics.items() if value is not None]
    return ", ".join(shown[:MOST_METRICS])


def _next(ending: Ending, names: Sequence[str]) -> str:
    """Say what the person can do about runs that are not done."""
    lines = []
    failed = [(job, state) for job, state in ending.runs if state.state == "failed"]
    ended = [(job, state) for job, state in failed if not state.goes_on]
    if set(names) & {"interrupted", "to come", "in use"} or len(ended) < len(failed):
        but = " and have not ended by themselves" if ended else ""
        lines.append(f"The same command goes on with the runs that are not done{but}.")
    if ended:
        lines.append("The same command with --rerun-failed begins the failed runs again.")
        lines += [f"  {job.label or 'run'}: {job.root}" for job, _ in ended]
    stale = said_of_stale(ending.runs)
    if stale is not None:
        lines.append(stale)
    if ending.files is not None and "failed" in names:
        lines.append(f"What they printed: {ending.files.folder / 'logs'}")
    return "\n".join(lines)


def _compare(done: Sequence[Job], directory: Path, console: Console) -> None:
    """Compare the runs that are done, each recipe and scale by itself, where there is more than one arm."""
    groups: dict[str, list[Job]] = {}
    for job in done:
        groups.setdefault(job.group, []).append(job)
    for name, jobs in groups.items():
        if len({job.kind for job in jobs}) < 2:
            continue
        from autolrs_cli.experiments.compare import main as compare

        out = directory / "comparison"
        console.print(f"\n[bold]Comparison of {name}[/]" if len(groups) > 1 else "")
        own = out / name.replace(" ", "-") if len(groups) > 1 else out
        if compare([Path(job.root) for job in jobs], out=own):
            say(
                console,
                "The runs are done, but not compared. With one of these arms, or its number, as NAME: autolrs compare "
                f"{shlex.quote(str(directory))} --baseline 'NAME' --out {shlex.quote(str(own))}",
            )
