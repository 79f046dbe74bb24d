"""What a person sees at told moments, character by character."""

from __future__ import annotations

from itertools import pairwise

import pytest
from golden_screens import FOLDER, screens, shown
from stories import MOMENTS, ROLLED_BACK, SIZES, TARGET, Story

from autolrs_cli.dashboard.axes import Axis, ticks
from autolrs_cli.dashboard.render import frame
from autolrs_cli.records import events

SCREENS = dict(screens())


@pytest.mark.parametrize("name", SCREENS)
def test_the_screen_is_the_golden_one(name: str) -> None:
    """After a change that is meant: scripts/update_golden_screens.py."""
    assert SCREENS[name] == (FOLDER / f"{name}.txt").read_text(encoding="utf-8")


def test_there_is_no_golden_screen_of_something_else() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(SCREENS)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize(("width", "height"), [*SIZES, (60, 15), (99, 60), (80, 50), (300, 20)])
def test_nothing_is_clipped_by_the_terminal(moment: str, width: int, height: int) -> None:
    for unicode in (True, False):
        lines = frame(MOMENTS[moment](), width, height, unicode=unicode)
        assert len(lines) < height
        assert max(line.cell_len for line in lines) <= width
        assert unicode or all(line.plain.isascii() for line in lines)


def test_the_essentials_are_there_at_80_by_24() -> None:
    screen = SCREENS["mid_search-80x24"]
    essentials = (
        "resnet50 scale=demo schedule=autolrs search=paper seed=0",
        "stage 3 of 3: trial 4 of 4 at LR 1.90e-1, step 11 of 24",
        "1:22 left",
        "held out: accuracy 0.7155",
        "averaged weights, step 240: accuracy 0.7724",
        "target accuracy >= 0.95: 0.178 to go",
        "2.75 steps/s   88 images/s   search 52% of 2:49   memory 1.2 GB",
        "best so far",
        "running",
        "runs/resnet50/autolrs/seed0/20261122-101500-1a2b3c4d",
    )
    for essential in essentials:
        assert essential in screen


def test_a_diverged_trial_is_explained() -> None:
    assert (
        "1 6.00e-1    10   66.53  diverged: loss far above the untrained model's" in SCREENS["diverged-80x24"]
    )
    assert (
        "mean of the last 2 losses 66.53 is above 1.5 x the untrained model's 2.303"
        in SCREENS["diverged-200x60"]
    )


def test_a_stage_that_is_searched_again_is_explained_and_its_steps_are_gone() -> None:
    screen = SCREENS["rolled_back-120x40"]
    assert (
        "training diverged at LR 1.90e-1: back at step 100, this stage is searched again below it" in screen
    )
    assert "(attempt 1 of 2)" in screen
    before = Story().warm_up().stage(0).search(1).choose(1, 3).train(1, 60)
    planned, steps = before.state().planned_steps, before.state().lrs.items
    state = before.back_to(100).say(ROLLED_BACK).search(1, 0, cap=0.19).state()
    assert steps[-1][0] == 160
    assert state.lrs.items[-1][0] == state.losses.items[-1][0] == 100
    assert [row.stage for row in state.chosen] == [0]
    # 60 steps that are made again, and a second search of 4 trials of 20 steps.
    assert state.planned_steps == planned + 60 + 80


def test_the_search_pays_for_the_time_between_a_stages_start_and_its_choice() -> None:
    story = Story().warm_up()
    assert story.state().search_seconds == 0
    begun = story.state().t
    state = story.search(0).choose(0).state()
    assert state.search_seconds == pytest.approx(state.t - begun, abs=0.11)  # the clock starts with the event
    assert story.train(0).state().search_seconds == state.search_seconds


def test_the_distance_to_a_target_that_is_to_be_small() -> None:
    story = Story({"metric": "loss", "value": 1.0, "direction": "min"}).warm_up().stage(0)
    assert "target loss <= 1: 0.251 to go" in shown(frame(story.state(), 80, 24))


def test_a_target_is_first_not_measured_then_passed_once_then_reached() -> None:
    story = Story(TARGET).warm_up()
    assert "not measured yet" in shown(frame(story.state(), 80, 24))
    story.say(events.Eval("target", "raw", {"accuracy": 0.96, "loss": 0.1}))
    assert "passed once" in shown(frame(story.state(), 80, 24))
    story.say(events.TargetReached("accuracy", 0.95, 20, 20, 9.0))
    assert "reached at step 20" in shown(frame(story.state(), 80, 24))


def test_a_target_that_only_the_steps_taken_back_reached_is_not_reached() -> None:
    story = Story(TARGET).warm_up().stage(0).search(1).choose(1, 3).train(1, 60)
    story.say(events.TargetReached("accuracy", 0.95, 120, 120, 9.0))
    assert "reached at step 120" in shown(frame(story.state(), 80, 24))
    story.back_to(100).say(ROLLED_BACK)
    assert story.state().target_reached is None
    assert "reached at" not in shown(frame(story.state(), 80, 24))


@pytest.mark.parametrize("name", [name for name in SCREENS if "└┬" in SCREENS[name]])
def test_every_chart_says_what_its_axis_counts(name: str) -> None:
    below = [after for line, after in pairwise(SCREENS[name].splitlines()) if "└┬" in line]
    for line in below:
        assert "steps" in line or "LR" in line


@pytest.mark.parametrize(
    ("axis", "most", "labels"),
    [
        (Axis(9e-4, 1.1, log=True, powers=True), 4, ["1e-3", "1e-2", "1e-1", "1e0"]),
        (Axis(2.1e-3, 0.9, log=True, powers=True), 2, ["1e-2", "1e-1"]),
        (Axis(4.1e-3, 4.4e-3, log=True, powers=True), 4, ["4.1e-3", "4.4e-3"]),
        (Axis(0.2, 3, log=True), 5, ["0.2", "0.5", "1", "2"]),
        (Axis(0, 1000), 5, ["0", "200", "400", "600", "800", "1,000"]),
        (Axis(-0.3, 0.2), 5, ["-0.3", "-0.2", "-0.1", "0.0", "0.1", "0.2"]),
    ],
)
def test_ticks_are_round(axis: Axis, most: int, labels: list[str]) -> None:
    assert [label for _, label in ticks(axis, most)] == labels
