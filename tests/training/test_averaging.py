"""Averaged weights: against their formula, beside raw weights that they leave alone, and deciding targets."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from harness import assert_equal_weights, composed, events, planned, toy
from safetensors.torch import load_file
from torch import Tensor, nn

from autolrs_cli.contracts import Position
from autolrs_cli.errors import ConfigError
from autolrs_cli.runner.plan import check
from autolrs_cli.settings import EmaSettings
from autolrs_cli.training.averaging import AveragedWeights

PLAIN = ("schedule=constant",)


def averaged_after(steps: int, **settings: float | None) -> tuple[Tensor, list[Tensor]]:
    """Average `steps` random states of a model; return the average and the states."""
    torch.manual_seed(0)
    model = nn.Linear(3, 2).double()
    chosen = EmaSettings(name="ema", batchnorm_batches=1, **{"window": None, "decay": None, **settings})
    average = AveragedWeights(model, chosen)
    states = []
    for _ in range(steps):
        with torch.no_grad():
            model.weight.normal_()
        states.append(model.weight.detach().clone())
        average.update_parameters(model)
    return average.module.weight.detach(), states


def test_a_window_over_all_steps_is_their_plain_mean() -> None:
    average, states = averaged_after(50, window=1.0)
    torch.testing.assert_close(average, torch.stack(states).mean(0), rtol=1e-12, atol=1e-12)


def test_a_window_follows_its_formula() -> None:
    average, states = averaged_after(60, window=0.1)
    expected = states[0]
    for step, state in enumerate(states[1:], 2):
        share = 1 / max(1.0, 0.1 * step)
        expected = expected * (1 - share) + state * share
    torch.testing.assert_close(average, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(averaged_after(10, window=0.1)[0], states[9])  # too early to average


def test_a_decay_follows_its_formula() -> None:
    average, states = averaged_after(200, decay=0.9)
    expected = states[0]
    for step, state in enumerate(states[1:], 2):
        decay = min(0.9, (1 + step) / (10 + step))
        expected = expected * decay + state * (1 - decay)
    torch.testing.assert_close(average, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("schedule", ["constant", "autolrs"])
def test_raw_weights_are_those_of_a_run_without(tmp_path: Path, schedule: str) -> None:
    toy(tmp_path / "with", f"schedule={schedule}", "average=ema")
    toy(tmp_path / "without", f"schedule={schedule}")
    assert_equal_weights(tmp_path / "with", tmp_path / "without")
    assert not (tmp_path / "without" / "model_averaged.safetensors").exists()


def test_averaged_weights_decide_and_raw_ones_stand_beside(tmp_path: Path) -> None:
    target = "target={metric: loss, value: 0.3}"
    result = toy(tmp_path, *PLAIN, "average=ema", target)
    of = {kind: [r for r in at_target(tmp_path) if r["weights"] == kind] for kind in ("raw", "averaged")}
    assert [r["step"] for r in of["raw"]] == [r["step"] for r in of["averaged"]] == [*range(20, 121, 20), 130]
    summary = result.summary
    decided = {k: v for k, v in summary["metrics"].items() if k != "choose_loss"}
    assert decided == of["averaged"][-1]["metrics"] != of["raw"][-1]["metrics"] == summary["raw_metrics"]
    reached = [r["step"] for r in of["averaged"] if r["metrics"]["loss"] <= 0.3]
    assert summary["target"]["step"] == reached[0]
    (chosen_by,) = (
        r for r in events(tmp_path, "eval") if (r["split"], r["weights"]) == ("choose", "averaged")
    )
    assert summary["metrics"]["choose_loss"] == chosen_by["metrics"]["loss"]


def at_target(directory: Path) -> list[dict]:  # type: ignore[type-arg]
    return [r for r in events(directory, "eval") if r["split"] == "target"]


def test_batch_norm_is_estimated_on_training_batches(tmp_path: Path) -> None:
    """The stored statistics are the plain mean over the first batches, computed here by hand."""
    toy(tmp_path, *PLAIN, "average=ema", "average.batchnorm_batches=5")
    stored = load_file(tmp_path / "model_averaged.safetensors")
    raw = load_file(tmp_path / "model.safetensors")
    stream = planned("recipe=toy").recipe.train_stream(0, 0)
    seen = [stream.batch(Position(0, step, 0))["points"] for step in range(5)]
    inside = [points @ stored["0.weight"].T + stored["0.bias"] for points in seen]
    mean = torch.stack([x.mean(0) for x in inside]).mean(0)
    variance = torch.stack([x.var(0) for x in inside]).mean(0)
    torch.testing.assert_close(stored["1.running_mean"], mean, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(stored["1.running_var"], variance, rtol=1e-9, atol=1e-12)
    assert not raw["1.running_mean"].equal(stored["1.running_mean"])


def test_a_full_evaluation_measures_the_averaged_weights(tmp_path: Path) -> None:
    """Instead of the mean of the last checkpoints, of which none are then kept."""
    from harness import run

    run(tmp_path, "recipe=decoding", *PLAIN, "average=ema")
    (full,) = (r for r in events(tmp_path, "eval") if "weight_norm" in r["metrics"])
    stored = load_file(tmp_path / "model_averaged.safetensors")
    names = {name for name, _ in planned("recipe=toy").recipe.model().named_parameters()}
    norm = sum(float((stored[name] ** 2).sum()) for name in names)
    assert full["weights"] == "averaged"
    assert full["metrics"]["weight_norm"] == pytest.approx(norm**0.5)
    assert not (tmp_path / "checkpoints" / "averaging").exists()


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("average.window=null",), "either window or decay"),
        (("average.decay=0.9",), "either window or decay"),
        (("average.window=2",), "average.window"),
        (("average.window=null", "average.decay=1.0"), "average.decay"),
        (("average.batchnorm_batches=0",), "average.batchnorm_batches"),
    ],
)
def test_wrong_settings_are_named(overrides: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        check(composed("recipe=toy", *PLAIN, "average=ema", *overrides))
