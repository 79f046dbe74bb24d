"""Helpers to meet the command line as a person does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from processes import Terminal
from said import Said, assert_refusal

from autolrs_cli.commands.train import main


@pytest.fixture
def train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Said]:
    """`autolrs train` in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("FORCE_COLOR", raising=False)

    def run(*overrides: str) -> Said:
        code = main(overrides, started=time.perf_counter())
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return run


@pytest.fixture
def refused(train: Callable[..., Said], tmp_path: Path) -> Callable[..., str]:
    """A command line that must be refused before anything is written; returns what the person is told."""

    def run(*overrides: str) -> str:
        before = sorted(tmp_path.rglob("*"))
        said = train(*overrides)
        assert_refusal(said)
        assert sorted(tmp_path.rglob("*")) == before, "something was written"
        return said.err

    return run


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    """Start commands on a pseudo-terminal; closed, and ended if need be, after the test."""
    opened: list[Terminal] = []

    def open_terminal(*arguments: str, cwd: Path, cold: bool = False) -> Terminal:
        opened.append(Terminal(*arguments, cwd=cwd, cold=cold))
        return opened[-1]

    yield open_terminal
    for each in opened:
        each.close()
