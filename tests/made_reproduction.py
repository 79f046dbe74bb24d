"""A reproduction whose runs and studies are made up: real configurations, and journals written by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any
from unittest.mock import patch

import orjson

from autolrs_cli.compose.grid import Composed
from autolrs_cli.compose.user_configs import path_of
from autolrs_cli.contracts import RunLength
from autolrs_cli.experiments.launchers.job import Job
from autolrs_cli.experiments.reproduce import jobs as reproduce_jobs
from autolrs_cli.experiments.reproduce import runs as reproduce_runs
from autolrs_cli.experiments.reproduce.arms import Arm
from autolrs_cli.experiments.reproduce.studies import Studies
from autolrs_cli.experiments.run_status import state_of
from autolrs_cli.experiments.sweep.jobs import make_jobs
from autolrs_cli.experiments.sweep.results import Ending
from autolrs_cli.experiments.tune.study_directory import StudyDirectory
from autolrs_cli.records.run_directory import HARMLESS_KEYS, RunDirectory, config_id, write_json
from autolrs_cli.runner.code_version import code_version
from autolrs_cli.runner.plan import check
from autolrs_cli.schedules.lengths import run_length, schedule_key

Needs = Callable[[Mapping[str, Any]], float]
"""Configuration -> the steps after which the run is at the target."""


class MadeUp:
    """Takes the place of everything that trains; what it is asked to run is finished at once.

    Args:
        needs: how many steps each run needs to the target.
        target: value of the metric that is reached then.
        fingerprint: of the data.
        log_every: a journal line for each so many kept steps.
    """

    def __init__(
        self, needs: Needs, target: float, fingerprint: str = "rings", log_every: int | None = None
    ) -> None:
        self.needs = needs
        self.target = target
        self.fingerprint = fingerprint
        self.log_every = log_every
        self.made: list[Path] = []
        self.tuned: list[str] = []
        self._composed: dict[str, Composed] = {}
        self._lengths: dict[str, RunLength] = {}

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Take their place."""
        with (
            patch.object(reproduce_jobs, "make_jobs", self._make_jobs),
            patch.object(reproduce_runs, "run_jobs", self._run_jobs),
            patch.object(Studies, "_tune", self._tune_for()),
        ):
            yield

    def _make_jobs(self, grid: Sequence[Composed], folder: Path) -> list[Job]:
        jobs = make_jobs(grid, folder)
        self._composed.update(zip((job.root for job in jobs), grid, strict=True))
        return jobs

    def _run_jobs(self, jobs: Sequence[Job], *_: object) -> Ending:
        for job in jobs:
            if state_of(Path(job.root)).state != "done":
                self._make(Path(job.root), self._composed[job.root].config)
        return Ending([(job, state_of(Path(job.root))) for job in jobs], None, None)

    def _tune_for(self) -> Callable[[Studies, Arm, str], int]:
        def tune(studies: Studies, arm: Arm, fingerprint: str) -> int:
            self.tuned.append(f"{arm.schedule} {arm.average}")
            study = StudyDirectory(studies._study(arm))
            study.root.mkdir(parents=True)
            write_json(study.study, {"config": {}, "code_version": "c0de"})
            option = f"tuned/{studies._base.recipe}/made/{studies._study(arm).name}-sgd-da7a"
            shipped = files("autolrs_configs").joinpath("schedule", f"{arm.schedule}.yaml").read_text()
            # As tuning leaves them, cycles fill the run.
            filled = shipped.replace(
                "half_period_steps: ${original_schedule.warmup_steps}", "half_period_steps: ${run.max_steps}"
            )
            named = filled.replace(f"name: {arm.schedule}", f"name: {arm.schedule}_tuned")
            path_of(option).parent.mkdir(parents=True, exist_ok=True)
            path_of(option).write_text(named)
            study.best.write_text(f"{named}\ntuning:\n  option: {option}\n")
            studies._note_down(arm, fingerprint)
            return 0

        return tune

    def _make(self, root: Path, config: Mapping[str, Any]) -> None:
        """Write the directory of a finished run."""
        self.made.append(root)
        root.mkdir(parents=True)
        directory = RunDirectory(root)
        directory.config.write_text("made: true\n")
        discarded = config["run"]["max_steps"] if config["schedule"]["name"] in ("autolrs", "random") else 0
        with directory.journal.open("wb") as journal:
            for event in self._events(config, discarded):
                journal.write(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE))
        steps = config["run"]["max_steps"]
        directory.schedule.write_text(f"stage,first_step,steps,lr\nstage 1,0,{steps},0.1\n")
        summary = {
            "status": "done",
            "schedule": config["schedule"]["name"],
            "data_fingerprint": self.fingerprint,
            "step": steps,
            "total_steps": steps + discarded,
            "ledger": {},
        }
        write_json(directory.summary, summary)

    def _events(self, config: Mapping[str, Any], discarded: int) -> Iterator[dict[str, Any]]:
        steps, every = config["run"]["max_steps"], config["run"]["eval_every_steps"]
        share = 1 + discarded / steps
        yield {
            "event": "run_started",
            "t": 0.0,
            "step": 0,
            "total_steps": 0,
            **self._start(config, discarded),
        }
        if discarded:
            yield {
                "event": "lr_chosen",
                "t": 0.0,
                "step": 0,
                "total_steps": 0,
                "stage": 0,
                "lr": 0.1,
                "flags": [],
            }
        averaged = config["average"]["name"] != "none"
        log_every = self.log_every or every
        for step in range(log_every, steps + 1, log_every):
            place = {"t": step * share / 7, "step": step, "total_steps": round(step * share)}
            yield {"event": "step", **place, "lr": 0.1 / (1 + step), "loss": 1.23456 / step, "examples": step}
        for step in sorted({*range(every, steps + 1, every), steps}):
            place = {"t": step * share / 7, "step": step, "total_steps": round(step * share)}
            value = self._value(config, step)
            for weights in ("raw", "averaged") if averaged else ("raw",):
                metrics = {"accuracy": value, "loss": 1 - value}
                yield {"event": "eval", **place, "split": "target", "weights": weights, "metrics": metrics}
        ledger = {"training": {"steps": steps, "seconds": steps * share / 7}}
        last = {"t": steps * share / 7, "step": steps, "total_steps": steps + discarded}
        yield {
            "event": "run_finished",
            **last,
            "status": "done",
            "reason": None,
            "cause": "done",
            "ledger": ledger,
        }

    def _value(self, config: Mapping[str, Any], step: int) -> float:
        """Return accuracy: below the target until the run is there, and on the way up otherwise."""
        need = self.needs(config)
        return self.target + 0.001 if step >= need else self.target * step / (need + step)

    def _start(self, config: Mapping[str, Any], discarded: int) -> dict[str, Any]:
        target = config["target"]
        kind = config_id(config, (*HARMLESS_KEYS, "seed"))
        if kind not in self._lengths:
            node, steps = config[schedule_key(config)], config["run"]["max_steps"]
            self._lengths[kind] = run_length(check(config).schedule, node, steps)
        length, code = self._lengths[kind], code_version(config)
        return {
            "description": {
                "recipe": config["recipe"]["name"],
                "schedule": config["schedule"]["name"],
                "scale": config["scale"],
                "device": "cpu",
                "precision": "fp32",
                "threads": 1,
                "metric": {"name": "accuracy", "direction": "max"},
                "target": target and {**target, "direction": "min" if target["metric"] == "loss" else "max"},
            },
            "plan": {"max_steps": config["run"]["max_steps"], "search_steps": discarded},
            "config": config,
            "versions": {"torch": "1"},
            "data_fingerprint": self.fingerprint,
            "code_version": code.total,
            "code": code.modules,
            "length": orjson.loads(orjson.dumps(length)),
        }
