"""The work of `autolrs doctor`: every check, shown as it is made."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

import orjson
from rich.console import Console
from rich.text import Text

from autolrs_cli.commands.diagnose import machine, setup, shared
from autolrs_cli.commands.diagnose.finding import Check, Finding, guarded
from autolrs_cli.exit_codes import ExitCode
from autolrs_cli.terminal.console import PatientConsole, say
from autolrs_cli.wording import counted

CHECKS: dict[str, Check] = {
    "python": machine.python,
    "torch": machine.torch,
    "cores": machine.processors,
    "memory": machine.memory,
    "disk": machine.disk,
    "data": setup.bundled_data,
    "extras": setup.extras,
    "terminal": setup.terminal,
    "network": setup.environment,
    "completion": setup.completion,
}
STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}
INDENT = 27


def main(*, as_json: bool, directory: Path | None = None) -> int:
    """Print what is found; return the exit code: 1 if there is a problem, else 0.

    Args:
        as_json: for scripts.
        directory: on a disk that several machines share: only this is checked; None: this machine.
    """
    if directory is not None and shared.is_other_process():
        shared.be_the_other(directory)
        return ExitCode.DONE
    console = PatientConsole()
    found: list[Finding] = []
    checks = CHECKS if directory is None else {"shared": lambda: shared.shared(directory)}
    for finding in _findings(checks):
        found.append(finding)
        if not as_json:
            _show(console, finding)
    counts = {status: sum(each.status == status for each in found) for status in STYLES}
    if as_json:
        values = {"counts": counts, "findings": [dataclasses.asdict(each) for each in found]}
        text = orjson.dumps(values, option=orjson.OPT_INDENT_2).decode()
        say(console, text)
    else:
        say(console, _verdict(counts))
    return ExitCode.FAILED if counts["problem"] else ExitCode.DONE


def _findings(checks: Mapping[str, Check]) -> Iterator[Finding]:
    for area, check in checks.items():
        yield from guarded(area, check)


def _show(console: Console, finding: Finding) -> None:
    line = Text.assemble(
        (f"{finding.status:<9}", STYLES[finding.status]), f"{finding.area:<18}", finding.said
    )
    console.print(line, highlight=False, soft_wrap=True)
    if finding.remedy:
        console.print(Text(f"{'':{INDENT}}{finding.remedy}", style="dim"), highlight=False, soft_wrap=True)


def _verdict(counts: dict[str, int]) -> str:
    if counts["problem"]:
        return f"\n{counted(counts['problem'], 'problem')}: mend the lines marked so."
    return "\nReady: autolrs train recipe=resnet50" + (
        f"   ({counted(counts['warning'], 'warning')})" if counts["warning"] else ""
    )
