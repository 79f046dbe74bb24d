"""The search of one stage: ask for an LR, tell the losses it led to, take the best [Jin2021]_."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

from autolrs_cli.contracts import LossKind
from autolrs_cli.errors import ConfigError
from autolrs_cli.search.ask_tell import Curve, Failure, Forecast, Stopped, Trial, TrialRecord, TrialResult
from autolrs_cli.search.forecasting import forecast_at, mean_of_last
from autolrs_cli.search.interval import LogInterval
from autolrs_cli.search.policy import Surrogate
from autolrs_cli.search.settings import SearchSettings
from autolrs_cli.seeding import derive_seed, isolated

if TYPE_CHECKING:
    from autolrs_cli.search.gp import LossSurrogate

GOLDEN_RATIO = (math.sqrt(5) - 1) / 2
NARROWEST = 1e-3
"""A capped interval below this part of the configured one (on the log scale) counts as empty (ours)."""


class StageSearch:
    """Search for the LR of one stage.

    A fresh object per stage. Its answers depend on the arguments and on what it was told; it leaves every
    global random stream as it was.

    Args:
        settings: the `search` config group.
        stage_steps: length of the stage, the horizon of the forecasts.
        trial_steps: length of a trial.
        seed: of this stage; give each stage its own.
        objective: which loss a trial is judged by; held-out losses are taken `validation_points` times a trial.
        ruled_out: LRs that made the stage itself diverge; as after a failed trial, it searches below them.

    Raises:
        ConfigError: the settings break an invariant, or a trial is longer than the stage.
    """

    def __init__(
        self,
        settings: SearchSettings,
        *,
        stage_steps: int,
        trial_steps: int,
        seed: int,
        objective: LossKind = "train",
        ruled_out: Sequence[float] = (),
    ) -> None:
        problems = settings.crossed()
        if not 1 <= trial_steps <= stage_steps:
            problems.append(
                "`1 <= trial_steps <= stage_steps` must hold, but got "
                f"trial_steps={trial_steps}, stage_steps={stage_steps}. Set search.trial_fraction."
            )
        if problems:
            raise ConfigError(problems)
        self.settings = settings
        self.stage_steps = stage_steps
        self.trial_steps = trial_steps
        self.seed = seed
        self.objective = objective
        self.ruled_out = tuple(ruled_out)
        self._interval = LogInterval(settings.lr_min, settings.lr_max)
        self._records: list[TrialRecord] = []
        self._pending: Trial | None = None
        self._fitted: LossSurrogate | None = None

    @property
    def trials(self) -> tuple[TrialRecord, ...]:
        """The finished trials, in the order in which they were told."""
        return tuple(self._records)

    @property
    def cap(self) -> float:
        """The highest LR that may be asked now: below every failed and every ruled-out one."""
        return self._interval.lr(max(0.0, self._cap()))

    @property
    def failed_lrs(self) -> list[float]:
        """LRs at which a trial failed or the stage itself diverged."""
        return [*(r.trial.lr for r in self._records if r.failure is not None), *self.ruled_out]

    def _scored_at(self) -> tuple[int, ...] | None:
        """Return the steps of a trial at which its held-out loss is taken; None: its training loss, at every step."""
        if self.objective == "train":
            return None
        return self.settings.held_out_steps(self.trial_steps)

    def ask(self) -> Trial | None:
        """Return the next trial, the same one while it is pending; None when there is nothing left to try.

        That is when `num_trials` were told, or when failures have capped the interval down to `lr_min`.
        """
        if self._pending is not None:
            return self._pending
        index = len(self._records)
        high = self._cap()
        if index >= self.settings.num_trials or high < NARROWEST:
            return None
        if self.settings.questions == "random":
            x = self._draw_independently(index, high)
        elif index < self.settings.num_random_trials or not self._told():
            x = self._draw(index, high)
        else:
            x = self._minimise_lcb(high)
        self._pending = Trial(
            index, self._interval.lr(x), self.trial_steps, self.objective, scored_at=self._scored_at()
        )
        return self._pending

    def report(self, trial: Trial, curve: Curve) -> Literal["go", "stop"]:
        """Say whether the pending trial is worth its next step: `stop` once its last loss is not finite."""
        self._require_pending(trial)
        return "stop" if curve.values and not math.isfinite(curve.values[-1]) else "go"

    def tell(self, trial: Trial, result: TrialResult) -> bool:
        """End the pending trial; return whether it is the best so far.

        Raises:
            ValueError: the trial is not the pending one, or the curve is empty or longer than a trial; or the trial
                was stopped, which this search never does.
            NonFiniteError: a loss is not finite; tell a Failure instead. The trial stays pending.
        """
        self._require_pending(trial)
        if isinstance(result, Stopped):
            raise ValueError(
                f"A trial must end or fail, but {trial} was stopped: {result.reason}. Train it to its end."
            )
        if isinstance(result, Failure):
            record = TrialRecord(trial, failure=result)
        else:
            record = TrialRecord(trial, forecast=self._forecast(result))
        self._records.append(record)
        self._pending = None
        self._fitted = None
        return self.best() == trial

    def best(self) -> Trial | None:
        """Return the trial with the lowest forecast, the earliest among equals; None when all failed."""
        told = self._told()
        return min(told, key=lambda pair: pair[1].mean)[0] if told else None

    def surrogate(self, num_points: int = 101) -> Surrogate | None:
        """Return the surrogate at `num_points` >= 2 LRs over the interval; None while there is none."""
        if not self._told() or self.settings.questions == "random":
            return None
        x = [i / (num_points - 1) for i in range(num_points)]
        with _apart():
            mean, std = self._fit().posterior(x)
        return Surrogate(tuple(map(self._interval.lr, x)), tuple(mean), tuple(std))

    def state_dict(self) -> dict[str, Any]:
        """Return everything that later answers depend on, as strict JSON types."""
        return {
            "settings": self.settings.model_dump(include=set(SearchSettings.model_fields)),
            "stage_steps": self.stage_steps,
            "trial_steps": self.trial_steps,
            "seed": self.seed,
            "objective": self.objective,
            "ruled_out": list(self.ruled_out),
            "pending": None if self._pending is None else asdict(self._pending),
            "trials": [record.state_dict() for record in self._records],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> StageSearch:
        """Rebuild a search from its `state_dict`: it answers as the stored one would have, bit for bit."""
        search = cls(
            SearchSettings.from_mapping(state["settings"]),
            stage_steps=state["stage_steps"],
            trial_steps=state["trial_steps"],
            seed=state["seed"],
            objective=state["objective"],
            ruled_out=state["ruled_out"],
        )
        search._records = [TrialRecord.from_state(record) for record in state["trials"]]
        search._pending = None if state["pending"] is None else Trial.from_state(state["pending"])
        return search

    def _told(self) -> list[tuple[Trial, Forecast]]:
        """Return what the surrogate may know: trials that did not fail."""
        return [(record.trial, record.forecast) for record in self._records if record.forecast is not None]

    def _cap(self) -> float:
        """Return the upper end of what may be asked, as a place in the interval: below every failed LR."""
        failed = self.failed_lrs
        if not failed:
            return 1.0
        return min(1.0, self._interval.unit(min(failed) * self.settings.failed_lr_cap_factor))

    def _draw(self, index: int, high: float) -> float:
        """Return a place in [0, high) that needs no surrogate.

        The first is uniform; the golden ratio spreads those after it evenly, however many there are (ours).
        """
        first = derive_seed(self.seed, "first_lr") / 2**63
        return (first + index * GOLDEN_RATIO) % 1.0 * high

    def _draw_independently(self, index: int, high: float) -> float:
        """Return a place in [0, high), uniform and independent of all others."""
        return derive_seed(self.seed, "random_lr", index) / 2**63 * high

    def _minimise_lcb(self, high: float) -> float:
        tried = [self._interval.unit(record.trial.lr) for record in self._records]
        with _apart():
            return self._fit().minimise_lcb(self.settings.kappa, high, tried, self.settings.num_trials)

    def _fit(self) -> LossSurrogate:
        """Fit the surrogate to what was told, once per told trial."""
        from autolrs_cli.search.gp import LossSurrogate

        if self._fitted is None:
            x = [self._interval.unit(trial.lr) for trial, _ in self._told()]
            y = [forecast.mean for _, forecast in self._told()]
            # A fit that fails is tried again from hyper-parameters drawn from torch's global stream.
            with isolated(self.seed, "surrogate", len(self._records)):
                self._fitted = LossSurrogate(x, y)
        return self._fitted

    def _forecast(self, curve: Curve) -> Forecast:
        if curve.steps and curve.steps[-1] > self.trial_steps:
            raise ValueError(
                "`curve.steps[-1] <= trial_steps` must hold, but got "
                f"{curve.steps[-1]} and {self.trial_steps}. Count steps from the trial's start."
            )
        settings = self.settings
        if settings.prediction == "last_losses":
            return mean_of_last(curve.values, settings.last_share)
        clean_up = settings.clean_up_train if curve.kind == "train" else settings.clean_up_choose
        return forecast_at(curve.steps, curve.values, self.stage_steps, clean_up)

    def _require_pending(self, trial: Trial) -> None:
        if trial != self._pending:
            raise ValueError(
                f"`trial` must be the pending one, but got {trial} while {self._pending} is pending. "
                "Ask first, and tell each trial once."
            )


@contextmanager
def _apart() -> Iterator[None]:
    """Keep BoTorch's warnings, also those of importing it, from the terminal, and its work on one thread.

    Matrices of ten rows gain nothing from threads, and lose much where other processes use the cores. One thread
    also makes the answers independent of how many the training uses.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch

        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
