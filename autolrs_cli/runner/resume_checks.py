"""A stopped run's configuration, checked again before it goes on: what may differ, and what must not."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson
import yaml
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf

from autolrs_cli.config_keys import flat, lies_below
from autolrs_cli.contracts import Report
from autolrs_cli.errors import ConfigError
from autolrs_cli.overrides import override_in
from autolrs_cli.records.journal import Record, read_verified
from autolrs_cli.records.run_directory import HARMLESS_KEYS, PROCESSES, RunDirectory
from autolrs_cli.runner.finished_run import read_trusted_config
from autolrs_cli.runner.path_settings import path_keys, set_path
from autolrs_cli.runner.plan import Plan, check
from autolrs_cli.runner.preparation import prepare_data
from autolrs_cli.runner.trainer_factory import run_started

_MISSING = "(missing)"


def reopen(
    directory: RunDirectory, changes: Sequence[str], allowed: Sequence[str], report: Report
) -> tuple[Plan, dict[str, Any], list[str]]:
    """Return the plan of a stopped run, its recorded configuration, and in words what is not as it was when it began.

    Args:
        directory: of the run, locked.
        changes: KEY=VALUE of settings that cannot change results, and of paths that data were moved to.
        allowed: such keys that may differ between config.yaml and what the run began with.
        report: told how the preparation of data goes.

    Raises:
        ConfigError: if settings or data are not those of the run.
    """
    config = read_trusted_config(directory)
    began = first_record(directory)
    if began is not None:
        _require_same_settings(config, began["config"], allowed)
    plan = check(_changed(copy.deepcopy(config), changes, allowed), begins=False)
    prepare_data(plan.recipe, report)
    if began is None:
        return plan, config, []
    # As the journal would hold it: lists for tuples, null for what is not finite.
    now = orjson.loads(orjson.dumps(asdict(run_started(plan, config))))
    _require_same_plan(began, now)
    if now["data_fingerprint"] != began["data_fingerprint"]:
        moved = [change for change in changes if change.partition("=")[0] in path_keys(config)]
        raise ConfigError(
            f"The data must be those that the run began with, but {', '.join(moved) or 'what is there now'} has the "
            f"fingerprint {now['data_fingerprint']} and the run recorded {began['data_fingerprint']}. "
            + ("Name the folder or files that the data were moved to." if moved else "Restore the data.")
        )
    return plan, config, _differences(began, now)


def is_done(directory: RunDirectory) -> bool:
    """Tell whether the run has ended by itself, with everything that it leaves behind."""
    try:
        return bool(orjson.loads(directory.summary.read_bytes())["status"] == "done")
    except (OSError, ValueError, KeyError, TypeError):
        return False


def first_record(directory: RunDirectory) -> Record | None:
    """Return the journal's `run_started`; None if the run was stopped before it was written.

    Raises:
        ConfigError: if the journal begins with something else.
    """
    try:
        record = next(read_verified(directory.journal), None)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(
            f"A run's journal must be readable, but {directory.journal} is not: {error.strerror}. Mend that."
        ) from error
    except ValueError as error:
        raise ConfigError(f"{error} Restore the journal, or begin a new run.") from error
    if record is None:
        return None
    needed = {"config", "description", "plan", "versions", "code_version", "data_fingerprint"}
    if record.get("event") != "run_started" or not needed <= record.keys():
        raise ConfigError(
            f"A journal must begin with run_started, but {directory.journal} does not. Restore it, or begin a new run."
        )
    return record


def _require_same_plan(began: Record, now: Record) -> None:
    """Refuse a journal whose plan is not what its own configuration gives: it was edited, or the code has changed it.

    Raises:
        ConfigError: if the two differ.
    """
    kinds = [
        {name: type(value) for name, value in r["description"].items() if name != "processes"}
        for r in (began, now)
    ]
    if now["plan"] != began["plan"] or kinds[0] != kinds[1]:
        raise ConfigError(
            "A run must go on with the plan that it began with, but its settings give another plan than its journal "
            "has. Restore journal.jsonl, or resume with the version of autolrs that the journal names."
        )


def _require_same_settings(
    config: Mapping[str, Any], began: Mapping[str, Any], allowed: Sequence[str]
) -> None:
    then, now = flat(began), flat(config)
    changed = [key for key in sorted({*then, *now}) if then.get(key, _MISSING) != now.get(key, _MISSING)]
    may = {*path_keys(began), PROCESSES}
    refused = [key for key in changed if not (key in allowed and (is_harmless(key) or key in may))]
    if refused:
        raise ConfigError(
            [
                f"A run must go on with the settings that it began with, but config.yaml has {key}="
                f"{now.get(key, _MISSING)} where the run began with {then.get(key, _MISSING)}. "
                + (
                    f"Allow it with --allow-change {key}, or restore it."
                    if is_harmless(key) or key in may
                    else "Restore it, or begin a new run."
                )
                for key in refused
            ]
        )


def _changed(config: dict[str, Any], changes: Sequence[str], allowed: Sequence[str]) -> dict[str, Any]:
    problems: list[str] = []
    paths = path_keys(config)
    moves: dict[str, Any] = {}
    changed = OmegaConf.create(config)
    for change in changes:
        given = override_in(change)
        if given is not None and given.type is OverrideType.CHANGE and given.key_or_group in paths:
            moves[given.key_or_group] = given.value()
            continue
        if given is not None and given.key_or_group == PROCESSES:
            problems += _other_processes(given, config, allowed)
        elif given is None or given.is_sweep_override() or not _may_change(given, changed):
            problems.append(
                f"Only settings that cannot change results may change, but got {change}. Give one of "
                f"{', '.join([*HARMLESS_KEYS, *paths])} as KEY=VALUE."
            )
            continue
        if given is None:
            continue
        key, value = given.key_or_group, given.value()
        # As on the command line of train: tracker=tensorboard; and a group of one setting, dashboard=plain.
        if key == "tracker":
            value = {k: v for option in _listed(value) for k, v in _tracker(option, problems).items()}
        elif OmegaConf.is_dict(OmegaConf.select(changed, key)):
            key = f"{key}.name"
        OmegaConf.update(changed, key, value, merge=False)
    if problems:
        raise ConfigError(problems)
    plain: dict[str, Any] = dict(OmegaConf.to_container(changed))  # type: ignore[arg-type]
    for key, value in moves.items():
        set_path(plain, key, value)
    return plain


def _other_processes(given: Override, config: Mapping[str, Any], allowed: Sequence[str]) -> list[str]:
    """Return what is said of another number of processes than the run began with."""
    began = config["runtime"].get("processes", 1)
    if given.value() == began or PROCESSES in allowed:
        return []
    return [
        f"A run must go on with as many processes as it began with, but got {given.value()} and it began with "
        f"{began}. Start {began}, or go on with --allow-change {PROCESSES}: another run from there on, which says so."
    ]


def _may_change(given: Override, config: DictConfig) -> bool:
    """Return whether an override sets a harmless setting that is there."""
    group, _, name = given.key_or_group.rpartition(".")
    node = OmegaConf.select(config, group) if group else config
    known = OmegaConf.is_dict(node) and name in node
    return given.type is OverrideType.CHANGE and is_harmless(given.key_or_group) and known


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _tracker(option: Any, problems: list[str]) -> dict[str, Any]:
    """Return the settings of an option of the group `tracker`."""
    options = {path.stem: path for path in Path(str(files("autolrs_configs"))).glob("tracker/*.yaml")}
    if option not in options:
        problems.append(
            f"`tracker` must be one of {', '.join(sorted(options))}, but got tracker={option}. Set tracker."
        )
        return {}
    return dict(yaml.safe_load(options[option].read_text(encoding="utf-8")))


def is_harmless(key: str) -> bool:
    """Return whether a setting may change when a run goes on: it cannot change its results."""
    if key in ("run.dir", "run.config_dir"):
        return False  # they say where the run lies, which is where it lies
    return lies_below(key, HARMLESS_KEYS)


def _differences(began: Record, now: Mapping[str, Any]) -> list[str]:
    """Return what has changed since the run began that can change its results, in words."""
    pairs = [
        (name, began["description"].get(name), now["description"].get(name)) for name in ("device", "threads")
    ]
    pairs.append(("number of processes", *(r["description"].get("processes", 1) for r in (began, now))))
    libraries = sorted({*began["versions"], *now["versions"]})
    pairs += [(name, began["versions"].get(name), now["versions"].get(name)) for name in libraries]
    found = [f"{name} was {then} and is {is_}" for name, then, is_ in pairs if then != is_]
    return [*found, *_changed_code(began, now)]


def _changed_code(began: Record, now: Mapping[str, Any]) -> list[str]:
    changed = f"code was {began['code_version']} and is {now['code_version']}"
    if not began.get("code"):  # of a version that recorded no modules
        return [changed] if began["code_version"] != now["code_version"] else []
    shared = began["code"].keys() & now["code"].keys()
    modules = sorted(module for module in shared if began["code"][module] != now["code"][module])
    return [f"{changed} ({', '.join(modules)})"] if modules else []
