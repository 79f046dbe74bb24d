"""What a search and the loop that trains tell each other: trials, their losses, and what came of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, TypeVar

from pydantic import TypeAdapter

from autolrs_cli.contracts import LossKind, WeightsKind

T = TypeVar("T")


@dataclass(frozen=True)
class Trial:
    """One question of a search: train some steps at this LR and say how it went."""

    index: int
    """0-based within the stage."""
    lr: float
    steps: int = 0
    """How many optimizer steps it has."""
    kind: LossKind = "train"
    """The loss that it is judged by."""
    weights: WeightsKind = "raw"
    """The weights that it is judged by; averaged ones have a held-out loss only."""
    scored_at: tuple[int, ...] | None = None
    """Steps since the trial's start, 1-based and ascending, at which the loss is taken; None: every step."""
    end_lr: float | None = None
    """LR of the last step of a ramp, which goes there evenly on the log scale; None: `lr` throughout."""
    warmup_steps: int = 0
    """First steps, in which the LR rises evenly to `lr`."""

    def lr_at(self, number: int) -> float:
        """Return the LR of step `number` of the trial, 1-based."""
        if self.end_lr is None:
            return self.lr * min(1.0, number / max(1, self.warmup_steps))
        return float(self.lr * (self.end_lr / self.lr) ** ((number - 1) / max(1, self.steps - 1)))

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Trial:
        """Return the trial that `asdict` made `state` of.

        Raises:
            ValueError: if it holds what a trial never does.
        """
        return _validated(cls, state)


@dataclass(frozen=True)
class Curve:
    """The losses of one trial.

    Args:
        steps: steps since the trial's start at which a value was taken, 1-based and ascending.
        values: mean loss at each of those steps, same length.
        kind: which loss it is.
        weights: the weights it was measured with.
        parts: of a held-out loss, the mean loss of each batch of the slice, the same batches at each of those steps:
            what the noise of a difference can be told from; else empty.
    """

    steps: Sequence[int]
    values: Sequence[float]
    kind: LossKind
    weights: WeightsKind = "raw"
    parts: Sequence[Sequence[float]] = ()


@dataclass(frozen=True)
class Failure:
    """A trial that diverged. It is a state, never a number told to the surrogate."""

    reason: Literal["non_finite_loss", "loss_above_untrained"]
    step: int
    """Step since the trial's start at which it was found, 1-based."""
    detail: str
    """The measured numbers, for a person."""


@dataclass(frozen=True)
class Stop:
    """A policy's word that a trial is not worth its next step."""

    reason: str
    """For a person."""


@dataclass(frozen=True)
class Stopped:
    """A trial that its policy ended early; what its losses still say is the policy's affair."""

    curve: Curve
    reason: str


Verdict: TypeAlias = "Literal['go', 'stop'] | Stop"
"""`go`: the trial's next step; `stop`: it diverged, and the failure rule has the last word; `Stop`: it is stopped."""
TrialResult: TypeAlias = "Curve | Failure | Stopped"


@dataclass(frozen=True)
class Forecast:
    """The loss expected at the end of a stage, from the losses of a trial."""

    mean: float
    std: float | None = None
    """None where the forecast has no uncertainty of its own (the published one)."""
    flags: tuple[str, ...] = ()
    """Why not to trust it: `negative`, `undetermined`, `few_points`, `overflow`."""
    measured: bool = False
    """Whether it is the loss at the trial's end itself, which the search compares as it is."""


@dataclass(frozen=True)
class TrialRecord:
    """A finished trial and what came of it: a forecast, a failure, or the reason why it was stopped."""

    trial: Trial
    forecast: Forecast | None = None
    failure: Failure | None = None
    stopped: str | None = None

    @property
    def status(self) -> Literal["ok", "diverged", "stopped"]:
        """What came of it; the losses of a diverged trial say nothing."""
        if self.failure is not None:
            return "diverged"
        return "ok" if self.stopped is None else "stopped"

    def state_dict(self) -> dict[str, Any]:
        """Return the record as JSON types."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> TrialRecord:
        """Rebuild the record; floats return bit for bit.

        Raises:
            ValueError: if it holds what a record never does.
        """
        return _validated(cls, state)


@dataclass(frozen=True)
class Choice:
    """What a policy makes of the trials of a stage."""

    lr: float
    """In force from here on; that of each step, warm-up and decay included, is the policy's `lr`."""
    trial: Trial | None
    """The winner; None: every trial failed, and the LR is a safe one."""
    keeps_end: bool = False
    """Whether the winner's end state is where training goes on: its steps then are kept steps."""
    predicted: float | None = None
    """The loss that it is expected to lead to."""
    flags: tuple[str, ...] = ()
    account: str = ""
    """Why it was chosen, for a person; empty where the trials say it all."""

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Choice:
        """Return the choice that `asdict` made `state` of.

        Raises:
            ValueError: if it holds what a choice never does.
        """
        return _validated(cls, state)


def _validated(cls: type[T], state: Mapping[str, Any]) -> T:
    """Return `state`, which may come from a file that was edited, as an object of `cls`."""
    return TypeAdapter(cls).validate_python(dict(state))
