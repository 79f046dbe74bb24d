"""The console that commands print to, and how errors look on it."""

from __future__ import annotations

import os

from rich.console import Console

from autolrs_cli.errors import AutoLRSError, ConfigError
from autolrs_cli.exit_codes import ExitCode


class PatientConsole(Console):
    """A console whose reader may leave early (`autolrs train ... | head -1`): the run goes on, in silence."""

    def on_broken_pipe(self) -> None:
        """Send what is still to come nowhere; rich would end the process."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.file.fileno())
        os.close(nowhere)


def say(console: Console, text: str, style: str | None = None) -> None:
    """Print a text as it stands: no markup in it is read, nothing is coloured, no line is broken."""
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def show_problem(console: Console, problem: str) -> None:
    """Print what a person has to mend."""
    say(console, f"error: {problem}", "red")


def show_error(console: Console, error: AutoLRSError) -> ExitCode:
    """Print an error for a person (its problems, one a line, and no traceback); return the exit code that it makes."""
    problems = error.problems if isinstance(error, ConfigError) else (str(error),)
    if len(problems) > 1:
        say(console, f"{len(problems)} problems, nothing was started:", "bold red")
    for problem in problems:
        show_problem(console, problem)
    return error.exit_code
