"""Whole reproductions of the toy recipe with made-up runs: what is run, what is not, what the archive holds."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
from made_reproduction import MadeUp
from rich.console import Console

from autolrs_cli.compose import grid
from autolrs_cli.compose.user_configs import CONFIG_VARIABLE
from autolrs_cli.experiments.reproduce import arm_runs, cost, grid_runs, recipe, studies
from autolrs_cli.experiments.reproduce import reproduce as reproduction
from autolrs_cli.experiments.reproduce.arms import ARMS
from autolrs_cli.experiments.reproduce.findings import notes
from autolrs_cli.experiments.reproduce.presets import EVENING
from autolrs_cli.experiments.reproduce.reproduce import main
from autolrs_cli.experiments.reproduce.request import Only, ReproductionRequest
from autolrs_cli.experiments.reproduce.taken_over import TakenOver
from autolrs_cli.records.archive import NAME, read_archive, write_archive
from autolrs_cli.records.run_directory import HARMLESS_KEYS, config_id
from autolrs_cli.reports.compare.time_to_target import Goal
from autolrs_cli.reports.render import write_report

USER = Path(__file__).parents[1] / "user"
SOME = ("original", "autolrs", "tuned linear + averaged weights", "tuned clr", "tuned constant")
TARGET = 0.9


def needs(config: Mapping[str, Any]) -> float:
    """Return the steps to the target: 130 at full length, fewer for a linear decay, out of reach for a constant LR."""
    name = config["schedule"]["name"]
    at_peak = {"linear": 100.0, "wsd": 70.0, "constant": 95.0}
    if config["seed"] >= 3000:
        return at_peak[name] if config["schedule"]["peak_lr"] == pytest.approx(0.2) else 1e9
    return {"original": 120.0, "autolrs": 60.0, "linear_tuned": 100.0, "constant_tuned": 1e9}.get(name, 300.0)


def request(folder: Path, *more: str, source: Path | None = None) -> ReproductionRequest:
    overrides = ("--config-dir", str(USER), *more)
    target = f"target={{metric:accuracy,value:{TARGET}}}"
    return ReproductionRequest((0, 1, 2, 3), "tiny", 1, folder, (*overrides, target), source=source)


def reproduce(made: MadeUp, asked: ReproductionRequest, *only: Only) -> int:
    with made.in_place():
        return main(asked, ["toy"], list(only))


@pytest.fixture(scope="module")
def few_arms() -> Iterator[None]:
    """Leave five arms, one of each kind."""
    with pytest.MonkeyPatch.context() as patched:
        kept = tuple(arm for arm in ARMS if arm.title in SOME)
        patched.setattr(arm_runs, "ARMS", kept)
        patched.setattr(cost, "ARMS", kept)
        for module in (studies, cost):
            patched.setattr(module, "STUDIES", tuple(arm for arm in kept if arm.tuned))
        patched.setattr(cost, "TIMED_STEPS", 1)
        patched.setattr(recipe, "GridRuns", partial(grid_runs.GridRuns, times=(0.5, 2.0)))
        patched.setattr(write_report, "FIGURES", {"speedups": write_report.FIGURES["speedups"]})
        patched.setenv(CONFIG_VARIABLE, "")
        yield


@pytest.fixture(scope="module")
def done(few_arms: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, MadeUp]:
    """A finished reproduction, with its practical limit."""
    folder, made = tmp_path_factory.mktemp("first"), MadeUp(needs, TARGET)
    assert reproduce(made, request(folder), "hindsight") == 0
    assert reproduce(made, request(folder)) == 0
    return folder, made


def lengths(made: MadeUp, schedule: str) -> set[tuple[int, int]]:
    """Return (seed, steps) of the runs under a schedule that reproduction made."""
    found = set()
    for root in made.made:
        if root.parent.parent.name == schedule and root.parts[-5] == "runs":
            started = next(iter(read_lines(root / "journal.jsonl")))
            found.add((started["config"]["seed"], started["config"]["run"]["max_steps"]))
    return found


def read_lines(path: Path) -> list[dict[str, Any]]:

    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def test_each_arm_is_run_on_its_seeds_and_at_the_lengths_that_it_takes(done: tuple[Path, MadeUp]) -> None:
    _, made = done
    four, three = range(4), range(3)
    assert lengths(made, "original") == {(s, n) for s in four for n in (130, 104)}, "104 steps miss it"
    assert lengths(made, "linear_tuned") == {(s, n) for s in four for n in (130, 104, 78)}
    assert lengths(made, "clr_tuned") == {(s, n) for s in three for n in (130, 260)}, "missed, so longer"
    assert lengths(made, "constant_tuned") == {(s, 130) for s in three}, (
        "without an end, longer is no other run"
    )
    assert lengths(made, "autolrs") == {(s, 130) for s in four}
    assert lengths(made, "replay") == {(s, 130) for s in three}


def test_the_tables_say_seeds_and_multiples_of_the_practical_limit(done: tuple[Path, MadeUp]) -> None:
    folder, _ = done
    text = (folder / "tiny" / "toy" / "report" / "table.md").read_text()
    header, first = (
        "| arm | seeds | lengths | read out | reached |",
        "| autolrs | 4 (0 to 3) | 130 | raw | 4 of 4 |",
    )
    limit = "times the practical limit: steps, all steps"
    assert f"{header} median steps to target | median of all steps | {limit} |" in text
    assert "the practical limit, in hindsight: 70 steps to the target, by wsd (average=none) at 2x" in text
    assert "Nobody may tune on it" in text
    assert "on seed 3000" in text
    assert f"{first} 60 | 120 | {60 / 70:.2f}x, {120 / 70:.2f}x |" in text
    assert (
        f"| original | 4 (0 to 3) | 104, 130 | raw | 4 of 4 | 130 | 130 | {130 / 70:.2f}x, {130 / 70:.2f}x |"
        in text
    )
    assert "| tuned constant | 3 (0 to 2) | 130 | raw | 0 of 3 | - | - | -, - |" in text


def test_the_same_again_runs_nothing_composes_once_per_recipe_and_draws_nothing(
    done: tuple[Path, MadeUp], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = done
    report = folder / "tiny" / "toy" / "report"
    before = {path: path.read_bytes() for path in report.rglob("*") if path.is_file()}
    drawn = (report / "plots" / "speedups.png").stat().st_mtime_ns
    composed: list[object] = []
    real = grid.compose_and_call
    monkeypatch.setattr(grid, "compose_and_call", lambda *given: composed.append(given) or real(*given))
    again = MadeUp(needs, TARGET)
    assert reproduce(again, request(folder)) == 0
    assert (again.made, again.tuned) == ([], [])
    assert len(composed) <= 3, "what the arms have in common; the arms themselves are remembered"
    assert {path: path.read_bytes() for path in before} == before
    assert (report / "plots" / "speedups.png").stat().st_mtime_ns == drawn


def test_the_report_is_rebuilt_from_the_archive_alone(done: tuple[Path, MadeUp], tmp_path: Path) -> None:
    folder, _ = done
    results = tmp_path / "results" / "toy"
    results.mkdir(parents=True)
    shutil.copy(folder / "tiny" / "toy" / "report" / NAME, results / NAME)
    nothing = MadeUp(needs, TARGET)
    assert reproduce(nothing, request(tmp_path / "new", source=results.parent), "report") == 0
    assert nothing.made == []
    old, new = (f / "tiny" / "toy" / "report" / "table.csv" for f in (folder, tmp_path / "new"))
    assert new.read_text() == old.read_text()
    table = (folder / "tiny" / "table.csv").read_text()
    assert (tmp_path / "new" / "tiny" / "table.csv").read_text() == table


def test_tables_hold_the_recipes_of_earlier_commands_and_what_was_lost_stays_said(
    done: tuple[Path, MadeUp], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = done
    place = tmp_path / "tiny" / "toy"
    records = read_archive(folder / "tiny" / "toy" / "report" / NAME)
    kept = [record for record in records if record["kind"] != "limit"]
    write_archive(place / "report" / NAME, [*kept, *notes(["tuned clr: 1 of 3 runs failed."])])
    monkeypatch.setattr(reproduction, "CLAIMS", {"toy": 1.1})
    silent = Console(file=io.StringIO())
    (check,) = reproduction._with_earlier([], request(tmp_path), silent)
    assert check.recipe == "toy"
    assert check.limit is None
    assert reproduce(MadeUp(needs, TARGET), request(tmp_path), "report") == 0
    assert "- tuned clr: 1 of 3 runs failed." in (place / "report" / "table.md").read_text()
    shutil.copy(folder / "tiny" / "toy" / "hindsight.json", place)
    (later,) = reproduction._with_earlier([], request(tmp_path), silent)
    assert later.limit is not None, "measured after the report"
    assert reproduce(MadeUp(needs, TARGET), request(tmp_path), "report") == 0
    assert "limit" in {record["kind"] for record in read_archive(place / "report" / NAME)}
    (place / "report" / NAME).write_bytes(b"no archive")
    assert reproduction._with_earlier([], request(tmp_path), silent) == []


def test_elsewhere_only_what_is_missing_is_run(done: tuple[Path, MadeUp], tmp_path: Path) -> None:
    folder, _ = done
    records = read_archive(folder / "tiny" / "toy" / "report" / NAME)
    lost = [
        r
        for r in records
        if r["kind"] == "run" and r["title"] in ("tuned constant", "replay of another seed")
    ]

    write_archive(tmp_path / "results" / "toy" / NAME, [r for r in records if r not in lost])
    here = MadeUp(needs, TARGET)
    asked = request(tmp_path / "new", source=tmp_path / "results")
    with pytest.MonkeyPatch.context() as patched:
        # The made-up studies have executed no code that could be compared.
        patched.setattr("autolrs_cli.experiments.reproduce.taken_over._other_code", lambda *_: "")
        assert reproduce(here, asked) == 0
    assert here.tuned == []
    assert {root.parent.parent.name for root in here.made} == {"constant_tuned", "replay"}
    assert len(here.made) == len(lost) == 6
    text = (tmp_path / "new" / "tiny" / "toy" / "report" / "table.md").read_text()
    assert "from archives, made on" in text
    old = (folder / "tiny" / "table.csv").read_text()
    assert (tmp_path / "new" / "tiny" / "table.csv").read_text() == old


def test_runs_by_other_code_or_of_other_data_do_not_count(done: tuple[Path, MadeUp], tmp_path: Path) -> None:
    folder, _ = done

    archive = folder / "tiny" / "toy" / "report" / NAME
    run = next(r for r in read_archive(archive) if r["kind"] == "run" and r["title"] == "original")
    identity = config_id(run["started"]["config"], HARMLESS_KEYS)
    assert TakenOver(archive).run(identity, "rings") is not None
    taken = TakenOver(archive)
    assert taken.run(identity, "squares") is None
    assert "do not count, and are run here: their data were others" in taken.said[0]
    run["started"]["code"] = {**run["started"]["code"], "autolrs_cli.training.trainer": "0" * 8}
    write_archive(tmp_path / NAME, [run])
    changed = TakenOver(tmp_path / NAME)
    assert changed.run(identity, "rings") is None
    assert "their code was another" in changed.said[0]


def test_hindsight_without_a_target_is_one_message(
    few_arms: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = MadeUp(needs, TARGET)
    asked = ReproductionRequest((0, 1), "tiny", 1, tmp_path, ("--config-dir", str(USER)))
    assert reproduce(made, asked, "hindsight") == 2
    assert made.made == []
    said = " ".join(capsys.readouterr().err.split())
    assert "measured against a target that is fixed beforehand, but toy has none at scale=tiny" in said
    assert "--calibrate" in said


def test_an_evening_tunes_nothing_and_all_goes_on_from_it(few_arms: None, tmp_path: Path) -> None:
    evening = MadeUp(needs, TARGET)
    asked = replace(request(tmp_path), preset=EVENING, seeds=(0, 1, 2))
    assert reproduce(evening, asked) == 0
    assert evening.tuned == []
    assert lengths(evening, "original") == lengths(evening, "autolrs") == {(s, 130) for s in range(3)}
    assert {root.parent.parent.name for root in evening.made} == {"original", "autolrs"}
    table = (tmp_path / "tiny" / "table.md").read_text()
    assert "--seeds 3 --scale tiny --preset evening" in table
    everything = MadeUp(needs, TARGET)
    assert reproduce(everything, request(tmp_path)) == 0
    assert lengths(everything, "original") == {(3, 130), *((s, 104) for s in range(4))}


def test_one_part_at_a_time(few_arms: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reproduce(MadeUp(needs, TARGET), request(tmp_path), "cost", "hindsight") == 2
    assert "--cost --hindsight" in " ".join(capsys.readouterr().err.split())


def test_a_limit_of_another_target_is_not_used(done: tuple[Path, MadeUp]) -> None:
    folder, _ = done
    limit = grid_runs.kept_limit(folder / "tiny" / "toy")
    assert limit is not None

    assert limit.is_of(Goal("accuracy", "max", TARGET, "configuration"), "rings")
    assert not limit.is_of(Goal("accuracy", "max", 0.8, "configuration"), "rings")
    assert not limit.is_of(Goal("accuracy", "max", TARGET, "configuration"), "squares")
