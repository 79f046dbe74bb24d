"""The YAML tree, read for TAB: which groups, options and keys there are, without composing a configuration.

Hydra's own completion query takes twice as long (0.9 s against 0.4 s on 2 cores, start of Python included), and knows
nothing of a line without recipe=NAME or with one mistake; a line that is still being typed is full of them. So this
follows the defaults lists as far as names go, and leaves values alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from autolrs_cli.compose.user_configs import user_configs

# Chosen from other groups, not by a person.
INNER = ("size", "pairing", "fit", "hydra", "tune")
# A value that is another key's, or that with something in its place: ${a.b}, ${oc.select:a.b,1}.
REFERENCE = re.compile(r"\$\{(?:oc\.select:)?(?P<key>[\w.]+)(?:,(?P<else>[^{}]*))?\}")
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Tree:
    """What a command line may still name.

    Args:
        words: the overrides so far, which decide which options' keys there are.
        folders: of the person, named with --config-dir.
        tunes: whether it is that of `autolrs tune`, which has a search space beside: that of the schedule.
    """

    def __init__(self, words: Sequence[str], folders: Iterable[Path], *, tunes: bool = False) -> None:
        self._roots = [Path(str(files("autolrs_configs"))), *folders, user_configs()]
        pairs = (word.lstrip("+").partition("=") for word in words)
        self._tunes = tunes
        self._given = {key: value for key, equals, value in pairs if equals}

    def groups(self) -> list[str]:
        """Return the groups that a person chooses from."""
        found = {
            path.name for root in self._roots if root.is_dir() for path in root.iterdir() if path.is_dir()
        }
        return sorted(
            name for name in found if name.isidentifier() and name not in INNER and self.options(name)
        )

    def options(self, group: str) -> list[str]:
        """Return the options of a group: files of its folder, and what `autolrs tune` kept below it."""
        found: set[str] = set()
        for root in self._roots:
            own = root / group
            deep = own.rglob("*.yaml") if root == self._roots[-1] else own.glob("*.yaml")
            found |= {path.relative_to(own).with_suffix("").as_posix() for path in deep}
        return sorted(found)

    def keys(self, start: str) -> list[str]:
        """Return the groups and settings that begin with `start`: a whole setting ends in "=", a section in "."."""
        section, dot, _ = start.rpartition(".")
        node = self._section(section)
        found = [f"{section}{dot}{key}{'.' if isinstance(node[key], Mapping) else '='}" for key in node]
        return found if dot else [*found, *(f"{group}=" for group in self.groups())]

    def values(self, key: str) -> list[str]:
        """Return what `key` may be set to: a group's options, both truths, or the value that it has."""
        if "." not in key and self.options(key):
            return self.options(key)
        value = self._value(key)
        if isinstance(value, bool):
            return ["false", "true"]
        plain = isinstance(value, int | float | str) and "${" not in str(value) and " " not in str(value)
        return [str(value)] if plain else []

    def _value(self, key: str, left: int = 9) -> Any:
        """Return the value of a key, after at most `left` references from one key to another."""
        section, _, name = key.rpartition(".")
        value = self._section(section).get(name)
        refers = REFERENCE.fullmatch(value) if isinstance(value, str) else None
        if refers is None or not left:
            return value
        found = self._value(refers["key"], left - 1)
        return refers["else"] if found is None else found

    def _section(self, dotted: str) -> Mapping[str, Any]:
        node: Any = self._composed()
        for part in filter(None, dotted.split(".")):
            node = node.get(part) if isinstance(node, Mapping) else None
        return (
            {k: v for k, v in node.items() if not str(k).startswith("_")} if isinstance(node, Mapping) else {}
        )

    def _composed(self) -> dict[str, Any]:
        """Return the keys of a run's configuration, with values that may be another option's."""
        train = self._read("train")
        defaults = train.pop("defaults", [])
        train.pop("hydra", None)
        chosen = {k: str(v) for entry in defaults if isinstance(entry, Mapping) for k, v in entry.items()}
        chosen = {k: v for k, v in chosen.items() if " " not in k and v not in ("???", "None")} | {
            k: v for k, v in self._given.items() if self.options(k)
        }
        recipe = chosen.get("recipe")
        for entry in self._read(f"recipe/{recipe}").get("defaults", []) if recipe else ():
            for key, value in entry.items() if isinstance(entry, Mapping) else ():
                group = str(key).removeprefix("override /")
                if group not in self._given:
                    chosen[group] = str(value)
        if recipe:
            chosen["size"] = f"{recipe}/{chosen.get('scale', 'demo')}"
        if self._tunes:
            schedule = chosen.get("schedule")
            chosen["tune"] = schedule if schedule in self.options("tune") else "hyperband"
        composed: dict[str, Any] = train
        for group, option in chosen.items():
            for name in option.strip("[]").split(","):
                filled = re.sub(r"\$\{(\w+)\}", lambda found: chosen.get(found[1], ""), name.strip())
                _merge(composed, self._expanded(group, filled, {f"{group}/{filled}"}))
        return composed

    def _expanded(self, group: str, option: str, seen: set[str]) -> dict[str, Any]:
        """Return the content of an option with what it is based on, under its place in a configuration."""
        text = self._text(f"{group}/{option}")
        values = _parsed(text)
        found: dict[str, Any] = {}
        for base in _bases(values.pop("defaults", []), group, option):
            if base not in seen:
                inner, _, name = base.partition("/")
                _merge(found, self._expanded(inner, name, seen | {base}).get(inner, {}))
        _merge(found, values)
        return found if "@package _global_" in text else {group: found}

    def _read(self, name: str) -> dict[str, Any]:
        return _parsed(self._text(name))

    def _text(self, name: str) -> str:
        for root in self._roots:
            try:
                return (root / f"{name}.yaml").read_text(encoding="utf-8")
            except (OSError, ValueError):
                continue
        return ""


def _parsed(text: str) -> dict[str, Any]:
    try:
        values = yaml.load(text, Loader=Loader)  # noqa: S506 - it is the safe loader, in C where there is one
    except yaml.YAMLError:
        return {}
    return values if isinstance(values, dict) else {}


def _bases(defaults: Iterable[Any], group: str, option: str) -> Iterator[str]:
    """Yield what an option is based on: `paper` beside it, or `/data/digits@_here_`."""
    folder = f"{group}/{option}".rpartition("/")[0]
    for entry in defaults:
        if isinstance(entry, str) and entry != "_self_":
            name = entry.partition("@")[0]
            yield name[1:] if name.startswith("/") else f"{folder}/{name}"


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = dict(value) if isinstance(value, Mapping) else value
