"""What `autolrs compare` does, and what a sweep ends in."""

from __future__ import annotations

from pathlib import Path

from autolrs_cli.errors import AutoLRSError
from autolrs_cli.exit_codes import ExitCode
from autolrs_cli.reports.compare.comparison import compare as compare_runs
from autolrs_cli.reports.render.terminal import render
from autolrs_cli.reports.render.write_report import write_report
from autolrs_cli.terminal.console import PatientConsole, say, show_error


def main(
    run_dirs: list[Path],
    *,
    out: Path | None = None,
    baseline: str | None = None,
    target: float | None = None,
    force: bool = False,
) -> int:
    """Print the comparison of `run_dirs`, write the report into `out`; return the exit code."""
    console, errors = PatientConsole(), PatientConsole(stderr=True)
    try:
        with errors.status("reading the journals ..."):
            comparison = compare_runs(run_dirs, target=target, baseline=baseline, force=force)
        console.print(render(comparison))
        if out is not None:
            with errors.status("drawing ..."):
                written = write_report(comparison, out)
            say(console, f"\nreport: {written}")
    except AutoLRSError as error:
        return show_error(errors, error)
    return ExitCode.DONE
