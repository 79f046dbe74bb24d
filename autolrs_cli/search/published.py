"""The published search as a policy: doubling stages, each with a fresh `StageSearch` ([Jin2021]_ Algorithm 1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from autolrs_cli.contracts import Segment
from autolrs_cli.errors import ConfigError
from autolrs_cli.search.ask_tell import Choice, Curve, Trial, TrialRecord, TrialResult, Verdict
from autolrs_cli.search.failure import FailureRule
from autolrs_cli.search.policy import RunOutline, SearchEffort, SearchPolicy, Surrogate, search_steps
from autolrs_cli.search.settings import SearchSettings, StageBudget
from autolrs_cli.search.stage_search import StageSearch
from autolrs_cli.search.stages import plan_stages, stage_problems
from autolrs_cli.seeding import derive_seed

# An LR closer to an end of the interval than this share of its width (on a log axis) counts as on the edge.
EDGE_SHARE = 0.01
# Far above any use; the plan lists every stage.
MOST_STAGES = 10_000


class PublishedSearch(SearchSettings, StageBudget):
    """The settings of `search=paper`, and of those that differ from it in numbers alone."""

    name: str

    def at_random(self) -> PublishedSearch:
        """Return the same with LRs that are drawn."""
        return self.model_copy(update={"questions": "random"})

    def problems(self, run: RunOutline) -> list[str]:
        """Return every rule across settings, and every one for this run, that is broken."""
        found = self.crossed()
        if self.initial_stage_steps > self.max_stage_steps:
            found.append(
                "`initial_stage_steps <= max_stage_steps` must hold, but got search.initial_stage_steps="
                f"{self.initial_stage_steps}, search.max_stage_steps={self.max_stage_steps}. "
                "Set search.max_stage_steps."
            )
        most = sum(phase.steps for phase in run.phases) // self.max_stage_steps
        if most > MOST_STAGES:
            found.append(
                f"A run may have {MOST_STAGES:,} searched stages at most, but run.max_steps and "
                f"search.max_stage_steps={self.max_stage_steps} give up to {most:,}. Raise search.max_stage_steps or "
                "shorten run.max_steps."
            )
        return found or stage_problems(self.stages(run), run.phases, run.warmup_steps)

    def stages(self, run: RunOutline) -> list[Segment]:
        """Return all stages: they are known beforehand."""
        return plan_stages(run.phases, run.warmup_steps, self, self.num_trials)

    def most(self, run: RunOutline) -> SearchEffort:
        """Return what all trials do; every one is discarded."""
        stages = self.stages(run)
        losses = {"train": 0, "choose": 0}
        for stage in stages:
            judged = self.held_out_steps(stage.trial_steps) if stage.objective == "choose" else None
            losses[stage.objective] += stage.num_trials * (
                stage.trial_steps if judged is None else len(judged)
            )
        return SearchEffort(
            sum(map(search_steps, stages)),
            losses["train"],
            losses["choose"],
            run.warmup_steps + len(stages),
        )

    def policy(self, run: RunOutline) -> SearchPolicy:
        """Return a policy at the beginning of the run."""
        return PublishedPolicy(self, self.stages(run), run.seed)


class PublishedPolicy:
    """One stage after another, and nothing learnt from one to the next but which LRs trained without diverging.

    Args:
        settings: the search's constants.
        stages: of the whole run.
        seed: the run's seed; the search draws from a stream of its own.
    """

    keeps_winner = False

    def __init__(self, settings: PublishedSearch, stages: Sequence[Segment], seed: int) -> None:
        self.failure_rule = FailureRule(settings.max_loss_ratio, settings.tail_fraction)
        self.max_rollbacks = settings.max_rollbacks
        self._settings = settings
        self._stages = stages
        self._seed = seed
        self._stage: Segment | None = None
        self._search: StageSearch | None = None
        self._ruled_out: list[float] = []
        self._choice: Choice | None = None
        self._chosen: list[float] = []
        """LRs of the stages before the open one."""

    @property
    def interval(self) -> tuple[float, float]:
        """The configured interval, less what lies above failed and ruled-out LRs."""
        return self._settings.lr_min, self._open.cap

    @property
    def trials(self) -> tuple[TrialRecord, ...]:
        """The finished trials of the open stage."""
        return self._search.trials if self._search else ()

    @property
    def choice(self) -> Choice | None:
        """The choice for the open stage."""
        return self._choice

    def next_stage(self, step: int) -> Segment | None:
        """Return the stage that kept step `step` belongs to; one that was not open begins a fresh search."""
        stage = next((each for each in self._stages if each.first_step <= step < each.end), None)
        if stage is not None and stage != self._stage:
            if self._choice is not None:
                self._chosen.append(self._choice.lr)
            self._stage, self._ruled_out = stage, []
            self._begin()
        return stage

    def ask(self) -> Trial | None:
        """Return the next trial of the open stage."""
        return self._open.ask()

    def report(self, trial: Trial, curve: Curve) -> Verdict:
        """Let the trial go on as long as its loss is finite."""
        return self._open.report(trial, curve)

    def tell(self, trial: Trial, result: TrialResult) -> bool:
        """Tell the open stage's search."""
        return self._open.tell(trial, result)

    def choose(self) -> Choice:
        """Choose the LR with the lowest forecast; where every trial failed, the safest LR there is."""
        best = self._open.best()
        forecast = next((each.forecast for each in self.trials if each.trial == best), None)
        again = ("searched_again",) if self._ruled_out else ()
        if best is None:
            self._choice = Choice(self._safe_lr(), None, flags=(*again, "all_failed"))
        else:
            flags = (*again, *self._edges(best.lr), *(forecast.flags if forecast else ()))
            predicted = forecast.mean if forecast else None
            self._choice = Choice(best.lr, best, predicted=predicted, flags=flags)
        return self._choice

    def lr(self, step: int) -> float:  # noqa: ARG002 - constant over a stage
        """Return the chosen LR."""
        assert self._choice is not None
        return self._choice.lr

    def rule_out(self, lr: float) -> bool:
        """Search the open stage again, below `lr`; say whether there is something below."""
        self._ruled_out.append(lr)
        self._begin()
        return lr > self._settings.lr_min

    def surrogate(self, num_points: int) -> Surrogate | None:
        """Return what the open stage's search believes."""
        return self._open.surrogate(num_points)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that later answers depend on, as strict JSON types."""
        return {
            "stage": None if self._stage is None else self._stage.stage,
            "ruled_out": list(self._ruled_out),
            "choice": None if self._choice is None else asdict(self._choice),
            "chosen": list(self._chosen),
            "search": None if self._search is None else self._search.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`.

        Raises:
            ConfigError: if it is of a search with other settings or stages.
        """
        index, search = state["stage"], state["search"]
        if index is not None and not 0 <= index < len(self._stages):
            raise ConfigError(
                f"A resumed search must have the stages that it began with, but stage {index + 1} is not among its "
                f"{len(self._stages)}. Resume with the settings that the run began with."
            )
        self._stage = None if index is None else self._stages[index]
        self._ruled_out = [float(lr) for lr in state["ruled_out"]]
        self._choice = None if state["choice"] is None else Choice.from_state(state["choice"])
        self._chosen = [float(lr) for lr in state["chosen"]]
        self._search = None if search is None else StageSearch.from_state(search)

    @property
    def _open(self) -> StageSearch:
        assert self._search is not None, "a stage is asked about before it is open"
        return self._search

    def _begin(self) -> None:
        assert self._stage is not None
        attempt = (len(self._ruled_out),) if self._ruled_out else ()
        self._choice = None
        self._search = StageSearch(
            self._settings,
            stage_steps=self._stage.steps,
            trial_steps=self._stage.trial_steps,
            seed=derive_seed(self._seed, "search", self._stage.stage or 0, *attempt),
            objective=self._stage.objective,
            ruled_out=self._ruled_out,
        )

    def _safe_lr(self) -> float:
        """Return the last chosen LR that did not diverge, else lr_min."""
        lowest = min(self._open.failed_lrs)
        return next((lr for lr in reversed(self._chosen) if lr < lowest), self._settings.lr_min)

    def _edges(self, lr: float) -> tuple[str, ...]:
        low, high = math.log(self._settings.lr_min), math.log(self._settings.lr_max)
        share = (math.log(lr) - low) / (high - low)
        if share < EDGE_SHARE:
            return ("lower_edge",)
        return ("upper_edge",) if share > 1 - EDGE_SHARE else ()
