"""The console that commands print to."""

from __future__ import annotations

import os

from rich.console import Console


class PatientConsole(Console):
    """A console whose reader may leave early (`autolrs train ... | head -1`): the run goes on, in silence."""

    def on_broken_pipe(self) -> None:
        """Send what is still to come nowhere; rich would end the process."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.file.fileno())
        os.close(nowhere)
