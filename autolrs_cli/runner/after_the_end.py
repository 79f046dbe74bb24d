"""What may be asked of a run that is done: nothing that would change what it has to show."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.override_parser.types import Override, OverrideType

from autolrs_cli.errors import ConfigError
from autolrs_cli.overrides import override_in
from autolrs_cli.records.journal import Record
from autolrs_cli.records.run_directory import RunDirectory
from autolrs_cli.runner.finished_run import read_trusted_config
from autolrs_cli.runner.path_settings import path_keys
from autolrs_cli.runner.resume_checks import first_record, is_harmless
from autolrs_cli.schedules.lengths import recorded_run_length

LENGTH = "run.max_steps"


def require_nothing_new(directory: RunDirectory, changes: Sequence[str]) -> None:
    """Check that `changes` leave a run that is done as it is: they set what has no effect any more.

    Args:
        directory: of the run.
        changes: KEY=VALUE, as given to resume.

    Raises:
        ConfigError: with what to do instead, for each that does not.
    """
    if not changes:
        return
    paths = path_keys(read_trusted_config(directory))
    refused = [change for change in changes if not _has_no_effect(override_in(change), paths)]
    if refused:
        began = first_record(directory)
        raise ConfigError([_instead(directory, began, change) for change in refused])


def _has_no_effect(given: Override | None, paths: Sequence[str]) -> bool:
    if given is None or given.type is not OverrideType.CHANGE:
        return False
    return is_harmless(given.key_or_group) or given.key_or_group in paths


def _instead(directory: RunDirectory, began: Record | None, change: str) -> str:
    root = directory.root
    given = override_in(change)
    from_here = f"run.init_from={root}"
    if began is None or given is None or given.key_or_group != LENGTH:
        return (
            f"A run that is done must stay as it is, but {root} is done, and got {change}. Begin a new run with that "
            f"setting; {from_here} lets it start from the weights of this one."
        )
    schedule, length = began["config"]["schedule"]["name"], recorded_run_length(began)
    if length.decays or length.cycles is not None:
        return (
            f"A run that is done must keep its length, but {root} is done, and got {change}. Its schedule, {schedule}, "
            "is defined by the length of the run, so that a longer run is another run from its first step: type the "
            f"command that made it, with {change} and another run.dir."
        )
    return (
        f"A run that is done must keep its length, but {root} is done, and got {change}. Its optimizer's state is "
        f"gone, so schedule={schedule} cannot go on: begin a new run, with {from_here} to start from its weights, or "
        f"with {change} from the first step."
    )
