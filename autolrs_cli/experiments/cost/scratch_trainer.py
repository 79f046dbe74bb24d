"""A trainer for measurements that leave nothing behind."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autolrs_cli.records.journal import Journal
from autolrs_cli.records.run_directory import RunDirectory
from autolrs_cli.runner.plan import Plan
from autolrs_cli.runner.torch_runtime import prepare
from autolrs_cli.runner.trainer_factory import make_trainer
from autolrs_cli.training.interruption import StopRequest
from autolrs_cli.training.ledger import Ledger
from autolrs_cli.training.trainer import Trainer


@contextmanager
def scratch_trainer(plan: Plan) -> Iterator[tuple[Trainer, RunDirectory]]:
    """Yield the trainer of a run at its beginning, and its run directory, which is gone afterwards.

    Args:
        plan: of the run; its data are ready.
    """
    prepare(plan.settings.runtime, plan.threads)
    with tempfile.TemporaryDirectory(prefix="autolrs-") as aside:
        directory = RunDirectory(Path(aside))
        now = time.perf_counter()
        journal = Journal(directory.journal, started=now)
        try:
            yield make_trainer(plan, directory, journal, Ledger(now), StopRequest()), directory
        finally:
            journal.close()
