"""Kill a run with SIGKILL at a chosen moment of its work, not after a chosen time."""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import autolrs_cli.training.checkpoint as checkpoint_module
from autolrs_cli.records import events
from autolrs_cli.records.journal import Journal
from autolrs_cli.training.checkpoint import Checkpoints
from autolrs_cli.training.engine import Engine
from autolrs_cli.training.trials import Prober

PATIENCE_SECONDS = 120


def die(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def at_call(number: int, function: Callable[..., Any], *, after: bool = False) -> Callable[..., Any]:
    """Return `function`, whose call `number` (1-based) kills the process before or after it does its work."""
    calls = 0

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number and not after:
            die()
        result = function(*args, **kwargs)
        if calls == number:
            die()
        return result

    return wrapped


def at_event(kind: type, number: int, *, torn: bool = False) -> Callable[..., None]:
    """Return `Journal.write`, killing once event `number` of a kind is written; `torn`: half of its line."""
    write, seen = Journal.write, 0

    def wrapped(journal: Journal, event: Any) -> None:
        nonlocal seen
        seen += isinstance(event, kind)
        if seen == number and isinstance(event, kind):
            if torn:
                journal._file.flush()
                journal._file.write(b'{"event": "trial_finished", "lr": 0.0')
                journal._file.flush()
                die()
            write(journal, event)
            die()
        write(journal, event)

    return wrapped


def half_written(tensors: Any, path: Path) -> None:
    Path(path).write_bytes(b"\x10\0\0\0")
    die()


# Name -> (what is patched, the patch); made anew in the process that is killed.
MOMENTS: dict[str, Callable[[], Any]] = {
    "first step": lambda: mock.patch.object(Engine, "step", at_call(1, Engine.step)),
    "warm-up": lambda: mock.patch.object(Engine, "step", at_call(5, Engine.step, after=True)),
    "inside the first trial": lambda: mock.patch.object(Engine, "step", at_call(20, Engine.step)),
    "inside a later trial": lambda: mock.patch.object(Engine, "step", at_call(60, Engine.step)),
    "between trials": lambda: mock.patch.object(Journal, "write", at_event(events.TrialFinished, 2)),
    "after the last trial": lambda: mock.patch.object(Journal, "write", at_event(events.TrialFinished, 3)),
    "LR chosen": lambda: mock.patch.object(Journal, "write", at_event(events.LrChosen, 1)),
    "snapshot": lambda: mock.patch.object(Prober, "save_start", at_call(1, Prober.save_start, after=True)),
    "restore": lambda: mock.patch.object(Prober, "_restore", at_call(2, Prober._restore)),
    "training": lambda: mock.patch.object(Engine, "step", at_call(85, Engine.step)),
    "evaluation": lambda: mock.patch.object(Engine, "measure", at_call(2, Engine.measure)),
    "checkpoint half written": lambda: mock.patch.object(checkpoint_module, "save_file", half_written),
    "second checkpoint half written": lambda: mock.patch.object(
        checkpoint_module, "publish", at_call(2, checkpoint_module.publish)
    ),
    "checkpoint whole, not yet in the journal": lambda: mock.patch.object(
        Checkpoints, "write", at_call(2, Checkpoints.write, after=True)
    ),
    "second stage": lambda: mock.patch.object(Journal, "write", at_event(events.TrialFinished, 5)),
    "journal line half written": lambda: mock.patch.object(
        Journal, "write", at_event(events.TrialFinished, 2, torn=True)
    ),
    "last evaluation": lambda: mock.patch.object(Journal, "write", at_event(events.Eval, 7)),
    "final export": lambda: mock.patch("autolrs_cli.runner.execute.save_weights", die),
    "summary": lambda: mock.patch("autolrs_cli.runner.execute.write_json", die),
}


# Moments of a run whose first stage diverges in training and is taken back.
ROLLBACK_MOMENTS: dict[str, Callable[[], Any]] = {
    "taken back, no checkpoint of it yet": lambda: mock.patch.object(
        Journal, "write", at_event(events.RolledBack, 1)
    ),
    "the stage's checkpoint has stepped aside for the new one": lambda: mock.patch.object(
        checkpoint_module, "publish", at_call(2, checkpoint_module.publish)
    ),
    "the new checkpoint has its name": lambda: mock.patch.object(
        checkpoint_module, "publish", at_call(2, checkpoint_module.publish, after=True)
    ),
    "searched again": lambda: mock.patch.object(Journal, "write", at_event(events.TrialFinished, 5)),
    "the new LR chosen": lambda: mock.patch.object(Journal, "write", at_event(events.LrChosen, 2)),
    "next stage": lambda: mock.patch.object(Journal, "write", at_event(events.TrialFinished, 8)),
}


def killed(moment: str, work: Callable[[], Any]) -> bool:
    """Do `work` in a process that dies at `moment`; return whether it came to that."""
    return killed_by((MOMENTS | ROLLBACK_MOMENTS)[moment], work)


def killed_by(patch: Callable[[], Any], work: Callable[[], Any]) -> bool:
    """Do `work` in a process that dies where `patch` kills it; return whether it came to that."""

    def target() -> None:
        with patch():
            work()
        os._exit(0)

    process = multiprocessing.get_context("fork").Process(target=target)
    process.start()
    process.join(PATIENCE_SECONDS)
    assert process.exitcode is not None, "it hangs"
    assert process.exitcode in (0, -signal.SIGKILL), process.exitcode
    return process.exitcode == -signal.SIGKILL


def in_its_own_process(test: Callable[..., None]) -> Callable[..., None]:
    """Do a test in a forked process: one that leaves torch in a state in which its forks cannot train."""

    @functools.wraps(test)
    def forked(*args: Any, **kwargs: Any) -> None:
        process = multiprocessing.get_context("fork").Process(target=test, args=args, kwargs=kwargs)
        process.start()
        process.join(PATIENCE_SECONDS)
        if process.exitcode is None:
            process.kill()
        assert process.exitcode == 0, f"{process.exitcode}; what failed stands in its standard error"

    return forked
