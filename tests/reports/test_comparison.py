"""Whole comparisons of hand-made runs: arms, lengths, targets, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from made_runs import SECONDS_PER_STEP, make_run

from autolrs_cli.errors import ConfigError
from autolrs_cli.reports.compare.comparison import Comparison, compare
from autolrs_cli.reports.compare.provenance import command
from autolrs_cli.reports.render import format as words

# Reaches 0.9 at its second, third and last evaluation; never.
SECOND, THIRD, LAST, NEVER = (
    [0.5, 0.9, 0.9, 0.9],
    [0.5, 0.6, 0.9, 0.9],
    [0.5, 0.6, 0.7, 0.9],
    [0.5, 0.6, 0.7, 0.8],
)


def refused(*paths: Path, **options: Any) -> str:
    with pytest.raises(ConfigError) as error:
        compare(paths, **options)
    return str(error.value)


def names(comparison: Comparison) -> list[str]:
    return [arm.name for arm in comparison.arms]


def test_training_net_and_seconds_of_a_searched_arm_against_a_constant_lr(tmp_path: Path) -> None:
    make_run(tmp_path, "constant", 0, THIRD)
    make_run(tmp_path, "autolrs", 0, SECOND)
    (found,) = compare([tmp_path]).speedups
    assert (found.baseline, found.arm) == ("constant", "autolrs search=paper")
    (pair,) = found.pairs
    assert (pair.baseline.step, pair.arm.step, pair.arm.total_steps) == (30, 20, 40)
    assert pair.arm.seconds == 40 * SECONDS_PER_STEP
    assert (pair.ratio("step"), pair.ratio("total_steps"), pair.ratio("seconds")) == (1.5, 0.75, 0.75)


def test_a_decayed_arm_needs_the_whole_of_its_shortest_length_that_reaches_the_target(tmp_path: Path) -> None:
    make_run(tmp_path, "autolrs", 0, [0.1, 0.2, 0.9, 0.9, 0.9, 0.9])
    make_run(tmp_path, "original", 0, [0.2, 0.3, 0.4])
    # Reached at step 20 of 40, but the LR has decayed at step 40 only.
    make_run(tmp_path, "original", 0, SECOND)
    make_run(tmp_path, "original", 0, [0.95] * 8)
    comparison = compare([tmp_path])
    (pair,) = comparison.speedups[0].pairs
    assert comparison.baseline.lengths == (30, 40, 80)
    assert (pair.baseline.step, pair.baseline.length) == (40, 40)
    assert pair.ratio("step") == pytest.approx(40 / 30)
    assert not any("upper bounds" in line for line in comparison.warnings)


def test_a_decayed_arm_that_no_length_brings_there_counts_as_its_longest(tmp_path: Path) -> None:
    make_run(tmp_path, "autolrs", 0, SECOND)
    make_run(tmp_path, "original", 0, [0.2, 0.3])
    make_run(tmp_path, "original", 0, [0.2] * 8)
    (pair,) = compare([tmp_path]).speedups[0].pairs
    assert not pair.baseline.reached
    assert pair.ratio("step") == 80 / 20


def test_a_baseline_that_reaches_the_target_at_its_only_length_makes_upper_bounds_and_says_so(
    tmp_path: Path,
) -> None:
    make_run(tmp_path, "autolrs", 0, SECOND)
    make_run(tmp_path, "original", 0, SECOND)
    comparison = compare([tmp_path])
    assert comparison.speedups[0].pairs[0].ratio("step") == 2.0
    assert any("upper bounds" in line and "only length of 40" in line for line in comparison.warnings)


def test_lengths_of_a_schedule_without_an_end_are_arms_of_their_own(tmp_path: Path) -> None:
    make_run(tmp_path, "original", 0, LAST)
    make_run(tmp_path, "constant", 0, SECOND)
    make_run(tmp_path, "constant", 0, SECOND * 2)
    assert names(compare([tmp_path])) == [
        "original",
        "constant run.max_steps=40",
        "constant run.max_steps=80",
    ]


def test_unequal_evaluation_grids_are_refused_and_under_force_each_run_is_read_on_its_own(
    tmp_path: Path,
) -> None:
    make_run(tmp_path, "constant", 0, [0.1, 0.9, 0.9], every=20)
    make_run(tmp_path, "autolrs", 0, [0.1, 0.2, 0.9, 0.9, 0.9, 0.9], every=10)
    assert "evaluation cadence" in refused(tmp_path)
    comparison = compare([tmp_path], force=True)
    assert comparison.speedups[0].pairs[0].ratio("step") == 40 / 30
    assert any("evaluation cadence" in line for line in comparison.refused)


def test_arms_are_named_shortly_by_what_differs(tmp_path: Path) -> None:
    make_run(tmp_path, "original", 0, LAST)
    make_run(tmp_path, "autolrs", 0, LAST)
    make_run(tmp_path, "autolrs", 0, LAST, changes={"search.name": "code", "search.kappa": 1e6})
    make_run(tmp_path, "autolrs", 0, LAST, changes={"search.kappa": 5.0})
    make_run(tmp_path, "cosine", 0, LAST, averaged=LAST)
    make_run(tmp_path, "sgdr", 0, LAST, changes={"schedule.peak_lr": 0.1})
    make_run(tmp_path, "sgdr", 0, LAST, changes={"schedule.peak_lr": 0.2, "optimizer.momentum": 0.8})
    # Not searched: what the search group says changes nothing. Threads and folders are no part of an arm either.
    make_run(tmp_path, "constant", 0, LAST, changes={"search.kappa": 5.0, "runtime.threads": 2})
    make_run(tmp_path, "constant", 1, LAST, changes={"run.dir": "elsewhere", "dashboard": "none"})
    assert names(compare([tmp_path])) == [
        "original",
        "autolrs search=code",
        "autolrs search=paper search.kappa=3",
        "autolrs search=paper search.kappa=5",
        "constant",
        "cosine + ema",
        "sgdr schedule.peak_lr=0.1",
        "sgdr schedule.peak_lr=0.2",
    ]


def test_arms_of_several_optimizers_say_theirs_and_may_be_compared(tmp_path: Path) -> None:
    own = {"optimizer.name": "adamw", "optimizer._target_": "autolrs_recipes.optimizers.adam"}
    free = {"optimizer.name": "schedulefree_adamw", "optimizer._target_": "autolrs_recipes.optimizers.free"}
    make_run(tmp_path, "original", 0, LAST, changes=own)
    make_run(tmp_path, "constant", 0, LAST, changes=own)
    make_run(tmp_path, "constant", 0, SECOND, changes=free)
    make_run(tmp_path, "constant", 0, LAST, changes={**free, "optimizer.betas": [0.95, 0.999]})
    comparison = compare([tmp_path])
    assert not comparison.refused
    assert names(comparison) == [
        "original optimizer=adamw",
        "constant optimizer=adamw",
        "constant optimizer=schedulefree_adamw optimizer.betas=[0.95,0.999]",
        "constant optimizer=schedulefree_adamw optimizer.betas=null",
    ]


def test_arms_of_one_optimizer_do_not_say_it_and_its_name_alone_makes_no_arm(tmp_path: Path) -> None:
    target = {"optimizer._target_": "autolrs_recipes.optimizers.sgd"}
    make_run(tmp_path, "original", 0, LAST, changes=target)  # of a version that recorded no name
    make_run(tmp_path, "constant", 0, LAST, changes={**target, "optimizer.name": "sgd"})
    make_run(tmp_path, "constant", 1, LAST, changes=target)
    assert names(compare([tmp_path])) == ["original", "constant"]


def test_runs_of_versions_without_a_setting_are_as_those_that_leave_it_at_its_default(tmp_path: Path) -> None:
    make_run(tmp_path, "original", 0, LAST)
    defaults = {"runtime.compile": "none", "runtime.processes": 1, "runtime.deterministic": True}
    make_run(tmp_path, "constant", 0, LAST, changes=defaults)
    assert not compare([tmp_path]).refused


def test_replays_of_different_runs_on_different_seeds_are_one_arm_without_lengths(tmp_path: Path) -> None:
    for seed in (0, 1):
        make_run(tmp_path, "original", seed, LAST)
        make_run(
            tmp_path, "replay", seed, SECOND, changes={"schedule.run": f"run{seed}", "schedule.max_steps": 40}
        )
    comparison = compare([tmp_path])
    assert names(comparison) == ["original", "replay"]
    assert comparison.outcomes["replay"][1].step == 20


def test_under_weight_averaging_the_averaged_weights_decide_the_race(tmp_path: Path) -> None:
    make_run(tmp_path, "original", 0, LAST)
    make_run(tmp_path, "constant", 0, NEVER, averaged=SECOND)
    comparison = compare([tmp_path])
    assert comparison.outcomes["constant + ema"][0].step == 20


def test_misses_on_either_side_both_and_none(tmp_path: Path) -> None:
    for seed, (ours, theirs) in enumerate([(SECOND, THIRD), (NEVER, THIRD), (SECOND, NEVER), (NEVER, NEVER)]):
        make_run(tmp_path, "autolrs", seed, ours)
        make_run(tmp_path, "constant", seed, theirs)
    (found,) = compare([tmp_path]).speedups
    assert [pair.ratio("step") for pair in found.pairs] == [1.5, 0.0, 2.0, None]
    assert [words.seed_ratio(pair, "step") for pair in found.pairs] == ["1.50x", "0", ">= 2.00x", "both miss"]
    assert words.misses(found) == "arm 2, baseline 2, both 1 of 4"
    assert not found.mostly_misses


def test_an_arm_that_mostly_misses_has_no_speedup_in_words(tmp_path: Path) -> None:
    for seed in range(3):
        make_run(tmp_path, "constant", seed, THIRD)
        make_run(tmp_path, "autolrs", seed, NEVER if seed else SECOND)
    (found,) = compare([tmp_path]).speedups
    assert words.verdict(found) == "no speedup: 2 of 3 runs miss the target"
    assert words.median_and_interval(found, found.training) == "none"


def test_the_target_curve_is_that_of_a_comparison_at_each_target(tmp_path: Path) -> None:
    for seed in range(2):
        make_run(tmp_path, "original", seed, [0.2, 0.5, 0.7, 0.8])
        make_run(tmp_path, "original", seed, [0.3, 0.6])
        make_run(tmp_path, "autolrs", seed, [0.5, 0.6, 0.75, 0.75])
    (curve,) = compare([tmp_path], target=0.5).curves
    for target, training, net, bound in zip(
        curve.targets, curve.training, curve.net, curve.upper_bound, strict=True
    ):
        at = compare([tmp_path], target=float(target)).speedups[0]
        expected = at.training.median if at.training and not at.mostly_misses else math.nan
        assert training == pytest.approx(expected, nan_ok=True)
        assert net == pytest.approx(expected / 2, nan_ok=True)
        assert bound == (target <= 0.6)
    assert math.isnan(curve.training[-1])
    assert (curve.arm_misses[-1], curve.baseline_misses[-1]) == (1.0, 0.0)


def test_without_a_target_the_baselines_median_stands_in_and_the_reader_is_told(tmp_path: Path) -> None:
    for seed, final in enumerate((0.7, 0.8, 0.9)):
        make_run(tmp_path, "original", seed, [0.1, 0.2, 0.3, final], target=None)
        make_run(tmp_path, "autolrs", seed, SECOND, target=None)
    comparison = compare([tmp_path])
    assert (comparison.goal.value, comparison.goal.fixed) == (0.8, False)
    assert any("no target was fixed beforehand" in line for line in comparison.warnings)
    assert compare([tmp_path], target=0.7).goal.value == 0.7


def test_a_stage_that_was_taken_back_does_not_count(tmp_path: Path) -> None:
    make_run(tmp_path, "constant", 0, THIRD)
    folder = make_run(tmp_path, "autolrs", 0, LAST)
    journal = folder / "journal.jsonl"
    head, *rest = journal.read_bytes().splitlines(keepends=True)
    before = [line for line in rest if b'"step":10,' in line]
    lucky = [
        line.replace(b'"accuracy":0.6', b'"accuracy":0.95').replace(b'"accuracy":0.7', b'"accuracy":0.95')
        for line in rest
    ]
    taken_back = [line for line in lucky if b'"step":20,' in line or b'"step":30,' in line]
    back = (
        b'{"event":"rolled_back","t":9,"step":10,"total_steps":60,"stage":0,"lr":0.5,"reason":"loss nan"}\n'
    )
    after = [line for line in rest if line not in before]
    journal.write_bytes(b"".join([head, *before, *taken_back, back, *after]))
    comparison = compare([tmp_path])
    assert comparison.outcomes["autolrs search=paper"][0].step == 40
    steps = next(run for run in comparison.runs if run.path == folder).points.step
    assert steps.tolist() == [10, 20, 30, 40]


def test_what_is_odd_about_single_runs_is_said(tmp_path: Path) -> None:
    make_run(tmp_path, "original", 0, LAST, other_seconds=5.0)
    flags = [{"flags": ["lower_edge"]}, {"flags": []}, {"flags": ["negative", "lower_edge"]}]
    make_run(
        tmp_path, "autolrs", 0, LAST, chosen=flags, resumed=[{"changed": ["torch 1 -> 2"]}, {"changed": []}]
    )
    said = "\n".join(compare([tmp_path]).warnings)
    assert "lower end (seed 0 stage 1, 3)" in said
    assert "below zero (seed 0 stage 3)" in said
    assert "autolrs search=paper, seed 0: resumed, not bit for bit (torch 1 -> 2)." in said
    assert "original, seed 0: 20% of the seconds lie in no bucket" in said


@pytest.mark.parametrize(
    ("odd", "what"),
    [
        ({"description": {"recipe": "other"}}, "recipe"),
        ({"data": "0dd"}, "data"),
        ({"description": {"scale": "tiny"}}, "scale"),
        ({"changes": {"recipe.global_batch": 16}}, "batch"),
        ({"description": {"precision": "bf16"}}, "precision"),
        ({"target": 0.8}, "target"),
        ({"code": "0dd"}, "code version"),
        ({"changes": {"run.full_eval_every_steps": 20}}, "evaluation cadence"),
        ({"description": {"threads": 2}}, "threads (runtime.threads)"),
        ({"changes": {"runtime.compile": "default"}}, "compilation (runtime.compile)"),
        ({"changes": {"runtime.processes": 2}}, "number of processes (runtime.processes)"),
        ({"changes": {"runtime.deterministic": False}}, "deterministic kernels (runtime.deterministic)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_runs_that_may_not_be_compared_are_refused_by_name_and_forced_under_a_banner(
    tmp_path: Path, odd: dict[str, Any], what: str
) -> None:
    for seed in range(2):
        make_run(tmp_path, "original", seed, LAST)
    make_run(tmp_path, "autolrs", 0, LAST)
    culprit = make_run(tmp_path, "autolrs", 1, LAST, **odd)
    said = refused(tmp_path)
    assert f"must share their {what}" in said
    assert str(culprit) in said
    assert str(tmp_path / "original-0") not in said
    assert len(said.splitlines()) == 1, "one message"
    assert "--force" in said
    assert compare([tmp_path], force=True).refused


ENGINE, GP, COSINE = "autolrs_cli.training.engine", "autolrs_cli.search.gp", "autolrs_cli.schedules.decaying"


class TestCode:
    def test_of_modules_that_only_one_arm_executed_may_differ(self, tmp_path: Path) -> None:
        make_run(tmp_path, "original", 0, LAST, code="1", modules={ENGINE: "a1"})
        make_run(tmp_path, "autolrs", 0, LAST, code="2", modules={ENGINE: "a1", GP: "b1"})
        make_run(tmp_path, "cosine", 0, LAST, code="3", modules={ENGINE: "a1", COSINE: "c1"})
        assert not compare([tmp_path]).refused

    def test_of_a_module_that_two_runs_executed_must_be_the_same(self, tmp_path: Path) -> None:
        for seed in range(2):
            make_run(tmp_path, "original", seed, LAST, code="1", modules={ENGINE: "a1"})
        make_run(tmp_path, "autolrs", 0, LAST, code="2", modules={ENGINE: "a1", GP: "b1"})
        culprit = make_run(tmp_path, "autolrs", 1, LAST, code="3", modules={ENGINE: "a2", GP: "b1"})
        said = refused(tmp_path)
        assert (
            f"must share the code that both have executed, but {culprit} has another {ENGINE} than most"
            in said
        )
        assert GP not in said
        assert len(said.splitlines()) == 1, "one message"

    def test_of_the_search_may_not_change_within_its_arm(self, tmp_path: Path) -> None:
        make_run(tmp_path, "original", 0, LAST, code="1", modules={ENGINE: "a1"})
        for seed, state in enumerate(("b1", "b1", "b2")):
            make_run(tmp_path, "autolrs", seed, LAST, code=state, modules={ENGINE: "a1", GP: state})
        assert f"autolrs-2-40-3 has another {GP} than most" in refused(tmp_path)

    def test_of_many_modules_some_are_named(self, tmp_path: Path) -> None:
        names = [f"autolrs_cli.training.part{i}" for i in range(9)]
        make_run(tmp_path, "original", 0, LAST, modules=dict.fromkeys(names, "a1"))
        make_run(tmp_path, "autolrs", 0, LAST, modules=dict.fromkeys(names, "a2"))
        assert f"has another {', '.join(names[:6])} and 3 more than most" in refused(tmp_path)

    def test_by_module_and_as_a_whole_cannot_be_compared(self, tmp_path: Path) -> None:
        for seed in range(2):
            make_run(tmp_path, "original", seed, LAST, code="1", modules={ENGINE: "a1"})
        older = make_run(tmp_path, "autolrs", 0, LAST, code="1")
        assert f"recorded by module for most, but {older} has 1" in refused(tmp_path)


def test_another_target_does_not_matter_when_one_is_given(tmp_path: Path) -> None:
    make_run(tmp_path, "original", 0, LAST, target=0.9)
    make_run(tmp_path, "autolrs", 0, LAST, target=0.8)
    assert compare([tmp_path], target=0.7).goal.value == 0.7


@pytest.mark.parametrize(
    ("status", "said"),
    [(None, "killed"), ("failed", "failed at step 40"), ("interrupted", "interrupted at step 40")],
)
def test_unfinished_and_failed_runs_are_refused_by_name(
    tmp_path: Path, status: str | None, said: str
) -> None:
    make_run(tmp_path, "original", 0, LAST)
    culprit = make_run(tmp_path, "autolrs", 0, LAST, status=status)
    message = refused(tmp_path)
    assert f"{culprit} ({said}" in message


def test_a_failed_run_that_was_done_again_is_left_out(tmp_path: Path) -> None:
    make_run(tmp_path, "original", 0, LAST)
    failed = make_run(tmp_path, "autolrs", 0, LAST, status="failed")
    make_run(tmp_path, "autolrs", 0, LAST)
    comparison = compare([tmp_path])
    assert len(comparison.runs) == 2
    assert any(f"left out {failed}" in line for line in comparison.warnings)


def test_two_runs_of_one_arm_seed_and_length_are_refused(tmp_path: Path) -> None:
    make_run(tmp_path, "original", 0, LAST)
    for run in ("one", "other"):
        make_run(tmp_path, "replay", 0, LAST, changes={"schedule.run": run})
    assert "one run for each seed and length" in refused(tmp_path)


def test_one_arm_only(tmp_path: Path) -> None:
    make_run(tmp_path, "original", 0, LAST)
    make_run(tmp_path, "original", 1, LAST)
    assert "needs two arms" in refused(tmp_path)


def test_no_common_seeds(tmp_path: Path) -> None:
    make_run(tmp_path, "original", 0, LAST)
    make_run(tmp_path, "autolrs", 1, LAST)
    assert "none in common" in refused(tmp_path)


def test_seeds_without_a_partner_are_named(tmp_path: Path) -> None:
    for seed in (0, 1):
        make_run(tmp_path, "original", seed, LAST)
    make_run(tmp_path, "autolrs", 1, LAST)
    comparison = compare([tmp_path])
    assert [pair.seed for pair in comparison.speedups[0].pairs] == [1]
    assert any("original alone has seed 0" in line for line in comparison.warnings)


def test_a_target_that_nobody_reaches(tmp_path: Path) -> None:
    make_run(tmp_path, "original", 0, NEVER)
    make_run(tmp_path, "autolrs", 0, [0.1, 0.2, 0.3, 0.4])
    said = refused(tmp_path)
    assert "none reaches accuracy >= 0.9" in said
    assert "original 0.8, autolrs search=paper 0.4" in said


def test_a_baseline_that_is_no_arm_or_not_clear(tmp_path: Path) -> None:
    make_run(tmp_path, "cosine", 0, LAST)
    make_run(tmp_path, "constant", 0, LAST)
    make_run(tmp_path, "autolrs", 0, LAST)
    assert "is not clear" in refused(tmp_path)
    assert "'nobody'" in refused(tmp_path, baseline="nobody")
    assert names(compare([tmp_path], baseline="cosine"))[0] == "cosine"


def test_a_baseline_by_its_number_in_the_list(tmp_path: Path) -> None:
    for schedule in ("cosine", "constant", "autolrs"):
        make_run(tmp_path, schedule, 0, LAST)
    assert refused(tmp_path).splitlines()[-3:] == [
        "  1  autolrs search=paper",
        "  2  constant",
        "  3  cosine",
    ]
    assert names(compare([tmp_path], baseline="autolrs"))[0] == "autolrs search=paper", "by its schedule"
    comparison = compare([tmp_path], baseline="3")
    assert names(comparison)[0] == "cosine"
    assert "--baseline cosine" in command(comparison), "numbers change with the runs"
    for wrong in ("0", "4", "-1", "²"):
        assert f"got '{wrong}'" in refused(tmp_path, baseline=wrong)


def test_schedules_whose_raw_weights_end_better_than_the_averaged_ones_that_decide(tmp_path: Path) -> None:
    def said() -> list[str]:
        return [each for each in compare([tmp_path]).warnings if "raw ones end better" in each]

    make_run(tmp_path, "original", 0, NEVER, averaged=LAST)
    make_run(tmp_path, "autolrs", 0, LAST, averaged=NEVER)
    assert said() == [], "a search that judges by averaged weights is no schedule that could do without"
    make_run(tmp_path, "cosine", 0, LAST, averaged=NEVER)
    (caveat,) = said()
    assert "in the median: cosine + ema (accuracy 0.9 against 0.8). Compare" in caveat


def test_the_original_is_the_baseline_whatever_its_averaging(tmp_path: Path) -> None:
    make_run(tmp_path, "original", 0, LAST, averaged=LAST)
    make_run(tmp_path, "cosine", 0, LAST)
    make_run(tmp_path, "autolrs", 0, LAST)
    assert names(compare([tmp_path]))[0] == "original + ema"
    make_run(tmp_path, "original", 0, LAST)
    assert names(compare([tmp_path]))[0] == "original", "as it was published, if there are both"


def test_no_run_directories(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "there is none at or below" in refused(tmp_path / "empty")
    assert "must be a folder" in refused(tmp_path / "nowhere")
    assert "got none" in refused()


def test_a_folder_that_is_no_run_of_ours_or_never_began(tmp_path: Path) -> None:
    make_run(tmp_path, "original", 0, LAST)
    make_run(tmp_path, "autolrs", 0, LAST)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "config.yaml").write_text("a: b\n")
    assert names(compare([tmp_path])) == ["original", "autolrs search=paper"], (
        "another program's settings are no run"
    )
    (foreign / "run.lock").touch()
    assert str(foreign) in refused(tmp_path), "a run that was killed before its first event"
    (foreign / "journal.jsonl").write_text('{"what": "other"}\n')
    assert str(foreign) in refused(tmp_path)
    assert names(compare([tmp_path], force=True)) == ["original", "autolrs search=paper"]


def test_a_damaged_journal_is_named_and_a_torn_last_line_is_not_damage(tmp_path: Path) -> None:
    make_run(tmp_path, "original", 0, LAST)
    journal = make_run(tmp_path, "autolrs", 0, LAST) / "journal.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"event":"step","t":')
    assert len(compare([tmp_path]).runs) == 2
    lines = whole.splitlines(keepends=True)
    for number in (2, 3):  # a kept step, which is recognised by its beginning only, and an evaluation
        journal.write_bytes(b"".join([*lines[:number], lines[number][:20] + b"\n", *lines[number + 1 :]]))
        assert f"{journal} is damaged" in refused(tmp_path)


def test_a_run_that_diverged_counts_as_a_miss_not_as_absent(tmp_path: Path) -> None:
    make_run(tmp_path, "original", 0, SECOND)
    make_run(tmp_path, "original", 1, SECOND)
    make_run(tmp_path, "autolrs", 0, SECOND)
    gone = make_run(tmp_path, "autolrs", 1, [0.5, None, None, None], status="failed")
    _fail(gone, "Too high.", "diverged")
    comparison = compare([tmp_path])
    (found,) = comparison.speedups
    assert [pair.ratio("step") for pair in found.pairs] == [2.0, 0.0]
    assert found.arm_misses == 1
    assert any("counts as a miss (seed 1)" in line for line in comparison.warnings)
    assert comparison.finals["autolrs search=paper"] == [0.9, -math.inf], (
        "a run that diverged ended worse than all"
    )


def test_a_decayed_baseline_that_diverged_counts_as_its_full_length(tmp_path: Path) -> None:
    make_run(tmp_path, "autolrs", 0, SECOND)
    # It saw the target on its way, but a decayed schedule counts at its end, which it never came to.
    gone = make_run(tmp_path, "original", 0, [0.9, 0.9, None, None], status="failed")
    _fail(gone, "Too high.", "diverged")
    (pair,) = compare([tmp_path]).speedups[0].pairs
    assert not pair.baseline.reached
    assert pair.ratio("step") == 40 / 20


@pytest.mark.parametrize(
    "reason",
    [
        "Stage 2 must train without diverging, but it diverged at LR 0.5 at step 20 (non_finite)",
        "The training loss must stay finite, but it is nan at step 30 with LR 3.",
    ],
)
def test_runs_from_before_causes_were_recorded_are_still_known_to_have_diverged(
    tmp_path: Path, reason: str
) -> None:
    make_run(tmp_path, "original", 0, SECOND)
    make_run(tmp_path, "autolrs", 0, SECOND)
    _fail(make_run(tmp_path, "autolrs", 1, [0.5, None, None, None], status="failed"), reason)
    assert any("counts as a miss (seed 1)" in line for line in compare([tmp_path]).warnings)


@pytest.mark.parametrize("cause", ["unwritable", "a_word_of_a_later_version", None])
def test_one_that_failed_otherwise_is_still_refused(tmp_path: Path, cause: str | None) -> None:
    make_run(tmp_path, "original", 0, SECOND)
    gone = make_run(tmp_path, "autolrs", 0, SECOND, status="failed")
    _fail(gone, "No space left on device", cause)
    assert "failed at step 40: No space left on device" in refused(tmp_path)


def test_arms_may_have_better_names(tmp_path: Path) -> None:
    make_run(tmp_path, "original", 0, SECOND)
    mine = make_run(tmp_path, "autolrs", 0, SECOND)
    named = compare([tmp_path], titles={mine.absolute(): "as published"})
    assert names(named) == ["original", "as published"]
    assert named.speedups[0].arm == "as published"


def test_a_target_on_the_command_line_never_changes_the_metric(tmp_path: Path) -> None:
    """BLEU is measured at the end only, so without a target the loss is raced for; --target 20 is no loss."""
    bleu = {"metric": {"name": "bleu", "direction": "max"}}
    for schedule in ("original", "autolrs"):
        make_run(tmp_path, schedule, 0, SECOND, target=None, description=bleu)
    assert compare([tmp_path]).goal.metric == "loss"
    assert "recipe's metric, bleu, but these runs measured it less than 3 times" in refused(
        tmp_path, target=20.0
    )


def test_uneven_paces_are_named(tmp_path: Path) -> None:
    make_run(tmp_path, "original", 0, SECOND)
    make_run(tmp_path, "autolrs", 0, SECOND)
    slow = make_run(tmp_path, "autolrs", 1, SECOND)
    journal = slow / "journal.jsonl"
    text = journal.read_text()
    assert text.count('"seconds":20.0') == 2, "training, and search_discarded"
    journal.write_text(text.replace('"seconds":20.0', '"seconds":50.0'))
    make_run(tmp_path, "original", 1, SECOND)
    assert any("2.5 times as long" in line for line in compare([tmp_path]).warnings)


def _fail(run: Path, reason: str, cause: str | None = None) -> None:
    """Give a run's end its reason; without a cause, as runs had it before there was one."""
    journal, word = run / "journal.jsonl", f',"cause":"{cause}"' if cause else ""
    journal.write_text(journal.read_text().replace('"reason":"failed"', f'"reason":"{reason}"{word}'))
