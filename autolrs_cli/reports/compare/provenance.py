"""Where a comparison comes from: what is needed to make its figures again."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence

from autolrs_cli.reports.compare.comparison import Comparison
from autolrs_cli.reports.compare.run_record import RunRecord


def provenance(comparison: Comparison) -> list[str]:
    """Return what is needed to make the figures again: command, target, seeds, data, versions, hardware."""
    runs = comparison.runs
    seeds = sorted({run.seed for run in runs})
    first = runs[0]
    target = first.config.get("target") or {}
    origin = "; ".join(
        f"{key}: {target[key]}" for key in ("command", "source", "seeds", "margin") if target.get(key)
    )
    devices = sorted({run.hardware for run in runs})
    versions = sorted({f"{k} {v}" for run in runs for k, v in run.started.get("versions", {}).items()})
    return [
        f"rebuilt by: {command(comparison)}",
        f"target: {comparison.goal} (from {comparison.goal.source}{f'; {origin}' if origin else ''})",
        f"seeds: {', '.join(map(str, seeds))}",
        f"recipe: {first.description.get('recipe')}, scale={first.description.get('scale')}; "
        f"model: {first.description.get('model')}",
        f"data: {first.description.get('data')}; fingerprint {first.started.get('data_fingerprint')}",
        *(f"tuning of {arm}: {cost.words}" for arm, cost in comparison.tuning.items()),
        f"hardware: {'; '.join(devices)}; precision {first.description.get('precision')}",
        f"code: {', '.join(sorted({str(run.started.get('code_version')) for run in runs}))}",
        f"versions: {', '.join(versions)}",
        *_made_elsewhere(runs),
        *([str(comparison.limit)] if comparison.limit else []),
    ]


def _made_elsewhere(runs: Sequence[RunRecord]) -> list[str]:
    """Say which runs are not here, but in an archive of what another machine made."""
    machines = Counter(run.origin.machine for run in runs if run.origin)
    return [
        f"from archives, made on {machine}: {count} of {len(runs)} runs"
        for machine, count in sorted(machines.items())
    ]


def command(comparison: Comparison) -> str:
    """Return the command that makes this comparison again."""
    request = comparison.request
    words_ = ["autolrs", "compare", *map(str, request.run_dirs)]
    if request.baseline is not None:
        words_ += ["--baseline", request.baseline]
    if request.target is not None:
        words_ += ["--target", repr(request.target)]
    return shlex.join([*words_, *(["--force"] if request.force else []), "--out", "DIR"])
