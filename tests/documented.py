"""The commands that the documentation shows, where they stand, and what a reader has who types them."""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.main import get_command

from autolrs_cli.app import app

ROOT = Path(__file__).parents[1]
COMMAND = get_command(app)
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "RESULTS.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
# What stands for something of the reader's, and what the tests put there.
PLACEHOLDERS = {
    r"\brecipe=(R|RECIPE)\b": "recipe=resnet50",
    r"\bRUN_DIR RUN_DIR \.\.\.": "RUN_DIR RUN_DIR",
    r"\bdata=shapes\b": "data=digits",  # the example of a data set of one's own
    r"\[FILE,\.\.\.\]": "[FILE]",
    r" \.\.\.(?= |$)": "",
    r" \[(\w+=\w+)\]": r" \1",
}
CHOICES = {
    "resnet50": {"model": "thin_resnet", "data": "digits"},
    "transformer": {"model": "transformer", "data": "phrases"},
    "bert": {"model": "bert", "data": "pydocs"},
}
COMPOSING = ("train", "sweep", "plan", "range-test", "tune", "reproduce", "data prepare", "data check")


@dataclass(frozen=True)
class Documented:
    """A command, and the page that shows it."""

    text: str
    page: str

    @property
    def composes(self) -> bool:
        """Whether its overrides are composed to configurations."""
        return self.text.removeprefix("autolrs ").startswith(COMPOSING)

    @property
    def words(self) -> list[str]:
        """What a shell makes of it, behind `autolrs`, with something real for each placeholder."""
        text = self.text
        for pattern, real in PLACEHOLDERS.items():
            text = re.sub(pattern, real, text)
        recipe = re.search(r"\brecipe=(\w+)", text)
        for group, option in CHOICES.get(recipe[1] if recipe else "", {}).items():
            text = text.replace(f" {group}=NAME", f" {group}={option}")
        return shlex.split(text)[1:]


def documented() -> list[Documented]:
    """Return every command, each once."""
    found: dict[str, str] = {}
    for page in PAGES:
        for text in _in_page(page.read_text(encoding="utf-8")):
            found.setdefault(text, page.name)
    for file in sorted((ROOT / "configs").rglob("*.yaml")):
        for text in _in_comments(file.read_text(encoding="utf-8")):
            found.setdefault(text, file.relative_to(ROOT).as_posix())
    for words, command in commands(COMMAND):
        for text in _in_help(inspect.getdoc(inspect.unwrap(command.callback)) or ""):
            found.setdefault(text, f"{' '.join(words)} --help")
    return [Documented(text, page) for text, page in found.items()]


def commands(command: Any, *words: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the words and the object of every command that is shown."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield words, command
        return
    for name, each in inner.items():
        if not each.hidden:
            yield from commands(each, *words, name)


NAMES = sorted(" ".join(words) for words, _ in commands(COMMAND))
_COMMAND = re.compile(rf"autolrs (?:{'|'.join(NAMES)})(?![\w-]).*")


def _in_page(text: str) -> Iterator[str]:
    """Yield the commands in shell blocks, and those in the running text that say what they are given."""
    blocks = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
    for language, block in blocks.findall(text):
        if language == "sh":
            for line in block.replace("\\\n", " ").splitlines():
                yield from _in_line(line)
    for span in re.findall(r"`([^`]+)`", blocks.sub("", text)):
        line = " ".join(span.split())
        if line.startswith("autolrs ") and re.search(r"=|--|\b[A-Z_]{4,}\b", line):
            yield from _in_line(line)


def _in_line(line: str) -> Iterator[str]:
    """Yield the command of a line of a shell, without a comment or what it is piped into."""
    if line.lstrip().startswith("#"):
        return
    match = _COMMAND.search(line)
    if match is not None:
        yield " ".join(re.split(r" +#| [|>] |\)\"'| && ", match[0])[0].split())


def _in_comments(text: str) -> Iterator[str]:
    comments = re.findall(r"#(.*)", text.replace("\\\n#", " "))
    for comment in comments:
        match = _COMMAND.search(comment)
        if match is not None and "`autolrs" not in comment:
            yield " ".join(re.split(r" {3,}(?!data)|  #", match[0])[0].split())


def _in_help(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if line.strip().startswith("autolrs "):
            yield " ".join(re.split(r" {3,}| [|>] ", line.strip())[0].replace("\\[", "[").split())


def written_files(root: Path) -> list[str]:
    """Write the files that docs/own-recipe.md shows, under the names given there; return these."""
    page = (ROOT / "docs" / "own-recipe.md").read_text(encoding="utf-8")
    files = re.findall(r"^`(mine/\S+)`:\n\n```\w+\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    for name, content in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content, encoding="utf-8")
    return [name for name, _ in files]
