"""Averaged weights: against their formula, beside raw weights that they leave alone, and deciding targets."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from harness import assert_equal_weights, composed, events, planned, toy
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from autolrs_cli.contracts import Position
from autolrs_cli.errors import ConfigError
from autolrs_cli.runner.plan import check
from autolrs_cli.settings import EmaSettings, TailSettings
from autolrs_cli.training.averaging import AveragedWeights, Segments, averaged_weights
from autolrs_cli.training.engine import Engine
from autolrs_cli.training.snapshot import Snapshot

PLAIN = ("schedule=constant",)


def averaged_after(steps: int, **settings: float | None) -> tuple[Tensor, list[Tensor]]:
    """Average `steps` random states of a model; return the average and the states."""
    torch.manual_seed(0)
    model = nn.Linear(3, 2).double()
    chosen = EmaSettings(name="ema", batchnorm_batches=1, **{"window": None, "decay": None, **settings})
    average = averaged_weights(model, chosen)
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


SHARES = [(0.2, 4), (0.1, 1), (0.5, 2), (0.75, 3), (0.02, 5)]


def tail_of(model: nn.Module, share: float, segments: int) -> AveragedWeights:
    return averaged_weights(
        model, TailSettings(name="tail", share=share, segments=segments, batchnorm_batches=1)
    )


def cuts_up_to(steps: int, share: float, segments: int) -> list[int]:
    """Where a tail may begin, by the definition: each (1 - share)^(-1 / segments) times as far as the one before."""
    cuts = [0]
    while cuts[-1] < steps:
        cuts.append(max(cuts[-1] + 1, math.ceil(cuts[-1] / (1 - share) ** (1 / segments))))
    return cuts


def begin_of_tail(steps: int, share: float, segments: int) -> int:
    """How many steps come before the tail: the last cut that leaves it the share or more."""
    return max(cut for cut in cuts_up_to(steps, share, segments) if steps - cut >= share * steps)


@pytest.mark.parametrize(("share", "segments"), SHARES)
def test_a_tail_is_the_plain_mean_of_all_weights_in_it_after_every_step(share: float, segments: int) -> None:
    """Against a transcription that keeps the weights of every step."""
    torch.manual_seed(0)
    model = nn.Linear(3, 2).double()
    average = tail_of(model, share, segments)
    torch.testing.assert_close(average.read().weight, model.weight)  # before the first step
    seen: list[Tensor] = []
    for steps in range(1, 301):
        with torch.no_grad():
            model.weight.normal_()
        seen.append(model.weight.detach().clone())
        average.update_parameters(model)
        expected = torch.stack(seen[begin_of_tail(steps, share, segments) :]).mean(0)
        torch.testing.assert_close(average.read().weight.detach(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("share", "segments"), SHARES)
def test_a_tail_has_its_share_of_the_steps_and_little_more(share: float, segments: int) -> None:
    most = 1 - (1 - share) ** (1 + 1 / segments)
    cut = Segments(share, segments)
    for steps in [*range(1, 500), *range(500, 100_000, 997)]:
        tail = cut.tail(steps)
        assert share * steps <= sum(length for _, length in tail) < most * steps + 1
        assert len(tail) <= segments + 1, "or a segment of it would lie in another's memory"


def test_a_tail_is_what_torch_averages_when_it_begins_where_the_tail_does() -> None:
    steps, share, segments = 137, 0.2, 4
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).double()
    average, theirs = tail_of(model, share, segments), AveragedModel(model)
    for step in range(steps):
        for parameter in model.parameters():
            parameter.data.normal_()
        model(torch.randn(5, 3, dtype=torch.float64))  # moves BatchNorm's statistics
        average.update_parameters(model)
        if step >= begin_of_tail(steps, share, segments):
            theirs.update_parameters(model)
    for ours, wanted in zip(
        average.read().state_dict().values(), theirs.module.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(ours, wanted, rtol=1e-12, atol=1e-12)


def test_a_tail_holds_as_many_copies_of_the_weights_as_it_says() -> None:
    model = nn.Linear(30, 20)
    average = tail_of(model, 0.2, 4)
    held = sum(t.nbytes for t in [*average.parameters(), *average.buffers()])
    assert held == (4 + 2) * sum(p.nbytes for p in model.parameters()) + average.n_averaged.nbytes


def test_a_tail_is_put_back_with_the_rest_and_forgets_weights_that_were_not_finite() -> None:
    """As a trial or a diverged stage does it, far enough that every segment was written over."""
    model = nn.Linear(3, 2)
    optimizer, average = torch.optim.SGD(model.parameters(), lr=0.1), tail_of(model, 0.5, 2)
    snapshot = Snapshot(model, optimizer, averaged=average)

    def means(first: int, steps: int) -> list[Tensor]:
        found = []
        for step in range(first, first + steps):
            with torch.no_grad():
                model.weight.fill_(step)
            average.update_parameters(model)
            found.append(average.read().weight.detach().clone())
        return found

    means(1, 20)
    snapshot.save()
    wanted = means(21, 60)
    snapshot.restore()
    model.weight.data.fill_(math.nan)
    for _ in range(100):
        average.update_parameters(model)
    assert average.read().weight.isnan().all()
    snapshot.restore()
    assert all(a.equal(b) for a, b in zip(means(21, 60), wanted, strict=True))


def test_a_run_ends_with_the_mean_of_its_last_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []
    step = Engine.step

    def spy(self: Engine, *args: Any) -> tuple[float, int]:
        result = step(self, *args)
        seen.append(self.model[0].weight.detach().clone())  # type: ignore[index]
        return result

    monkeypatch.setattr(Engine, "step", spy)
    toy(tmp_path, *PLAIN, "average=tail", "average.share=0.3", "average.segments=3")
    stored = load_file(tmp_path / "model_averaged.safetensors")["0.weight"]
    expected = torch.stack(seen[begin_of_tail(len(seen), 0.3, 3) :]).mean(0)
    torch.testing.assert_close(stored, expected, rtol=1e-9, atol=1e-12)
    decided = [r for r in at_target(tmp_path) if r["weights"] == "averaged"]
    assert [r["step"] for r in decided] == [*range(20, 121, 20), 130]


@pytest.mark.parametrize(
    ("schedule", "average"), [("constant", "ema"), ("autolrs", "ema"), ("autolrs", "tail")]
)
def test_raw_weights_are_those_of_a_run_without(tmp_path: Path, schedule: str, average: str) -> None:
    toy(tmp_path / "with", f"schedule={schedule}", f"average={average}")
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
        (("average=tail", "average.share=1.0"), "average.share"),
        (("average=tail", "average.segments=0"), "average.segments"),
        (("average=tail", "+average.window=0.1"), "average.window"),
    ],
)
def test_wrong_settings_are_named(overrides: tuple[str, ...], said: str) -> None:
    chosen = () if overrides[0] == "average=tail" else ("average=ema",)
    with pytest.raises(ConfigError, match=said):
        check(composed("recipe=toy", *PLAIN, *chosen, *overrides))
