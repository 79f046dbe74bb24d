"""A study directory: what it is a study of, and its files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from filelock import FileLock, Timeout

from autolrs_cli.config_keys import flat, lies_below
from autolrs_cli.errors import ConfigError
from autolrs_cli.experiments.run_status import set_aside
from autolrs_cli.records.run_directory import HARMLESS_KEYS, write_json

# 3: the last rung is of full length, and runs have seconds.
SCHEMA_VERSION = 3
_MISSING = "(missing)"


class StudyDirectory:
    """Paths inside a study directory.

    Args:
        root: the directory.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.study = root / "study.json"
        self.storage = root / "optuna.jsonl"
        self.trials = root / "trials.csv"
        self.best = root / "best.yaml"
        self.plot = root / "study.png"

    def run(self, number: int, length: int) -> Path:
        """Return the run directory of a configuration's run of `length` steps."""
        return self.root.absolute() / "runs" / f"trial{number:03d}" / f"steps{length}"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make the directory, and keep other processes from working here.

        Raises:
            ConfigError: if it cannot be written, or another process works here.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.root / "study.lock", timeout=0)
            lock.acquire()
        except Timeout as error:
            raise ConfigError(
                f"One process at a time may work on a study, but {self.root} is in use. Wait for it, or stop it."
            ) from error
        except OSError as error:
            raise ConfigError(
                f"The study directory must be writable, but {self.root} is not: {error.strerror}. Set --dir."
            ) from error
        with lock:
            try:
                yield
            finally:
                lock.release()

    def open(self, identity: Mapping[str, Any]) -> str | None:
        """Begin the study, or make sure that the one that is here is this one.

        Args:
            identity: `config`, `plan`, `data_fingerprint` and `code_version`, as JSON.

        Returns:
            A warning if its code was another; None if there is nothing to say.

        Raises:
            ConfigError: naming what differs.
        """
        if not self.study.exists():
            if any(path.name != "study.lock" for path in self.root.iterdir()):
                raise ConfigError(
                    f"A study must begin in an empty directory, but {self.root} holds something else. Set --dir."
                )
            write_json(self.study, {"schema_version": SCHEMA_VERSION, **identity})
            return None
        known = self._read()
        now = orjson.loads(orjson.dumps(identity))
        differences = list(_differences(known, now))
        if _is_data_alone(differences):
            raise ConfigError(
                f"A study goes on with the data that it began with, but those of {self.root} have changed: "
                f"{differences[0]}. The same command with --rerun-stale begins it again, the old one kept beside as "
                f"{self.root.name}.stale-1; or restore the data, or set --dir."
            )
        if differences:
            raise ConfigError(
                f"A study goes on with what it began with, but {self.root} is another study: "
                f"{'; '.join(differences[:5])}{'; ...' if len(differences) > 5 else ''}. "
                "Set --dir to another directory, or type the command that it began with."
            )
        if known["code_version"] == now["code_version"]:
            return None
        return (
            f"the study began with code version {known['code_version']} and goes on with {now['code_version']}; "
            "losses of the two may not be comparable"
        )

    def set_aside_if_stale(self, identity: Mapping[str, Any]) -> Path | None:
        """Move the directory away if the study in it differs in its data alone; only while it is locked.

        Args:
            identity: as for `open`.

        Returns:
            Where it lies now.

        Raises:
            ConfigError: if it cannot be moved.
        """
        if not _is_data_alone(list(_differences(self._read(), orjson.loads(orjson.dumps(identity))))):
            return None
        try:
            return set_aside(self.root.absolute(), "stale")
        except OSError as error:
            raise ConfigError(
                f"A study is set aside in the folder that it lies in, but {self.root} cannot be moved: "
                f"{error.strerror}. Set --dir."
            ) from error

    def _read(self) -> dict[str, Any]:
        try:
            known = orjson.loads(self.study.read_bytes())
            if known["schema_version"] == SCHEMA_VERSION and isinstance(known["config"], dict):
                return dict(known)
        except (OSError, ValueError, KeyError, TypeError):
            pass
        raise ConfigError(
            f"A study directory must hold a study of this version of autolrs, but {self.study} is not one. Set --dir."
        )


def _is_data_alone(differences: Sequence[str]) -> bool:
    return len(differences) == 1 and differences[0].startswith("data_fingerprint ")


def _differences(known: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for part in ("config", "plan", "data_fingerprint"):
        then_flat, now_flat = flat(known.get(part), part), flat(now[part], part)
        for key in sorted({*then_flat, *now_flat}):
            then, is_ = then_flat.get(key, _MISSING), now_flat.get(key, _MISSING)
            name = key.removeprefix("config.")
            if then != is_ and not lies_below(name, HARMLESS_KEYS):
                yield f"{name} was {then} and is {is_}"
