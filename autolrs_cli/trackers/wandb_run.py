"""Weights & Biases: a run kept in the run directory, sent to a server only if asked for."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autolrs_cli.settings import WandbSettings
from autolrs_cli.trackers.points import Point, Record, points, results
from autolrs_cli.trackers.write_once import Marks, Settling

AXES = {"kept": "step", "search": "total_steps"}


class WandbRun:
    """Curves over two step metrics of their own, since wandb's own step counts calls.

    Args:
        settings: of the tracker.
        root: the run directory.
        config: the run's.
    """

    def __init__(self, settings: WandbSettings, root: Path, config: Mapping[str, Any]) -> None:
        import wandb

        self._wandb, self._settings, self._root, self._config = wandb, settings, root, config
        self._settling = Settling()
        self._marks = Marks(root / "wandb" / "autolrs.json")
        self._run: Any = None

    def log(self, records: Sequence[Record]) -> None:
        """Send what the records add to the curves."""
        settled = [each for record in records for each in self._settling.take(record, points(record))]
        run = self._open()
        for (axis, step), group in itertools.groupby(self._marks.pass_on(settled), _place):
            run.log({AXES[axis]: step, **{point.name: point.value for point in group}})

    def begin_again(self) -> None:
        """The whole journal comes again; what was sent before is left out."""
        self._settling = Settling()

    def finish(self, status: str, summary: Mapping[str, Any] | None) -> None:
        """Add what the run ended with, and close it."""
        run = self._open()
        if summary is not None:
            run.summary.update({"status": status, **results(summary)})
        run.finish(exit_code=0 if status == "done" else 1)

    def _open(self) -> Any:
        if self._run is None:
            (self._root / "wandb").mkdir(exist_ok=True)
            self._run = self._begin()
            for axis, own in AXES.items():
                self._run.define_metric(own, hidden=True)
                names = (
                    ("search",)
                    if axis == "search"
                    else ("train", "target", "target_averaged", "choose", "choose_averaged")
                )
                for name in names:
                    self._run.define_metric(f"{name}/*", step_metric=own)
            self._marks.run = str(self._run.id)
            self._marks.save()
        return self._run

    def _begin(self) -> Any:
        """Begin a run, or go on with the one that this run directory has: offline, a part of the same group."""
        wandb, settings, config = self._wandb, self._settings, self._config
        online = settings.mode == "online"
        parts = (config["recipe"]["name"], config["schedule"]["name"], f"seed{config['seed']}")
        return wandb.init(
            project=settings.project,
            entity=settings.entity,
            mode=settings.mode,
            dir=str(self._root),
            id=self._marks.run if online else None,
            resume="allow" if online else None,
            group=f"{'-'.join(map(str, parts))}-{self._root.absolute().name}",
            name="/".join(map(str, parts)),
            config=dict(config),
            # The terminal is the dashboard's; the code is the person's.
            settings=wandb.Settings(console="off", silent=True, disable_git=True, save_code=False),
        )


def _place(point: Point) -> tuple[str, int]:
    return point.axis, point.step
