"""The studies of a reproduction: processes of `autolrs tune`, as many at once as runs; finished ones are skipped."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import orjson
from rich.console import Console

from autolrs_cli.compose.user_configs import path_of
from autolrs_cli.errors import ConfigError
from autolrs_cli.exit_codes import RESUMABLE, ExitCode
from autolrs_cli.experiments.own_process import python_module, watched_environment
from autolrs_cli.experiments.process_log import last_words
from autolrs_cli.experiments.reproduce.arms import PAPER, STUDIES, Arm, Base
from autolrs_cli.experiments.reproduce.request import ReproductionRequest
from autolrs_cli.experiments.reproduce.taken_over import STUDY, STUDY_PARTS, TakenOver
from autolrs_cli.experiments.stopped import ExperimentStopped
from autolrs_cli.experiments.tune.result import option_in
from autolrs_cli.experiments.tune.study_directory import StudyDirectory
from autolrs_cli.records.run_directory import write_json
from autolrs_cli.reports.compare.archived_run import this_machine
from autolrs_cli.signals import LIKE_TERM, handling
from autolrs_cli.terminal.console import say


class Studies:
    """Finds the settings of the tuned arms of one recipe.

    Args:
        request: what was asked for.
        base: what the arms of the recipe have in common.
        taken: what is taken over from elsewhere.
        console: where it is said how they go.
    """

    def __init__(self, request: ReproductionRequest, base: Base, taken: TakenOver, console: Console) -> None:
        self._request = request
        self._base = base
        self._folder = request.of(base.recipe) / "tuning"
        self._taken = taken
        self._console = console
        self._studies = request.chosen(STUDIES)
        self._processes: list[subprocess.Popen[bytes]] = []

    def carry_out(self, fingerprint: str) -> dict[str, str]:
        """Bring every study to its end; one that is done, here or elsewhere, is not looked at again.

        Args:
            fingerprint: of the data as they are now.

        Returns:
            Title of an arm -> what to write after `schedule=` for what was found.

        Raises:
            ExperimentStopped: if it was asked to stop.
            ConfigError: if a study failed.
        """
        todo = [arm for arm in self._studies if not self._is_done(arm, fingerprint)]
        done = len(self._studies) - len(todo)
        if done:
            say(self._console, f"{done} of {len(self._studies)} studies are done")
        with _terminating(self._processes), ThreadPoolExecutor(self._request.jobs) as pool:
            codes = list(pool.map(lambda arm: self._tune(arm, fingerprint), todo))
        stopped = [code for code in codes if code in RESUMABLE]
        if stopped:
            raise ExperimentStopped(stopped[0])
        failed = [arm for arm, code in zip(todo, codes, strict=True) if code]
        if failed:
            log = self._log(failed[0])
            raise ConfigError(
                f"Every rival must be tuned, but the study of {failed[0].title} failed: {last_words(log)} All that it "
                f"said: {log}"
            )
        notes = {arm.title: _read(self._note(arm)) for arm in self._studies}
        return {title: str(note["option"]) for title, note in notes.items() if note}

    def records(self) -> list[dict[str, Any]]:
        """Return the finished studies as an archive keeps them: enough to go on elsewhere without them."""
        found = {arm: _read(self._note(arm)) for arm in self._studies}
        return [{"kind": STUDY, **note, **self._trials(arm)} for arm, note in found.items() if note]

    def _trials(self, arm: Arm) -> dict[str, str]:
        """Return what was tried, as its table; nothing, if the study was made elsewhere."""
        table = StudyDirectory(self._study(arm)).trials
        return {"trials": table.read_text(encoding="utf-8")} if table.is_file() else {}

    def _command(self, arm: Arm) -> list[str]:
        own = [f"recipe={self._base.recipe}", f"scale={self._request.scale}", f"schedule={arm.schedule}"]
        return [
            *own,
            f"average={arm.average}",
            *arm.study_settings(self._base),
            "dashboard=none",
            *self._request.overrides,
        ]

    def _is_done(self, arm: Arm, fingerprint: str) -> bool:
        """Tell whether this very study was carried out, and what it found lies where runs read it."""
        command = self._command(arm)
        note = _read(self._note(arm))
        if note and (note["command"], note["data_fingerprint"]) == (command, fingerprint):
            path = path_of(note["option"])
            if path.is_file() and path.read_text(encoding="utf-8") == note["tuned"]:
                return True
        elsewhere = self._taken.study(command, fingerprint)
        if elsewhere is None or StudyDirectory(self._study(arm)).study.exists():
            return False
        path = path_of(elsewhere["option"])
        for folder in (self._folder, path.parent):
            folder.mkdir(parents=True, exist_ok=True)
        path.write_text(str(elsewhere["tuned"]), encoding="utf-8")
        write_json(self._note(arm), elsewhere)
        say(
            self._console,
            f"{arm.title}: its study was carried out on {elsewhere['machine']} ({self._taken.archive})",
        )
        return True

    def _tune(self, arm: Arm, fingerprint: str) -> int:
        self._folder.mkdir(parents=True, exist_ok=True)
        # Which search is the default is no part of what a study is, and so not of its command as it is kept.
        own = [PAPER, *self._command(arm), *self._request.launcher_overrides, "--dir", str(self._study(arm))]
        own += ["--rerun-stale"] * self._request.rerun_stale
        with self._log(arm).open("ab") as log:
            process = subprocess.Popen(
                python_module("autolrs_cli", "tune", *own),
                env=watched_environment(),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that Ctrl-C reaches it once, through us
            )
            self._processes.append(process)
            code = process.wait()
        if not code:
            self._note_down(arm, fingerprint)
        say(self._console, f"found: {arm.title}" if not code else f"{arm.title}: exit code {code}")
        return code

    def _note_down(self, arm: Arm, fingerprint: str) -> None:
        directory = StudyDirectory(self._study(arm))
        study, option = orjson.loads(directory.study.read_bytes()), option_in(directory.best)
        note = {
            "command": self._command(arm),
            "machine": this_machine(),
            "data_fingerprint": fingerprint,
            "config": study["config"],
            "code_version": study["code_version"],
            "option": option,
            "tuned": path_of(option).read_text(encoding="utf-8"),
        }
        write_json(self._note(arm), note)

    def _study(self, arm: Arm) -> Path:
        more = [each.partition("=")[2] for each in arm.settings(self._base)]
        return self._folder / "-".join([arm.schedule, arm.average, *more])

    def _log(self, arm: Arm) -> Path:
        return Path(f"{self._study(arm)}.log")

    def _note(self, arm: Arm) -> Path:
        return Path(f"{self._study(arm)}.done.json")


def _read(note: Path) -> Mapping[str, Any] | None:
    """Return what was noted of a finished study; None: nothing, or it is damaged."""
    try:
        found = orjson.loads(note.read_bytes())
        return {name: found[name] for name in STUDY_PARTS}
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextmanager
def _terminating(processes: Sequence[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Stop `processes` when this one is asked to stop, and wait for them.

    Raises:
        ExperimentStopped: after a signal that asks to stop.
    """
    heard: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        if heard and number in LIKE_TERM:  # these come again by themselves, while the studies are waited for
            return
        heard.append(number)
        for process in processes:
            if process.poll() is None:
                process.send_signal(number)
        raise ExperimentStopped(ExitCode.of_signal(number))

    with handling(stop):
        yield
