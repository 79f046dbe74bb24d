"""Options that take paths: the home folder, which shells leave to us in --dir=~/x."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, get_args, get_origin, get_type_hints

import pytest
import typer
from processes import USER
from typer.models import OptionInfo
from typer.testing import CliRunner

from autolrs_cli.app import app
from autolrs_cli.commands.options import expanded
from autolrs_cli.compose.hydra_app import config_dirs
from autolrs_cli.compose.resolve import run_jobs
from autolrs_cli.experiments.sweep import sweep
from autolrs_cli.terminal.console import PatientConsole


def path_options(group: typer.Typer) -> Iterator[tuple[str, OptionInfo]]:
    """Every option that takes a path, by the function and parameter that declare it."""
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        yield from path_options(inner.typer_instance)
    for command in group.registered_commands:
        assert command.callback is not None
        for name, hint in get_type_hints(command.callback, include_extras=True).items():
            kind, *rest = get_args(hint) if get_origin(hint) is Annotated else (hint,)
            if Path in (kind, *get_args(kind)):
                yield from (
                    (f"{command.callback.__name__} {name}", o) for o in rest if isinstance(o, OptionInfo)
                )


def test_every_option_that_takes_a_path_knows_the_home_folder() -> None:
    found = dict(path_options(app))
    assert {name for name in found if name.endswith((" directory", " out", " config_dir"))} >= {
        "sweep directory",
        "tune directory",
        "reproduce directory",
        "compare out",
        "plot out",
        "range_test out",
        "list_ config_dir",
    }
    assert [name for name, option in found.items() if option.callback is not expanded] == []


def test_a_folder_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    given: list[Path] = []
    monkeypatch.setattr(sweep, "main", lambda _, *, directory, **others: given.append(directory) or 0)
    for words in (["--dir=~/x y"], ["--dir", "~/x y"], ["--dir", "/x~"]):
        assert CliRunner().invoke(app, ["sweep", "recipe=toy", *words]).exit_code == 0
    assert given == [tmp_path / "x y", tmp_path / "x y", Path("/x~")]


def test_the_home_of_somebody_unknown_is_left_as_it_is() -> None:
    assert expanded(Path("~nobody-of-this-name/x")) == Path("~nobody-of-this-name/x")
    assert config_dirs(["--config-dir=~nobody-of-this-name"]) == [str(Path("~nobody-of-this-name").resolve())]


@pytest.mark.parametrize("words", [["--config-dir=~/mine"], ["--config-dir", "~/mine"], ["-cd", "~/mine"]])
def test_hydras_own_folder_too(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine").symlink_to(USER)
    seen: list[str] = []
    code = run_jobs(
        lambda config: seen.append(config["recipe"]["name"]),
        [*words, "recipe=toy"],
        PatientConsole(stderr=True),
    )
    assert (code, seen) == (0, ["toy"])
