"""Two processes that talk without end, one of which is killed; says how long the other took to end. Many times.

python tests/ranks/talking.py TIMES
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time

import torch

from autolrs_cli.errors import LostProcessError
from autolrs_cli.exit_codes import EndCause
from autolrs_cli.training.board import Board
from autolrs_cli.training.process_group import ProcessWorld


def talk(rank: int, board: Board, other_ended: threading.Event) -> None:
    """Exchange what a run exchanges, until the other process is gone."""

    def obituary() -> str | None:
        return "the other one was killed" if other_ended.is_set() else None

    world = ProcessWorld(board.part("group"), rank, 2, torch.device("cpu"), 600, obituary)
    tensors = [torch.ones(3000), torch.ones(50)]
    try:
        while True:
            world.step_sums([1.0, 2.0])
            world.add_up(tensors)
            world.broadcast("go")
            world.gather([1.0] * rank)
            world.broadcast(list(range(2000)))
    except LostProcessError as error:
        world.leave(EndCause.PROCESS_LOST, str(error))


def once(moment: float) -> float:
    """Kill one of two processes after `moment` seconds; return those that the other one took to end."""
    told, tell = os.pipe()
    alive, dead = os.pipe()  # closed when the one that is killed is gone
    first = os.fork()
    if first == 0:
        os.close(dead)
        board, ended = Board.here(), threading.Event()
        os.write(tell, f"{board.port}\n".encode())
        threading.Thread(target=lambda: (os.read(alive, 1), ended.set()), daemon=True).start()
        talk(0, board, ended)
        sys.exit(0)
    port = int(os.read(told, 20))
    second = os.fork()
    if second == 0:
        talk(1, Board.at("127.0.0.1", port, holds=False), threading.Event())
        os._exit(1)
    os.close(dead)
    time.sleep(0.5 + moment)
    os.kill(second, signal.SIGKILL)
    os.waitpid(second, 0)
    since = time.monotonic()
    os.waitpid(first, 0)
    for end in (told, tell, alive):
        os.close(end)
    return time.monotonic() - since


if __name__ == "__main__":
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    draw = random.Random(0)
    for _ in range(int(sys.argv[1])):
        sys.stdout.write(f"{once(draw.uniform(0, 0.3)):.1f}\n")
