"""`autolrs list`: the YAML tree, read for a person. The tree is the only list there is."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from autolrs_cli.compose.user_configs import user_configs
from autolrs_cli.exit_codes import ExitCode
from autolrs_cli.terminal.console import PatientConsole, say, show_problem

GROUPS = (
    "recipe",
    "data",
    "model",
    "optimizer",
    "schedule",
    "search",
    "average",
    "scale",
    "experiment",
    "tracker",
    "dashboard",
    "runtime",
    "launcher",
)
SCALES = ("tiny", "demo", "bench", "gpu", "paper")


@dataclass(frozen=True)
class Option:
    """One YAML file of a group."""

    name: str
    path: Path
    values: dict[str, Any]

    @property
    def headline(self) -> str:
        """The first line of the comment that the file begins with, without the command that may end it."""
        first = next((line for line in self._comment() if line), "")
        return first.partition("   ")[0].strip().rstrip(".")

    @property
    def cost(self) -> str:
        """The line of that comment that begins with "Cost:"."""
        costs = (line.removeprefix("Cost:").strip() for line in self._comment() if line.startswith("Cost:"))
        return next(costs, "")

    def _comment(self) -> Iterator[str]:
        lines = self.path.read_text(encoding="utf-8").splitlines()
        comment = itertools.takewhile(lambda line: line.startswith("#"), lines)
        return (line[1:].strip() for line in comment if "@package" not in line)


def main(group: str | None, config_dir: Path | None) -> int:
    """Print the options of `group`, or of all groups; return the exit code."""
    console, errors = PatientConsole(), PatientConsole(stderr=True)
    roots = [Path(str(files("autolrs_configs")))]
    if config_dir is not None:
        if not config_dir.is_dir():
            show_problem(errors, f"`--config-dir` must be a folder, but {config_dir} is not one.")
            return ExitCode.USAGE
        roots.append(config_dir)
    user = user_configs()
    wanted = _group(group)
    if wanted is None:
        show_problem(errors, f"the group must be one of {', '.join(GROUPS)}, but got {group}.")
        return ExitCode.USAGE
    for name in wanted:
        options = [option for root in roots for option in _options(root, name)]
        options += _tuned(user, name)
        if options:
            console.print(_recipes(roots, options) if name == "recipe" else _table(name, options))
            console.print()
    if group is None:
        _footer(console)
    return ExitCode.DONE


def _group(given: str | None) -> tuple[str, ...] | None:
    if given is None:
        return GROUPS
    names = {alias: name for name in GROUPS for alias in (name, f"{name}s", f"{name}es")}
    return (names[given],) if given in names else None


def _options(root: Path, group: str) -> Iterator[Option]:
    for path in sorted((root / group).glob("*.yaml")):
        yield Option(path.stem, path, _values(path))


def _tuned(root: Path, group: str) -> Iterator[Option]:
    """Yield what `autolrs tune` kept, which lies in folders below its group."""
    for path in sorted((root / group).rglob("*.yaml")):
        yield Option(path.relative_to(root / group).with_suffix("").as_posix(), path, _values(path))


def _table(group: str, options: list[Option]) -> RenderableType:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for option in options:
        cost = Text(f"  {option.cost}", style="dim") if option.cost else ""
        table.add_row(f"{group}={option.name}", Text.assemble(option.headline, cost))
    return table


def _recipes(roots: list[Path], options: list[Option]) -> RenderableType:
    return Group(*(part for option in options for part in _recipe(roots, option)))


def _recipe(roots: list[Path], option: Option) -> Iterator[RenderableType]:
    yield Text.assemble((f"recipe={option.name}", "bold"), f"  {option.headline}")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("  scale", "data", "target"):
        table.add_column(name, no_wrap=True)
    table.add_column("steps", justify="right")
    table.add_column("cost")
    for scale in SCALES:
        for root in roots:
            path = root / "size" / option.name / f"{scale}.yaml"
            if path.exists():
                size = Option(scale, path, _values(path))
                table.add_row(f"  {scale}", _data(root, option.name, scale), *_row(size))
    if table.row_count:
        yield table


def _row(size: Option) -> tuple[str, str, str]:
    target, run = size.values.get("target"), size.values.get("run")
    goal = f"{target.get('metric')} {target.get('value')}" if isinstance(target, dict) else "-"
    steps = run.get("max_steps") if isinstance(run, dict) else None
    return goal, f"{steps:,}" if isinstance(steps, int) else "-", size.cost


def _data(root: Path, recipe: str, scale: str) -> str:
    path = root / "data" / recipe / f"{scale}.yaml"
    if not path.exists():
        return "-"
    defaults = _values(path).get("defaults") or ["-"]
    return str(defaults[0]).removeprefix("/data/").partition("@")[0]


def _values(path: Path) -> dict[str, Any]:
    """Return the content of a YAML file; of a broken one, nothing: Hydra says what is wrong with it."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        return {}
    return values if isinstance(values, dict) else {}


def _footer(console: Console) -> None:
    say(
        console,
        "Choose with autolrs train recipe=NAME GROUP=OPTION; every value: autolrs train recipe=NAME --cfg job",
    )
