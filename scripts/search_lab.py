"""A laboratory for searches: policies on the real engine, with no step trained twice.

    python scripts/search_lab.py run bert --seed 1                             # a policy's whole run
    python scripts/search_lab.py grid bert --shape linear --peaks 5e-4,1e-3    # what a schedule reaches: the truth
    python scripts/search_lab.py probe bert --shape linear --peaks 2e-3 --at 400,1600 --best 2.8e-3   # what trials say
    python scripts/search_lab.py regret bert --seed 30 --horizon 0.4           # how far off a policy's choices were

Everything is kept in `--memory` (by default the cache folder), by what was trained and every LR since the first step:
a policy that differs from another after step 3,000 is judged for the price of what follows. Further words are
overrides of `autolrs train`. A run's figures are those that `autolrs train` would give; only seconds are not.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab_memo import Memo, State
from platformdirs import user_cache_path

from autolrs_cli.contracts import Segment
from autolrs_cli.search import Curve, SearchPolicy, Stop, Stopped, Trial
from autolrs_cli.search.ask_tell import TrialResult

COMMON = ("scale=bench", "average=ema", "runtime.threads=1")


@dataclass(frozen=True)
class Pick:
    """A choice of a policy, and where it was made."""

    state: State
    """Of the trunk, before the stage's trials."""
    lrs: Sequence[float]
    """What would be trained at from there to the end of the run, if nothing were searched any more."""


@dataclass
class Story:
    """What a run came to."""

    kept: int = 0
    discarded: int = 0
    evaluations: list[tuple[int, int, float, float]] = field(default_factory=list)
    """Kept steps, all steps, and the target slice's value with raw and with averaged weights."""
    lines: list[str] = field(default_factory=list)
    picks: list[Pick] = field(default_factory=list)

    def first_at(self, value: float, *, averaged: bool = True) -> tuple[int, int] | None:
        """Return kept and all steps when `value` was reached: first of two evaluations in a row."""
        good = [e[2 + averaged] <= value for e in self.evaluations]
        for i, now in enumerate(good):
            if now and (i + 1 == len(good) or good[i + 1]):
                return self.evaluations[i][0], self.evaluations[i][1]
        return None


class Simulation:
    """The stage loop of `training.algorithm`, on a memory.

    Args:
        memo: of what is trained.
        policy: whose run it is.
        eval_every: kept steps between measurements of the target slice.
    """

    def __init__(self, memo: Memo, policy: SearchPolicy, eval_every: int) -> None:
        self._memo, self._policy, self._every = memo, policy, eval_every
        self.story = Story()
        untrained = memo.advance(memo.root, [0.0], ["choose/raw"])
        self._untrained = {"train": untrained.losses[0], "choose": untrained.held_out["choose/raw"]}

    def run(self, opening: Sequence[Segment], lr: Callable[[int], float]) -> Story:
        """Train the opening, then stage after stage; return what came of it."""
        state = self._memo.root
        for segment in opening:
            state = self._keep(state, segment.end, lr)
        policy = self._policy
        while stage := policy.next_stage(state.step):
            best: tuple[Trial, list[float]] | None = None
            while trial := policy.ask():
                result, made = self._probe(state, trial)
                self.story.discarded += len(made)
                outcome = "" if isinstance(result, Curve) else f" ({getattr(result, 'reason', '')})"
                self.story.lines.append(
                    f"step {state.step}: trial {trial.lr:.3g} for {len(made)} steps: "
                    f"{result.values[-1] if isinstance(result, Curve) else math.nan:.4f}{outcome}"
                )
                if policy.tell(trial, result):
                    best = trial, made
            choice = policy.choose()
            total = self._memo.plan.settings.run.max_steps
            self.story.picks.append(Pick(state, [policy.lr(step) for step in range(state.step, total)]))
            self.story.lines.append(
                f"step {state.step}: chosen {choice.lr:.3g} {' '.join(choice.flags)} {choice.account}"
            )
            if choice.keeps_end and choice.trial:
                assert best is not None
                assert best[0] == choice.trial
                self.story.discarded -= len(best[1])
                kept = dict(enumerate(best[1], state.step))
                state = self._keep(state, state.step + len(kept), kept.__getitem__)
            state = self._keep(state, stage.end, policy.lr)
        return self.story

    def _probe(self, state: State, trial: Trial) -> tuple[TrialResult, list[float]]:
        curve = Curve(steps := [], values := [], trial.kind, trial.weights, parts := [])
        scored = list(trial.scored_at or range(1, trial.steps + 1))
        lrs = [trial.lr_at(number) for number in range(1, trial.steps + 1)]
        measure = [f"choose/{trial.weights}"] if trial.kind == "choose" else []
        done, verdict = 0, "go"
        chunks = [trial.steps] if trial.kind == "train" else sorted({*scored, trial.steps})
        for end in chunks:
            stretch = self._memo.advance(state, lrs[done:end], measure)
            for number, loss in enumerate(stretch.losses, done + 1):
                if trial.kind == "train" and (number in scored or not math.isfinite(loss)):
                    steps.append(number), values.append(loss)
                    verdict = self._policy.report(trial, curve)
                    if verdict != "go":
                        done = number
                        break
            else:
                done += len(stretch.losses)
            if verdict == "go" and trial.kind == "choose":
                sound = len(stretch.losses) == end - (done - len(stretch.losses))
                steps.append(done), values.append(stretch.held_out[measure[0]] if sound else math.inf)
                parts.append([v for k, v in stretch.held_out.items() if k.startswith(f"{measure[0]}/")])
                verdict = self._policy.report(trial, curve)
            if verdict != "go" or not all(map(math.isfinite, stretch.losses)):
                break
            state = stretch.end
        failure = self._policy.failure_rule.check(curve, self._untrained[trial.kind])
        if failure is not None:
            return failure, lrs[:done]
        return (Stopped(curve, verdict.reason) if isinstance(verdict, Stop) else curve), lrs[:done]

    def _keep(self, state: State, end: int, lr: Callable[[int], float]) -> State:
        while state.step < end:
            to = min(end, (state.step // self._every + 1) * self._every)
            due = to % self._every == 0 or to == self._memo.plan.settings.run.max_steps
            stretch = self._memo.advance(
                state, [lr(step) for step in range(state.step, to)],
                ["target"] if due else [], keep=True,
            )  # fmt: skip
            state = stretch.end
            self.story.kept = state.step
            if not math.isfinite(stretch.losses[-1]):
                raise SystemExit(f"kept steps diverged before step {state.step}")
            if due:
                at = self.story.kept, self.story.kept + self.story.discarded
                both = stretch.held_out["target/raw"], stretch.held_out["target/averaged"]
                self.story.evaluations.append((*at, *both))
        return state


def shapes(peak: float, steps: int, warmup: int) -> dict[str, Callable[[int], float]]:
    """Return schedules of a run of `steps` steps, by name."""

    def warm(step: int) -> float:
        return min(1.0, (step + 1) / max(1, warmup))

    return {
        "constant": lambda step: peak * warm(step),
        "linear": lambda step: peak * warm(step) * (1 - max(0, step - warmup) / max(1, steps - warmup)),
        "sqrt": lambda step: peak * min(warm(step), (max(1, warmup) / (step + 1)) ** 0.5),
    }


def grid(memo: Memo, shape: str, peaks: Sequence[float], steps: int, warmup: int, every: int) -> None:
    """Print what a schedule reaches at each peak."""
    for peak in peaks:
        lr, state, line = shapes(peak, steps, warmup)[shape], memo.root, []
        while state.step < steps:
            to = min(steps, state.step + every)
            made = memo.advance(state, [lr(s) for s in range(state.step, to)], ["target"], keep=False)
            state = made.end
            if not math.isfinite(made.losses[-1]):
                break
            line.append((state.step, made.held_out["target/raw"], made.held_out["target/averaged"]))
        print(json.dumps({"shape": shape, "peak": peak, "steps": steps, "curve": line}), flush=True)


def probe(
    memo: Memo, lr: Callable[[int], float], ats: Sequence[int], factors: Sequence[float], best: float | None
) -> None:
    """Print what trials from a trunk say at each length, by raw and by averaged weights, and the regret of their picks.

    Args:
        memo: of what is trained.
        lr: of the trunk.
        ats: kept steps at which trials begin.
        factors: of the trunk's LR at that step.
        best: the best LR in the long run, as a grid found it; a pick's regret is how many times it is off.
    """
    state = memo.root
    for at in sorted(ats):
        state = memo.advance(state, [lr(s) for s in range(state.step, at)], keep=True).end
        for share in TRIAL_SHARES:
            steps = [lr(s) for s in range(at, at + max(1, round(share * at)))]
            ends = [
                memo.advance(state, [f * each for each in steps], ["choose/raw", "choose/averaged"]).held_out
                for f in factors
            ]
            found: dict[str, object] = {
                "at": at,
                "lr": steps[0],
                "steps": len(steps),
                "factors": list(factors),
            }
            for weights in ("raw", "averaged"):
                scores = [end.get(f"choose/{weights}", math.inf) for end in ends]
                pick = factors[min(range(len(scores)), key=scores.__getitem__)] * steps[0]
                found[weights] = scores
                if best is not None:
                    found[f"{weights}_regret"] = round(max(pick / best, best / pick), 3)
            print(json.dumps(found), flush=True)


def ends_by_factor(end: Callable[[float], float]) -> dict[float, float]:
    """Return where training ends at the chosen LR times each factor that tells where the lowest end is.

    Whole octaves first, outwards until the lowest has a higher one on either side; then halves and quarters of octaves
    beside the lowest.

    Args:
        end: what a factor ends at; lower is better, infinite where training diverged.
    """
    ends = {2.0**octave: end(2.0**octave) for octave in (-1, 0, 1)}
    best = min(ends, key=ends.__getitem__)
    while best in (min(ends), max(ends)) and max(best, 1 / best) < FARTHEST:
        beyond = best * 2 if best == max(ends) else best / 2
        ends[beyond] = end(beyond)
        best = min(ends, key=ends.__getitem__)
    for step in (0.5, 0.25):
        for each in (best * 2**-step, best * 2**step):
            ends[each] = end(each)
        best = min(ends, key=ends.__getitem__)
    return dict(sorted(ends.items()))


def regret(memo: Memo, picks: Sequence[Pick], horizon: float) -> None:
    """Print how far each choice was from the LR that was best from its trunk on.

    The schedule that was chosen is trained as a whole at a multiple of its LRs, warm-up and decay alike, and read by
    averaged weights on the slice that decides targets, which no policy sees.

    Args:
        memo: of what is trained.
        picks: choices, each with its trunk.
        horizon: how long, as a share of the run's steps.
    """
    plan = memo.plan
    steps = round(horizon * plan.settings.run.max_steps)
    sign = -1.0 if plan.target is not None and plan.target.direction == "max" else 1.0
    for pick in picks:
        lrs = pick.lrs[:steps]

        def end(factor: float, state: State = pick.state, lrs: Sequence[float] = lrs) -> float:
            made = memo.advance(state, [factor * each for each in lrs], ["target"])
            return sign * made.held_out.get("target/averaged", sign * math.inf)

        ends = ends_by_factor(end)
        best = min(ends, key=ends.__getitem__)
        found = {
            "at": pick.state.step,
            "steps": len(lrs),
            "lr": max(lrs),
            "best": round(best * max(lrs), 8),
            "regret": round(max(best, 1 / best), 3),
            "ends": {f"{factor:.3g}": round(sign * value, 4) for factor, value in ends.items()},
        }
        print(json.dumps(found), flush=True)


FARTHEST = 16.0
"""How far from a choice the best LR is looked for."""
TRIAL_SHARES = (0.05, 0.1, 0.2)
"""Lengths of the trials of a probe, by the steps before them."""


def main() -> None:
    """Do what was asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["run", "grid", "probe", "regret"])
    parser.add_argument("recipe")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--memory", type=Path, default=user_cache_path("autolrs") / "search-lab")
    parser.add_argument("--shape", default="constant")
    parser.add_argument("--peaks", default="")
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--every", type=int, default=250)
    parser.add_argument("--target", type=float, default=None)
    parser.add_argument("--at", default="400,800,1600,3200")
    parser.add_argument("--factors", default="0.125,0.25,0.5,1,2,4,8")
    parser.add_argument("--best", type=float, default=None)
    parser.add_argument("--horizon", type=float, default=0.4)
    given = parser.parse_intermixed_args()
    schedule = "schedule=autolrs" if given.what in ("run", "regret") else "schedule=constant"
    length = [f"run.max_steps={given.steps}"] if given.steps else []
    memo = Memo(
        given.memory,
        [f"recipe={given.recipe}", *COMMON, f"seed={given.seed}", schedule, *length, *given.overrides],
    )
    plan = memo.plan
    if given.what == "grid":
        warmup = plan.settings.original_schedule["warmup_steps"]
        grid(
            memo,
            given.shape,
            [float(p) for p in given.peaks.split(",")],
            plan.settings.run.max_steps,
            warmup,
            given.every,
        )
        return
    if given.what == "probe":
        peak = float(given.peaks)
        warmup = plan.settings.original_schedule["warmup_steps"]
        trunk = shapes(peak, plan.settings.run.max_steps, warmup)[given.shape]
        ats = [int(at) for at in given.at.split(",")]
        probe(memo, trunk, ats, [float(f) for f in given.factors.split(",")], given.best)
        return
    assert plan.search is not None
    simulation = Simulation(memo, plan.search.policy(plan.outline), given.every)
    story = simulation.run(plan.opening, plan.schedule.lr)
    print("\n".join(story.lines))
    if given.what == "regret":
        regret(memo, story.picks, given.horizon)
        return
    for at in story.evaluations:
        print("kept {} all {} raw {:.4f} averaged {:.4f}".format(*at))
    share = story.discarded / story.kept
    print(
        f"kept {story.kept}, discarded {story.discarded} (f = {share:.3f}); {memo.made_steps} steps trained anew"
    )
    if given.target is not None:
        print(f"target {given.target}: {story.first_at(given.target)}")


if __name__ == "__main__":
    main()
