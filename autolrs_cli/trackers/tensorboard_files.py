"""TensorBoard: event files in the run directory, one folder for each of the two axes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from autolrs_cli.settings import TensorBoardSettings
from autolrs_cli.trackers.points import Axis, Point, Record, parameters, points, results

FLUSH_SECONDS = 5


class TensorBoardFiles:
    """Curves as they come; TensorBoard itself can take steps back (`purge_step`), so nothing waits.

    The search has an axis of its own, all optimizer steps, and therefore a folder of its own: TensorBoard takes steps
    back for a whole folder.

    Args:
        settings: of the tracker.
        root: the run directory.
        config: the run's, shown as text and as hyper-parameters.
    """

    def __init__(self, settings: TensorBoardSettings, root: Path, config: Mapping[str, Any]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from torch.utils.tensorboard import SummaryWriter

        self._new_writer, self._new_event, self._new_session = SummaryWriter, Event, SessionLog
        folder = root / settings.folder
        self._folders: dict[Axis, Path] = {"kept": folder, "search": folder / "search"}
        self._config = config
        self._writers: dict[Axis, Any] = {}

    def log(self, records: Sequence[Record]) -> None:
        """Write what the records add to the curves."""
        for record in records:
            if record["event"] == "run_started":
                self._begin()
            elif record["event"] == "rolled_back":
                self._take_back("kept", record["to_step"] + 1)
            for point in points(record):
                self._write(point)

    def begin_again(self) -> None:
        """Take everything back: the whole journal comes again."""
        self._begin()

    def finish(self, _status: str, summary: Mapping[str, Any] | None) -> None:
        """Add what the run ended with, beside its hyper-parameters, and close the files."""
        self.close()
        if summary is None:
            return
        with self._new_writer(str(self._folders["kept"])) as writer:
            writer.add_hparams(
                dict(self._hyper_parameters()), results(summary), run_name=".", global_step=summary["step"]
            )

    def close(self) -> None:
        """Write what is buffered."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def _begin(self) -> None:
        for axis in self._folders:
            self._take_back(axis, 0)
        text = yaml.safe_dump(dict(self._config), sort_keys=False, allow_unicode=True)
        self._writers["kept"].add_text("config", f"```yaml\n{text}```", 0)

    def _take_back(self, axis: Axis, purge_step: int) -> None:
        """Say that what a folder holds from `purge_step` on no longer counts; open its file if it is not open."""
        if axis not in self._writers:
            folder = self._folders[axis]
            written = any(folder.glob("events.out.tfevents.*"))
            self._writers[axis] = self._new_writer(
                str(folder), purge_step=purge_step if written else None, flush_secs=FLUSH_SECONDS
            )
        else:
            # What SummaryWriter writes for purge_step; a second file within a second might be read before the first.
            restart = self._new_event(
                step=purge_step, session_log=self._new_session(status=self._new_session.START)
            )
            self._writers[axis].file_writer.add_event(restart)

    def _write(self, point: Point) -> None:
        self._writers[point.axis].add_scalar(point.name, point.value, point.step)

    def _hyper_parameters(self) -> Iterator[tuple[str, Any]]:
        """Leave out what differs between any two runs and says nothing about them."""
        for key, value in parameters(self._config).items():
            if not key.startswith(("tracker.", "dashboard.", "run.dir", "run.config_dir")):
                yield key, value
