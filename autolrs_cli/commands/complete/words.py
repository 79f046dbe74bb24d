"""What may come next on a command line: commands, options, groups, their options, keys and paths."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_type_hints

from autolrs_cli.commands.complete.config_tree import Tree
from autolrs_cli.commands.complete.paths import paths
from autolrs_cli.config_keys import CONFIG_DIR_FLAGS, PATH_KEYS

# Hydra's flags, which go through to it; see `autolrs train --hydra-help`.
HYDRA_FLAGS = ("--cfg", "--config-dir", "--info", "--multirun", "--package", "--resolve")
HYDRA_VALUES = {
    "--cfg": ("job", "hydra", "all"),
    "-c": ("job", "hydra", "all"),
    "--info": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
}
# What `autolrs reproduce` chooses itself.
ITS_OWN = ("recipe=", "scale=", "seed=")
# Arguments and options of ours that name a folder.
FOLDERS = ("run_dir", "run_dirs", "config_dir", "folder", "directory", "out")
# Settings whose value is a path, beside those that end in one of these words.
PATH_ENDINGS = ("root", "files", "source", "target", "dir", "folder")


def candidates(root: Any, line: str) -> list[str]:
    """Return the whole words that the last one of `line` may become, without those that are hidden.

    Args:
        root: the command line's top command, as Typer makes it.
        line: up to the cursor.
    """
    words = split(line)
    command, given = root, words[1:-1]
    while given and getattr(command, "commands", None):
        if given[0] in command.commands:
            command = command.commands[given[0]]
        given = given[1:]
    last = words[-1] if len(words) > 1 else ""
    return sorted({word for word in _next(command, given, last) if word.startswith(last)})


def split(line: str) -> list[str]:
    """Return the words of a command line whose last word may be unfinished, or empty."""
    for closing in ("", '"', "'"):
        try:
            words = shlex.split(f"{line}{closing}")
        except ValueError:
            continue
        return [*words, ""] if line[-1:].isspace() and not closing else words
    return line.split(" ")


def _next(command: Any, given: Sequence[str], last: str) -> Iterable[str]:
    if getattr(command, "commands", None):
        visible = [name for name, each in command.commands.items() if not each.hidden]
        return visible if not last.startswith("-") else _flags(command)
    takes_overrides = bool(command.context_settings.get("ignore_unknown_options"))
    before = given[-1] if given else ""
    parameter = _option(command, before)
    if parameter is not None and not parameter.is_flag:
        return _values(command, parameter, last)
    if takes_overrides and before in HYDRA_VALUES:
        return HYDRA_VALUES[before]
    if before in CONFIG_DIR_FLAGS:
        return paths(last, folders_only=True)
    if last.startswith("-"):
        return [*_flags(command), *(HYDRA_FLAGS if takes_overrides else ())]
    return _words(command, given, last, takes_overrides)


def _words(command: Any, given: Sequence[str], last: str, takes_overrides: bool) -> Iterable[str]:
    tree = Tree(given, _config_dirs(given), tunes=command.name == "tune")
    if command.name == "reproduce" and "=" not in last:
        return [*tree.options("recipe"), *(each for each in _overrides(tree, last) if each not in ITS_OWN)]
    if takes_overrides or (command.name == "resume" and _positionals(command, given)):
        return _overrides(tree, last)
    if command.name == "list":
        return tree.groups()
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    place = min(len(_positionals(command, given)), len(arguments) - 1)
    return _values(command, arguments[place], last) if arguments else ()


def _overrides(tree: Tree, last: str) -> Iterable[str]:
    # By hand, since Hydra's parser refuses what is not finished; its marks for adding and deleting belong to the key.
    mark = last[: len(last) - len(last.lstrip("+~"))]
    key, equals, value = last[len(mark) :].partition("=")
    if not equals:
        return [f"{mark}{each}" for each in tree.keys(key)]
    # A list or a sweep: what comes before the last comma stays.
    cut = max(value.rfind(","), value.rfind("[")) + 1
    before, rest = f"{mark}{key}={value[:cut]}", value[cut:]
    if key in PATH_KEYS or (key.startswith("data.") and key.endswith(PATH_ENDINGS)):
        return [f"{before}{path}" for path in paths(rest)]
    return [f"{before}{each}" for each in tree.values(key)]


def _flags(command: Any) -> list[str]:
    """Return the long options of a command."""
    shown = [each for each in command.params if not getattr(each, "hidden", False)]
    found = [name for each in shown for name in (*each.opts, *each.secondary_opts) if name.startswith("--")]
    return [*found, "--help"]


def _option(command: Any, name: str) -> Any:
    found = (each for each in command.params if name.startswith("-") and name in each.opts)
    return next(found, None)


def _values(command: Any, parameter: Any, last: str) -> Iterable[str]:
    """Return what an option or argument may be, by the annotation that the command's function gives it."""
    annotation = get_type_hints(inspect.unwrap(command.callback)).get(parameter.name)
    for kind in (annotation, *get_args(annotation)):  # X | None, list[X]
        kind = next((each for each in get_args(kind) if each is not type(None)), kind)
        if inspect.isclass(kind) and issubclass(kind, Enum):
            return [str(each.value) for each in kind]
        if kind is Path:
            return paths(last, folders_only=parameter.name in FOLDERS)
    return ()


def _positionals(command: Any, given: Sequence[str]) -> list[str]:
    """Return the words of `given` that are no options and no values of options."""
    found: list[str] = []
    words = iter(given)
    for word in words:
        option = _option(command, word)
        if option is not None and not option.is_flag:
            next(words, None)
        elif not word.startswith("-"):
            found.append(word)
    return found


def _config_dirs(given: Sequence[str]) -> Iterator[Path]:
    """Yield the folders named with --config-dir."""
    for before, word in zip(("", *given), given, strict=False):
        if before in CONFIG_DIR_FLAGS:
            yield Path(word).expanduser()
        elif word.startswith("--config-dir="):
            yield Path(word.partition("=")[2]).expanduser()
