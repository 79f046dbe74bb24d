"""The processes of one run, gathered before it begins: usually one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from autolrs_cli.runner.plan import Plan
from autolrs_cli.training.world import World

if TYPE_CHECKING:
    from autolrs_cli.ranks.meeting import Meeting


class Gathering:
    """One process, which has nobody to wait for.

    Args:
        plan: from `check`.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    @contextmanager
    def training(self, *, begins: bool = True) -> Iterator[tuple[Plan, World]]:  # noqa: ARG002 - nobody is told
        """Yield the plan, and the world of all processes."""
        yield self._plan, World()


def gathered(plan: Plan, meeting: Meeting | None) -> AbstractContextManager[Gathering]:
    """Return the processes of a run as a context: started, unless torchrun or srun has done that.

    Args:
        plan: from `check`.
        meeting: where those are that torchrun or srun has started.
    """
    if plan.processes == 1:
        return nullcontext(Gathering(plan))
    from autolrs_cli.ranks.meeting import Together, processes_started

    return processes_started(plan) if meeting is None else nullcontext(Together(plan, meeting))
