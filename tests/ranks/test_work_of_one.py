"""Work that rank 0 does alone ends when another process is gone, in the middle of it."""

from __future__ import annotations

import time

import pytest
import torch

from autolrs_cli.errors import LostProcessError
from autolrs_cli.exit_codes import EndCause
from autolrs_cli.training.board import Board
from autolrs_cli.training.process_group import ProcessWorld


def decoding() -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        time.sleep(0.01)
    raise AssertionError("it was not ended")


def test_it_ends_when_another_process_is_gone() -> None:
    died: list[str] = []
    board = Board.at("127.0.0.1", 0, holds=True)
    world = ProcessWorld(board, 0, 1, torch.device("cpu"), 30, lambda: died[0] if died else None)
    try:
        assert world.on_first(lambda: "as it is") == "as it is"
        died.append("process 1 of 2 was killed by SIGKILL")
        with pytest.raises(LostProcessError, match="process 1 of 2 was killed by SIGKILL") as lost:
            world.on_first(decoding)
        assert lost.value.found is EndCause.PROCESS_LOST
    finally:
        world.leave(EndCause.DONE, None)
        world.close()
