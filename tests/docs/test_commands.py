"""Every command that the documentation shows is one that can be typed."""

from __future__ import annotations

import io
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from documented import COMMAND, ROOT, Documented, documented, written_files
from omegaconf import DictConfig
from processes import autolrs
from rich.console import Console

from autolrs_cli.commands.options import names_and_overrides
from autolrs_cli.compose.hydra_app import compose_and_call
from autolrs_cli.compose.resolve import resolve
from autolrs_cli.compose.user_configs import CONFIG_VARIABLE
from autolrs_cli.errors import ConfigError
from autolrs_cli.experiments.tune.search_space import read_settings
from autolrs_cli.overrides import override_in
from autolrs_cli.records.run_directory import HARMLESS_KEYS, config_id
from autolrs_cli.runner.plan import check

DOCUMENTED = documented()
# Composing takes half a second: by default what people read first, the others with -m slow.
SHOWN = [
    each if each.page.endswith(".md") else pytest.param(each, marks=pytest.mark.slow)
    for each in DOCUMENTED
    if each.composes
]
TINY = [each for each in DOCUMENTED if re.match(r"autolrs train .*\bscale=tiny\b", each.text)]
MULTIRUN = ("sweep", "plan")
# What only the reader has: their data, a GPU, a run.
THE_READERS = re.compile(r"`(data\.|runtime\.device=cuda|schedule\.run|run\.init_from)")


def named(command: Documented) -> str:
    return f"{command.page}: {command.text.removeprefix('autolrs ')}"


def parsed(words: list[str]) -> tuple[str, dict[str, Any]]:
    """Return a command's name, and its arguments and options as Typer's own parser reads them.

    Raises:
        Exception: Typer's, of words that the command line does not take.
    """
    command: Any = COMMAND
    name: list[str] = []
    while hasattr(command, "commands"):
        name.append(words[0])
        command, words = command.commands[words[0]], words[1:]
    context = command.make_context(name[-1], list(words))
    assert context.args == []
    return " ".join(name), context.params


def command_lines(name: str, given: dict[str, Any]) -> list[list[str]]:
    """Return what the command hands to Hydra."""
    if name == "reproduce":
        names, overrides = names_and_overrides(given["recipes"] or [])
        every = names or ["resnet50", "transformer", "bert"]
        return [[f"recipe={each}", f"scale={given['scale']}", *overrides] for each in every]
    overrides = list(given["overrides"] or ())
    return (
        [overrides] if any(each.startswith("recipe=") for each in overrides) else []
    )  # a fragment in the text


def problems_of(name: str, overrides: list[str]) -> list[str]:
    """Compose what `overrides` stand for, and return what a run would be refused for."""
    problems: list[str] = []
    seen: set[str] = set()

    def job(config: DictConfig) -> None:
        plain = resolve(config)
        space = plain.pop("tune", None)
        kind = config_id(plain, (*HARMLESS_KEYS, "seed"))
        if kind in seen:
            return
        seen.add(kind)
        try:
            if name == "tune":
                read_settings(space)
            check(plain)
        except ConfigError as error:
            problems.extend(error.problems)

    # Launchers need not be installed; all seeds are composed alike.
    here = [
        re.sub(r"^seed=\D*(\d+).*", r"seed=\1", each) for each in overrides if not each.startswith("hydra")
    ]
    if name == "tune":  # the command adds the space of its schedule
        here += [each.replace("schedule=", "tune=") for each in here if each.startswith("schedule=")]
    said = io.StringIO()
    with tempfile.TemporaryDirectory() as aside:
        multirun = ["-m", f"hydra.sweep.dir={aside}"] if name in MULTIRUN else []
        code = compose_and_call(job, [*here, *multirun], Console(file=said))
    assert code == 0, said.getvalue()
    assert seen or "--cfg" in overrides
    return problems


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a reader who saved the files of docs/own-recipe.md and has tuned a schedule."""
    root = tmp_path_factory.mktemp("reader")
    written_files(root)
    tuned = root / "settings" / "configs" / "schedule" / "tuned" / "resnet50" / "bench"
    tuned.mkdir(parents=True)
    shutil.copy(ROOT / "configs" / "schedule" / "linear.yaml", tuned / "linear_ema-sgd-c866579d.yaml")
    return root


def test_commands_are_found_wherever_some_are_shown() -> None:
    pages = {each.page for each in DOCUMENTED}
    assert {"README.md", "CONTRIBUTING.md", "tuning.md", "configs/search/paper.yaml", "sweep --help"} <= pages
    assert TINY


def test_a_documented_command_has_the_options_that_it_shows() -> None:
    for command in DOCUMENTED:
        name, given = parsed(command.words)
        if name == "resume":
            assert all(override_in(each) for each in given["changes"] or ())


@pytest.mark.parametrize("command", SHOWN, ids=named)
def test_a_documented_command_is_composed(
    command: Documented, reader: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(reader)
    monkeypatch.setenv(CONFIG_VARIABLE, str(reader / "settings"))
    name, given = parsed(command.words)
    for overrides in command_lines(name, given):
        problems = problems_of(name, overrides)
        assert [each for each in problems if not THE_READERS.match(each)] == []


@pytest.mark.slow
@pytest.mark.parametrize("command", TINY, ids=named)
def test_a_documented_command_at_scale_tiny_runs(command: Documented, tmp_path: Path) -> None:
    done = autolrs(*command.words, "runtime.threads=1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("runs/**/model.safetensors"))


def test_a_command_that_is_wrong_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError, match="schedule=cosinus"):
        problems_of("train", ["recipe=resnet50", "schedule=cosinus"])
    assert problems_of("train", ["recipe=resnet50", "search.lr_min=2", "search.lr_max=1"])
    with pytest.raises(Exception, match="--fail-quickly"):
        parsed(["compare", "runs", "--fail-quickly"])
