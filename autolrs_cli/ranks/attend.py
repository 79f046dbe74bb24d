"""What a process above rank 0 does from its start: it takes part in the runs that rank 0 composes."""

from __future__ import annotations

import sys
import time
from typing import Any

import orjson

from autolrs_cli.errors import AutoLRSError, ConfigError, LostProcessError
from autolrs_cli.exit_codes import EndCause, ExitCode
from autolrs_cli.ranks.meeting import PLAN, VERDICT, Meeting, account_of, placed, world_of
from autolrs_cli.runner.follow import follow
from autolrs_cli.runner.plan import Plan, check, with_threads
from autolrs_cli.runner.preparation import prepare_data
from autolrs_cli.training.board import Board, BoardGoneError

_POLL_SECONDS = 0.05


def attend(meeting: Meeting) -> int:
    """Take part in every run of rank 0's command; return the exit code.

    Hydra composes on rank 0 alone, so that nothing depends on what each process would make of the command line.
    """
    codes: list[int] = []
    try:
        while True:
            while not meeting.room().has(PLAN):
                if (code := meeting.ended()) is not None:
                    return max(codes, default=code)
                time.sleep(_POLL_SECONDS)
            codes.append(_take_part(meeting, meeting.next_room()))
    except LostProcessError as error:
        sys.stderr.write(f"process {meeting.place.rank}: {error}\n")
        return error.found.exit_code
    except ConfigError as error:
        sys.stderr.write(f"process {meeting.place.rank}: {error}\n")
        return ExitCode.USAGE
    except BoardGoneError:  # and rank 0 with it
        return max(codes, default=int(ExitCode.FAILED))


def _take_part(meeting: Meeting, room: Board) -> int:
    task: dict[str, Any] = orjson.loads(room.read(PLAN) or b"")
    config, rank = task["config"], meeting.place.rank
    if config["run"]["config_dir"] is not None and config["run"]["config_dir"] not in sys.path:
        sys.path.append(config["run"]["config_dir"])  # the person's own recipe, as on rank 0
    plan: Plan | None = None
    try:
        plan = placed(with_threads(check(config, begins=task["begins"]), task["threads"]), meeting.place)
        prepare_data(plan.recipe)
        account = account_of(plan)
    except ConfigError as error:
        account = {**task["account"], "problems": list(error.problems)}
    except Exception as error:  # rank 0 would wait for it
        problem = str(error) if isinstance(error, AutoLRSError) else f"{type(error).__name__}: {error}"
        room.write(f"account{rank}", orjson.dumps({**task["account"], "problems": [problem]}))
        raise
    room.write(f"account{rank}", orjson.dumps(account))
    while (verdict := room.read(VERDICT)) is None:
        time.sleep(_POLL_SECONDS)
    if plan is None or orjson.loads(verdict):
        return ExitCode.USAGE
    world = world_of(plan, meeting, room)
    try:
        end = follow(plan, config, world)
    except AutoLRSError as error:
        world.leave(error.cause, str(error))
        raise
    world.leave(end.cause, end.reason)
    if end.error is not None:
        raise end.error
    if end.cause is EndCause.PROCESS_LOST:  # rank 0 may be the lost one
        sys.stderr.write(f"process {rank}: {end.reason}\n")
    elif end.is_shared:
        world.close()
    return end.cause.exit_code
