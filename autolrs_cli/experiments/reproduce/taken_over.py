"""What was done elsewhere and counts as done here: runs, studies and the target that an archive holds."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from autolrs_cli.errors import AutoLRSError, ConfigError
from autolrs_cli.experiments.reproduce.target import CalibratedTarget
from autolrs_cli.records.archive import NAME, read_archive
from autolrs_cli.records.run_directory import HARMLESS_KEYS, config_id, write_json, write_schedule
from autolrs_cli.reports.compare.archived_run import KIND as RUN
from autolrs_cli.reports.compare.archived_run import restored
from autolrs_cli.reports.compare.limit import KIND as LIMIT
from autolrs_cli.reports.compare.limit import PracticalLimit
from autolrs_cli.reports.compare.run_record import RunRecord
from autolrs_cli.runner.code_version import code_version
from autolrs_cli.runner.instantiate import OUR_PACKAGES, targets

TARGET, STUDY, CALIBRATION, GRID = "target", "study", "calibration run", "grid run"
RUNS = (RUN, CALIBRATION, GRID)
STUDY_PARTS = ("command", "machine", "data_fingerprint", "config", "code_version", "option", "tuned")


@dataclass(frozen=True)
class Replayed:
    """Which run a replay repeats, and on which seed: its configuration names a folder of another machine."""

    source: str
    """Name of that run's folder: its configuration's id."""
    seed: int


Identity = str | Replayed


class TakenOver:
    """An archive's content, as far as it was made by this code on these data.

    Args:
        archive: the file; None: nothing is taken over.
    """

    def __init__(self, archive: Path | None) -> None:
        self.archive = archive
        self._runs: dict[Identity, RunRecord] = {}
        self._studies: list[Mapping[str, Any]] = []
        self.outside_arms: list[Mapping[str, Any]] = []
        """Records of the runs that belong to no arm: of the calibration, and of the grid."""
        self.target: CalibratedTarget | None = None
        self.limit: PracticalLimit | None = None
        for record in [] if archive is None else read_archive(archive):
            self._add(record)
        self._judged: dict[int, str] = {}
        """What speaks against a run that was asked for, by its identity; empty: nothing."""

    @classmethod
    def below(cls, folder: Path | None, recipe: str) -> TakenOver:
        """Return what a folder with an archive for each recipe holds of this one."""
        path = None if folder is None else folder / recipe / NAME
        return cls(path if path is not None and path.is_file() else None)

    def _add(self, record: Mapping[str, Any]) -> None:
        assert self.archive is not None
        try:
            if record["kind"] in RUNS:
                run = restored(record, self.archive)
                self._runs[_identity(run)] = run
                self.outside_arms += [record] if record["kind"] != RUN else []
            elif record["kind"] == STUDY:
                _require_ours(record)
                self._studies.append({name: record[name] for name in STUDY_PARTS})
            elif record["kind"] == TARGET:
                self.target = CalibratedTarget.from_node(record["target"])
            elif record["kind"] == LIMIT:
                self.limit = PracticalLimit.from_json(record)
        except (KeyError, TypeError, ValueError, AttributeError, yaml.YAMLError) as error:
            raise ConfigError(
                f"Every record of an archive must be whole, but a {record['kind']} in {self.archive} is not: "
                f"{error!r}. Restore the file from a copy, or leave --from out."
            ) from error

    def run(self, identity: Identity, fingerprint: str) -> RunRecord | None:
        """Return a run of this configuration that counts as done; None: there is none.

        Args:
            identity: of its configuration.
            fingerprint: of the data as they are now.
        """
        found = self._runs.get(identity)
        if found is None:
            return None
        if id(found) not in self._judged:
            self._judged[id(found)] = _objection(found, fingerprint)
        return None if self._judged[id(found)] else found

    def study(self, command: Sequence[str], fingerprint: str) -> Mapping[str, Any] | None:
        """Return a study by this command, of these data and this code; None: there is none."""
        for found in self._studies:
            same = found["command"] == list(command) and found["data_fingerprint"] == fingerprint
            if same and not _other_code(found["config"], found["code_version"], None):
                return found
        return None

    @property
    def said(self) -> list[str]:
        """What was taken over so far, and what was not: a line each."""
        asked = [run for run in self._runs.values() if id(run) in self._judged]
        taken = Counter(run.origin.machine for run in asked if run.origin and not self._judged[id(run)])
        against = Counter(why for why in self._judged.values() if why)
        return [
            *(f"{n} runs count as done: made on {machine} ({self.archive})" for machine, n in taken.items()),
            *(
                f"{n} runs of {self.archive} do not count, and are run here: {why}"
                for why, n in against.items()
            ),
        ]


def lay_out(run: RunRecord, folder: Path) -> Path:
    """Write of a run that was taken over what a replay of its LRs needs; return where."""
    assert run.origin is not None
    folder.mkdir(parents=True, exist_ok=True)
    write_schedule(folder / "schedule.csv", run.origin.spans)
    write_json(
        folder / "summary.json", {"schedule": run.config["schedule"]["name"], "status": "done", "copy": True}
    )
    return folder


def _require_ours(study: Mapping[str, Any]) -> None:
    """Refuse a tuned schedule that would be written elsewhere than such schedules lie, or names code that is not ours.

    Raises:
        ValueError: saying which.
    """
    if not re.fullmatch(r"tuned(/[\w-][\w.-]*){3}", study["option"], re.ASCII):
        raise ValueError(f"a tuned schedule cannot be called {study['option']!r}")
    named = [
        each for each in targets(yaml.safe_load(study["tuned"])) if each.partition(".")[0] not in OUR_PACKAGES
    ]
    if named:
        raise ValueError(f"a tuned schedule of ours names no {named[0]!r}")


def _identity(run: RunRecord) -> Identity:
    replayed = run.config["schedule"].get("run")
    if isinstance(replayed, str):
        return Replayed(Path(replayed).name, run.seed)
    return config_id(run.config, HARMLESS_KEYS)


def _objection(run: RunRecord, fingerprint: str) -> str:
    """Say why a run does not count here; empty: it does."""
    if not (run.done or run.diverged):
        return "they had not come to their end"
    if run.started.get("data_fingerprint") != fingerprint:
        return "their data were others"
    return _other_code(run.config, run.started.get("code_version"), run.started.get("code"))


def _other_code(config: Mapping[str, Any], total: Any, modules: Any) -> str:
    """Say that the code that a configuration executes is another now; empty: it is not."""
    try:
        now = code_version(config)
    except (AutoLRSError, OSError, KeyError, TypeError, ValueError, ImportError):
        return "their code cannot be found here"
    same = dict(now.modules) == modules if isinstance(modules, dict) else now.total == total
    return "" if same else "their code was another"
