"""AutoLRS: one searched stage after another ([Jin2021]_ Algorithm 1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from autolrs_cli.contracts import Curve, Failure, Trial
from autolrs_cli.errors import ConfigError, TrainingDivergedError
from autolrs_cli.records import events
from autolrs_cli.search import FailureRule, SearchSettings, StageSearch
from autolrs_cli.seeding import derive_seed
from autolrs_cli.training.divergence import DivergedError, RuledOut
from autolrs_cli.training.outcome import finite
from autolrs_cli.training.snapshot import Snapshot
from autolrs_cli.training.stages import Segment
from autolrs_cli.training.trainer import Trainer

# An LR closer to an end of the interval than this share of its width (on a log axis) counts as on the edge.
EDGE_SHARE = 0.01
SURROGATE_POINTS = 48


@dataclass(frozen=True)
class ToldTrial:
    """A finished trial, as the journal has it."""

    lr: float
    steps: tuple[int, ...]
    losses: tuple[float, ...]
    """NaN where the loss was not finite."""
    made_steps: int
    seconds: float


class StageLoop:
    """Search the LR of each stage, then train the stage with it.

    Args:
        trainer: makes the steps.
        snapshot: brings the state back to a stage's start.
        settings: the search's constants.
        seed: the run's seed; the search draws from a stream of its own.
        max_rollbacks: how often a stage that diverges in training is searched again.
    """

    def __init__(
        self, trainer: Trainer, snapshot: Snapshot, settings: SearchSettings, seed: int, max_rollbacks: int
    ) -> None:
        self._trainer = trainer
        self._snapshot = snapshot
        self._settings = settings
        self._seed = seed
        self._max_rollbacks = max_rollbacks
        self._failure_rule = FailureRule(settings.max_loss_ratio, settings.tail_fraction)

    def run(self, stage: Segment, told: Sequence[ToldTrial] = ()) -> None:
        """Find an LR for `stage` by trials that leave no trace, then train its steps with it.

        Args:
            stage: what is searched and trained.
            told: trials of this stage that an earlier process finished; they are not made again.
        """
        self._trainer.place.stage = stage.stage
        self._trainer.begin_stage(announce=not told)
        self._save()
        self._search_and_train(stage, told)
        self._trainer.place.stage = None

    def go_on(self, stage: Segment) -> None:
        """Train what is left of a stage whose LR an earlier process chose."""
        self._trainer.place.stage = stage.stage
        start = self._trainer.go_on_with_stage(stage.first_step)
        lr = self._trainer.outcome.chosen[-1].lr
        try:
            self._train(stage, lr)
        except DivergedError as diverged:
            if start is None:
                raise
            self._trainer.engine.load_state(start)
            self._save()
            self._take_back(diverged.found)
            self._search_and_train(stage)
        self._trainer.place.stage = None

    def _search_and_train(self, stage: Segment, told: Sequence[ToldTrial] = ()) -> None:
        """Search, and train; where training diverges, take it back and search below its LR."""
        while True:
            lr = self._search(stage, told)
            self._restore()
            try:
                return self._train(stage, lr)
            except DivergedError as diverged:
                self._take_back(diverged.found)
                told = ()

    def _search(self, stage: Segment, told: Sequence[ToldTrial]) -> float:
        """Return the LR of the best trial."""
        ruled_out = self._ruled_out(stage)
        attempt = (len(ruled_out),) if ruled_out else ()
        search = StageSearch(
            self._settings,
            stage_steps=stage.steps,
            trial_steps=stage.trial_steps,
            seed=derive_seed(self._seed, "search", stage.stage or 0, *attempt),
            ruled_out=ruled_out,
        )
        if not told:
            self._announce(stage, search)
        for finished in told:
            self._retell(search, finished, stage)
        while trial := self._ask(search):
            self._restore()
            self._tell(search, trial, *self._probe(search, trial, stage))
        return self._choose(search)

    def _train(self, stage: Segment, lr: float) -> None:
        self._trainer.keep(stage, lambda _: lr)

    def _take_back(self, found: RuledOut) -> None:
        """Go back to the stage's start.

        Raises:
            TrainingDivergedError: if that was done often enough, or there is no lower LR to try.
        """
        tried = [*(each for each in self._trainer.outcome.ruled_out if each.stage == found.stage), found]
        if len(tried) > self._max_rollbacks or found.lr <= self._settings.lr_min:
            account = "; ".join(f"at LR {each.lr:.4g} at step {each.step} ({each.reason})" for each in tried)
            raise TrainingDivergedError(
                f"Stage {found.stage + 1} must train without diverging, but it diverged {account}. "
                "Lower search.lr_max and search.lr_min, or raise search.max_rollbacks."
            )
        self._restore()
        self._trainer.take_back_stage(found, self._max_rollbacks)

    def _ruled_out(self, stage: Segment) -> list[float]:
        return [each.lr for each in self._trainer.outcome.ruled_out if each.stage == stage.stage]

    def _safe_lr(self, search: StageSearch) -> float:
        """Return the last chosen LR that did not diverge, else lr_min."""
        lowest = min(search.failed_lrs)
        chosen = (each.lr for each in reversed(self._trainer.outcome.chosen))
        return next((lr for lr in chosen if lr < lowest), self._settings.lr_min)

    def _retell(self, search: StageSearch, finished: ToldTrial, stage: Segment) -> None:
        """Tell the search what an earlier process found out, as if it had just been measured.

        Raises:
            ConfigError: if the search asks for another LR than it did then.
        """
        trial = search.ask()
        if trial is None or trial.lr != finished.lr:
            raise ConfigError(
                f"A resumed search must ask the same questions, but asks for LR {trial and trial.lr} where it asked "
                f"for {finished.lr}. Use the versions of the libraries and the machine that the run began with."
            )
        curve = Curve(finished.steps, finished.losses, stage.objective)
        if stage.objective == "train":
            # Trials log every training loss, so the first of a run is that of the initial weights.
            self._trainer.untrained_loss.setdefault("train", finished.losses[0])
        search.tell(trial, self._failure_rule.check(curve, self._untrained(stage)) or curve)
        self._trainer.place.total_steps += finished.made_steps
        self._trainer.ledger.add("search_discarded", finished.made_steps, finished.seconds)

    def _probe(self, search: StageSearch, trial: Trial, stage: Segment) -> tuple[Curve | Failure, int]:
        """Train up to `stage.trial_steps` steps at the trial's LR.

        Returns:
            The losses, or why the trial failed; and how many steps were made.
        """
        number = 0
        steps: list[int] = []
        values: list[float] = []
        curve = Curve(steps, values, stage.objective)
        every = search.validation_every if stage.objective == "choose" else 1
        with self._trainer.ledger.span("search_discarded"):
            for number in range(1, stage.trial_steps + 1):
                loss = self._trainer.advance(
                    stage.phase, stage.first_step + number - 1, trial.lr, "search_discarded"
                )
                if math.isfinite(loss):
                    if number % every:
                        continue
                    if stage.objective == "choose":
                        loss = self._trainer.evaluator.choose_loss()
                steps.append(number)
                values.append(loss)
                self._trainer.journal.write(events.TrialStep(number, finite(loss)))
                if search.report(trial, curve) == "stop":
                    break
        return self._failure_rule.check(curve, self._untrained(stage)) or curve, number

    def _untrained(self, stage: Segment) -> float:
        return self._trainer.untrained_loss[stage.objective]

    def _announce(self, stage: Segment, search: StageSearch) -> None:
        self._trainer.journal.write(
            events.StageStarted(
                stage.first_step,
                stage.steps,
                stage.trial_steps,
                self._settings.num_trials,
                self._settings.lr_min,
                search.cap,
                stage.objective,
            )
        )

    def _ask(self, search: StageSearch) -> Trial | None:
        with self._trainer.ledger.span("search_model"):
            surrogate = search.surrogate(SURROGATE_POINTS)
            trial = search.ask()
        if surrogate is not None:
            self._trainer.journal.write(events.SurrogateEvent(surrogate.lrs, surrogate.mean, surrogate.std))
        if trial is None:
            return None
        trial = replace(trial, lr=self._trainer.engine.world.broadcast(trial.lr))
        self._trainer.place.trial = trial.index
        self._trainer.journal.write(events.TrialStarted(trial.lr))
        return trial

    def _tell(self, search: StageSearch, trial: Trial, outcome: Curve | Failure, steps: int) -> None:
        with self._trainer.ledger.span("search_model"):
            best = search.tell(trial, outcome)
        record = search.trials[-1]
        forecast = record.forecast
        failed = isinstance(outcome, Failure)
        self._trainer.journal.write(
            events.TrialFinished(
                lr=trial.lr,
                status="diverged" if failed else "ok",
                predicted=None if forecast is None else forecast.mean,
                std=None if forecast is None else forecast.std,
                flags=() if forecast is None else forecast.flags,
                steps=steps,
                reason=f"{outcome.reason}: {outcome.detail}" if isinstance(outcome, Failure) else None,
                best=best,
            )
        )
        self._trainer.place.trial = None

    def _choose(self, search: StageSearch) -> float:
        best = search.best()
        forecast = next((t.forecast for t in search.trials if t.trial == best), None)
        flags: tuple[str, ...]
        if best is None:
            # Every trial failed: the last LR that did not diverge is the safest guess there is.
            lr, flags = self._safe_lr(search), ("all_failed",)
        else:
            lr = best.lr
            flags = self._edges(lr) + (forecast.flags if forecast else ())
        if search.ruled_out:
            flags = ("searched_again", *flags)
        chosen = events.LrChosen(
            lr, forecast.mean if forecast else None, None if best is None else best.index, flags
        )
        self._trainer.outcome.chosen.append(chosen)
        self._trainer.journal.write(chosen)
        return lr

    def _edges(self, lr: float) -> tuple[str, ...]:
        low, high = math.log(self._settings.lr_min), math.log(self._settings.lr_max)
        share = (math.log(lr) - low) / (high - low)
        if share < EDGE_SHARE:
            return ("lower_edge",)
        return ("upper_edge",) if share > 1 - EDGE_SHARE else ()

    def _save(self) -> None:
        with self._trainer.ledger.span("snapshot"):
            self._snapshot.save()

    def _restore(self) -> None:
        with self._trainer.ledger.span("snapshot"):
            self._snapshot.restore()
