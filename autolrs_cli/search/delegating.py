"""A policy that passes everything on to another one: what wraps a policy begins here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autolrs_cli.contracts import Segment
from autolrs_cli.search.ask_tell import Choice, Curve, Trial, TrialRecord, TrialResult, Verdict
from autolrs_cli.search.policy import SearchPolicy, Surrogate


class DelegatingPolicy(SearchPolicy):
    """Answers what the policy in it answers.

    Args:
        policy: the one that answers.
    """

    def __init__(self, policy: SearchPolicy) -> None:
        self.failure_rule = policy.failure_rule
        self.keeps_winner = policy.keeps_winner
        self.max_rollbacks = policy.max_rollbacks
        self._policy = policy

    @property
    def interval(self) -> tuple[float, float]:
        """That of the policy."""
        return self._policy.interval

    @property
    def trials(self) -> Sequence[TrialRecord]:
        """Those of the policy."""
        return tuple(self._policy.trials)

    @property
    def choice(self) -> Choice | None:
        """That of the policy."""
        return self._policy.choice

    def next_stage(self, step: int) -> Segment | None:
        """Open a stage."""
        return self._policy.next_stage(step)

    def ask(self) -> Trial | None:
        """Ask."""
        return self._policy.ask()

    def report(self, trial: Trial, curve: Curve) -> Verdict:
        """Report."""
        return self._policy.report(trial, curve)

    def tell(self, trial: Trial, result: TrialResult) -> bool:
        """Tell."""
        return self._policy.tell(trial, result)

    def choose(self) -> Choice:
        """Choose."""
        return self._policy.choose()

    def lr(self, step: int) -> float:
        """Return the LR of a kept step."""
        return self._policy.lr(step)

    def rule_out(self, lr: float) -> bool:
        """Rule out."""
        return self._policy.rule_out(lr)

    def surrogate(self, num_points: int) -> Surrogate | None:
        """Return what the policy believes."""
        return self._policy.surrogate(num_points)

    def state_dict(self) -> dict[str, Any]:
        """Return that of the policy."""
        return self._policy.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load that of the policy."""
        self._policy.load_state_dict(state)
