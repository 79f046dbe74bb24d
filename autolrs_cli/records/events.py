"""Everything that happens in a run is one of these events; the journal adds time, steps and place.

Fields of every record beside the event's own: `event`, `t` (seconds since the run first started, pauses left
out), `step` (kept steps), `total_steps` (all optimizer steps), and within a phase, stage or trial its `phase`,
`stage`, `trial` (0-based). Dashboards, reports and resume read records, never live objects.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from autolrs_cli.contracts import RunLength
from autolrs_cli.exit_codes import EndCause


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The run's plan, before anything is trained."""

    description: dict[str, Any]
    plan: dict[str, Any]
    config: dict[str, Any]
    versions: dict[str, str]
    data_fingerprint: str
    code_version: str
    """Hash of the code that the run can have executed."""
    code: Mapping[str, str]
    """Module -> hash, of that code: two runs of different arms have not executed the same modules."""
    length: RunLength | None = None
    """What the run's length means to its schedule; None: a journal of a version that did not say."""
    initial_weights: str | None = None
    """Hash of the weights of another run that it starts from (`run.init_from`); None: it draws them."""


@dataclass(frozen=True, slots=True)
class Step:
    """A kept step, every `run.log_every_steps`."""

    lr: float
    loss: float | None
    examples: int
    """Examples seen in kept steps so far."""


@dataclass(frozen=True, slots=True)
class StageStarted:
    """A searched stage begins; its training steps come after its trials."""

    first_step: int
    steps: int
    trial_steps: int
    num_trials: int
    lr_min: float
    lr_max: float
    objective: str
    search_steps: int | None = None
    """Steps of all trials at most, where they are not of one length."""


@dataclass(frozen=True, slots=True)
class TrialStarted:
    """The state is back at the stage's start and a candidate LR is about to be tried."""

    lr: float
    end_lr: float | None = None
    """Of a ramp: the LR of its last planned step."""
    steps: int | None = None
    """How many it has, unless it ends early."""
    warmup_steps: int = 0
    """First steps, in which its LR rises evenly."""


@dataclass(frozen=True, slots=True)
class TrialStep:
    """A loss point of a trial, the one that its forecast will use."""

    trial_step: int
    loss: float | None


@dataclass(frozen=True, slots=True)
class TrialFinished:
    """A trial's verdict."""

    lr: float
    status: Literal["ok", "diverged", "stopped"]
    predicted: float | None
    std: float | None
    flags: tuple[str, ...]
    steps: int
    reason: str | None
    """Why it has no forecast, for a person."""
    best: bool
    failure: Literal["non_finite_loss", "loss_above_untrained"] | None = None
    """How it diverged."""
    end_lr: float | None = None
    """Of a ramp: the LR of its last planned step."""
    measured: bool = False
    """Whether `predicted` is the loss at the trial's end, measured, and not a forecast."""


@dataclass(frozen=True, slots=True)
class SearchState:
    """Everything that the search's next answers depend on: a run that was killed goes on from the last of these."""

    policy: dict[str, Any]
    untrained_loss: dict[Literal["train", "choose"], float]


@dataclass(frozen=True, slots=True)
class SurrogateEvent:
    """The surrogate's belief before the next question: predicted loss over LR."""

    lrs: tuple[float, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class LrChosen:
    """The LR that the stage's kept steps train with."""

    lr: float
    predicted: float | None
    chosen_trial: int | None
    """None: every trial failed and the safe LR is used."""
    flags: tuple[str, ...]
    """`lower_edge`, `upper_edge`, `all_failed`, `searched_again`, and the flags of the winning forecast."""
    steps: int = 0
    """Kept steps of the stage."""
    kept_steps: int = 0
    """How many of them are the winner's own: training goes on from where its trial ended."""
    account: str = ""
    """Why it was chosen, in the search's words."""


@dataclass(frozen=True, slots=True)
class RolledBack:
    """The kept steps of a searched stage diverged: they are taken back, and the stage is searched again.

    `step` of the record is where the run went back to; earlier records with a later step no longer count.
    """

    lr: float
    """The LR that made it diverge; the stage now searches below it."""
    reason: str
    to_step: int
    from_step: int
    """Kept step at which it was found, 1-based."""
    attempt: int
    """1-based count of this stage's rollbacks."""
    attempts: int
    """How many there may be."""


@dataclass(frozen=True, slots=True)
class Eval:
    """Losses and metrics on a held-out slice."""

    split: Literal["choose", "target"]
    weights: Literal["raw", "averaged"]
    metrics: dict[str, float | None]
    notes: Mapping[str, str] = field(default_factory=dict)
    """How a metric was computed, where its name does not say it."""


@dataclass(frozen=True, slots=True)
class TargetReached:
    """The first of two consecutive evaluations at or past the target, or the last one alone."""

    metric: str
    value: float
    reached_step: int
    reached_total_steps: int
    reached_t: float


@dataclass(frozen=True, slots=True)
class Warned:
    """Something a person should know, said once."""

    message: str


@dataclass(frozen=True, slots=True)
class CheckpointEvent:
    """Everything up to here can be resumed from the disk."""

    ledger: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Resumed:
    """The run goes on in a new process."""

    from_step: int
    kept_trials: int
    """Finished trials of the open stage that need not be made again."""
    repeated_steps: int
    """Optimizer steps that were made after the checkpoint and are made again."""
    changed: tuple[str, ...]
    """What is not as it was when the run began, in words."""
    versions: dict[str, str]
    code_version: str


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The run stopped before its end, cleanly."""

    reason: str
    cause: EndCause


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The last event of a run that ended by itself."""

    status: Literal["done", "failed"]
    reason: str | None
    cause: EndCause
    ledger: Mapping[str, Mapping[str, float]]


Event = (
    RunStarted
    | Step
    | StageStarted
    | TrialStarted
    | TrialStep
    | TrialFinished
    | SearchState
    | SurrogateEvent
    | LrChosen
    | RolledBack
    | Eval
    | TargetReached
    | Warned
    | CheckpointEvent
    | Resumed
    | Interrupted
    | RunFinished
)


def event_name(event: type) -> str:
    """Return the journal's name of an event class: `TrialFinished` -> `trial_finished`.

    Where something else has the plain name, the class is called `...Event`: `CheckpointEvent` -> `checkpoint`.
    """
    return re.sub(r"(?<!^)(?=[A-Z])", "_", event.__name__.removesuffix("Event")).lower()
