"""Which searches, averages and optimizers go together, in every command that composes a run."""

from __future__ import annotations

import pytest
from harness import composed, planned

from autolrs_cli.errors import ConfigError
from autolrs_cli.experiments.range_test.run import main as range_test
from autolrs_cli.experiments.reproduce.arms import PAPER, STUDIES
from autolrs_cli.experiments.tune.task import _search_steps

TINY = ("recipe=resnet50", "scale=tiny")
FREE = "optimizer=schedulefree_sgd"


def test_schedules_of_one_command_are_read_out_alike() -> None:
    names = {
        schedule: composed(*TINY, f"schedule={schedule}")["average"]["name"]
        for schedule in ("autolrs", "original", "random", "cosine")
    }
    assert set(names.values()) == {"ema"}
    assert {composed(*TINY, PAPER, f"schedule={s}")["average"]["name"] for s in names} == {"none"}


@pytest.mark.parametrize(
    "given",
    [
        *((f"schedule={schedule}",) for schedule in ("autolrs", "random", "original", "greedy", "clr")),
        ("schedule=original", "average=none"),
        ("schedule=autolrs", "average=tail"),
        (PAPER,),
        (PAPER, "average=ema"),
        ("search.weights=raw", "average=none"),
        ("search=last_losses", "schedule=random"),
    ],
    ids=" ".join,
)
def test_what_goes_together(given: tuple[str, ...]) -> None:
    plan = planned(*TINY, *given)
    assert (plan.search is not None) == (plan.settings.schedule["name"] in ("autolrs", "random"))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("average=none",), "Set average=ema; or, to read raw weights"),
        (("schedule=random", "average=none"), "Set average=ema; or, to read raw weights"),
    ],
)
def test_what_does_not(given: tuple[str, ...], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        planned(*TINY, *given)


class TestAnOptimizerThatAveragesByItself:
    """Schedule-free SGD."""

    @pytest.fixture(autouse=True)
    def installed(self) -> None:
        pytest.importorskip("schedulefree")

    @pytest.mark.parametrize("given", [("schedule=constant",), (PAPER,), (PAPER, "schedule=constant")])
    def test_nothing_is_averaged_beside_it(self, given: tuple[str, ...]) -> None:
        assert planned(*TINY, FREE, *given).settings.averaging is None

    @pytest.mark.parametrize(
        "given", [("schedule=constant", "average=ema"), ("schedule=constant", "average=tail")]
    )
    def test_an_average_of_an_average_is_refused(self, given: tuple[str, ...]) -> None:
        with pytest.raises(ConfigError, match="Leave `average` out"):
            planned(*TINY, FREE, *given)

    def test_the_lean_search_names_ways_out_that_work(self) -> None:
        with pytest.raises(ConfigError, match="search=paper or a schedule that is not searched"):
            planned(*TINY, FREE)


@pytest.mark.parametrize(
    "given",
    [
        ("schedule=cosine",),
        ("schedule=cosine", "average=none"),
        (FREE, "schedule=constant"),
        ("optimizer=prodigy", "schedule=cosine"),
    ],
    ids=" ".join,
)
def test_a_study_counts_what_the_published_search_would_make(given: tuple[str, ...]) -> None:
    for module in ("schedulefree", "prodigyopt"):
        pytest.importorskip(module)
    assert _search_steps(composed(*TINY, *given)) == planned(*TINY, PAPER).search_steps


def test_every_study_of_a_reproduction_composes() -> None:
    pytest.importorskip("schedulefree")
    for arm in STUDIES:
        more = [each.format(schedulefree="schedulefree_sgd") for each in arm.more]
        config = composed(PAPER, *TINY, f"schedule={arm.schedule}", f"average={arm.average}", *more)
        assert config["search"]["name"] == "paper"
        assert _search_steps(config) > 0


def test_a_range_test_needs_no_search_that_judges_by_averaged_weights(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert range_test([*TINY, "average=none"], lr_min=1e-3, lr_max=10.0, steps=150, out=None) == 0
    assert "Proposed: search=paper search.lr_min=" in capsys.readouterr().out
