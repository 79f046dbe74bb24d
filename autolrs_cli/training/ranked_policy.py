"""A search policy of a run on several processes: rank 0 asks, judges and chooses, the others do as it says."""

from __future__ import annotations

from typing import Any, NamedTuple

from autolrs_cli.contracts import Segment
from autolrs_cli.search import Choice, Curve, DelegatingPolicy, SearchPolicy, Surrogate, Trial, TrialRecord
from autolrs_cli.search.ask_tell import TrialResult, Verdict
from autolrs_cli.training.world import World


def ranked(policy: SearchPolicy, world: World) -> SearchPolicy:
    """Return the policy as this process needs it: itself, where there is no other process."""
    if world.size == 1:
        return policy
    return LeadingPolicy(policy, world) if world.rank == 0 else FollowingPolicy(policy, world)


class _Opened(NamedTuple):
    """What rank 0 says of a stage when it is opened, and again after its choice."""

    stage: Segment | None
    interval: tuple[float, float]
    trials: tuple[TrialRecord, ...]
    choice: Choice | None
    lrs: tuple[float, ...]
    """Of the stage's kept steps; empty before the choice. One: they are all alike."""


class LeadingPolicy(DelegatingPolicy):
    """Passes everything on to the policy, and what it answers to the other processes.

    Args:
        policy: the one that answers.
        world: those who are told.
    """

    def __init__(self, policy: SearchPolicy, world: World) -> None:
        super().__init__(policy)
        self._world = world
        self._stage: Segment | None = None

    def next_stage(self, step: int) -> Segment | None:
        """Open a stage."""
        self._stage = self._policy.next_stage(step)
        self._tell_all()
        return self._stage

    def ask(self) -> Trial | None:
        """Ask."""
        return self._world.broadcast(self._policy.ask())

    def report(self, trial: Trial, curve: Curve) -> Verdict:
        """Report."""
        return self._world.broadcast(self._policy.report(trial, curve))

    def tell(self, trial: Trial, result: TrialResult) -> bool:
        """Tell."""
        best = self._policy.tell(trial, result)
        self._world.broadcast((best, self._policy.trials[-1]))
        return best

    def choose(self) -> Choice:
        """Choose."""
        choice = self._policy.choose()
        self._tell_all()
        return choice

    def rule_out(self, lr: float) -> bool:
        """Rule out."""
        return self._world.broadcast(self._policy.rule_out(lr))

    def _tell_all(self) -> None:
        stage, choice = self._stage, self._policy.choice
        if stage is None:
            self._world.broadcast(_Opened(None, (0.0, 0.0), (), None, ()))
            return
        lrs: tuple[float, ...] = ()
        if choice is not None:
            lrs = tuple(self._policy.lr(step) for step in range(stage.first_step, stage.end))
            lrs = lrs[:1] if len(set(lrs)) == 1 else lrs
        self._world.broadcast(_Opened(stage, self.interval, tuple(self.trials), choice, lrs))


class FollowingPolicy(SearchPolicy):
    """Answers what rank 0's policy answers; it remembers nothing that it is not told again.

    Args:
        policy: of the same settings as that of rank 0; only they are read.
        world: where rank 0 is heard.
    """

    def __init__(self, policy: SearchPolicy, world: World) -> None:
        self.failure_rule = policy.failure_rule
        self.keeps_winner = policy.keeps_winner
        self.max_rollbacks = policy.max_rollbacks
        self._world = world
        self._opened = _Opened(None, (0.0, 0.0), (), None, ())

    @property
    def interval(self) -> tuple[float, float]:
        """The interval when the stage was opened."""
        return self._opened.interval

    @property
    def trials(self) -> tuple[TrialRecord, ...]:
        """The finished trials of the open stage."""
        return self._opened.trials

    @property
    def choice(self) -> Choice | None:
        """The choice for the open stage."""
        return self._opened.choice

    def next_stage(self, step: int) -> Segment | None:  # noqa: ARG002 - rank 0 knows it
        """Hear which stage is opened."""
        self._opened = self._world.broadcast(self._opened)
        return self._opened.stage

    def ask(self) -> Trial | None:
        """Hear the next trial."""
        said: Trial | None = None
        return self._world.broadcast(said)

    def report(self, trial: Trial, curve: Curve) -> Verdict:  # noqa: ARG002 - rank 0 has the same
        """Hear the verdict."""
        verdict: Verdict = "go"
        return self._world.broadcast(verdict)

    def tell(self, trial: Trial, result: TrialResult) -> bool:  # noqa: ARG002 - rank 0 has the same
        """Hear what came of the trial."""
        best, record = self._world.broadcast((False, TrialRecord(trial)))
        self._opened = self._opened._replace(trials=(*self.trials, record))
        return best

    def choose(self) -> Choice:
        """Hear the choice."""
        self._opened = self._world.broadcast(self._opened)
        assert self._opened.choice is not None
        return self._opened.choice

    def lr(self, step: int) -> float:
        """Return the LR of a kept step, as rank 0 said when it chose."""
        stage, lrs = self._opened.stage, self._opened.lrs
        assert stage is not None
        return lrs[0] if len(lrs) == 1 else lrs[step - stage.first_step]

    def rule_out(self, lr: float) -> bool:  # noqa: ARG002 - rank 0 has the same
        """Hear whether the stage can be searched again."""
        return self._world.broadcast(False)

    def surrogate(self, num_points: int) -> Surrogate | None:  # noqa: ARG002 - for pictures, which rank 0 makes
        """Return nothing."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: rank 0's is what a run goes on from."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load nothing: rank 0 says it again when it opens a stage."""
