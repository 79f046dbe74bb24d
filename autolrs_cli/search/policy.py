"""What the stage loop and a search promise each other: the seam at which another search is put in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from autolrs_cli.contracts import Phase, Segment
from autolrs_cli.search.ask_tell import Choice, Curve, Trial, TrialRecord, TrialResult, Verdict
from autolrs_cli.search.failure import FailureRule


@dataclass(frozen=True)
class Surrogate:
    """What a search believes of the loss at each LR, for a picture; all tuples of one length."""

    lrs: tuple[float, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class RunOutline:
    """What a search is told of the run before it begins."""

    phases: Sequence[Phase]
    warmup_steps: int
    """Kept steps at the run's start that are not searched."""
    seed: int
    averaged: bool
    """Whether there are averaged weights to judge by."""


@dataclass(frozen=True)
class UnevenStage(Segment):
    """A searched stage whose trials differ in length; `trial_steps` is that of its first."""

    all_trials: int = 0
    """Steps of all of them, at most."""


def search_steps(stage: Segment) -> int:
    """Return the steps that the trials of a stage make at most."""
    return stage.all_trials if isinstance(stage, UnevenStage) else stage.num_trials * stage.trial_steps


@dataclass(frozen=True)
class SearchEffort:
    """What a search does in one run, at most."""

    steps: int
    """Optimizer steps of its trials, discarded or kept."""
    training_losses: int
    """Steps of trials whose training loss is logged."""
    held_out_losses: int
    """How often trials measure the slice that chooses LRs; 0: never, so that its untrained loss is not taken either."""
    lr_changes: int
    """Kept steps whose LR is not that of the step before, the first step among them."""


class SearchPolicy(Protocol):
    """Chooses the LRs of a run while it trains ([Jin2021]_ Algorithm 1); one object for the whole run.

    It knows nothing of models, files or screens, draws from no random stream but its own, and everything that its
    answers depend on goes through `state_dict`, so that a killed run goes on in the middle of its search.
    """

    failure_rule: FailureRule
    """What makes a trial, or the kept steps of a stage, a diverged one."""
    keeps_winner: bool
    """Whether the end state of the best trial so far must be at hand: a choice may go on from it."""
    max_rollbacks: int
    """How often a stage whose kept steps diverge may be searched again."""

    @property
    def interval(self) -> tuple[float, float]:
        """The lowest and the highest LR that may be asked for now."""

    @property
    def trials(self) -> Sequence[TrialRecord]:
        """The finished trials of the open stage, in order; after a rollback those since."""

    @property
    def choice(self) -> Choice | None:
        """The choice for the open stage; None while there is none."""

    def next_stage(self, step: int) -> Segment | None:
        """Return the stage that kept step `step` (0-based) belongs to, the same one while it is open; None: the end."""

    def ask(self) -> Trial | None:
        """Return the next trial, the same one while it is pending; None when the stage's budget is spent."""

    def report(self, trial: Trial, curve: Curve) -> Verdict:
        """Say whether the pending trial is worth its next step, after each of its losses."""

    def tell(self, trial: Trial, result: TrialResult) -> bool:
        """End the pending trial; return whether it is the best so far: whose end state is worth keeping."""

    def choose(self) -> Choice:
        """Choose for the open stage, once nothing is left to ask."""

    def lr(self, step: int) -> float:
        """Return the LR of kept step `step` of the open stage, once it was chosen."""

    def rule_out(self, lr: float) -> bool:
        """Take in that training diverged at `lr` and was taken back; return whether the stage can be searched again."""

    def surrogate(self, num_points: int) -> Surrogate | None:
        """Return what it believes at `num_points` LRs; None while it believes nothing."""

    def state_dict(self) -> dict[str, Any]:
        """Return everything that later answers depend on, as strict JSON types."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`, of a policy of the same settings: bit for bit the same answers."""


@runtime_checkable
class Search(Protocol):
    """A search as configured: the `_target_` of the config group `search`."""

    def problems(self, run: RunOutline) -> list[str]:
        """Return every rule that the settings break for this run, each naming its keys and the way out."""

    def stages(self, run: RunOutline) -> Sequence[Segment]:
        """Return the stages as far as they are known beforehand."""

    def most(self, run: RunOutline) -> SearchEffort:
        """Return what the search does in such a run, if none of its trials ends early."""

    def policy(self, run: RunOutline) -> SearchPolicy:
        """Return a policy at the beginning of the run."""


@runtime_checkable
class RandomControl(Protocol):
    """A search that can be held against itself with its LRs drawn: what `schedule=random` asks for."""

    def at_random(self) -> Search:
        """Return the same search, at no lower a cost, whose LRs are drawn and not asked for."""
