"""How an experiment of many runs ends when somebody stops it."""

from __future__ import annotations


class ExperimentStopped(Exception):  # noqa: N818 - a request that was obeyed, not an error
    """It was asked to stop; what is finished is kept, and the same command goes on.

    Args:
        exit_code: of the command.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__(f"stopped with exit code {exit_code}")
        self.exit_code = exit_code
