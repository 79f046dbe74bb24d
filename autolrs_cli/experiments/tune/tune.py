"""`autolrs tune`: compose the run that is tuned for, carry out the study, keep what it found."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from types import FrameType
from typing import Any

from omegaconf import DictConfig, OmegaConf

from autolrs_cli.compose.hydra_app import (
    chosen_option,
    compose_and_call,
    config_dirs,
    given_config_dir,
    given_overrides,
)
from autolrs_cli.compose.resolve import launcher_in, resolve
from autolrs_cli.dashboard.preparation import PreparationProgress
from autolrs_cli.errors import AutoLRSError, ConfigError
from autolrs_cli.exit_codes import ExitCode
from autolrs_cli.experiments.launchers.choose import launcher_for
from autolrs_cli.experiments.seeds import CALIBRATION_FIRST, TUNING_FIRST, purpose
from autolrs_cli.experiments.stopped import ExperimentStopped
from autolrs_cli.experiments.tune.display import TuningScreen, results, statement
from autolrs_cli.experiments.tune.task import TuningTask
from autolrs_cli.overrides import key_in, override_in
from autolrs_cli.signals import LIKE_TERM, handling
from autolrs_cli.terminal.console import PatientConsole, say, show_error


def main(
    overrides: Sequence[str],
    trials: int | None,
    budget_steps: int | None,
    directory: Path | None,
    *,
    rerun_stale: bool = False,
    dry_run: bool = False,
) -> int:
    """Tune the schedule that `overrides` name; return the exit code.

    Args:
        overrides: Hydra's command line.
        trials: the most configurations; None: as many as the settings say.
        budget_steps: None: those of as many full lengths as the settings say.
        directory: of the study; None: tuning/<recipe>/<scale>/<schedule>-<optimizer>.
        rerun_stale: set a study aside whose data have changed since, and begin it again.
        dry_run: say which runs would be made, and make none.
    """
    console, errors = PatientConsole(), PatientConsole(stderr=True)
    codes: list[int] = []

    def job(config: DictConfig) -> None:
        try:
            task = _task(config, trials, budget_steps, directory, console)
            if dry_run:
                say(console, "\n".join(statement(task)))
                codes.append(ExitCode.DONE)
            else:
                codes.append(_tune(task, config.dashboard.get("name"), console, rerun_stale=rerun_stale))
        except AutoLRSError as error:
            codes.append(show_error(errors, error))

    try:
        arguments = _with_space(overrides)
    except ConfigError as error:
        return show_error(errors, error)
    composed = compose_and_call(job, arguments, errors)
    return max([composed, *codes])


def _with_space(overrides: Sequence[str]) -> list[str]:
    """Return the command line with the search space of its schedule, if there is one."""
    if {"-m", "--multirun"} & set(overrides):
        raise ConfigError(
            "A study tunes one schedule, but got -m. Leave it out, and type the command once for each schedule."
        )
    given = (override_in(word) for word in overrides)
    named = [each.value() for each in given if each is not None and each.key_or_group == "schedule"]
    if named and named[-1] in _tunable(overrides):
        return [f"tune={named[-1]}", *overrides]
    return list(overrides)


def _tunable(overrides: Sequence[str]) -> list[str]:
    """Return the schedules that have a search space, the person's own included."""
    roots = [Path(str(files("autolrs_configs"))), *map(Path, config_dirs(overrides))]
    names = {path.stem for root in roots for path in (root / "tune").glob("*.yaml")}
    return sorted(names - {"hyperband"})


def _task(
    config: DictConfig,
    trials: int | None,
    budget_steps: int | None,
    directory: Path | None,
    console: PatientConsole,
) -> TuningTask:
    """Return the study, checked, its data prepared."""
    _require_tunable(config)
    given = given_overrides()
    if "seed" not in map(key_in, given):
        config.seed = TUNING_FIRST
    node = OmegaConf.to_container(config.schedule, resolve=False)
    plain = resolve(config)
    _require_tuning_seed(plain["seed"])
    with console.status("checking settings and data ..."):
        optimizer = chosen_option("optimizer")
        task = TuningTask.of(
            plain,
            node,
            [*given_config_dir()],
            given,
            trials,
            budget_steps,
            directory,
            optimizer,
            launcher_for(launcher_in(config)),
        )
    with PreparationProgress(console) as progress:
        task.prepare(progress)
    return task


def _tune(task: TuningTask, dashboard: str, console: PatientConsole, *, rerun_stale: bool) -> int:
    task.tuned.prove_writable()
    if rerun_stale and (aside := task.set_aside_if_stale()):
        say(console, f"the data have changed since: the study of the old ones lies in {aside} now")
    with task.directory.locked(), _asked_to_stop():
        warning = task.open()
        lines = [*statement(task), *([f"warning: {warning}"] if warning else [])]
        say(console, "\n".join(lines))
        try:
            with TuningScreen(console, task, live=dashboard == "live") as screen:
                best = task.carry_out(screen)
        except (ExperimentStopped, KeyboardInterrupt) as stopped:
            code = stopped.exit_code if isinstance(stopped, ExperimentStopped) else ExitCode.SIGINT
            say(console, _how_to_go_on(task))
            return code
        finally:
            task.write_trials()
        task.keep(best)
    console.print(results(task, best), highlight=False, soft_wrap=True)
    return ExitCode.DONE


def _require_tunable(config: DictConfig) -> None:
    if "tune" in config:
        return
    name = config.schedule.get("name", "autolrs")
    reasons = {
        "autolrs": "schedule=autolrs searches its own LRs",
        "original": "schedule=original is as its paper has it",
    }
    reason = reasons.get(name, f"{name} has no search space (tune/{name}.yaml)")
    overrides = [*given_config_dir()]
    raise ConfigError(
        f"A schedule with settings of its own must be given to tune, but {reason}. "
        f"Set schedule to one of {', '.join(_tunable(overrides))}."
    )


def _require_tuning_seed(seed: Any) -> None:
    if isinstance(seed, int) and purpose(seed) != "tuning":
        raise ConfigError(
            f"Tuning must not see the seeds that results are reported or calibrated on: `{TUNING_FIRST} <= seed < "
            f"{CALIBRATION_FIRST}` must hold, but got seed={seed}. Leave seed out."
        )


def _how_to_go_on(task: TuningTask) -> str:
    return (
        f"stopped; finished runs ({task.steps_made():,} of {task.plan.steps:,} steps) and the open one are kept in "
        f"{task.directory.root}. "
        "To go on, type the same command again."
    )


@contextmanager
def _asked_to_stop() -> Iterator[None]:
    """Turn the first SIGTERM, or signal like it, into `ExperimentStopped`, as Ctrl-C is an exception too."""
    heard: list[int] = []

    def asked(number: int, _: FrameType | None) -> None:
        heard.append(number)
        if len(heard) == 1:
            raise ExperimentStopped(ExitCode.of_signal(number))

    with handling(asked, (signal.SIGTERM, *LIKE_TERM)):
        yield
