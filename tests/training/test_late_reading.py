"""A loop that reads each loss when the next step was made writes the journal of one that waits for each step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from diverging import kept_loss, nan_from
from harness import USER, assert_equal_weights, events, run, toy
from resuming import resume
from toy_recipe import Rings

from autolrs_cli.contracts import Batch, LossKind, Position, Segment
from autolrs_cli.errors import UnusableDataError
from autolrs_cli.exit_codes import EndCause
from autolrs_cli.search import Trial
from autolrs_cli.training.engine import Engine
from autolrs_cli.training.interruption import StopRequest
from autolrs_cli.training.late_reading import MadeStep, in_order
from autolrs_cli.training.loader import TrainLoader, read_all
from autolrs_cli.training.placing import Placing
from autolrs_cli.training.trials import MadeSteps, Prober

LEAN = (
    "search=lean",
    "search.level_divisor=40.0",
    "search.ramp_fraction=0.1",
    "run.max_steps=400",
    "recipe.micro_batches=2",
)
# Of a journal's records, what depends on the clock.
CLOCK = {"t", "reached_t", "ledger", "totals", "seconds", "max_seconds", "dir"}


@contextmanager
def late() -> Iterator[None]:
    """Let a run on the CPU do as one on a device that works by itself: read losses late and batches ahead."""
    with (
        mock.patch("autolrs_cli.runner.trainer_factory.reads_late", return_value=True),
        mock.patch.object(Placing, "is_ahead", True),
    ):
        yield


def timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: timeless(part) for key, part in value.items() if key not in CLOCK}
    return [timeless(part) for part in value] if isinstance(value, list) else value


def nan_in_trials(above_lr: float) -> Any:
    """Patch: the losses of steps above an LR are NaN, in trials too."""
    step = Engine.step

    def wrapped(self: Engine, batches: object, lr: float, micro_batches: int) -> tuple[float, int]:
        loss, examples = step(self, batches, lr, micro_batches)  # type: ignore[arg-type]
        return float("nan") if lr > above_lr else float(loss), examples

    return mock.patch.object(Engine, "step", wrapped)


EASY = "target={metric: accuracy, value: 0.0}"
RUNS: dict[str, tuple[tuple[str, ...], Callable[[], AbstractContextManager[Any]]]] = {
    "published search, averaged": (("average=ema", "recipe.num_phases=2"), nullcontext),
    "held-out trials": (("search.objective=choose",), nullcontext),
    "trials that fail": (("search.lr_max=10.0", "search.num_trials=4"), lambda: nan_in_trials(0.05)),
    "winners kept": (LEAN, nullcontext),
    "winners kept, trials that fail": (LEAN, lambda: nan_in_trials(0.02)),
    "winners kept, losers stopped": (
        ("search=ladder", "search.keeps_winner=true", "search.stops_early=true"),
        nullcontext,
    ),
    "winners and weights kept": (
        ("recipe=decoding", "search=ladder", "search.keeps_winner=true", "run.full_eval_every_steps=20"),
        nullcontext,
    ),
    "a stage that diverges": ((), lambda: nan_from(33, 0.0)),
    "a schedule that diverges": (
        ("schedule=constant", "run.eval_every_steps=7"),
        lambda: kept_loss(lambda at, lr, loss: float("inf") if at == 25 else loss),
    ),
    "a run that stops at its target": (
        ("search=lean", "run.max_steps=300", "run.eval_every_steps=20", "run.stop_at_target=true", EASY),
        nullcontext,
    ),
    "a schedule that listens": (("schedule=plateau", "run.log_every_steps=3"), nullcontext),
}


@pytest.mark.parametrize("name", RUNS)
def test_the_journal_is_that_of_a_loop_that_waits(name: str, tmp_path: Path) -> None:
    settings, disturbed = RUNS[name]
    settings = settings if settings[:1] == ("recipe=decoding",) else ("recipe=toy", *settings)
    with disturbed():
        waiting = run(tmp_path / "waiting", *settings)
        with late():
            going_on = run(tmp_path / "late", *settings)
    assert going_on.status == waiting.status
    assert timeless(events(tmp_path / "late")) == timeless(events(tmp_path / "waiting"))
    assert timeless(going_on.summary) == timeless(waiting.summary)
    if waiting.status == "done":
        assert_equal_weights(tmp_path / "late", tmp_path / "waiting")


@pytest.mark.parametrize("call", [15, 27, 120], ids=["inside a trial", "first of a trial", "training"])
def test_a_run_that_is_asked_to_stop_goes_on_where_one_that_waits_does(call: int, tmp_path: Path) -> None:
    toy(tmp_path / "whole", f"run.config_dir={USER}")
    for name, how in (("waiting", nullcontext), ("late", late)):
        with how(), asked_to_stop(call):
            assert toy(tmp_path / name, f"run.config_dir={USER}").cause is EndCause.SIGTERM
        with how():
            assert resume(tmp_path / name) == 0
        assert_equal_weights(tmp_path / name, tmp_path / "whole")
    assert timeless(events(tmp_path / "late")) == timeless(events(tmp_path / "waiting"))


@pytest.mark.parametrize(
    ("keeps", "kind", "at_once"), [(False, "train", []), (True, "train", [2, 4]), (False, "choose", [2, 4])]
)
def test_a_trial_is_waited_for_where_it_may_end_and_be_kept_or_is_measured(
    keeps: bool, kind: LossKind, at_once: list[int]
) -> None:
    """A step after the one that a policy ends a trial at would be in the end state that is kept."""
    trainer = mock.Mock(is_anything_due=lambda step: False)
    prober = Prober(trainer, mock.Mock(keeps_winner=keeps), mock.Mock())
    trial, stage = Trial(0, 0.1, steps=5, kind=kind), Segment("stage", 0, 10, 20, stage=0)
    list(prober._launch_all(MadeSteps(trial), stage, scored_at=(2, 4)))
    made = [(call.args[1] - 9, call.kwargs["at_once"]) for call in trainer.launch.call_args_list]
    assert [number for number, _ in made] == [1, 2, 3, 4, 5]
    assert [number for number, waits in made if waits] == at_once


def asked_to_stop(at_call: int) -> Any:
    check, calls = StopRequest.check, iter(range(1, 10**6))

    def wrapped(self: StopRequest) -> None:
        if next(calls) == at_call:
            self._cause = EndCause.SIGTERM
        check(self)

    return mock.patch.object(StopRequest, "check", wrapped)


def test_a_step_is_dealt_with_when_the_next_one_was_made() -> None:
    assert trace(at_once=()) == ["make 0", "make 1", "read 0", "make 2", "read 1", "read 2"]
    assert trace(at_once=(1,)) == ["make 0", "make 1", "read 0", "read 1", "make 2", "read 2"]
    assert trace(at_once=(0, 1, 2)) == ["make 0", "read 0", "make 1", "read 1", "make 2", "read 2"]


def test_what_goes_wrong_with_a_step_comes_after_the_step_before_it() -> None:
    assert trace(at_once=(), fails_at=2) == ["make 0", "make 1", "read 0", "read 1", "failed"]
    assert trace(at_once=(), fails_at=2, ends_at=1) == ["make 0", "make 1", "read 0", "read 1"]


def trace(at_once: tuple[int, ...], fails_at: int | None = None, ends_at: int | None = None) -> list[str]:
    """Return what happens, in its order, when three steps are made."""
    seen: list[str] = []

    def steps() -> Iterator[MadeStep]:
        for number in range(3):
            if number == fails_at:
                raise UnusableDataError("nothing to learn from")
            seen.append(f"make {number}")
            yield MadeStep(number, 0.1, 1.0, 1, number in at_once)

    try:
        for made in in_order(steps()):
            seen.append(f"read {made.step}")
            if made.step == ends_at:
                break
    except UnusableDataError:
        seen.append("failed")
    return seen


class Torn(Rings):
    """A stream that cannot read its step 2."""

    def batch(self, position: Position) -> Batch:
        if position.step == 2:
            raise UnusableDataError("step 2 is torn")
        return super().batch(position)


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_read_ahead_are_those_that_are_asked_for(workers: int) -> None:
    def points(step: int) -> torch.Tensor:
        return stream.batch(Position(0, step, 0))["points"]

    stream = Torn(0, 8, 1)
    with mock.patch.object(Placing, "is_ahead", True):
        loader = TrainLoader(stream, 0, workers, torch.device("cpu"))
        for step in (0, 1):
            loader.seek(step)
            assert next(iter(loader.read()))["points"].equal(points(step))
            loader.read_ahead()
            loader.read_ahead()
        loader.seek(5)  # what was torn has not been asked for
        assert next(iter(loader.read()))["points"].equal(points(5))
        loader.read_ahead()
        loader.seek(1)
        assert next(iter(loader.read()))["points"].equal(points(1))
        loader.read_ahead()
        with pytest.raises(UnusableDataError, match="torn"):
            next(iter(loader.read()))


@pytest.mark.parametrize("ahead", [False, True])
def test_held_out_batches_come_in_their_order(ahead: bool) -> None:
    class Numbered:
        num_batches = 4

        def batch(self, index: int) -> Batch:
            return {"number": torch.tensor([index])}

    with mock.patch.object(Placing, "is_ahead", ahead):
        assert [int(b["number"]) for b in read_all(Numbered(), 0, torch.device("cpu"))] == [0, 1, 2, 3]
