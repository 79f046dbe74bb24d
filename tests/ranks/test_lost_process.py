"""What a process waits for, or does alone, ends when another one is gone, in the middle of it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from processes import environment

from autolrs_cli.errors import LostProcessError
from autolrs_cli.exit_codes import EndCause
from autolrs_cli.training.board import Board
from autolrs_cli.training.process_group import ProcessWorld


def decoding() -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        time.sleep(0.01)
    raise AssertionError("it was not ended")


@pytest.fixture
def world() -> Iterator[tuple[ProcessWorld, list[str]]]:
    """One process that is told of another's death by what is put into the list."""
    died: list[str] = []
    board = Board.at("127.0.0.1", 0, holds=True)
    alone = ProcessWorld(board, 0, 1, torch.device("cpu"), 30, lambda: died[0] if died else None)
    yield alone, died
    alone.leave(EndCause.DONE, None)
    alone.close()


def test_work_of_one_ends_when_another_is_gone(world: tuple[ProcessWorld, list[str]]) -> None:
    alone, died = world
    assert alone.on_first(lambda: "as it is") == "as it is"
    died.append("process 1 of 2 was killed by SIGKILL")
    with pytest.raises(LostProcessError, match="process 1 of 2 was killed by SIGKILL") as lost:
        alone.on_first(decoding)
    assert lost.value.found is EndCause.PROCESS_LOST


class _Unanswered:
    """An operation of torch's whose other side has ended without gloo noticing."""

    def wait(self, limit: timedelta) -> None:
        raise RuntimeError(f"Operation timed out after {limit}!")

    def is_completed(self) -> bool:
        return False


def test_an_operation_that_nobody_will_answer_is_given_up(world: tuple[ProcessWorld, list[str]]) -> None:
    alone, died = world
    died.append("process 1 of 2 was killed by SIGKILL")
    with (
        pytest.raises(LostProcessError, match="process 1 of 2 was killed by SIGKILL"),
        alone._talking(),
    ):
        alone._end(_Unanswered())


@pytest.mark.cluster
def test_a_death_at_any_moment_is_noticed() -> None:
    """Gloo alone overlooked about one of eight."""
    script = [sys.executable, str(Path(__file__).with_name("talking.py")), "30"]
    done = subprocess.run(script, env=environment(), capture_output=True, text=True, timeout=300, check=True)
    assert len(done.stdout.split()) == 30
