"""Hydra's complaints in our words: what must hold, what was given, what to do."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from importlib.resources import files

import yaml
from hydra.errors import MissingConfigException, OverrideParseException

from autolrs_cli.config_keys import PATH_KEYS, flat
from autolrs_cli.errors import ConfigError
from autolrs_cli.wording import as_text, look_alike

SEE_SETTINGS = "To see what there is: autolrs train recipe=NAME --cfg job"


def explain(error: Exception, overrides: Sequence[str]) -> str:
    """Return what is wrong with a command line that Hydra could not turn into a configuration.

    Args:
        error: what Hydra raised.
        overrides: the command line.
    """
    if isinstance(error, ConfigError):
        return str(error)
    if isinstance(error, OverrideParseException):
        return _unparsable(error)
    text = str(error).partition("\nConfig search path:")[0].strip()
    if text.startswith("You must specify 'recipe'"):
        return (
            "`recipe` must be chosen, but none was given. "
            f"Type: autolrs train recipe=NAME, with NAME one of: {_options(text)}"
        )
    if isinstance(error, MissingConfigException) and (problem := _unknown_option(error)):
        return problem
    # For the rest Hydra has one class, so what it means is read out of its sentences.
    return _unknown_key(text) or _wrong_kind(text, overrides) or _as_it_is(error, text)


def explain_lists(overrides: Sequence[str]) -> str | None:
    """Return what is wrong with a list of recipes or scales, which Hydra would merge into one; None: there is none."""
    for override in overrides:
        group, equals, value = override.partition("=")
        if equals and group in ("recipe", "scale") and value.startswith("["):
            return (
                f"`{group}` must be one name, but got {override}. For one run with each: "
                f"-m {group}={value.strip('[]')}"
            )
    return None


def explain_flag(usage: str) -> str:
    """Return what is wrong with a flag, from what `argparse` printed about it."""
    reason = usage.strip().rpartition("error: ")[2]
    return f"Flags must be as Hydra has them, but: {reason}. To see them: autolrs train --hydra-help"


def _unknown_option(error: MissingConfigException) -> str | None:
    """Explain an unknown group or option; None: it is about something else."""
    group, slash, name = str(error.missing_cfg_file).removesuffix(".yaml").rpartition("/")
    if error.options is None or not slash:
        return None
    way_out = f"Set {group} to one of: {', '.join(error.options)}" if error.options else f"Remove {group}."
    twin = look_alike(name, error.options)
    return f"`{group}` must be one of the known options, but got {group}={name}. {way_out}{'.' if twin else ''}{twin}"


def _unknown_key(text: str) -> str | None:
    """Explain an unknown key."""
    key = re.search(r"Could not (?:override|delete)(?: from config\.)? '([^']+)'", text)
    if not key:
        return None
    others = _options_with(key[1])
    if others:
        return (
            f"`{key[1]}` must be a setting of the option that is chosen, but it is one of {', '.join(others)}. "
            f"Choose one that has it, or remove {key[1]}."
        )
    return f"`{key[1]}` must be a known setting, but it is not one. {SEE_SETTINGS}"


def _options_with(key: str) -> list[str]:
    """Return the shipped options of a setting's group that have it, as they are chosen: `search=paper`."""
    group, _, rest = key.partition(".")
    folder = files("autolrs_configs") / group
    if not rest or not folder.is_dir():
        return []
    found = []
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".yaml"):
            tree = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
            if {rest, key} & flat(tree).keys():
                found.append(f"{group}={file.name.removesuffix('.yaml')}")
    return found


def _wrong_kind(text: str, overrides: Sequence[str]) -> str | None:
    """Explain a value of a kind that its key cannot take."""
    swept = re.match(r"Ambiguous value for argument '(.*)'", text)
    if swept:
        key, _, values = swept[1].partition("=")
        given = f"A single run takes one value for each key, but got {swept[1]}."
        text = f"quote it: {as_text(key, values)}."
        if key in PATH_KEYS:
            return f"{given} If the comma is part of a name, {text}"
        return (
            f"{given} Add -m for one run with each value, or write a list: {shlex.quote(f'{key}=[{values}]')}. If the "
            f"comma is part of a text, {text}"
        )
    if "Config group override must be a string" in text:
        return (
            "A group must be given the name of one of its options, but one of these is given something else: "
            f"{' '.join(overrides)}. Write GROUP=OPTION. To see what there is: autolrs train --help"
        )
    return None


def _as_it_is(error: Exception, text: str) -> str:
    """Return Hydra's own words, which are good in most cases."""
    # Hydra wraps OmegaConf's message, which says what is wrong, in one that says where.
    cause = str(error.__cause__).strip() if error.__cause__ is not None else ""
    said = "\n".join(filter(None, (text, cause))) or type(error).__name__
    return f"The configuration must compose, but does not: {said}"


def _unparsable(error: OverrideParseException) -> str:
    """Explain an override that is not in Hydra's grammar."""
    key, equals, value = error.override.partition("=")
    given = f"An override must read KEY=VALUE, but got {error.override!r}"
    if not (key and equals):
        return f"{given}. Write {key or 'KEY'}=VALUE."
    bare = value.strip("'\"")
    return f"{given}, whose value Hydra cannot read. If it is meant as text, quote it: {as_text(key, bare)}."


def _options(text: str) -> str:
    """Return the options that Hydra lists in `text`."""
    listed = text.partition("vailable options")[2]
    return ", ".join(line.strip() for line in listed.splitlines() if line.startswith("\t"))
