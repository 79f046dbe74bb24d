"""Made-up runs as their journals tell them, at the moments that the golden screens show.

Losses follow formulas, so a story is the same on every machine; their shape is that of real runs.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from autolrs_cli.dashboard.run_state import Machine, State, evolve
from autolrs_cli.dashboard.state import Record, reduce
from autolrs_cli.exit_codes import EndCause
from autolrs_cli.records import events

SIZES = ((80, 24), (120, 40), (200, 60))
STAGES = ((20, 80, 20), (100, 160, 20), (260, 240, 24))
"""First kept step, kept steps and trial steps of each stage; after a warm-up of 20 steps."""
MAX_STEPS, NUM_TRIALS = 500, 4
LR_MIN, LR_MAX = 1e-3, 1.0
MACHINE = Machine(1_300_000_000, 5_400_000_000, 16_900_000_000, 2_100_000_000, 150_000_000_000)


class Story:
    """Writes events as a journal does.

    Args:
        target: of the run; None: it has none.
    """

    def __init__(self, target: dict[str, Any] | None = None) -> None:
        self.records: list[Record] = []
        self._t, self._step, self._total = 6.0, 0, 0
        self._place: dict[str, Any] = {}
        self._say(
            events.RunStarted(
                description={
                    "data": "handwritten digits (scikit-learn), 1,797 images, resized to 16 px",
                    "model": "ResNet-50 v1.5 (torchvision)",
                    "to_get_the_papers": "scale=paper data=image_folder data.root=PATH",
                    "sizes": {"train": 1304, "choose": 193, "target": 300},
                    "recipe": "resnet50",
                    "schedule": "autolrs",
                    "search": "paper",
                    "scale": "demo",
                    "seed": 0,
                    "device": "cpu (AVX512)",
                    "precision": "fp32",
                    "threads": 2,
                    "example_unit": "images",
                    "metric": {"name": "accuracy", "direction": "max", "unit": ""},
                    "target": target,
                },
                plan={
                    "max_steps": MAX_STEPS,
                    "search_steps": NUM_TRIALS * sum(trial for _, _, trial in STAGES),
                    "num_trials": NUM_TRIALS,
                    "segments": [
                        {"kind": "warm_up", "first_step": 0, "steps": 20, "stage": None, "trial_steps": 0},
                        *(
                            {"kind": "stage", "first_step": f, "steps": s, "stage": i, "trial_steps": t}
                            for i, (f, s, t) in enumerate(STAGES)
                        ),
                    ],
                },
                config={},
                versions={},
                data_fingerprint="f",
                code_version="c",
                code={},
            )
        )
        self._place["phase"] = "train"

    def state(self, **changes: Any) -> State:
        """Return what a screen knows after the last event."""
        begun = evolve(State(), directory="runs/resnet50/autolrs/seed0/20261122-101500-1a2b3c4d")
        return evolve(functools.reduce(reduce, self.records, begun), **{"machine": MACHINE, **changes})

    def warm_up(self, steps: int = 20) -> Story:
        for number in range(1, steps + 1):
            self._keep(0.1 * number / 20, every=5)
        return self

    def search(
        self, stage: int, trials: int = NUM_TRIALS, *, diverged: tuple[int, ...] = (), cap: float = LR_MAX
    ) -> Story:
        """Begin a stage and finish `trials` of its trials."""
        first, steps, trial_steps = STAGES[stage]
        self._place["stage"] = stage
        objective = "train" if stage < 2 else "choose"
        self._say(events.StageStarted(first, steps, trial_steps, NUM_TRIALS, LR_MIN, cap, objective))
        for index in range(trials):
            self.trial(stage, index, trial_steps, diverges=index in diverged, ends=True)
        return self

    def trial(
        self, stage: int, index: int, steps: int, *, diverges: bool = False, ends: bool = False
    ) -> Story:
        """Begin a trial and make `steps` of its steps."""
        lr = (0.6, 0.0021, 0.04, 0.19)[index]
        self._believe(index)
        self._place["trial"] = index
        self._say(events.TrialStarted(lr))
        loss = 2.3
        for number in range(1, (steps // 2 if diverges else steps) + 1):
            self._total += 1
            self._t += 0.25
            loss = 2.3 * 1.4**number if diverges else self._loss(lr, self._step + number)
            self._say(events.TrialStep(number, loss))
        if ends:
            self._finish(index, lr, steps // 2 if diverges else steps, loss, diverges=diverges)
        return self

    def choose(self, stage: int, trial: int | None = 2, *flags: str) -> Story:
        lr = (0.6, 0.0021, 0.04, 0.19)[trial] if trial is not None else LR_MIN
        self._say(events.LrChosen(lr, None if trial is None else 0.9 - 0.2 * stage, trial, flags))
        self.lr = lr
        return self

    def train(self, stage: int, steps: int | None = None) -> Story:
        planned = STAGES[stage][1]
        for _ in range(planned if steps is None else steps):
            self._keep(self.lr, every=5)
            if self._step % 40 == 0:
                self._evaluate()
        return self

    def stage(self, stage: int, **given: Any) -> Story:
        """Search a stage and train it."""
        self.search(stage, **given).choose(stage).train(stage)
        del self._place["stage"]
        return self

    def say(self, event: Any) -> Story:
        self._say(event)
        return self

    def back_to(self, step: int) -> Story:
        self._step = step
        return self

    def _keep(self, lr: float, *, every: int) -> None:
        self._step += 1
        self._total += 1
        self._t += 0.25
        if self._step % every == 0:
            self._say(events.Step(lr, self._loss(lr, self._step), 32 * self._step))

    def _evaluate(self) -> None:
        loss = self._loss(0.04, self._step)
        accuracy = 1 - loss / 2.6
        self._t += 0.5
        self._say(events.Eval("target", "raw", {"loss": loss, "accuracy": accuracy, "accuracy_top5": 0.99}))
        better = {"loss": 0.8 * loss, "accuracy": 1 - 0.8 * loss / 2.6}
        self._say(events.Eval("target", "averaged", better))

    def _loss(self, lr: float, step: int) -> float:
        wave = 0.12 * math.sin(1.7 * step) * math.exp(-step / 300)
        return 2.3 * math.exp(-step / 180) * (1 + 0.08 * abs(math.log10(lr / 0.05))) + 0.15 + wave

    def _believe(self, told: int) -> None:
        if not told:
            return
        lrs = [LR_MIN * (LR_MAX / LR_MIN) ** (i / 47) for i in range(48)]
        mean = [1.0 + 0.3 * math.log10(lr / 0.04) ** 2 for lr in lrs]
        std = [0.4 / told * (1 + math.sin(3 * math.log10(lr))) + 0.02 for lr in lrs]
        self._say(events.SurrogateEvent(tuple(lrs), tuple(mean), tuple(std)))

    def _finish(self, index: int, lr: float, steps: int, loss: float, *, diverges: bool) -> None:
        detail = f"mean of the last 2 losses {loss:.4g} is above 1.5 x the untrained model's 2.303"
        predicted = None if diverges else 1.0 + 0.3 * math.log10(lr / 0.04) ** 2
        self._say(
            events.TrialFinished(
                lr=lr,
                status="diverged" if diverges else "ok",
                predicted=predicted,
                std=None if diverges else 0.05 + 0.01 * index,
                flags=("undetermined",) if index == 1 else (),
                steps=steps,
                reason=detail if diverges else None,
                best=index == 2,
                failure="loss_above_untrained" if diverges else None,
            )
        )
        del self._place["trial"]

    def _say(self, event: Any) -> None:
        self._t += 0.1
        stamped = {"event": events.event_name(type(event)), "t": self._t, "step": self._step}
        self.records.append({**stamped, "total_steps": self._total, **self._place, **asdict(event)})


TARGET = {"metric": "accuracy", "value": 0.95, "direction": "max"}
ROLLED_BACK = events.RolledBack(
    lr=0.19,
    reason="loss above untrained, mean of the last 2 losses 7.41 is above 1.5 x the untrained model's 2.303",
    to_step=100,
    from_step=160,
    attempt=1,
    attempts=2,
)


def _start() -> State:
    return Story().warm_up(10).state()


def _mid_search() -> State:
    return Story(TARGET).warm_up().stage(0).stage(1).search(2, 3).trial(2, 3, 11).state()


def _training() -> State:
    return Story(TARGET).warm_up().stage(0).search(1).choose(1).train(1, 90).state()


def _diverged() -> State:
    return Story().warm_up().stage(0).search(1, 2, diverged=(0,)).trial(1, 2, 6).state()


def _all_failed() -> State:
    story = Story().warm_up().stage(0).search(1, diverged=(0, 1, 2, 3))
    return story.choose(1, None, "all_failed").train(1, 20).state()


def _rolled_back() -> State:
    story = Story().warm_up().stage(0).search(1).choose(1, 3).train(1, 60)
    return story.back_to(100).say(ROLLED_BACK).search(1, 1, cap=0.19).trial(1, 1, 5).state()


def _end() -> State:
    story = Story(TARGET).warm_up().stage(0, diverged=(0,)).stage(1).stage(2)
    return (
        story.say(events.TargetReached("accuracy", 0.95, 480, 620, 190.0))
        .say(events.RunFinished("done", None, EndCause.DONE, {}))
        .state()
    )


def _failed() -> State:
    reason = "The training loss must stay finite, but it is nan at step 140 with LR 0.04. Lower the LR."
    return (
        Story()
        .warm_up()
        .stage(0)
        .search(1)
        .choose(1)
        .train(1, 40)
        .say(events.RunFinished("failed", reason, EndCause.DIVERGED, {}))
        .state()
    )


def _resumed() -> State:
    story = Story().warm_up().stage(0).search(1, 2)
    return story.say(events.Resumed(100, 2, 7, (), {}, "c")).trial(1, 2, 4).state()


def _killed() -> State:
    return Story().warm_up().stage(0).search(1, 2).trial(1, 2, 6).state(abandoned=True, machine=None)


MOMENTS: dict[str, Callable[[], State]] = {
    "start": _start,
    "mid_search": _mid_search,
    "training": _training,
    "diverged": _diverged,
    "all_failed": _all_failed,
    "rolled_back": _rolled_back,
    "end": _end,
    "failed": _failed,
    "resumed": _resumed,
    "killed": _killed,
}
