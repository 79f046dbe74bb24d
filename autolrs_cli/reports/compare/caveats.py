"""What a reader must know before believing a comparison."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from autolrs_cli.contracts import WeightsKind
from autolrs_cli.reports.compare.arms import Arm, searched
from autolrs_cli.reports.compare.outcomes import TargetOutcome
from autolrs_cli.reports.compare.run_record import RunRecord
from autolrs_cli.reports.compare.speedups import FEWEST_FOR_AN_INTERVAL, Speedup
from autolrs_cli.reports.compare.time_to_target import Goal
from autolrs_cli.reports.flags import MEANINGS
from autolrs_cli.wording import counted

MOST_OTHER = 0.05  # of a run's seconds may lie in no bucket of the ledger (method rule 2)
# The events `rolled_back` tell of it, with the LRs.
SAID_OTHERWISE = "searched_again"


def caveats(
    arms: Sequence[Arm],
    goal: Goal,
    speedups: Sequence[Speedup],
    outcomes: Mapping[str, Mapping[int, TargetOutcome]],
) -> list[str]:
    """Return what weakens the speedups themselves; the baseline is the first arm."""
    found = []
    if goal.source == "baseline":
        found.append(
            f"no target was fixed beforehand: {goal} is the median final value of {arms[0].name} on these very seeds. "
            "A claim needs a target from other seeds (target= in the configuration)."
        )
    if goal.source == "command line":
        found.append(f"the target {goal} was given with --target, not fixed in the runs' configuration.")
    if goal.fixed and any(_foreign_target(run) for arm in arms for run in arm.all_runs):
        found.append(f"the target {goal} was calibrated on other data than these: it says little here.")
    found += _better_raw(arms, goal)
    found += _too_short_a_list(arms, outcomes)
    found += [_fitted_to_one_length(arm, arms[0]) for arm in arms if arm.fills and len(arm.lengths) == 1]
    found += [_uneven_lengths(arm) for arm in arms if (arm.decays or arm.fills) and _lengths_differ(arm)]
    few = [f"{s.arm}: {len(s.pairs)}" for s in speedups if len(s.pairs) < FEWEST_FOR_AN_INTERVAL]
    if few:
        found.append(
            f"fewer than {FEWEST_FOR_AN_INTERVAL} common seeds ({', '.join(few)}): no interval, and no claim."
        )
    found += [_unpaired(arm, arms[0]) for arm in arms[1:] if arm.runs.keys() ^ arms[0].runs.keys()]
    return found


def _better_raw(arms: Sequence[Arm], goal: Goal) -> Iterator[str]:
    """Name the schedules that are judged by averaged weights, as their baseline is, and would end better without."""
    unsearched = [arm for arm in arms if not searched(arm.all_runs[0])]
    ends = {arm.name: both for arm in unsearched if (both := _ends(arm, goal.metric))}
    if arms[0].name not in ends:
        return
    sign = 1 if goal.direction == "max" else -1
    better = [
        f"{name} ({goal.metric} {raw:.4g} against {averaged:.4g})"
        for name, (raw, averaged) in ends.items()
        if sign * raw > sign * averaged
    ]
    if better:
        yield (
            f"judged by averaged weights, though raw ones end better, in the median: {', '.join(better)}. Compare with "
            "runs under average=none, too."
        )


def _ends(arm: Arm, metric: str) -> tuple[float, float] | None:
    """Return the median final value of raw and of averaged weights at full length; None: only one is measured."""
    runs = [run for run in arm.at_length(arm.lengths[-1]) if run.done]
    found = [(_end(run, metric, "raw"), _end(run, metric, "averaged")) for run in runs]
    both = [(raw, averaged) for raw, averaged in found if raw is not None and averaged is not None]
    return (median(raw for raw, _ in both), median(averaged for _, averaged in both)) if both else None


def _end(run: RunRecord, metric: str, weights: WeightsKind) -> float | None:
    values = [e.metrics[metric] for e in run.evaluations if e.weights == weights and metric in e.metrics]
    return values[-1] if values else None


def _foreign_target(run: RunRecord) -> bool:
    calibrated_on = (run.config.get("target") or {}).get("data_fingerprint")
    return calibrated_on not in (None, run.started.get("data_fingerprint"))


def doubts(arms: Sequence[Arm]) -> list[str]:
    """Return what is odd about single runs, by arm."""
    return [line for arm in arms for line in _arm_doubts(arm)]


def _arm_doubts(arm: Arm) -> Iterator[str]:
    for flag, meaning in MEANINGS.items():
        places = [(_name(arm, run), _stages(run, flag)) for run in arm.all_runs]
        named = "; ".join(f"{name} stage {stages}" for name, stages in places if stages)
        if named and flag != SAID_OTHERWISE:
            yield f"{arm.name}: {meaning.fact} ({named})."
    diverged = [_name(arm, run) for run in arm.all_runs if run.diverged]
    if diverged:
        yield f"{arm.name}: training diverged to the run's end, which counts as a miss ({'; '.join(diverged)})."
    for run in arm.all_runs:
        if run.rolled_back:
            lrs = ", ".join(f"{record['lr']:.3g}" for record in run.rolled_back)
            yield f"{arm.name}, {_name(arm, run)}: stages diverged in training and were searched again (LR {lrs})."
        changed = [change for event in run.resumed for change in event.get("changed", ())]
        if changed:
            yield f"{arm.name}, {_name(arm, run)}: resumed, not bit for bit ({'; '.join(map(str, changed))})."
        other = _other_share(run)
        if other > MOST_OTHER:
            yield f"{arm.name}, {_name(arm, run)}: {other:.0%} of the seconds lie in no bucket of the ledger."


def _stages(run: RunRecord, flag: str) -> str:
    return ", ".join(str(record.get("stage", 0) + 1) for record in run.chosen if flag in record["flags"])


def _name(arm: Arm, run: RunRecord) -> str:
    return f"seed {run.seed}" if len(arm.lengths) == 1 else f"seed {run.seed} length {run.max_steps}"


def _other_share(run: RunRecord) -> float:
    total = sum(entry["seconds"] for entry in run.ledger.values())
    return run.ledger["other"]["seconds"] / total if total and "other" in run.ledger else 0.0


def _too_short_a_list(
    arms: Sequence[Arm], outcomes: Mapping[str, Mapping[int, TargetOutcome]]
) -> Iterator[str]:
    """Name the decayed arms whose shortest length reaches the target: a still shorter one might, too."""
    for arm in arms:
        shortest = arm.lengths[0]
        reaching = [
            s for s, found in outcomes[arm.name].items() if found.reached and found.length == shortest
        ]
        if arm.decays and reaching:
            bound = "speedups over it are upper" if arm is arms[0] else "its speedups are lower"
            only = "only" if len(arm.lengths) == 1 else "shortest"
            yield (
                f"{arm.name}, which decays over the run, reaches the target at its {only} length of "
                f"{counted(shortest, 'step')} on {len(reaching)} of {counted(len(arm.runs), 'seed')}; a shorter run "
                f"might too, so {bound} bounds. Add shorter lengths (run.max_steps)."
            )


def _fitted_to_one_length(arm: Arm, baseline: Arm) -> str:
    bound = "speedups over it are upper" if arm is baseline else "its speedups are lower"
    return (
        f"{arm.name}: its cycles are fitted to a run of {counted(arm.lengths[0], 'step')}, its only length; "
        f"fitted to a shorter run it might reach the target sooner, so {bound} bounds. Add lengths "
        "(run.max_steps, the period scaled)."
    )


def _lengths_differ(arm: Arm) -> bool:
    return len({tuple(run.max_steps for run in runs) for runs in arm.runs.values()}) > 1


def _uneven_lengths(arm: Arm) -> str:
    having = "; ".join(
        f"seed {s}: {', '.join(str(r.max_steps) for r in runs)}" for s, runs in arm.runs.items()
    )
    return f"{arm.name} was not run at the same lengths on every seed ({having})."


def _unpaired(arm: Arm, baseline: Arm) -> str:
    alone = sorted(arm.runs.keys() - baseline.runs.keys()), sorted(baseline.runs.keys() - arm.runs.keys())
    parts = [
        f"{owner} alone has seed {', '.join(map(str, seeds))}"
        for owner, seeds in zip((arm.name, baseline.name), alone, strict=True)
        if seeds
    ]
    return f"seeds without a partner are left out of the pairs: {'; '.join(parts)}."
