"""`autolrs train`: one run, or several with Hydra's `-m`."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from autolrs_cli.commands.among_others import among_others
from autolrs_cli.commands.shown_run import ignore_further_interrupts, leaving_at_once, run_shown
from autolrs_cli.compose.another_run import for_another_run
from autolrs_cli.compose.hydra_app import (
    NoMoreJobs,
    compose_and_call,
    given_config_dir,
    given_launcher_overrides,
    given_overrides,
)
from autolrs_cli.compose.resolve import resolve
from autolrs_cli.config_keys import lies_below
from autolrs_cli.dashboard.preparation import PreparationProgress, announced
from autolrs_cli.errors import AutoLRSError
from autolrs_cli.exit_codes import ExitCode
from autolrs_cli.overrides import key_in
from autolrs_cli.ranks.place import with_processes
from autolrs_cli.schedules.tuning import tuning_in, used_otherwise
from autolrs_cli.settings import SEARCHED
from autolrs_cli.terminal.console import PatientConsole, say, show_error
from autolrs_cli.trackers import Trackers

if TYPE_CHECKING:
    from autolrs_cli.ranks.meeting import Meeting
    from autolrs_cli.runner.plan import Plan

# The exit codes of a run that a person or the system stopped: nothing after it should start.
STOPPED = (ExitCode.SIGINT, ExitCode.SIGTERM)


def main(overrides: Sequence[str], *, started: float) -> int:
    """Compose the configuration from `overrides`, run it, and return the exit code.

    Args:
        overrides: everything after `autolrs train`, Hydra's flags included.
        started: `time.perf_counter()` when the process began.
    """
    return among_others(lambda meeting: _main(overrides, started, meeting))


def _main(overrides: Sequence[str], started: float, meeting: Meeting | None) -> int:
    console, errors = PatientConsole(), PatientConsole(stderr=True)
    codes: list[int] = []

    def job(config: DictConfig) -> None:
        # The first of several runs began with the process, the others begin here.
        begun = time.perf_counter() if codes else started
        try:
            codes.append(_run(config, begun, console, errors, meeting))
        except AutoLRSError as error:
            codes.append(show_error(errors, error))
        if codes[-1] in STOPPED:
            ignore_further_interrupts()
            raise NoMoreJobs

    composed = compose_and_call(job, overrides, errors)
    return max([composed, *codes])


def _run(
    config: DictConfig, started: float, console: Console, errors: Console, meeting: Meeting | None
) -> int:
    from autolrs_cli.ranks.gathering import gathered
    from autolrs_cli.runner.execute import open_directory
    from autolrs_cli.runner.initial_weights import initial_weights, require_fitting
    from autolrs_cli.runner.optimizer_fit import optimizer_warnings, require_trainable
    from autolrs_cli.runner.plan import check
    from autolrs_cli.runner.preparation import prepare_data
    from autolrs_cli.runner.target_allowlist import untrusted_targets

    plain = with_processes(resolve(config), meeting.place if meeting else None)
    with announced("checking settings and data ...", console):
        plan = check(plain)
        Trackers.require(plan.settings.tracker)
    with gathered(plan, meeting) as processes:
        with PreparationProgress(console) as progress:
            prepare_data(plan.recipe, progress)
        require_fitting(plan.recipe, initial_weights(plan.settings.run.init_from))
        require_trainable(plan)
        warnings = [
            *_without_effect(plan.settings.schedule["name"], config),
            *_not_resumable(untrusted_targets(plain, plan.settings.run.config_dir)),
            *_foreign_target(plan),
            *optimizer_warnings(plan),
            *_foreign_tuning(plan, plain),
            *(
                f"{each} has no effect: `train` runs here. Type it with sweep, tune or reproduce"
                for each in given_launcher_overrides()
            ),
        ]
        if plan.settings.dashboard.name == "none":
            for message in warnings:
                say(errors, f"warning: {message}", "yellow")
        with processes.training() as (plan, world):
            directory = open_directory(plan, plain)
            other_side = _other_side(plan.settings.schedule["name"], plain)
            with leaving_at_once(directory, errors), directory.locked():
                return run_shown(
                    plan,
                    plain,
                    directory,
                    console,
                    started=started,
                    warnings=warnings,
                    next_command=other_side,
                    world=world,
                )


def _not_resumable(targets: list[str]) -> list[str]:
    """Return a warning if the run names code that resume and export will not call."""
    if not targets:
        return []
    return [
        f"this run cannot be resumed or exported, since {', '.join(targets)} lies neither in autolrs nor directly "
        "in the folder of --config-dir; move it there, or name its folder with --config-dir"
    ]


def _foreign_target(plan: Plan) -> list[str]:
    """Return a warning if the target was calibrated on other data."""
    target = plan.settings.target
    if target is None or target.fits(plan.recipe.fingerprint()):
        return []
    return [
        f"the target {target.metric} {target.value:g} was calibrated on other data (fingerprint "
        f"{target.data_fingerprint}, not {plan.recipe.fingerprint()}), so reaching it says little; set target=null, "
        "or a target of your own"
    ]


def _foreign_tuning(plan: Plan, config: dict[str, Any]) -> list[str]:
    """Return a warning if the schedule's settings were tuned for something else."""
    tuning = tuning_in(config)
    if tuning is None or not (differences := used_otherwise(tuning, config, plan.recipe.fingerprint())):
        return []
    return [
        f"schedule={tuning.option} was tuned for another run than this ({'; '.join(differences)}), so its LRs are a "
        "guess here, and a comparison says that their tuning is unknown; tune for this run with autolrs tune"
    ]


def _other_side(schedule: str, config: Mapping[str, Any]) -> str:
    """Return the command of the same run under the schedule it would be compared with."""
    kept = for_another_run(given_overrides(), ("schedule", "run.dir"))
    other = "original" if schedule == "autolrs" else "autolrs"
    if other == "autolrs" and config["search"]["name"] == "lean" and config["average"]["name"] == "none":
        kept.append("search=paper")  # search=lean judges by averaged weights
    return shlex.join(["autolrs", "train", *given_config_dir(), *kept, f"schedule={other}"])


def _without_effect(schedule: str, config: DictConfig) -> list[str]:
    """Return a warning for each setting that was given but that this schedule does not read."""
    given = {override.lstrip("+~"): key_in(override) for override in given_overrides()}
    # The numbers of a schedule may point at those of the original one.
    text = OmegaConf.to_yaml(config)
    return [
        f"{override} has no effect with schedule={schedule}, {reason}"
        for group, reason in _unread_groups(schedule).items()
        for override, key in given.items()
        # The choice of a schedule or a search has an effect, whatever its settings.
        if lies_below(key, (group,)) and key != group and f"${{{key}}}" not in text
    ]


def _unread_groups(schedule: str) -> dict[str, str]:
    """Return the groups whose settings `schedule` does not read, and why."""
    unread = {} if schedule in SEARCHED else {"search": "which is not searched"}
    if schedule == "original":
        return {**unread, "schedule": "whose numbers are original_schedule's"}
    return {**unread, "original_schedule": "whose numbers are schedule's and search's"}
