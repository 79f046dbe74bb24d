"""What a run's length means to its schedule: said by its class, recorded by the run, read from its journal."""

from __future__ import annotations

import inspect
from importlib.resources import files
from typing import Any, ClassVar

import orjson
import pytest
import yaml
from harness import composed

from autolrs_cli import schedules
from autolrs_cli.contracts import Cycle, FilledCycles, RunLength
from autolrs_cli.runner.plan import check
from autolrs_cli.runner.trainer_factory import run_started
from autolrs_cli.schedules.lengths import recorded_run_length, run_length

DECAYED = {"cosine", "linear", "one_cycle", "polynomial", "step", "wsd"}


def old(
    schedule: dict[str, Any], original: dict[str, Any] | None = None, steps: int = 1000
) -> dict[str, Any]:
    """What a journal of an earlier version begins with."""
    config = {"schedule": schedule, "original_schedule": original or {}, "run": {"max_steps": steps}}
    return {"event": "run_started", "config": config}


def test_every_schedule_says_whether_it_decays() -> None:
    kinds = [getattr(schedules, name) for name in schedules.__all__]
    assert all(isinstance(kind.decays, bool) for kind in kinds if inspect.isclass(kind))


def test_every_schedule_of_the_tree_is_on_the_right_side() -> None:
    folder = files("autolrs_configs") / "schedule"
    nodes = [yaml.safe_load(f.read_text()) for f in folder.iterdir() if f.name.endswith(".yaml")]
    assert {node["name"] for node in nodes if recorded_run_length(old(node)).decays} == DECAYED


def test_the_original_schedule_decays_if_the_recipes_own_does() -> None:
    for recipe, expected in (("resnet50", True), ("bert", True), ("transformer", False)):
        text = (files("autolrs_configs") / "recipe" / f"{recipe}.yaml").read_text()
        original = yaml.safe_load(text)["original_schedule"]
        assert recorded_run_length(old({"name": "original"}, original)).decays == expected


@pytest.mark.parametrize(
    ("overrides", "decays", "cycles"),
    [
        (("schedule=autolrs",), False, None),
        (("schedule=original",), True, None),
        (("schedule=constant",), False, None),
        (("schedule=clr", "schedule.half_period_steps=30", "run.max_steps=120"), False, 2),
        (("schedule=clr", "schedule.half_period_steps=31", "run.max_steps=120"), False, None),
    ],
)
def test_a_run_records_it_as_its_schedule_says(
    overrides: tuple[str, ...], decays: bool, cycles: int | None
) -> None:
    config = composed("recipe=resnet50", "scale=tiny", *overrides)
    started = run_started(check(config), config)
    assert started.length is not None
    assert started.length.decays == decays
    assert (started.length.cycles and started.length.cycles.cycles) == cycles
    record = orjson.loads(orjson.dumps(started))
    assert recorded_run_length(record) == started.length
    del record["length"]
    assert recorded_run_length(record) == started.length


def test_the_record_is_believed_whatever_its_schedule_is_called() -> None:
    gone = {"_target_": "no_such_module.Theirs", "max_steps": 1000}
    cycles = FilledCycles("period", 3, growth=2)
    for length in (RunLength(False, None), RunLength(True, None), RunLength(False, cycles)):
        record = {**old(gone), "length": orjson.loads(orjson.dumps(length))}
        assert recorded_run_length(record) == length
    assert recorded_run_length({**old(gone), "length": {"decays": "perhaps"}}) == RunLength(True, None)
    assert recorded_run_length(old({"_target_": "no_such_module.Theirs"})) == RunLength(False, None)


def test_a_users_schedule_may_say_it_or_not() -> None:
    class Silent:
        pass

    class Saying:
        decays: ClassVar[bool] = True
        cycle: ClassVar[Cycle] = Cycle("period", warmup="rise")

    assert run_length(Silent(), {"max_steps": 10}, 10) == RunLength(False, None)
    node = {"period": 3, "rise": 1}
    assert run_length(Saying(), node, 10) == RunLength(True, FilledCycles("period", 3, warmup_steps=1))
