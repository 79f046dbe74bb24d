"""Where the processes of a run meet, hear what rank 0 has composed, and find out whether they see the same."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import orjson
import torch

from autolrs_cli.errors import AutoLRSError, ConfigError, LostProcessError
from autolrs_cli.exit_codes import EndCause, ExitCode
from autolrs_cli.ranks.gathering import Gathering
from autolrs_cli.ranks.others import Others, started, talking_here
from autolrs_cli.ranks.place import Place
from autolrs_cli.records.provenance import versions
from autolrs_cli.runner.code_version import code_version
from autolrs_cli.runner.plan import Plan
from autolrs_cli.training.board import Board, BoardGoneError
from autolrs_cli.training.interruption import REASONS
from autolrs_cli.training.process_group import ProcessWorld
from autolrs_cli.training.world import World

_POLL_SECONDS = 0.05
_PARTING_SECONDS = 2.0
PLAN, VERDICT = "plan", "verdict"
_OVER = "over"
_RAISE = "Raise that, if the machine is busy."
_START_OR_BE_ALONE = (
    "Start as many as the environment says there are (WORLD_SIZE; SLURM_NTASKS under srun), or unset RANK "
    "(SLURM_PROCID): then this process is alone."
)


class Meeting:
    """Where the processes of one command find each other, and the board that they share.

    Args:
        place: of this process.
        board: what all write on and read.
        others: the other processes, if this one has started them.
    """

    def __init__(self, place: Place, board: Board, others: Others | None = None) -> None:
        self.place = place
        self.others = others
        self._board = board
        self._runs = 0

    def room(self) -> Board:
        """Return the part of the board that belongs to the command's next run."""
        return self._board.part(f"run{self._runs}")

    def next_room(self) -> Board:
        """Begin a run there."""
        self._runs += 1
        return self._board.part(f"run{self._runs - 1}")

    def end(self, code: int) -> None:
        """Tell the others that there is no further run; where they were told of none, they leave with `code`.

        Who holds the board waits a moment for them to read that.
        """
        deadline = time.monotonic() + _PARTING_SECONDS
        with suppress(BoardGoneError):
            self._board.write(_OVER, str(int(code)).encode())
            while not all(self._board.has(f"left{rank}") for rank in range(1, self.place.size)):
                if time.monotonic() > deadline:
                    return
                time.sleep(_POLL_SECONDS)

    def ended(self) -> int | None:
        """Return that code, once it was told."""
        note = self._board.read(_OVER)
        if note is not None:
            self._board.write(f"left{self.place.rank}")
        return None if note is None else int(note)


def meet(place: Place) -> Meeting:
    """Connect with the others; rank 0 holds the board, unless torchrun does.

    Raises:
        ConfigError: if nobody is there, or somebody else is.
    """
    holds = place.rank == 0 and not place.held_by_agent
    try:
        board = Board.at(place.address, place.port, holds=holds)
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(
            f"The processes of a run must meet at {place.address}:{place.port}, but process {place.rank} cannot "
            f"{'listen' if holds else 'connect'} there: {reason}. Set MASTER_ADDR and MASTER_PORT to the host of rank "
            "0 and a free port on it."
        ) from error
    return Meeting(place, board.part(f"attempt{place.attempt}"))


@contextmanager
def processes_started(plan: Plan) -> Iterator[Together]:
    """Start the other processes of a run on this machine; they are gone after the block.

    Raises:
        ConfigError: if each is to have a GPU, and there are too few.
    """
    if plan.device.type == "cuda" and plan.processes > torch.cuda.device_count():
        raise ConfigError(_too_few_gpus(plan.processes, torch.cuda.device_count()))
    board = Board.here()
    with talking_here(), started(plan.processes, board.port) as others:
        place = Place(0, plan.processes, 0, plan.processes, "127.0.0.1", board.port)
        meeting = Meeting(place, board.part(f"attempt{place.attempt}"), others)
        yield Together(plan, meeting)
        meeting.end(ExitCode.DONE)


class Together(Gathering):
    """Several processes.

    Args:
        plan: from `check`.
        meeting: where they are.
    """

    def __init__(self, plan: Plan, meeting: Meeting) -> None:
        super().__init__(plan)
        self._meeting = meeting

    @contextmanager
    def training(self, *, begins: bool = True) -> Iterator[tuple[Plan, World]]:
        """Yield the plan on this process's device, and the world of all processes, once they are of one mind.

        Raises:
            ConfigError: if one of them cannot do its part, or sees other code or data.
            LostProcessError: if one of them is not there.
        """
        plan, room = placed(self._plan, self._meeting.place), self._meeting.next_room()
        own = account_of(plan)
        config = plan.settings.model_dump(mode="json")
        task = {"config": config, "threads": plan.threads, "begins": begins, "account": own}
        room.write(PLAN, orjson.dumps(task))
        accounts = [own, *(self._answer(room, rank) for rank in range(1, plan.processes))]
        problems = _differences(accounts)
        room.write(VERDICT, orjson.dumps(problems))
        if problems:
            raise ConfigError(problems)
        world = world_of(plan, self._meeting, room)
        try:
            yield plan, world
        except AutoLRSError as error:
            world.leave(error.cause, str(error))
            raise
        except KeyboardInterrupt:  # a second one: the others are not to wait either
            world.leave(EndCause.SIGINT, REASONS[EndCause.SIGINT])
            raise
        finally:
            world.close()

    def _answer(self, room: Board, rank: int) -> dict[str, Any]:
        """Wait for what process `rank` says of itself."""
        limit = self._plan.settings.runtime.timeout_seconds
        deadline, others = time.monotonic() + limit, self._meeting.others
        while (note := room.read(f"account{rank}")) is None:
            if others is not None and others.has_lost_one() and (dead := others.obituary()):
                raise LostProcessError(f"All processes of a run must start, but {dead}.")
            if time.monotonic() > deadline:
                raise LostProcessError(
                    f"All {self._plan.processes} processes of a run must start, but process {rank} was not there "
                    f"within {limit:g} s (runtime.timeout_seconds). {_RAISE if others else _START_OR_BE_ALONE}"
                )
            time.sleep(_POLL_SECONDS)
        found: dict[str, Any] = orjson.loads(note)
        return found


def world_of(plan: Plan, meeting: Meeting, room: Board) -> ProcessWorld:
    """Connect the processes of a run, all of which call this."""
    place = meeting.place
    return ProcessWorld(
        room,
        place.rank,
        place.size,
        plan.device,
        plan.settings.runtime.timeout_seconds,
        meeting.others.obituary if meeting.others is not None else lambda: None,
    )


def placed(plan: Plan, place: Place) -> Plan:
    """Return the plan on the device of this process: a GPU for each on its machine.

    Raises:
        ConfigError: if there are fewer.
    """
    if plan.device.type != "cuda":
        return plan
    count = torch.cuda.device_count()
    # Batch systems can show each process its own GPU alone; two of one GPU are found when all are compared.
    if place.local_rank >= count > 1:
        raise ConfigError(_too_few_gpus(place.local_size, count))
    device = torch.device("cuda", place.local_rank % count)
    torch.cuda.set_device(device)
    return replace(plan, device=device)


def account_of(plan: Plan) -> dict[str, Any]:
    """Return what must be alike in all processes, and what must not."""
    gpu = str(torch.cuda.get_device_properties(plan.device).uuid) if plan.device.type == "cuda" else None
    return {
        "problems": [],
        "same": {
            "code": code_version(plan.settings.model_dump()).total,
            "data (by fingerprint)": plan.recipe.fingerprint(),
            "versions": versions(),
        },
        "host": socket.gethostname(),
        "gpu": gpu,
    }


def _differences(accounts: list[dict[str, Any]]) -> list[str]:
    said = [
        f"Process {rank} of {len(accounts)}: {problem}"
        for rank, account in enumerate(accounts)
        for problem in account["problems"]
    ]
    if said:
        return said
    found = [
        f"All processes of a run must have the same {what}, but process {rank} (on {account['host']}) has "
        f"{account['same'][what]} and process 0 (on {accounts[0]['host']}) {mine}. Let all see the same files and "
        "libraries."
        for rank, account in enumerate(accounts)
        for what, mine in accounts[0]["same"].items()
        if account["same"][what] != mine
    ]
    gpus = [account["gpu"] for account in accounts if account["gpu"] is not None]
    if len(set(gpus)) < len(gpus):
        found.append(_too_few_gpus(len(gpus), len(set(gpus))))
    return found


def _too_few_gpus(processes: int, gpus: int) -> str:
    return (
        f"Each process must have a GPU of its own, but got {processes} processes and {gpus} GPUs. Set "
        "runtime.processes, start fewer processes, or set runtime.device=cpu."
    )
