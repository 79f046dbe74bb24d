"""What a run will cost, from its plan and a few measured numbers: steps, seconds, bytes. Arithmetic only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from autolrs_cli.contracts import Segment
from autolrs_cli.search.policy import SearchEffort
from autolrs_cli.training.checkpoint import KEPT

# Bytes in the journal for each trial beside its losses: its beginning and end, the state of a search of ten trials, and
# before it the picture of the surrogate, three lists of 48 numbers. Measured.
TRIAL_BYTES = 5_300
# Of a line of schedule.csv; of config.yaml, summary.json and the journal's first record. Measured.
SPAN_BYTES, FIXED_BYTES = 45, 12_000
NO_SEARCH = SearchEffort(0, 0, 0, 0)


@dataclass(frozen=True)
class Measured:
    """What was measured on this machine with this recipe; seconds and bytes are those of one each."""

    timed_steps: int
    startup_seconds: float
    """Libraries, data, model."""
    step_seconds: float
    """Mean of the timed steps."""
    evaluation_seconds: float
    """Of the slice that decides targets."""
    full_evaluation_seconds: float
    """What decoding adds to an evaluation; 0 for recipes that have none."""
    choose_seconds: float
    """Of the slice that chooses LRs, in a searched run."""
    snapshot_seconds: float
    """Copying the training state, or putting it back."""
    question_seconds: float
    """Of the search: forecast, fit, next LR."""
    checkpoint_seconds: float
    parameter_bytes: int
    optimizer_bytes: int
    snapshot_bytes: int
    checkpoint_bytes: int
    weights_bytes: int
    step_record_bytes: float
    """Of one line of the journal."""
    peak_host_bytes: int
    """Of this process until the end of the timed steps, libraries included."""
    peak_device_bytes: int | None
    """Likewise on the GPU; None: there is none."""


@dataclass(frozen=True)
class Shape:
    """The counts that a run's cost follows from."""

    max_steps: int
    segments: Sequence[Segment]
    search: SearchEffort
    """If no trial ends early."""
    eval_every_steps: int
    full_eval_every_steps: int | None
    log_every_steps: int
    checkpoint_every_seconds: float
    lr_changes: int
    """How often the LR of the kept steps changes: lines of schedule.csv."""
    averaging_files: int
    """Files of weights that are kept for their mean; 0: none."""

    @property
    def stages(self) -> list[Segment]:
        """The searched ones."""
        return [segment for segment in self.segments if segment.kind == "stage"]

    @property
    def trials(self) -> int:
        """Of the whole run."""
        return sum(stage.num_trials for stage in self.stages)

    @property
    def warm_up_steps(self) -> int:
        """Kept steps before the first searched stage."""
        return sum(segment.steps for segment in self.segments if segment.kind == "warm_up")

    @property
    def evaluations(self) -> int:
        """How often the slice that decides targets is measured: at the cadence, and at the end."""
        return math.ceil(self.max_steps / self.eval_every_steps)

    @property
    def full_evaluations(self) -> int:
        """Likewise with everything that takes more than a pass over batches."""
        every = self.full_eval_every_steps
        return 1 if every is None else math.ceil(self.max_steps / every)


@dataclass(frozen=True)
class Cost:
    """What one run will cost."""

    total_steps: int
    seconds: dict[str, float]
    """By the buckets of the ledger."""
    journal_bytes: int
    disk_peak_bytes: int
    """While it trains: resume points and what lies beside them."""
    disk_final_bytes: int
    """When it is done: the resume points are gone."""

    @property
    def total_seconds(self) -> float:
        """Of the whole run."""
        return sum(self.seconds.values())


def cost(shape: Shape, measured: Measured) -> Cost:
    """Return what a run will cost: every count times the measured cost of one.

    A trial is taken to make all its steps, and the machine to stay as quiet as it was.
    """
    training = shape.max_steps - shape.warm_up_steps
    seconds = {
        "startup": measured.startup_seconds,
        "warm_up": shape.warm_up_steps * measured.step_seconds,
        "training": training * measured.step_seconds,
        "search_discarded": shape.search.steps * measured.step_seconds
        + shape.search.held_out_losses * measured.choose_seconds,
        "search_model": shape.trials * measured.question_seconds,
        "evaluation": shape.evaluations * measured.evaluation_seconds
        + shape.full_evaluations * measured.full_evaluation_seconds,
        # Each stage: one copy, and it is put back before every trial and before training.
        "snapshot": (shape.trials + 2 * len(shape.stages)) * measured.snapshot_seconds,
    }
    regular = math.floor(sum(seconds.values()) / shape.checkpoint_every_seconds)
    seconds["checkpoint"] = (len(shape.stages) + regular) * measured.checkpoint_seconds
    journal = _journal_bytes(shape, measured)
    kept = (1 + shape.averaging_files) * measured.weights_bytes
    final = kept + journal + shape.lr_changes * SPAN_BYTES + FIXED_BYTES
    return Cost(
        total_steps=shape.max_steps + shape.search.steps,
        seconds=seconds,
        journal_bytes=journal,
        # A new resume point is written before the oldest is dropped.
        disk_peak_bytes=(KEPT + 1) * measured.checkpoint_bytes + final,
        disk_final_bytes=final,
    )


def _journal_bytes(shape: Shape, measured: Measured) -> int:
    """Every trial logs each loss that its forecast will use; kept steps are logged at their cadence."""
    trial_points = shape.search.held_out_losses + shape.search.training_losses
    lines = shape.max_steps / shape.log_every_steps + trial_points + shape.evaluations
    return round(lines * measured.step_record_bytes + shape.trials * TRIAL_BYTES)
