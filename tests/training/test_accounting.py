"""The ledger's seconds lie in one bucket each; the target needs two evaluations."""

from __future__ import annotations

import pytest

from autolrs_cli.contracts import Target
from autolrs_cli.training import ledger as ledger_module
from autolrs_cli.training.ledger import Ledger
from autolrs_cli.training.target import Sighting, TargetWatch


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that the test sets."""
    now = [0.0]
    monkeypatch.setattr(ledger_module.time, "perf_counter", lambda: now[0])
    return now


def test_an_inner_span_pauses_the_outer_one(clock: list[float]) -> None:
    ledger = Ledger(0.0)
    clock[0] = 1.0
    ledger.charge_until_now("startup")
    with ledger.span("training"):
        clock[0] = 3.0
        with ledger.span("evaluation"):
            clock[0] = 7.0
        clock[0] = 8.0
    clock[0] = 8.5
    seconds = {bucket: entry["seconds"] for bucket, entry in ledger.totals().items() if entry["seconds"]}
    assert seconds == {"startup": 1.0, "training": 3.0, "evaluation": 4.0, "other": 0.5}


def test_a_span_is_closed_by_an_error(clock: list[float]) -> None:
    ledger = Ledger(0.0)

    def fail() -> None:
        clock[0] = 2.0
        raise KeyError

    with pytest.raises(KeyError), ledger.span("training"):
        fail()
    clock[0] = 5.0
    totals = ledger.totals()
    assert (totals["training"]["seconds"], totals["other"]["seconds"]) == (2.0, 3.0)


def test_the_device_is_waited_for_at_the_borders(clock: list[float]) -> None:
    ledger = Ledger(0.0)

    def wait() -> None:
        clock[0] += 1.0

    ledger.synchronize = wait
    with ledger.span("training"):
        pass
    assert ledger.totals()["training"]["seconds"] == 1.0


def watch(direction: str = "max") -> TargetWatch:
    return TargetWatch(Target("quality", 0.9, direction))


def see(watch: TargetWatch, *values: float, last: bool = False) -> int | None:
    for step, value in enumerate(values, 1):
        watch.see({"quality": value}, Sighting(step, 2 * step, 0.1 * step), last=last and step == len(values))
    return watch.reached.step if watch.reached else None


@pytest.mark.parametrize(
    ("values", "reached"),
    [
        ((0.8, 0.9, 0.95), 2),
        ((0.8, 0.91, 0.89, 0.92, 0.93), 4),
        ((0.95, 0.5), None),
        ((0.95,), None),
        ((), None),
    ],
)
def test_two_evaluations_in_a_row_reach_a_target(values: tuple[float, ...], reached: int | None) -> None:
    assert see(watch(), *values) == reached


def test_the_last_evaluation_counts_alone() -> None:
    assert see(watch(), 0.5, 0.95, last=True) == 2


def test_a_loss_target_is_reached_from_above() -> None:
    assert see(watch("min"), 1.2, 0.9, 0.8) == 2


def test_without_a_target_nothing_is_reached() -> None:
    assert see(TargetWatch(None), 1.0, 1.0) is None
