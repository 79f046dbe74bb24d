"""A run as the processes above rank 0 carry it out: the same steps, and nothing written down."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from autolrs_cli.records.run_directory import RunDirectory
from autolrs_cli.runner.execute import End, carry_out, go_on_from
from autolrs_cli.runner.plan import Plan
from autolrs_cli.runner.resume_point import ResumePoint
from autolrs_cli.runner.torch_runtime import prepare, require_shared_memory
from autolrs_cli.runner.trainer_factory import make_trainer
from autolrs_cli.training.interruption import AgreedStop
from autolrs_cli.training.ledger import Ledger
from autolrs_cli.training.shared_run import UnwrittenJournal
from autolrs_cli.training.world import World


def follow(plan: Plan, config: dict[str, Any], world: World) -> End:
    """Train with the others, from where rank 0 says.

    Args:
        plan: from `check`, of what rank 0 composed.
        config: what it composed.
        world: the processes that train together, of which this is not rank 0.
    """
    nothing: ResumePoint | None = None
    resume = world.broadcast(nothing)
    prepare(plan.settings.runtime, plan.threads)
    require_shared_memory(plan)
    now, stop = time.perf_counter(), AgreedStop()
    trainer = make_trainer(
        plan,
        RunDirectory(Path(os.devnull)),
        UnwrittenJournal(now),
        Ledger(now),
        stop,
        begins=resume is None or resume.checkpoint is None,
        world=world,
    )
    if resume is not None:
        go_on_from(resume, trainer, config)
    return carry_out(plan, trainer, stop)
