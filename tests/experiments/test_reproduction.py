"""The plan of a reproduction: arms, lengths, seeds, target and cost."""

from __future__ import annotations

from pathlib import Path
from statistics import stdev

import pytest
from harness import composed

from autolrs_cli.errors import ConfigError
from autolrs_cli.experiments.reproduce import arms as reproduction
from autolrs_cli.experiments.reproduce.arms import Base
from autolrs_cli.experiments.reproduce.cost import cost
from autolrs_cli.experiments.reproduce.target import CalibratedTarget
from autolrs_cli.experiments.seeds import purpose
from autolrs_cli.experiments.tune.brackets import plan_tuning
from autolrs_cli.experiments.tune.search_space import shipped_budget
from autolrs_cli.settings import TargetSettings

TUNING = plan_tuning(shipped_budget(), 1000, 900, None, None)
BASE = Base(
    "resnet50", "bench", 1000, 900, 200, (0.02, 1.0), original_decays=True, tuning=TUNING, optimizer="sgd"
)


def test_the_cost_adds_up_in_the_dearest_case() -> None:
    entries = {what: (runs, steps) for what, runs, steps in cost(BASE, 5)}
    assert entries["original"] == (20, 5 * 2800 + 5 * 200), "three shorter runs, or one of twice the length"
    assert entries["autolrs"] == (5, 5 * 1900)
    assert entries["random LRs at AutoLRS's cost"] == (3, 3 * 1900), "three seeds"
    assert entries["finding the settings of tuned sgdr"] == (11, 9 * 112 + 2 * 1000), (
        "three full lengths, but for rounding up"
    )
    assert entries["calibration"] == (5, 5000)
    assert "calibration" not in {what for what, *_ in cost(BASE, 5, calibrated=True)}
    assert entries["replay of another seed"] == (3, 3000)
    assert "replay of another seed" not in {what for what, *_ in cost(BASE, 1)}


@pytest.mark.parametrize("count", [1, 3, 5, 8])
def test_no_calibration_seed_is_reported(count: int) -> None:
    seeds = reproduction.calibration_seeds(count)
    assert len(seeds) == max(3, count)
    assert {purpose(seed) for seed in seeds} == {"calibration"}


def test_no_seed_replays_itself() -> None:
    sources = reproduction.replay_sources([0, 1, 2])
    assert sources == {0: 1, 1: 2, 2: 0}
    assert reproduction.replay_sources([0]) == {}


FINALS = {2000: 0.90, 2001: 0.94, 2002: 0.92}


def test_the_target_is_the_median_less_a_margin_in_the_metrics_direction() -> None:
    margin = stdev(FINALS.values())
    highest = CalibratedTarget.of("accuracy", "max", FINALS, "command")
    assert (highest.value, highest.margin) == (
        pytest.approx(0.92 - margin, abs=1e-6),
        pytest.approx(margin, abs=1e-6),
    )
    lowest = CalibratedTarget.of("loss", "min", FINALS, "command")
    assert lowest.value == pytest.approx(0.92 + margin, abs=1e-6)
    with pytest.raises(ConfigError, match="two calibration runs"):
        CalibratedTarget.of("loss", "min", {2000: 0.5}, "command")


def test_the_target_reaches_the_runs_as_it_was_fixed() -> None:
    command = "autolrs reproduce resnet50 --seeds 3 'data.root=/a b' runtime.threads=1"
    target = CalibratedTarget.of("accuracy", "max", FINALS, command, "0123e4")
    node = composed("recipe=resnet50", "scale=tiny", target.override)["target"]
    assert node == {
        "metric": "accuracy",
        "value": target.value,
        "margin": target.margin,
        "seeds": [2000, 2001, 2002],
        "command": command,
        "data_fingerprint": "0123e4",
    }


def test_a_shipped_target_is_for_its_own_data_only() -> None:
    settings = TargetSettings(metric="loss", value=1.5, margin=0.1, seeds=(2000, 2001), data_fingerprint="a1")
    shipped = CalibratedTarget.shipped(settings, "a1")
    assert shipped is not None
    assert (shipped.metric, shipped.value, shipped.seeds) == ("loss", 1.5, (2000, 2001))
    assert CalibratedTarget.shipped(settings, "b2") is None
    assert CalibratedTarget.shipped(None, "a1") is None
    anywhere = TargetSettings(metric="loss", value=1.5)
    assert CalibratedTarget.shipped(anywhere, "b2") is not None, "no data are named, so any will do"


@pytest.mark.parametrize("recipe", ["resnet50", "transformer", "bert"])
def test_every_recipe_has_a_calibrated_target_at_bench(recipe: str) -> None:
    target = composed(f"recipe={recipe}", "scale=bench")["target"]
    assert {purpose(seed) for seed in target["seeds"]} == {"calibration"}
    assert len(target["seeds"]) >= 5
    assert target["margin"] > 0
    assert target["command"].startswith(f"autolrs reproduce {recipe} ")
    assert target["data_fingerprint"]


def test_the_target_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "new" / "target.yaml"
    assert CalibratedTarget.read(path) is None
    target = CalibratedTarget.of("loss", "min", FINALS, "command")
    target.write(path)
    assert CalibratedTarget.read(path) == target
    for damage in ("", "target: 3", "target: {metric: loss}", "\0"):
        path.write_text(damage)
        with pytest.raises(ConfigError, match=r"target\.yaml"):
            CalibratedTarget.read(path)
