"""Group runs into arms: what differs in their configurations, apart from seed and length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from autolrs_cli.config_keys import flat, lies_below
from autolrs_cli.records.run_directory import HARMLESS_KEYS
from autolrs_cli.reports.compare.run_record import RunRecord
from autolrs_cli.schedules.lengths import recorded_run_length, schedule_key

Identity = dict[str, Any]
# What `comparable` looks at is not part of an arm, nor is where the data lie (their fingerprint is compared); the run
# that a replay repeats differs from seed to seed.
COMPARED = ("scale", "target", "run", "runtime", "data.root", "recipe.data.root")
NOT_AN_ARM = (*HARMLESS_KEYS, *COMPARED, "seed", "schedule.run")


@dataclass(frozen=True)
class Arm:
    """One way to train, over seeds and, where its schedule decays, over lengths."""

    name: str
    decays: bool
    """Whether each length is a run of its own, which counts to its end: the LR decays over it."""
    fills: bool
    """Whether its cycles are fitted to the run, so that it too may have several lengths."""
    runs: Mapping[int, tuple[RunRecord, ...]]
    """Seed -> runs by length, shortest first; one run where the schedule neither decays nor fills the run."""

    @property
    def lengths(self) -> tuple[int, ...]:
        """Every length (kept steps) that some seed has."""
        return tuple(sorted({run.max_steps for run in self.all_runs}))

    @property
    def all_runs(self) -> tuple[RunRecord, ...]:
        """The runs of all seeds and lengths."""
        return tuple(chain.from_iterable(self.runs.values()))

    def at_length(self, steps: int) -> list[RunRecord]:
        """Return each seed's run of the length nearest to `steps`, by seed."""
        return [
            min(runs, key=lambda run: abs(run.max_steps - steps)) for _, runs in sorted(self.runs.items())
        ]


def group(runs: Sequence[RunRecord]) -> list[Arm]:
    """Return the arms of `runs`, each with a short name of its own, sorted by name."""
    identities: list[Identity] = []
    members: list[list[RunRecord]] = []
    for run in runs:
        identity = identify(run)
        if identity not in identities:
            identities.append(identity)
            members.append([])
        members[identities.index(identity)].append(run)
    optimizers = [optimizer_of(own[0]) for own in members]
    arms = [
        Arm(name, length.decays, length.cycles is not None, _by_seed(own))
        for name, own in zip(_names(identities, optimizers), members, strict=True)
        for length in [recorded_run_length(own[0].started)]
    ]
    return sorted(arms, key=lambda arm: arm.name)


def _by_seed(runs: Sequence[RunRecord]) -> dict[int, tuple[RunRecord, ...]]:
    ordered = sorted(runs, key=lambda run: (run.seed, run.max_steps))
    return {
        seed: tuple(run for run in ordered if run.seed == seed)
        for seed in dict.fromkeys(r.seed for r in ordered)
    }


def identify(run: RunRecord) -> Identity:
    """Return the settings that make a run's arm: dotted key -> value."""
    config = run.config
    left_out = [*NOT_AN_ARM]
    if config["schedule"].get("name") != "original":
        left_out.append("original_schedule")
    if not searched(run):
        left_out.append("search")
    identity = {
        key: value
        for key, value in flat(config).items()
        if not lies_below(key, left_out) and not key.endswith(".max_steps")
    }
    length, section = recorded_run_length(run.started), schedule_key(config)
    if length.decays:
        return identity
    if length.cycles is not None:
        identity.pop(f"{section}.{length.cycles.key}", None)
        return {**identity, f"{section}.cycles": length.cycles.cycles}
    # A schedule without an end trains a shorter run as the beginning of a longer one: not a length of its own.
    return {**identity, "run.max_steps": run.max_steps}


def searched(run: RunRecord) -> bool:
    """Return whether the run spent steps on choosing its LRs."""
    return bool(run.started.get("plan", {}).get("search_steps"))


def optimizer_of(run: RunRecord) -> str:
    """Return what a person calls the run's optimizer; earlier versions recorded only what it is built with."""
    node = run.config.get("optimizer") or {}
    return str(node.get("name") or str(node.get("_target_", "?")).rpartition(".")[2])


def _names(identities: Sequence[Identity], optimizers: Sequence[str]) -> list[str]:
    """Name each arm by its schedule, its averaging and its search; where that is not enough, by what differs.

    If they have several optimizers, each says its own.
    """
    several = len(set(optimizers)) > 1
    short = [
        f"{_short(identity)} optimizer={optimizer}" if several else _short(identity)
        for identity, optimizer in zip(identities, optimizers, strict=True)
    ]
    names = list(short)
    for name in dict.fromkeys(short):
        clashing = [i for i, other in enumerate(short) if other == name]
        keys = _telling_keys([identities[i] for i in clashing])
        for i in clashing:
            given = (f"{key}={_value(identities[i].get(key))}" for key in keys)
            names[i] = " ".join([name, *given])
    return names


def _short(identity: Identity) -> str:
    name = str(identity.get("schedule.name", "?"))
    average = str(identity.get("average.name", "none"))
    search = identity.get("search.name")  # of searched arms only
    name = name if average == "none" else f"{name} + {average}"
    return name if search is None else f"{name} search={search}"


def _telling_keys(identities: Sequence[Identity]) -> list[str]:
    """Return few keys whose values tell the identities apart; names of groups and the schedule's own keys first."""
    every = dict.fromkeys(chain.from_iterable(identities))
    differing = [key for key in every if len({repr(i.get(key)) for i in identities}) > 1]
    differing.sort(
        key=lambda key: (not key.endswith(".name"), not key.startswith("schedule."), "_target_" in key)
    )
    chosen: list[str] = []
    for key in differing:
        if _distinct(identities, [*chosen, key]) > _distinct(identities, chosen):
            chosen.append(key)
    return chosen


def _distinct(identities: Sequence[Identity], keys: Sequence[str]) -> int:
    return len({tuple(repr(identity.get(key)) for key in keys) for identity in identities})


def _value(value: Any) -> str:
    return (
        "null"
        if value is None
        else f"{value:.6g}"
        if isinstance(value, float)
        else str(value).replace(" ", "")
    )
