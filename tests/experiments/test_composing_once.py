"""One composition whose values are changed is what Hydra composes with these values on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from autolrs_cli.compose import grid
from autolrs_cli.compose.grid import compose_grid, compose_once
from autolrs_cli.errors import ConfigError
from autolrs_cli.experiments.reproduce.memory import ComposedMemory
from autolrs_cli.records.run_directory import HARMLESS_KEYS, config_id
from autolrs_cli.terminal.console import PatientConsole

USER = Path(__file__).parents[1] / "user"
TOY = ("--config-dir", str(USER), "recipe=toy", "schedule=wsd", "average=ema")


def test_seeds_and_lengths_make_the_configurations_that_hydra_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = PatientConsole(stderr=True)
    theirs, code = compose_grid([*TOY, "seed=0,3", "run.max_steps=130,104"], errors)
    assert code == 0
    calls: list[object] = []
    real = grid.compose_and_call
    monkeypatch.setattr(grid, "compose_and_call", lambda *given: calls.append(given) or real(*given))
    wanted = [{"seed": seed, "run.max_steps": steps} for seed in (0, 3) for steps in (130, 104)]
    ours, code = compose_once(TOY, lambda _: wanted, errors)
    assert (code, len(calls)) == (0, 1)
    assert [p.composed.config for p in ours] == [p.composed.config for p in theirs]
    assert [p.composed.steps for p in ours] == [p.composed.steps for p in theirs] == [130, 104, 130, 104]
    assert ours[1].composed.config["schedule"]["max_steps"] == 104, "what refers to a value follows it"
    assert ours[1].composed.overrides == (
        "recipe=toy",
        "schedule=wsd",
        "average=ema",
        "seed=0",
        "run.max_steps=104",
    )
    typed, _ = compose_grid([*ours[1].composed.config_dir, *ours[1].composed.overrides], errors)
    assert config_id(typed[0].composed.config, HARMLESS_KEYS) == config_id(
        ours[1].composed.config, HARMLESS_KEYS
    )


def test_what_our_checks_refuse_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"run\.max_steps"):
        compose_once(TOY, lambda _: [{"run.max_steps": -1}], PatientConsole(stderr=True))


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's folder with one configuration, and no tuned schedules."""
    monkeypatch.setenv("AUTOLRS_CONFIG_DIR", str(tmp_path / "none"))
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "mine.yaml").write_text("value: ${run.max_steps}\n")
    return folder


def remembered(tmp_path: Path, own: Path) -> ComposedMemory:
    return ComposedMemory(tmp_path / "composed.json", ["--config-dir", str(own)])


def test_what_was_composed_is_remembered_until_a_file_changes(tmp_path: Path, own: Path) -> None:
    remembered(tmp_path, own).put(["a=1"], [1, 2])
    assert remembered(tmp_path, own).get(["a=1"]) == [1, 2]
    assert remembered(tmp_path, own).get(["a=2"]) is None
    (own / "mine.yaml").write_text("value: 3\n")
    assert remembered(tmp_path, own).get(["a=1"]) is None


def test_a_tuned_schedule_that_changes_is_forgotten(tmp_path: Path, own: Path) -> None:
    remembered(tmp_path, own).put(["a=1"], [1])
    tuned = tmp_path / "none" / "configs" / "schedule" / "tuned.yaml"
    tuned.parent.mkdir(parents=True)
    tuned.write_text("peak_lr: 0.1\n")
    assert remembered(tmp_path, own).get(["a=1"]) is None


@pytest.mark.parametrize("text", ["value: ${oc.env:HOME}\n", "value: ${my_resolver:3}\n"])
def test_what_is_not_in_the_files_alone_is_not_remembered(tmp_path: Path, own: Path, text: str) -> None:
    (own / "mine.yaml").write_text(text)
    remembered(tmp_path, own).put(["a=1"], [1])
    assert remembered(tmp_path, own).get(["a=1"]) is None
    (own / "mine.yaml").write_text("value: 3\n")
    remembered(tmp_path, own).put(["a=${oc.env:HOME}"], [1])
    assert remembered(tmp_path, own).get(["a=${oc.env:HOME}"]) is None


def test_a_damaged_memory_is_no_memory(tmp_path: Path, own: Path) -> None:
    remembered(tmp_path, own).put(["a=1"], [1])
    (tmp_path / "composed.json").write_text("{")
    assert remembered(tmp_path, own).get(["a=1"]) is None
