"""A command that torchrun or srun may have started several times: rank 0 does it, the others help."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from autolrs_cli.errors import AutoLRSError
from autolrs_cli.exit_codes import ExitCode
from autolrs_cli.ranks.place import place_given
from autolrs_cli.terminal.console import PatientConsole, show_error

if TYPE_CHECKING:
    from autolrs_cli.ranks.meeting import Meeting


def among_others(command: Callable[[Meeting | None], int]) -> int:
    """Do `command` on rank 0, or where there is one process; else take part in it. Return the exit code."""
    try:
        place = place_given()
        if place is None:
            return command(None)
        # A peer that is gone is named in a sentence of ours; torch would print its stack besides.
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
        # Before anything that takes long: who started this process may be gone before they have met.
        from autolrs_cli.ranks.others import hold_on_to_lifeline

        hold_on_to_lifeline()
        from autolrs_cli.ranks.meeting import meet

        meeting = meet(place)
    except AutoLRSError as error:
        return show_error(PatientConsole(stderr=True), error)
    if place.rank:
        from autolrs_cli.ranks.attend import attend

        return attend(meeting)
    code = int(ExitCode.FAILED)
    try:
        code = command(meeting)
    finally:
        meeting.end(code)
    return code
