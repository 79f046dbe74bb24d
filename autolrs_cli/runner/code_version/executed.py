"""Which modules count for a run of a given configuration, and the version that their hashes make."""

from __future__ import annotations

import gc
import hashlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import accumulate
from pathlib import Path
from typing import Any

from autolrs_cli.records.provenance import LIBRARIES
from autolrs_cli.runner.code_version.follow import follow
from autolrs_cli.runner.code_version.sources import Sources
from autolrs_cli.runner.instantiate import OUR_PACKAGES, targets
from autolrs_cli.settings import SEARCHED

# Where every run begins. The rest is found: what this imports, and what the configuration names by `_target_`.
START = "autolrs_cli.runner.execute"
# What a run on several processes begins with besides.
SHARED = ("autolrs_cli.runner.follow", "autolrs_cli.training.process_group")
# What never counts, even if imported, with all inside it: none of it can change a number that a run computes.
NEVER = {
    "autolrs_cli.app": "the command line: what it decides is in the resolved configuration",
    "autolrs_cli.commands": "likewise",
    "autolrs_cli.compose": "likewise",
    "autolrs_cli.experiments": "starts runs by their command lines",
    "autolrs_cli.settings": "refuses values of the configuration and sets none",
    "autolrs_cli.values": "likewise",
    "autolrs_cli.config_keys": "names settings",
    "autolrs_cli.runner.config_outline": "likewise",
    "autolrs_cli.errors": "says why something is refused",
    "autolrs_cli.wording": "likewise",
    "autolrs_cli.dashboard": "shows what a run writes down",
    "autolrs_cli.terminal": "likewise",
    "autolrs_cli.trackers": "sends elsewhere what a run writes down",
    "autolrs_cli.reports": "reads what runs wrote down",
    "autolrs_cli.records": "writes down what happens",
    "autolrs_cli.runner.summary": "writes down how it ended",
    "autolrs_cli.schedules.lengths": "says for the record what the run's length means",
    "autolrs_cli.schedules.tuning": "says for the record how its settings were found",
    "autolrs_cli.exit_codes": "names how a run ended",
    "autolrs_cli.signals": "when a run is stopped, not what it computes",
    "autolrs_cli.durable": "how a file gets to the disk, not what is in it",
    "autolrs_cli.training.optimizer_probe": "tries an optimizer, and refuses it",
    "autolrs_cli.runner.optimizer_fit": "refuses an optimizer, or warns of it",
    "autolrs_cli.runner.code_version": "this",
}
# What counts for searched runs alone, though the loop that all runs share imports it. A person's own schedule may use
# it all the same.
SEARCH = {
    "autolrs_cli.search": "is asked in searched stages alone",
    "autolrs_cli.training.trials": "makes trials",
    "autolrs_cli.training.recorded_policy": "writes down what a search answers",
    "autolrs_cli.training.ranked_policy": "passes on to other processes what a search answers",
}
# Libraries, whose versions are recorded: Python's own, and ours by the names that are imported.
_RECORDED = {*sys.stdlib_module_names, *LIBRARIES, "hydra", "PIL", "sklearn"}


@dataclass(frozen=True)
class CodeVersion:
    """The code that a run can have executed.

    Args:
        modules: module -> 8 hex digits of its hash, in alphabetical order.
    """

    modules: Mapping[str, str]

    @property
    def total(self) -> str:
        """12 hex digits of the hash of all of them."""
        lines = "".join(f"{module} {digest}\n" for module, digest in self.modules.items())
        return hashlib.sha256(lines.encode()).hexdigest()[:12]


def code_version(config: Mapping[str, Any], sources: Sources | None = None) -> CodeVersion:
    """Return the version of the code that a run can have executed: ours, and a person's own modules.

    Args:
        config: resolved.
        sources: where our packages lie; None: where they are installed.
    """
    searched = config["schedule"].get("name") in SEARCHED
    named = sorted(set(targets(_built(config, searched))))
    tops = {target.partition(".")[0] for target in named} - {*OUR_PACKAGES, *_RECORDED}
    known = (sources or _installed()).with_modules(sorted(tops))

    def counts(module: str, importer: str | None) -> bool:
        if _lies_in(module, NEVER):
            return False
        entering = _lies_in(importer or "", {"autolrs_cli": ""}) and not _lies_in(importer or "", SEARCH)
        return searched or not entering or not _lies_in(module, SEARCH)

    starts = [START, *(SHARED if config["runtime"].get("processes", 1) > 1 else ())]
    with _without_collection():
        found = follow([*((start, None) for start in starts), *map(known.need, named)], known, counts)
    return CodeVersion(dict(sorted(found.items())))


def _built(config: Mapping[str, Any], searched: bool) -> dict[str, Any]:
    """Return the groups of which a run builds something; `recipe` holds the data and the model that it uses."""
    idle = {"data", "model"} if searched else {"data", "model", "search"}
    if config["schedule"].get("name") != "original":
        idle.add("original_schedule")
    return {key: value for key, value in config.items() if key not in idle}


def _lies_in(module: str, places: Mapping[str, str]) -> bool:
    return not places.keys().isdisjoint(_with_parents(module))


@cache
def _with_parents(module: str) -> frozenset[str]:
    return frozenset(accumulate(module.split("."), "{}.{}".format))


@contextmanager
def _without_collection() -> Iterator[None]:
    """Hold back the garbage collector, which would go through torch's objects again and again while trees are made."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@cache
def _installed() -> Sources:
    return Sources({package: Path(str(files(package))) for package in OUR_PACKAGES})
