"""The target of a reproduction: calibrated on seeds of its own before any arm is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, stdev
from typing import Any

import yaml
from omegaconf import OmegaConf

from autolrs_cli.contracts import Direction
from autolrs_cli.durable import write_whole
from autolrs_cli.errors import ConfigError
from autolrs_cli.settings import TargetSettings
from autolrs_cli.wording import quoted


@dataclass(frozen=True)
class CalibratedTarget:
    """A target fixed before any arm is run (method rule 3)."""

    metric: str
    value: float
    """The median final value of the original schedule, less the margin."""
    margin: float
    """The standard deviation of those values (ours): most runs of the original itself then reach the target."""
    seeds: tuple[int, ...]
    command: str
    data_fingerprint: str | None = None
    """Of the data that it was calibrated on."""

    @classmethod
    def of(
        cls,
        metric: str,
        direction: Direction,
        finals: Mapping[int, float],
        command: str,
        data_fingerprint: str | None = None,
    ) -> CalibratedTarget:
        """Return the target that the final values of the original schedule give.

        Args:
            metric: what was measured.
            direction: in which direction it is better.
            finals: seed -> final value.
            command: what calibrated it.
            data_fingerprint: of the data.

        Raises:
            ConfigError: if there are fewer than two.
        """
        if len(finals) < 2:
            raise ConfigError(
                f"A target needs two calibration runs or more that ended with a finite {metric}, but got "
                f"{len(finals)}. Look into the calibration runs, or set target in the recipe's YAML."
            )
        margin = stdev(finals.values())
        middle = median(finals.values())
        value = middle - margin if direction == "max" else middle + margin
        value, margin = round(value, 6), round(margin, 6)
        return cls(metric, value, margin, tuple(sorted(finals)), command, data_fingerprint)

    @classmethod
    def shipped(cls, settings: TargetSettings | None, data_fingerprint: str) -> CalibratedTarget | None:
        """Return the target in the recipe's YAML; None if there is none, or it was calibrated on other data."""
        if settings is None or not settings.fits(data_fingerprint):
            return None
        return cls(
            settings.metric,
            settings.value,
            settings.margin,
            settings.seeds,
            settings.command or "",
            settings.data_fingerprint,
        )

    def __str__(self) -> str:
        """The target, and where it comes from."""
        text = f"{self.metric} {self.value:.6g}"
        if not self.seeds:
            return f"{text} (given)"
        seeds = ", ".join(map(str, self.seeds))
        return (
            f"{text} (median final value of the original schedule over seeds {seeds}, less a margin of "
            f"{self.margin:.3g}; by {self.command})"
        )

    @property
    def override(self) -> str:
        """The override that gives it to a run."""
        seeds, data = ",".join(map(str, self.seeds)), self.data_fingerprint
        return (
            f"target={{metric:{self.metric},value:{self.value!r},margin:{self.margin!r},seeds:[{seeds}],"
            f"command:{quoted(self.command)},data_fingerprint:{'null' if data is None else repr(data)}}}"
        )

    def to_node(self) -> dict[str, Any]:
        """Return plain JSON; `from_node` brings it back."""
        return {**asdict(self), "seeds": list(self.seeds)}

    @classmethod
    def from_node(cls, node: Mapping[str, Any]) -> CalibratedTarget:
        """Return what `to_node` returned.

        Raises:
            KeyError, TypeError, ValueError: if it is damaged.
        """
        return cls(
            str(node["metric"]),
            float(node["value"]),
            float(node["margin"]),
            tuple(map(int, node["seeds"])),
            str(node["command"]),
            node.get("data_fingerprint"),
        )

    def write(self, path: Path) -> None:
        """Keep it, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, OmegaConf.to_yaml(OmegaConf.create({"target": self.to_node()})))

    @classmethod
    def read(cls, path: Path) -> CalibratedTarget | None:
        """Return what `write` kept; None if it is not there.

        Raises:
            ConfigError: if it is damaged.
        """
        try:
            return cls.from_node(yaml.safe_load(path.read_text(encoding="utf-8"))["target"])
        except FileNotFoundError:
            return None
        except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
            raise ConfigError(
                f"A calibrated target must be whole, but {path} is not: {error}. Remove it to calibrate again."
            ) from error
