"""What processes find out about one another before a run begins: threads stand for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import psutil
import pytest
import torch
from harness import planned

from autolrs_cli.errors import ConfigError
from autolrs_cli.exit_codes import EndCause, ExitCode
from autolrs_cli.ranks import attend as attending
from autolrs_cli.ranks import meeting as meetings
from autolrs_cli.ranks.meeting import Meeting, Together, placed, processes_started
from autolrs_cli.ranks.others import Others
from autolrs_cli.ranks.place import Place
from autolrs_cli.runner.plan import Plan
from autolrs_cli.training.board import Board


@pytest.fixture(scope="module")
def plan() -> Plan:
    return planned("recipe=toy", "runtime.processes=2")


@contextmanager
def second_process(board: Board) -> Iterator[Callable[[], int]]:
    """Attend as process 1; yield what waits for its exit code."""
    meeting = Meeting(Place(1, 2), Board.at("127.0.0.1", board.port, holds=False))
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(attending.attend, meeting)
        yield lambda: ended.result(60)


def refused(plan: Plan) -> tuple[str, int]:
    """Return what rank 0 is told, and process 1's exit code."""
    board = Board.here()
    meeting = Meeting(Place(0, 2), board)
    with second_process(board) as exit_code:
        with pytest.raises(ConfigError) as problem, Together(plan, meeting).training():
            raise AssertionError("it began")
        meeting.end(ExitCode.USAGE)
        return str(problem.value), exit_code()


@pytest.mark.parametrize("what", ["code", "data (by fingerprint)", "versions"])
def test_a_process_that_sees_something_else_is_named(plan: Plan, what: str) -> None:
    own = meetings.account_of

    def account(of: Plan) -> dict[str, Any]:
        found = own(of)
        return {**found, "same": {**found["same"], what: "another"}, "host": "elsewhere"}

    with mock.patch.object(attending, "account_of", account):
        said, code = refused(plan)
    assert said.startswith(
        f"All processes of a run must have the same {what}, but process 1 (on elsewhere) has another"
    )
    assert code == ExitCode.USAGE


def test_what_goes_wrong_in_one_process_beforehand_is_said_and_not_waited_for(plan: Plan) -> None:
    board = Board.here()
    meeting = Meeting(Place(0, 2), board)
    unreadable = PermissionError("its disk is not mounted")
    with (
        mock.patch.object(attending, "prepare_data", side_effect=unreadable),
        second_process(board) as exit_code,
    ):
        with (
            pytest.raises(ConfigError, match="Process 1 of 2: PermissionError: its disk is not mounted"),
            Together(plan, meeting).training(),
        ):
            raise AssertionError("it began")
        with pytest.raises(PermissionError):
            exit_code()


def test_a_second_ctrl_c_is_told_to_those_who_wait(plan: Plan) -> None:
    world = mock.Mock()
    with (
        mock.patch.object(meetings, "world_of", return_value=world),
        mock.patch.object(Together, "_answer", return_value=meetings.account_of(plan)),
        pytest.raises(KeyboardInterrupt),
        Together(plan, Meeting(Place(0, 2), Board.here())).training(),
    ):
        raise KeyboardInterrupt
    assert world.mock_calls == [mock.call.leave(EndCause.SIGINT, "SIGINT"), mock.call.close()]


def test_each_process_needs_a_gpu_of_its_own(plan: Plan) -> None:
    on_gpus = replace(plan, device=torch.device("cuda"))
    with (
        mock.patch("torch.cuda.device_count", return_value=1),
        mock.patch.object(meetings, "started") as started,
    ):
        with pytest.raises(ConfigError, match="got 2 processes and 1 GPUs"), processes_started(on_gpus):
            pass
        started.assert_not_called()
    with mock.patch("torch.cuda.device_count", return_value=2):
        with pytest.raises(ConfigError, match="got 3 processes and 2 GPUs"):
            placed(on_gpus, Place(2, 3, 2, 3))
        with mock.patch("torch.cuda.set_device"):
            assert placed(on_gpus, Place(1, 2, 1, 2)).device == torch.device("cuda", 1)


def test_two_processes_that_are_shown_one_gpu_are_refused(plan: Plan) -> None:
    """Where a batch system shows each process one GPU, only comparing tells whether it is the same one."""
    own = meetings.account_of
    with (
        mock.patch.object(attending, "account_of", lambda of: {**own(of), "gpu": "GPU-7"}),
        mock.patch.object(meetings, "account_of", lambda of: {**own(of), "gpu": "GPU-7"}),
    ):
        said, code = refused(plan)
    assert "got 2 processes and 1 GPUs" in said
    assert code == ExitCode.USAGE


def test_a_board_for_this_machine_is_open_to_no_other() -> None:
    board = Board.here()
    places = [c.laddr for c in psutil.Process().net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    assert [place.ip for place in places if place.port == board.port] == ["127.0.0.1"]


def test_others_are_not_told_that_torchrun_started_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a notebook that torchrun started as its one process: its restarts are not theirs."""
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    begun: list[dict[str, str]] = []

    def start(*_: Any, env: dict[str, str], **__: Any) -> SimpleNamespace:
        begun.append(env)
        return SimpleNamespace()

    monkeypatch.setattr("autolrs_cli.ranks.others.subprocess.Popen", start)
    Others(2, 1234, tmp_path)
    from autolrs_cli.ranks.place import place_given

    (env,) = begun
    assert place_given(env) == Place(1, 2, 1, 2, "127.0.0.1", 1234)
