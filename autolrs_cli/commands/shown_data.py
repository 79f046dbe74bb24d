"""What `autolrs data show` shows: examples of the batches that a run trains on, and where they go."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from autolrs_cli.contracts import Example, Phase, Position, Recipe, Showable
from autolrs_cli.durable import replace_whole
from autolrs_cli.errors import ConfigError
from autolrs_cli.terminal.console import say

PICTURES, TEXTS = 64, 4
"""Examples of each phase, unless a person says how many."""
_INDENT = "    "


@dataclass(frozen=True)
class ShownPhase:
    """The first examples of a phase.

    Args:
        name: the phase's.
        examples: in the order that the run trains on them.
        places: step of the phase and place in its global batch of each example, both 0-based.
    """

    name: str
    examples: list[Example]
    places: list[tuple[int, int]]


@dataclass(frozen=True)
class Shown:
    """What is to be shown of a recipe's data.

    Args:
        recipe: its name.
        title: what the data are, and which run's batches these are.
        legend: how lines are to be read; empty: they speak for themselves.
        phases: in order.
    """

    recipe: str
    title: tuple[str, str]
    legend: str
    phases: list[ShownPhase]

    @property
    def examples(self) -> list[Example]:
        """Those of all phases."""
        return [example for phase in self.phases for example in phase.examples]


def shown(recipe: Recipe, max_steps: int, seed: int, count: int | None) -> Shown:
    """Read the first batches of each phase, exactly as a run with this seed does.

    Args:
        recipe: its data are prepared.
        max_steps: of the run.
        seed: of the run.
        count: examples of each phase; None: `PICTURES` or `TEXTS`.

    Raises:
        ConfigError: if the recipe cannot show its data.
    """
    if not isinstance(recipe, Showable):
        raise ConfigError(
            f"A recipe must say how its data are shown, but {recipe.name} has no methods `show` and `legend` (see "
            "`Showable` in autolrs_cli/contracts). Add them, or look at the batches' shapes: autolrs data check."
        )
    phases = [
        _of_phase(recipe, recipe, index, phase, seed, count)
        for index, phase in enumerate(recipe.phases(max_steps))
    ]
    title = (f"{recipe.name}: {recipe.describe().data}", f"seed={seed}: what the first steps train on")
    return Shown(recipe.name, title, recipe.legend(), phases)


def _of_phase(
    recipe: Recipe, showing: Showable, index: int, phase: Phase, seed: int, count: int | None
) -> ShownPhase:
    stream = recipe.train_stream(index, seed)
    examples: list[Example] = []
    places: list[tuple[int, int]] = []
    for step in range(phase.steps):
        first = len(examples)
        for micro in range(stream.micro_batches):
            examples += showing.show(stream.batch(Position(index, step, micro)))
            places += [(step, place) for place in range(len(places) - first, len(examples) - first)]
            wanted = count or (PICTURES if examples[0].pixels is not None else TEXTS)
            if len(examples) >= wanted:
                return ShownPhase(phase.name, examples[:wanted], places[:wanted])
    return ShownPhase(phase.name, examples, places)


def refuse_unusable(out: Path | None) -> None:
    """Raise before anything is prepared if a file cannot be written there.

    Raises:
        ConfigError: if it is a folder, or lies in something that is none.
    """
    if out is not None and out.is_dir():
        raise ConfigError(f"--out must name a file, but {out} is a folder. Name a file in it.")
    if out is not None and out.parent.exists() and not out.parent.is_dir():
        raise ConfigError(f"--out must name a file in a folder, but {out.parent} is none. Name another one.")


def write_out(what: Shown, out: Path | None, console: Console) -> None:
    """Write a sheet of pictures into a file; or texts, into a file or to standard output.

    Args:
        what: to show.
        out: the file; None: pictures go to data-<recipe>.png in the current folder, texts to standard output.
        console: where texts go, and where the file is named.

    Raises:
        ConfigError: if the file cannot be written, or has the name of another kind of file.
    """
    if any(example.pixels is not None for example in what.examples):
        _write_sheet(what, out, console)
    elif out is not None:
        _write(out, "".join(f"{line}\n" for line in _lines(what)))
        say(console, f"{len(what.examples):,} examples written to {out}")
    else:
        width = shutil.get_terminal_size().columns if console.is_terminal else None
        for line in _lines(what):
            say(console, line if width is None else _wrapped(line, width))


def _write_sheet(what: Shown, out: Path | None, console: Console) -> None:
    from autolrs_cli.reports.figures.sheet import sheet

    path = out or Path(f"data-{what.recipe}.png")
    if path.suffix.lower() != ".png":
        raise ConfigError(
            f"Pictures are written as PNG, so --out must end in .png, but got {path}. Rename it."
        )
    _write(path, sheet(what.title, what.examples))
    say(
        console,
        f"{len(what.examples):,} pictures written to {path}" + ("" if out else " (--out FILE: elsewhere)"),
    )


def _write(path: Path, content: str | bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_whole(path, content)
    except OSError as error:
        raise ConfigError(
            f"The file of --out must be writable, but {path} is not: {error.strerror}. Name another one with --out."
        ) from error


def _lines(what: Shown) -> Iterator[str]:
    yield from what.title
    if what.legend:
        yield what.legend
    for phase in what.phases:
        for (step, place), example in zip(phase.places, phase.examples, strict=True):
            yield ""
            yield f"phase {phase.name}, step {step}, example {place}"
            yield from (f"  {_visible(line)}" for line in example.lines)


def _visible(text: str) -> str:
    """Return a text in which nothing commands a terminal: characters that cannot be seen are written as in Python."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def _wrapped(line: str, width: int) -> str:
    """Return a line in lines of at most `width` columns; no blank is lost."""
    return "\n".join(textwrap.wrap(line, max(width, 20), subsequent_indent=_INDENT, drop_whitespace=False))
