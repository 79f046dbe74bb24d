"""Which runs may stand in one comparison: everything but the arm must be the same, and every run at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from autolrs_cli.config_keys import batch_settings
from autolrs_cli.records.run_directory import HARMLESS_KEYS, config_id
from autolrs_cli.reports.compare.arms import Arm, optimizer_of
from autolrs_cli.reports.compare.outcomes import Racer
from autolrs_cli.reports.compare.run_record import RunRecord
from autolrs_cli.reports.compare.shared_code import code_as_a_whole, odd_modules
from autolrs_cli.reports.compare.time_to_target import Goal

MOST_NAMED = 6
# On a quiet machine, runs of one arm need the same time for a step, to this factor (ours).
QUIET_SPREAD = 1.25
# What changes results in their last digits, or speed, and must not differ between arms by accident: how messages call
# it, its key, and what it is in runs of versions that did not have it.
_RUNTIME: dict[str, tuple[str, Any]] = {
    "compilation (runtime.compile)": ("compile", "none"),
    "number of processes (runtime.processes)": ("processes", 1),
    "deterministic kernels (runtime.deterministic)": ("deterministic", True),
}


def split_superseded(runs: Sequence[RunRecord]) -> tuple[list[RunRecord], list[str]]:
    """Leave out runs whose very configuration another run has finished; return the rest, and what to say of them.

    A run that failed or was given up is superseded by one that was done again; of two that are done, which then are
    the same experiment twice, the first is kept.
    """
    kept: dict[str, RunRecord] = {}
    notes = []
    for run in runs:
        key = config_id(run.config, HARMLESS_KEYS)
        other = kept.get(key)
        if other is None or (run.done and not other.done):
            kept[key] = run
        if other is not None:
            gone, stays = (run, other) if kept[key] is other else (other, run)
            notes.append(f"left out {gone.path}: {stays.path} is a run of the same configuration and seed.")
    return [run for run in runs if any(run is other for other in kept.values())], notes


def unfinished(runs: Sequence[RunRecord]) -> list[str]:
    """Return one message that names the runs which did not come to an end, or none; to diverge is an end."""
    names = [f"{run.path} ({_how_it_ended(run)})" for run in runs if not (run.done or run.diverged)]
    if not names:
        return []
    return [
        f"Every run must have come to its end, but {_some(names)}. Go on with them (autolrs resume RUN_DIR), or leave "
        "them out."
    ]


def _how_it_ended(run: RunRecord) -> str:
    if run.ended is None:
        return "killed, or still running"
    if run.ended["event"] == "interrupted":
        return f"interrupted at step {run.ended['step']} of {run.max_steps}"
    reason = str(run.ended.get("reason") or "").split(". ")[0]
    return f"failed at step {run.ended['step']}: {reason}"


def differences(runs: Sequence[RunRecord], *, target_matters: bool) -> list[str]:
    """Return one message for each property that the runs should share and do not, naming the runs.

    Args:
        runs: what is to be compared.
        target_matters: whether the runs' own target is used.
    """
    shared: dict[str, Callable[[RunRecord], Any]] = {
        "recipe": lambda run: run.description.get("recipe"),
        "data (by fingerprint)": lambda run: run.started.get("data_fingerprint"),
        "scale": lambda run: run.description.get("scale"),
        "batch": lambda run: batch_settings(run.config),
        "precision": lambda run: run.description.get("precision"),
        **{what: partial(_runtime, key=key, usual=usual) for what, (key, usual) in _RUNTIME.items()},
        "threads (runtime.threads)": lambda run: run.description.get("threads"),
        "evaluation cadence (run.eval_every_steps, run.full_eval_every_steps)": _cadence,
        "code version (the code that can change results)": code_as_a_whole,
    }
    if target_matters:
        shared["target"] = lambda run: _target(run.description.get("target"))
    found = [message for what, value in shared.items() for message in _disagreement(runs, what, value)]
    return [*found, *_other_beginnings(runs), *_other_code(runs)]


def _other_beginnings(runs: Sequence[RunRecord]) -> list[str]:
    """Compare the weights of other runs that runs of one seed start from."""
    return [
        message
        for seed in sorted({run.seed for run in runs})
        for message in _disagreement(
            [run for run in runs if run.seed == seed],
            f"initial weights (run.init_from), by seed (here {seed})",
            lambda run: run.started.get("initial_weights") or "random ones",
        )
    ]


def _other_code(runs: Sequence[RunRecord]) -> list[str]:
    odd = [f"{run.path} has another {_some(modules, ', ', ' and')}" for run, modules in odd_modules(runs)]
    if not odd:
        return []
    return [
        f"Runs that are compared must share the code that both have executed, but {_some(odd)} than most. Leave them "
        "out, or run them again."
    ]


def hardware_notes(runs: Sequence[RunRecord]) -> list[str]:
    """Return a warning for each difference that leaves steps comparable but not seconds, or not the last digits."""
    found = []
    places = {run.hardware for run in runs}
    if len(places) > 1:
        found.append(
            f"runs were made on different hardware ({'; '.join(sorted(places))}): compare steps, not seconds."
        )
    spread = _seconds_spread(runs)
    if spread > QUIET_SPREAD:
        found.append(
            f"a step took up to {spread:.1f} times as long in one run as in another of its arm: the machine was not "
            "quiet. Compare steps, not seconds."
        )
    if len({tuple(sorted(r.started.get("versions", {}).items())) for r in runs}) > 1:
        found.append("runs were made with different library versions (see the provenance in the report).")
    return found


def _seconds_spread(runs: Sequence[RunRecord]) -> float:
    """Return the largest ratio, among runs that take the same steps, of the seconds that a training step took."""
    paces: dict[tuple[str, str, str], list[float]] = {}
    for run in runs:
        spent = run.ledger.get("training")
        if spent and spent["steps"] and spent["seconds"]:
            average = (run.config.get("average") or {}).get("name")
            key = (str(run.config["schedule"].get("name")), str(average), optimizer_of(run))
            paces.setdefault(key, []).append(spent["seconds"] / spent["steps"])
    return max((max(own) / min(own) for own in paces.values()), default=1.0)


def twins(arms: Sequence[Arm]) -> list[str]:
    """Return a message for each arm with two runs of one seed and length: which of them counts would be a choice."""
    found = []
    for arm in arms:
        places = Counter((run.seed, run.max_steps) for run in arm.all_runs)
        doubled = [str(r.path) for r in arm.all_runs if places[r.seed, r.max_steps] > 1]
        if doubled:
            found.append(
                f"An arm must have one run for each seed and length, but {arm.name} has several: {_some(doubled)}. "
                "Leave out all but one."
            )
    return found


def stopped_short(racers: Sequence[Racer], goal: Goal) -> list[str]:
    """Return a message that names the runs whose end, at a target of their own, hides what is asked here; or none."""
    short = [
        str(run.path)
        for racer in racers
        for run, curve in racer.runs
        if run.stopped_at_target and (racer.decays or curve.reached_at(goal.value) is None)
    ]
    if not short:
        return []
    return [
        f"A run must go on until it reaches {goal}, and to its planned end if its LR decays, but these stopped before, "
        f"at their own target (run.stop_at_target): {_some(short)}. Leave them out, or train them to the end."
    ]


def _runtime(run: RunRecord, *, key: str, usual: Any) -> Any:
    return (run.config.get("runtime") or {}).get(key, usual)


def _cadence(run: RunRecord) -> Any:
    settings = run.config["run"]
    return settings.get("eval_every_steps"), settings.get("full_eval_every_steps")


def _target(target: Any) -> str:
    return "none" if not target else f"{target['metric']} {target['value']:g}"


def _disagreement(runs: Sequence[RunRecord], what: str, value: Callable[[RunRecord], Any]) -> list[str]:
    values = {id(run): _words(value(run)) for run in runs}
    counts = Counter(values.values())
    if len(counts) < 2:
        return []
    usual = counts.most_common(1)[0][0]
    odd = [f"{run.path} has {values[id(run)]}" for run in runs if values[id(run)] != usual]
    return [
        f"Runs that are compared must share their {what}, which is {usual} for most, but {_some(odd)}. Leave them out."
    ]


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k}={v}" for k, v in value.items()) or "unknown"
    return "/".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _some(names: Sequence[str], separator: str = "; ", last: str = "; and") -> str:
    rest = len(names) - MOST_NAMED
    return separator.join(names[:MOST_NAMED]) + (f"{last} {rest} more" if rest > 0 else "")
