"""`search=lean`: its ramp, its surrogate against closed forms, its decisions on tasks whose best LR is known."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import pytest
import yaml
from documented import ROOT

from autolrs_cli.contracts import Phase
from autolrs_cli.search import Curve, Failure, LeanSearch, RunOutline, Stop, Stopped, Trial
from autolrs_cli.search.lean.bowl import Belief, Bowl, Observation
from autolrs_cli.search.lean.check import Check
from autolrs_cli.search.lean.comparison import Moment, Score
from autolrs_cli.search.lean.policy import LeanPolicy
from autolrs_cli.search.lean.ramp import is_over, read

SHIPPED = yaml.safe_load((ROOT / "configs/search/lean.yaml").read_text())["search"]
STEPS = 8000


def settings(**changes: Any) -> LeanSearch:
    values = {key: value for key, value in SHIPPED.items() if key != "_target_"} | changes
    return LeanSearch.model_validate({**values, "checks": tuple(values["checks"])})


def outline(steps: int = STEPS, **changes: Any) -> RunOutline:
    given = {"phases": (Phase("all", steps, 32),), "warmup_steps": 0, "seed": 0, "averaged": True} | changes
    return RunOutline(**given)


class Task:
    """Held-out losses of trials, of a task whose best LR is known.

    The loss falls by `gain` in a trial at the best LR, and by less the farther an LR lies from it; from `limit` times
    the best LR on, training diverges. From the initial weights the best LR falls with the length of a trial, by `drift`
    octaves for each doubling; before `silent` steps nothing is learnt.
    """

    drift = SHIPPED["drift"]
    silent = 0

    def __init__(self, best: float, *, gain: float = 0.1, noise: float = 0.0, limit: float = 30.0) -> None:
        self.best, self.gain, self.noise, self.limit = best, gain, noise, limit
        self.rung_limit = limit
        self._random = np.random.default_rng(0)
        self._common = self._random.normal(size=8)

    def ramp_losses(self, trial: Trial) -> list[float]:
        """The trough of a ramp of 200 steps lies at 6.5 times the best LR, as the divisor has it."""
        trough = 6.5 * self.best * math.sqrt(200 / trial.steps)
        octaves = [math.log2(trial.lr_at(step) / trough) for step in range(1, trial.steps + 1)]
        return [3 - math.exp(-((each / 6) ** 2)) + max(0.0, each - 4) for each in octaves]

    def rung_losses(self, trial: Trial, scored_at: tuple[int, ...]) -> list[list[float]]:
        """At the best LR for so many steps the loss falls from 3 to 2, and by 0.3 more in the last doubling."""
        best = self.best * 2 ** (self.drift * math.log2(SHIPPED["horizon"] * STEPS / trial.steps))
        bowl = 0.3 * 0.2 * math.log2(trial.lr / best) ** 2
        means = [3.0, 2.0 + bowl / 2, 1.7 + bowl] if trial.steps >= self.silent else [3.0] * 3
        own = self._random.normal(size=8) * self.noise
        return [[mean + n for n in own] for mean in means[: len(scored_at)]]

    def trial_losses(self, trial: Trial, scored_at: tuple[int, ...]) -> list[list[float]]:
        if trial.warmup_steps:
            return self.rung_losses(trial, scored_at)
        octaves = math.log2(trial.lr / self.best)
        gain = self.gain * math.exp(-0.2 * octaves**2)
        own = self._random.normal(size=8) * self.noise
        return [
            [1 - gain * at / trial.steps + 0.3 * c + n for c, n in zip(self._common, own, strict=True)]
            for at in scored_at
        ]


def probe(policy: LeanPolicy, task: Task, trial: Trial) -> tuple[Any, int]:
    """Make a trial; return what comes of it, and its steps."""
    if trial.end_lr is not None:
        scored_at: Sequence[int] = range(1, trial.steps + 1)
        by_batch = [[loss] for loss in task.ramp_losses(trial)]
        curve = Curve([], [], "train")
    elif trial.lr > task.best * (task.rung_limit if trial.warmup_steps else task.limit):
        return Failure("non_finite_loss", 1, "loss nan at step 1 of the trial"), 1
    else:
        assert trial.scored_at is not None
        scored_at, by_batch = trial.scored_at, task.trial_losses(trial, trial.scored_at)
        curve = Curve([], [], "choose", "averaged", [])
    for at, batches in zip(scored_at, by_batch, strict=True):
        curve.steps.append(at), curve.values.append(float(np.mean(batches)))
        if trial.end_lr is None:
            curve.parts.append(batches)
        verdict = policy.report(trial, curve)
        if isinstance(verdict, Stop):
            return Stopped(curve, verdict.reason), at
    return curve, trial.steps


def play(
    policy: LeanPolicy,
    task: Task,
    *,
    reload: Callable[[LeanPolicy], LeanPolicy] = lambda it: it,
    sound_below: float = math.inf,
) -> tuple[list[Any], int]:
    """Make a run; return each choice and the steps that were discarded.

    A stage whose kept steps begin at an LR above `sound_below` diverges, and is chosen for again.
    """
    step, choices, discarded = 0, [], 0
    while (stage := policy.next_stage(step)) is not None:
        policy = reload(policy)
        start = json.loads(json.dumps(policy.state_dict()))
        while (trial := policy.ask()) is not None:
            result, made = probe(policy, task, trial)
            policy.tell(trial, result)
            discarded += made
            policy = reload(policy)
        choice = policy.choose()
        if choice.keeps_end and choice.trial is not None:
            discarded -= choice.trial.steps
        choices.append(choice)
        policy = reload(policy)
        if choice.lr > sound_below:
            assert len(choices) < 9, "it must come to an end"
            assert policy.rule_out(choice.lr)
            policy.load_state_dict(start)  # as a run does that goes back to the stage's start
            policy.rule_out(choice.lr)
            continue
        step = stage.end
    return choices, discarded


class TestRamp:
    lrs: ClassVar = list(np.geomspace(1e-6, 10, 200))

    def losses(self, best: float, *, noise: float = 0.0) -> list[float]:
        drop = [3 - 1 / (1 + (math.log2(lr / best) / 3) ** 2) for lr in self.lrs]
        return [loss + noise * math.sin(7 * at) for at, loss in enumerate(drop)]

    @pytest.mark.parametrize("best", [1e-3, 3e-2, 1.0])
    def test_the_trough_is_found_through_noise(self, best: float) -> None:
        reading = read(self.lrs, self.losses(best, noise=0.1), 200)
        assert reading.gained
        assert 0.6 < reading.trough_lr / best < 1.7

    def test_what_follows_a_nan_is_left_out(self) -> None:
        losses = self.losses(1e-3)
        cut = losses[:150] + [math.nan] + [-5.0] * 49
        assert read(self.lrs, cut, 200) == read(self.lrs[:150], losses[:150], 200)

    def test_a_loss_that_never_falls_is_said(self) -> None:
        assert not read(self.lrs, [2.0] * 200, 200).gained
        assert not read(self.lrs[:1], [math.nan], 200).gained

    def test_it_is_over_once_half_of_the_gain_is_lost_and_not_before(self) -> None:
        down, up = list(np.linspace(3, 1, 100)), list(np.linspace(1, 9, 100))
        ends = next(at for at in range(1, 201) if is_over((down + up)[:at], 200))
        assert 100 < ends < 140
        assert not any(is_over(down[:at], 200) for at in range(1, 101))
        assert is_over([*down, math.inf], 200)

    def test_noise_does_not_end_it(self) -> None:
        """The first 39 losses of a real ramp of 104 steps, in which the LR had not reached 1e-3 (best: 0.03)."""
        losses = [
            *(7.30, 7.32, 7.27, 7.28, 7.43, 7.37, 7.59, 7.49, 7.43, 7.40, 7.35, 7.36, 7.40, 7.33, 7.32, 7.34),
            *(7.37, 7.27, 7.30, 7.40, 7.24, 7.34, 7.44, 7.35, 7.37, 7.26, 7.26, 7.29, 7.22, 7.29, 7.17, 7.13),
            *(7.29, 7.14, 7.40, 7.28, 7.11, 7.32, 7.45),
        ]
        assert not any(is_over(losses[:at], 104) for at in range(1, 40))


def test_the_surrogate_is_bayesian_regression_on_the_bowls_features() -> None:
    """Against the closed form, by other algebra: precision matrices instead of a Gaussian process."""
    belief = Belief((0.2, 0.1), 1.0, (0.1, 0.2), 0.3)
    seen = [
        Observation(1.0, 0.0, -3.0, 0, -0.2, 0.02),
        Observation(0.5, 1.0, -1.0, 1, 0.3, 0.05),
        Observation(2.0, 1.0, -1.0, 1, 0.4, 0.01),
    ]
    xs, x0 = [-1.0, 0.25, 1.0, 2.5], 1.0
    mean, std = Bowl(belief, seen, 3).at(xs, x0, 0.0, None)

    def features(x: float, x0: float, v: float, check: int | None) -> list[float]:
        own = [x - x0 if number == check else 0.0 for number in range(3)]
        return [x * x - x0 * x0, x - x0, v * (x - x0), *own]

    prior_mean = np.array([0.2, 0.0, 2 * 0.2 * 0.1, 0, 0, 0])
    prior_std = np.array([0.1, 0.4 * 1.0, 0.4 * 0.2, *[0.4 * 0.3] * 3])
    phi = np.array([features(o.x, o.x0, o.v, o.check) for o in seen])
    weight = np.diag([1 / o.variance for o in seen])
    covariance = np.linalg.inv(np.diag(prior_std**-2) + phi.T @ weight @ phi)
    posterior = covariance @ (prior_mean / prior_std**2 + phi.T @ weight @ np.array([o.y for o in seen]))
    at = np.array([features(x, x0, 0.0, None) for x in xs])
    assert mean == pytest.approx(at @ posterior, abs=1e-6)
    assert std == pytest.approx(np.sqrt(np.einsum("ij,jk,ik->i", at, covariance, at)), abs=1e-5)


class TestDecisions:
    def test_a_level_that_is_right_stays_and_costs_little(self) -> None:
        choices, discarded = play(LeanPolicy(settings(), outline()), Task(3e-3))
        assert all(0.7 < choice.lr / 3e-3 < 1.4 for choice in choices)
        assert discarded <= 0.15 * STEPS

    @pytest.mark.parametrize("divisor", [0.8, 1.6, 26.0, 52.0])
    def test_a_level_that_is_four_times_off_is_corrected(self, divisor: float) -> None:
        choices, _ = play(LeanPolicy(settings(level_divisor=divisor), outline()), Task(3e-3))
        assert all(abs(math.log2(choice.lr / 3e-3)) < 0.8 for choice in choices)

    @pytest.mark.parametrize("drift", [-0.3, 0.7])
    def test_a_level_that_is_wrong_since_the_best_lr_falls_otherwise_is_corrected(self, drift: float) -> None:
        task = Task(3e-3)
        task.drift = drift
        choices, _ = play(LeanPolicy(settings(checks=(0.1, 0.3)), outline()), task)
        off = [abs(math.log2(choice.lr / 3e-3)) for choice in choices]
        assert off[0] > 1
        assert off[-1] < 0.5 * off[0]

    @pytest.mark.parametrize(("drift", "least", "most"), [(-0.5, 1.3, 2.0), (0.1, 0.3, 1.4)])
    def test_an_lr_that_is_far_too_low_is_raised_by_more_than_one_that_is_a_little(
        self, drift: float, least: float, most: float
    ) -> None:
        """But by no more than twice the reach."""
        task = Task(3e-3)
        task.drift = drift
        choices, _ = play(LeanPolicy(settings(), outline()), task)
        assert least < math.log2(choices[1].lr / choices[0].lr) <= most + 1e-9

    @pytest.mark.parametrize("believed", [-4.0, 4.0], ids=["far lower", "far higher"])
    @pytest.mark.parametrize(
        ("other", "least", "most"), [(0.9051, 0.0, 0.0), (0.85, 0.5, 2.0)], ids=["worse", "better"]
    )
    def test_a_check_moves_only_towards_a_trial_that_was_better_whatever_is_believed(
        self, other: float, least: float, most: float, believed: float
    ) -> None:
        side = math.copysign(1.0, believed)
        rungs = [Observation(side * x, 0.0, -5.0, 0, y, 0.01) for x, y in ((2.0, -3.0), (4.0, -4.5))]
        check = Check(
            settings(),
            Moment(lr=1e-3, above_guess=0.0, ahead=-1.0, number=1),
            before=rungs,
            scores=[Score(0.0, 1.0, 0.95, 0.905, (), False), Score(1.0, 1.0, 0.95, other, (), False)],
            failed=(),
            ruled_out=(),
            seed=0,
        )
        assert least <= max(0.0, check.move().octaves) <= most or believed < 0
        assert check.move().octaves >= 0.0

    def test_where_noise_hides_everything_it_stays_put_and_says_so(self) -> None:
        moved = []
        for seed in range(20):
            task = Task(3e-3, gain=1e-6, noise=0.05)
            task._random = np.random.default_rng(seed)
            choices, _ = play(LeanPolicy(settings(decay=0.0), outline()), task)
            moved += [after.lr != before.lr for before, after in pairwise(choices)]
            assert all(a.lr == b.lr or "staying" not in a.account for b, a in pairwise(choices))
        assert sum(moved) <= 0.1 * len(moved)

    def test_diverging_trials_never_win_and_nothing_near_them_is_taken(self) -> None:
        task = Task(3e-3, limit=1.5)
        choices, _ = play(LeanPolicy(settings(), outline()), task)
        assert all(choice.lr < 1.5 * 3e-3 for choice in choices)

    def test_where_all_diverge_it_goes_down_and_says_so(self) -> None:
        task = Task(3e-3, limit=1e-6)
        choices, _ = play(LeanPolicy(settings(), outline()), task)
        assert choices[1].flags == ("all_failed",)
        assert choices[1].lr < choices[0].lr / 4
        assert choices[1].trial is None

    def test_kept_steps_that_diverge_lower_the_level_for_good(self) -> None:
        policy = LeanPolicy(settings(), outline())
        choices, _ = play(policy, Task(3e-3))
        assert policy.rule_out(choices[-1].lr)
        assert policy.choose().lr == pytest.approx(choices[-1].lr / 2)

    def test_a_check_whose_choice_diverged_tries_and_takes_nothing_near_it(self) -> None:
        """Its trials, short as they are, show nothing of that, and ask for the same LR again."""
        policy, task = LeanPolicy(settings(checks=(0.1,)), outline()), Task(3e-3)
        task.drift = -0.5
        level, *chosen = (each.lr for each in play(policy, task, sound_below=2e-4)[0])
        assert chosen[0] > 2e-4 > level, "or this would show nothing"
        assert all(after <= before / 2 for before, after in pairwise(chosen))
        assert len(chosen) <= 1 + SHIPPED["max_rollbacks"]
        assert all(record.trial.lr <= chosen[-2] / 2 for record in policy.trials)

    def test_an_lr_that_diverged_is_not_tried_again_in_the_same_check(self) -> None:
        policy, task = LeanPolicy(settings(checks=(0.1,)), outline()), Task(3e-3, limit=0.7)
        task.rung_limit = 30.0  # what was right for the initial weights diverges later
        play(policy, task)
        assert any(record.failure is not None for record in policy.trials)
        lrs = [record.trial.lr for record in policy.trials]
        assert len(set(lrs)) == len(lrs)

    def test_what_was_seen_keeps_its_place_when_an_lr_is_ruled_out(self) -> None:
        policy = LeanPolicy(settings(), outline())
        play(policy, Task(3e-3))
        before = policy.state_dict()
        policy.rule_out(1e-5)
        after = policy.state_dict()
        assert (after["seen"], after["level"]) == (before["seen"], before["level"])
        assert after["lr"] == 5e-6

    def test_random_choices_cost_no_less_and_are_worse(self) -> None:
        drawn = []
        for seed in range(8):
            policy = LeanPolicy(settings(choice="random"), outline(seed=seed))
            drawn.append(play(policy, Task(3e-3))[0][-1].lr)
            lrs = {record.trial.lr for record in policy.trials}
            assert len(lrs) == SHIPPED["num_trials"], "every trial is made, none of them twice"
        off = np.mean([abs(math.log2(lr / 3e-3)) for lr in drawn])
        assert off > 0.5
        assert len(set(drawn)) > 4

    def test_the_level_alone_makes_no_trial_but_the_ramp_and_its_rungs(self) -> None:
        search = settings(checks=())
        choices, discarded = play(LeanPolicy(search, outline()), Task(3e-3))
        assert len(choices) == 1
        assert discarded <= search.ramp(STEPS) + 2 * search.rung(STEPS)

    def test_rungs_are_doubled_while_nothing_is_learnt(self) -> None:
        task, policy = Task(3e-3), LeanPolicy(settings(checks=()), outline())
        task.silent = 2 * settings().rung(STEPS)
        (choice,), _ = play(policy, task)
        assert [r.trial.steps / settings().rung(STEPS) for r in policy.trials[1:]] == [1, 2, 2]
        assert abs(math.log2(choice.lr / 3e-3)) < 0.7

    @pytest.mark.parametrize(("divisor", "between"), [(6.5 * 1.7, True), (6.5 * 12, False)])
    def test_the_ramp_counts_where_it_agrees_with_the_rungs_and_not_where_it_is_far_off(
        self, divisor: float, between: bool
    ) -> None:
        policy = LeanPolicy(settings(checks=(), level_divisor=divisor), outline())
        (choice,), _ = play(policy, Task(3e-3))
        off = math.log2(choice.lr / 3e-3)
        guessed = -math.log2(divisor / 6.5)
        assert (0.25 * guessed > off > 0.75 * guessed) if between else abs(off) < 0.5

    def test_more_rungs_are_made_while_the_best_one_is_the_highest_of_them(self) -> None:
        far_off = settings(checks=(), level_divisor=6.5 * 2**4, rungs=2)
        policy = LeanPolicy(far_off, outline())
        (choice,), _ = play(policy, Task(3e-3))
        assert 2 < len(policy.trials) - 1 <= 2 + SHIPPED["more_rungs"]
        assert abs(math.log2(choice.lr / 3e-3)) < 0.7
        assert choice.flags == ()

    def test_a_plateau_that_outlasts_the_rungs_leaves_the_guess_and_says_so(self) -> None:
        task, search = Task(3e-3), settings(checks=())
        task.silent = 10**9
        policy = LeanPolicy(search, outline())
        (choice,), discarded = play(policy, task)
        assert choice.flags == ("level_unsure",)
        assert choice.lr == pytest.approx(3e-3, rel=0.3), "the ramp's word"
        assert [r.trial.steps // search.rung(STEPS) for r in policy.trials[1:]] == [1, 2, 4]
        assert discarded <= search.most(outline()).steps

    def test_where_every_rung_diverges_it_says_so_and_stays_above_lr_min(self) -> None:
        task, policy = Task(3e-3, limit=1e-6), LeanPolicy(settings(checks=(), lr_min=1e-5), outline())
        (choice,), _ = play(policy, task)
        assert choice.flags == ("all_failed",)
        assert choice.lr >= 1e-5
        assert len(policy.trials) == 1 + SHIPPED["rungs"] + SHIPPED["more_rungs"]

    def test_a_level_whose_kept_steps_diverge_is_lowered(self) -> None:
        first, *later = play(LeanPolicy(settings(checks=()), outline()), Task(3e-3), sound_below=1e-3)[0]
        assert first.lr > 1e-3 >= later[-1].lr, "or this would show nothing"
        assert all(after.lr <= before.lr / 2 for before, after in pairwise([first, *later]))
        assert "searched_again" in later[-1].flags

    def test_a_rung_may_be_too_high_for_the_initial_weights(self) -> None:
        task = Task(3e-3, limit=1.5)  # what is best for so few steps diverges
        (choice,), _ = play(LeanPolicy(settings(checks=()), outline()), task)
        assert 0.2 < choice.lr / 3e-3 < 1

    @pytest.mark.parametrize(
        "task",
        [Task(3e-3), Task(3e-3, limit=1.5), Task(0.4, noise=0.01)],
        ids=["plain", "diverging", "noisy"],
    )
    def test_where_the_ramp_says_nothing_short_trials_from_the_start_find_the_level(self, task: Task) -> None:
        class Flat(Task):
            def ramp_losses(self, trial: Trial) -> list[float]:
                lrs = [trial.lr_at(step) for step in range(1, trial.steps + 1)]
                return [3.0 + max(0.0, 0.05 * (lr / self.best - 10)) for lr in lrs]

        flat = Flat(task.best, limit=8.0)
        choices, _ = play(LeanPolicy(settings(), outline()), flat)
        assert choices[0].account.startswith("no LR of the ramp lowered the loss")
        assert abs(math.log2(choices[0].lr / task.best)) <= 1.2
        assert "of " in choices[0].account

    @pytest.mark.parametrize(
        "task",
        [Task(3e-3), Task(3e-3, limit=1.5), Task(0.4, noise=0.01)],
        ids=["plain", "diverging", "noisy"],
    )
    def test_its_state_goes_through_json_at_any_moment(self, task: Task) -> None:
        def anew(policy: LeanPolicy) -> LeanPolicy:
            fresh = LeanPolicy(settings(level_divisor=26.0), outline())
            fresh.load_state_dict(json.loads(json.dumps(policy.state_dict(), allow_nan=False)))
            return fresh

        same = {"best": task.best, "noise": task.noise, "limit": task.limit}
        whole = play(LeanPolicy(settings(level_divisor=26.0), outline()), Task(**same))
        assert play(LeanPolicy(settings(level_divisor=26.0), outline()), Task(**same), reload=anew) == whole


class TestRules:
    @pytest.mark.parametrize(
        ("changes", "run", "words"),
        [
            ({}, {"averaged": False}, "average=none"),
            ({}, {"warmup_steps": 10}, r"schedule\.warmup_steps=10"),
            ({"checks": (0.2, 0.1)}, {}, "must ascend"),
            ({"checks": (0.2, 0.2001)}, {}, "must end before the next begins"),
            ({"checks": (0.01,)}, {}, "after 5% of the run"),
            ({"lr_min": 1.0, "lr_max": 0.1}, {}, "lr_min < lr_max"),
            ({}, {"phases": (Phase("all", 30, 32),)}, "40 steps or more"),
        ],
        ids=["average", "warm-up", "order", "crowded", "early", "interval", "short"],
    )
    def test_a_setting_that_cannot_work_is_named(
        self, changes: dict[str, Any], run: dict[str, Any], words: str
    ) -> None:
        (problem, *_) = settings(**changes).problems(outline(**run))
        assert re.search(words, problem)

    def test_raw_scoring_needs_no_average(self) -> None:
        assert settings(weights="raw").problems(outline(averaged=False)) == []

    @pytest.mark.parametrize("steps", [100, 297, 1000, 8471, 450_000])
    def test_stages_tile_the_run_and_bound_its_cost(self, steps: int) -> None:
        search, run = (
            settings(),
            outline(phases=(Phase("a", steps - steps // 4, 32), Phase("b", steps // 4, 32))),
        )
        assert search.problems(run) == []
        stages = search.stages(run)
        assert stages[0].first_step == 0
        assert [s.end for s in stages[:-1]] == [s.first_step for s in stages[1:]]
        assert stages[-1].end == steps
        _, discarded = play(LeanPolicy(search, run), Task(3e-3))
        assert discarded <= search.most(run).steps
