"""What --help shows of each command: its examples, as they are to be typed."""

from __future__ import annotations

import inspect
import re
from itertools import pairwise
from pathlib import Path

import pytest
from documented import commands
from processes import autolrs
from typer.main import get_command

from autolrs_cli.app import app

COMMANDS = dict(commands(get_command(app)))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_example_of_a_command_is_shown_as_it_is_typed(words: tuple[str, ...], tmp_path: Path) -> None:
    said = inspect.getdoc(inspect.unwrap(COMMANDS[words].callback)) or ""
    examples = [line.strip() for line in said.splitlines() if line.strip().startswith("autolrs ")]
    assert examples, "a command shows how it is used"
    done = autolrs(*words, "--help", cwd=tmp_path, COLUMNS="300", TERMINAL_WIDTH="300")
    shown = re.sub(r"\s+", " ", done.stdout)
    for example in examples:
        assert re.sub(r"\s+", " ", example.replace("\\[", "[")) in shown


@pytest.mark.parametrize("words", [("reproduce",), ("tune",)], ids=" ".join)
def test_paragraphs_fill_the_terminal_wherever_their_source_breaks(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    shown = autolrs(*words, "--help", cwd=tmp_path, COLUMNS="80", TERMINAL_WIDTH="80").stdout
    said, _, _ = shown.partition(" Examples")
    lines = [line.rstrip() for line in said.splitlines()]
    assert all(len(line) <= 80 for line in lines)
    for line, after in pairwise(lines):
        if line and after:
            assert len(f"{line} {after.split()[0]}") > 79, "the next word had room here"
