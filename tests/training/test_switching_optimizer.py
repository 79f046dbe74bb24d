"""An optimizer judged by other weights than it trains: they are measured, written and averaged, and leave no trace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from harness import assert_equal_weights, events, run, toy, weights
from own_optimizers import Switching
from safetensors.torch import load_file
from toy_recipe import ToyRecipe

from autolrs_cli.contracts import Position
from autolrs_cli.runner import execute
from autolrs_cli.settings import EmaSettings
from autolrs_cli.training.averaging import decay_at
from autolrs_cli.training.engine import Engine
from autolrs_recipes.optimizers import from_class

PLAIN = ("optimizer=switching", "schedule=constant")
ToyArgs = {"name": "toy", "global_batch": 12, "micro_batches": 1, "num_phases": 1}


def engine(average: EmaSettings | None = None) -> Engine:
    return Engine(
        ToyRecipe(**ToyArgs),
        lambda groups: from_class(groups, make=Switching, kind=Switching),
        seed=0,
        device=torch.device("cpu"),
        average=average,
    )


def judged(made: Engine) -> list[torch.Tensor]:
    """The mean of the iterates, by its definition: x = (y - (1 - beta) z) / beta."""
    state = made.optimizer.state
    return [(p.detach() - 0.1 * state[p]["z"]) / 0.9 for p in made.model.parameters()]


def assert_close(found: Any, wanted: Any) -> None:
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a.detach(), b, rtol=1e-9, atol=1e-11)


def step(made: Engine, number: int) -> None:
    made.step([made.recipe.train_stream(0, 0).batch(Position(0, number, 0))], 0.1)


def test_what_is_measured_is_the_weights_that_it_is_judged_by(monkeypatch: pytest.MonkeyPatch) -> None:
    made = engine()
    for number in range(4):
        step(made, number)
    wanted, trained = judged(made), [p.detach().clone() for p in made.model.parameters()]
    seen = []

    def spy(self: ToyRecipe, model: torch.nn.Module, batch: Any) -> dict[str, Any]:
        seen.append([p.detach().clone() for p in model.parameters()])
        return {"loss": (torch.ones(()), 1.0)}

    monkeypatch.setattr(ToyRecipe, "measure", spy)
    with made.evaluation_weights():  # to be in it already is no matter
        made.measure([{}])
    made.measure([{}])
    assert len(seen) == 2
    for found in seen:
        assert_close(found, wanted)
    assert all(p.equal(y) for p, y in zip(made.model.parameters(), trained, strict=True))


class TestBatchNorm:
    """With `batchnorm_batches` its statistics are those of the judged weights, on the run's first batches."""

    def made(self) -> Engine:
        made = engine()
        made.optimizer.batchnorm_batches = 3  # type: ignore[attr-defined]
        for number in range(4):
            step(made, number)
        return made

    def wanted(self, made: Engine) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean over batches of the layer's input at the judged weights: mean, and unbiased variance."""
        weight, bias = judged(made)[:2]
        inputs = [
            made.recipe.train_stream(0, 0).batch(Position(0, number, 0))["points"] @ weight.T + bias
            for number in range(3)
        ]
        return (
            torch.stack([each.mean(0) for each in inputs]).mean(0),
            torch.stack([each.var(0) for each in inputs]).mean(0),
        )

    def test_statistics_are_estimated_and_forgotten_bit_for_bit(self) -> None:
        made = self.made()
        norm = made.model[1]
        wanted = self.wanted(made)
        before, dropout = [buffer.clone() for buffer in norm.buffers()], torch.get_rng_state()
        with made.evaluation_weights():
            assert_close((norm.running_mean, norm.running_var), wanted)
            assert not norm.running_mean.equal(before[0])
        assert all(a.equal(b) for a, b in zip(norm.buffers(), before, strict=True))
        assert torch.get_rng_state().equal(dropout)
        assert all(module.training for module in made.model.modules())
        assert norm.momentum == 0.1

    def test_a_measure_takes_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made = self.made()
        wanted, seen = self.wanted(made), []

        def spy(self: ToyRecipe, model: torch.nn.Module, batch: Any) -> dict[str, Any]:
            assert not model.training
            seen.append((model[1].running_mean.clone(), model[1].running_var.clone()))
            return {"loss": (torch.ones(()), 1.0)}

        monkeypatch.setattr(ToyRecipe, "measure", spy)
        made.measure([{}])
        assert_close(seen[0], wanted)
        assert made.model.training

    def test_an_evaluation_estimates_them_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made, times = self.made(), []
        estimate = Engine.estimate_batch_norm
        monkeypatch.setattr(
            Engine, "estimate_batch_norm", lambda *args: (times.append(1), estimate(*args))[1]
        )
        with made.evaluation_weights():
            for split in ("choose", "target"):
                made.measure([made.recipe.eval_stream(split).batch(0)])
        assert len(times) == 1

    def test_without_it_they_stay_those_of_the_trained_weights(self) -> None:
        made = engine()
        step(made, 0)
        before = made.model[1].running_mean.clone()
        with made.evaluation_weights():
            assert made.model[1].running_mean.equal(before)


def test_a_run_writes_the_judged_weights_with_their_statistics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("schedulefree")
    seen = []
    save = execute._save

    def spy(trainer: Any, directory: Any) -> None:
        save(trainer, directory)
        seen.append(trainer.engine)

    monkeypatch.setattr(execute, "_save", spy)
    toy(tmp_path, "optimizer=schedulefree_sgd", "schedule=constant")
    (made,) = seen
    written = weights(tmp_path)
    assert not written["1.running_mean"].equal(made.model[1].running_mean)
    with made.evaluation_weights():
        state = {name: tensor.clone() for name, tensor in made.model.state_dict().items()}
    assert [name for name in state if not state[name].equal(written[name])] == []


def test_the_average_is_that_of_the_weights_that_it_is_judged_by() -> None:
    settings = EmaSettings(name="ema", window=1.0, decay=None, batchnorm_batches=1)
    made, means = engine(settings), None
    for number in range(5):
        step(made, number)
        now = judged(made)
        share = 0.0 if number == 0 else decay_at(settings, number)
        means = (
            now if means is None else [m * share + x * (1 - share) for m, x in zip(means, now, strict=True)]
        )
    assert means is not None
    assert_close(made.averaged_model.parameters(), means)


def test_the_files_hold_the_weights_that_it_is_judged_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    save = execute._save

    def spy(trainer: Any, directory: Any) -> None:
        save(trainer, directory)
        seen.append(trainer.engine)

    monkeypatch.setattr(execute, "_save", spy)
    run(tmp_path, "recipe=decoding", *PLAIN)
    (made,) = seen
    written = weights(tmp_path)
    names = [name for name, _ in made.model.named_parameters()]
    assert_close([written[name] for name in names], judged(made))
    kept = load_file(tmp_path / "checkpoints" / "averaging" / "weights-000000130.safetensors")
    assert all(kept[name].equal(written[name]) for name in names)


def test_a_run_that_is_measured_more_often_is_the_same_run(tmp_path: Path) -> None:
    toy(tmp_path / "seldom", *PLAIN, "run.eval_every_steps=130")
    toy(tmp_path / "often", *PLAIN, "run.eval_every_steps=7")
    assert_equal_weights(tmp_path / "seldom", tmp_path / "often")
    losses = [[r["loss"] for r in events(tmp_path / name, "step")] for name in ("seldom", "often")]
    assert losses[0] == losses[1]


def test_a_search_leaves_no_trace(tmp_path: Path) -> None:
    more = ("optimizer=switching", "search.objective=choose")
    toy(tmp_path / "searched", *more)
    toy(
        tmp_path / "replayed",
        "schedule=replay",
        f"schedule.run={tmp_path / 'searched'}",
        "optimizer=switching",
    )
    assert_equal_weights(tmp_path / "searched", tmp_path / "replayed")
