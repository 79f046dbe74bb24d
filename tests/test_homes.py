"""Where nobody knows of a home folder (a container with a bare user id), commands work, or say what to set."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autolrs_cli.commands.diagnose.machine import disk
from autolrs_cli.commands.diagnose.setup import completion
from autolrs_cli.commands.train import main
from autolrs_cli.compose.user_configs import TunedSchedule, user_configs
from autolrs_cli.errors import ConfigError
from autolrs_cli.homes import HOMELESS, at_home, user_folder
from autolrs_recipes.data.cache import cache_root, prepared

NO_SUCH_USER = 2**31 - 7


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "AUTOLRS_CACHE_DIR", "AUTOLRS_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: NO_SUCH_USER)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("homeless")
class TestWithoutAHome:
    def test_a_configuration_is_composed(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["recipe=resnet50", "--cfg", "job"], started=0) == 0
        assert "_target_: autolrs_recipes.resnet50.ResNet50" in capsys.readouterr().out

    def test_the_folders_of_the_system_are_ones_that_cannot_be_made(self, tmp_path: Path) -> None:
        assert cache_root(None) == HOMELESS
        assert user_configs() == HOMELESS / "configs"
        assert list(tmp_path.iterdir()) == [], "no folder called ~"

    def test_prepared_data_ask_for_a_folder(self) -> None:
        with pytest.raises(ConfigError, match=r"HOME-is-not-set.*Set data.cache_dir or AUTOLRS_CACHE_DIR"):
            prepared(cache_root(None), "translation", {}, lambda folder: None)

    def test_a_tuned_schedule_asks_for_a_folder(self) -> None:
        with pytest.raises(ConfigError, match=r"HOME-is-not-set.*Set AUTOLRS_CONFIG_DIR"):
            TunedSchedule("resnet50", "bench", "sgdr", "none", "sgd", "0" * 32).prove_writable()

    def test_the_doctor_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SHELL", "/bin/bash")
        found = {each.area: each for each in (*disk(), *completion())}
        for area, variable in (("cache", "AUTOLRS_CACHE_DIR"), ("settings", "AUTOLRS_CONFIG_DIR")):
            assert found[f"disk: {area}"].said == "no home folder is known for this user"
            assert found[f"disk: {area}"].remedy == f"Set HOME, or {variable}=PATH."
        assert found["completion"].status == "ok"

    def test_a_path_in_it_is_refused_in_words(self) -> None:
        with pytest.raises(ConfigError, match=r"`run.dir` must be a path that is known here.*~/x"):
            at_home("~/x", "run.dir")


def test_a_relative_answer_of_earlier_platformdirs_makes_no_folder_called_tilde() -> None:
    assert user_folder(lambda name, appauthor: Path("~/.cache") / name) == HOMELESS
    assert user_folder(lambda name, appauthor: Path("/home/ada/.cache") / name) == Path(
        "/home/ada/.cache/autolrs"
    )


@pytest.mark.parametrize("key", ["run.dir", "run.init_from", "schedule.run"])
def test_the_home_of_somebody_unknown_is_refused(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    schedule = "replay" if key == "schedule.run" else "original"
    words = ["recipe=resnet50", "scale=tiny", f"schedule={schedule}", f'{key}="~nobody-of-this-name/x"']
    assert main(words, started=0) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"`{key}` must be a path that is known here" in said
    assert list(tmp_path.iterdir()) == []
