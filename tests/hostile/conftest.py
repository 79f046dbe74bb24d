"""How much input is generated: short by default; in full with AUTOLRS_HOSTILE_EXAMPLES=250 pytest tests/hostile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from damaged_runs import STOPPED_HERE
from hostile_cases import FULL, watched
from hypothesis import HealthCheck, settings

from autolrs_cli.commands import resume as resuming
from autolrs_cli.errors import TrainingError
from autolrs_cli.runner import execute as execution

settings.register_profile(
    "autolrs",
    max_examples=FULL or 20,
    derandomize=not FULL,  # the default tests are the same each time; the full form finds new input
    database=None,
    deadline=None,  # a watchdog breaks off what hangs; what is merely slow on a busy machine is no fault
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("autolrs")


@pytest.fixture
def resume(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """`autolrs resume` up to the first step that it would make; returns exit code and what was said."""

    def far_enough(*_: object, **__: object) -> None:
        raise TrainingError(STOPPED_HERE)

    monkeypatch.setattr(execution, "_train", far_enough)

    def run(directory: Path, *changes: str) -> tuple[int, str]:
        with watched():
            code = resuming.main(directory, ["dashboard=plain", *changes], [], started=0.0)
        said = capsys.readouterr()
        return code, said.out + said.err

    return run
