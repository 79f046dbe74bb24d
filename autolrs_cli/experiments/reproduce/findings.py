"""What the runs of one recipe show: their comparison, its archive, and the claim beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autolrs_cli.errors import ConfigError
from autolrs_cli.experiments.reproduce.arms import AUTOLRS, CLAIMS, DUELS, ORIGINAL, TUNED_RIVALS
from autolrs_cli.experiments.reproduce.grid_runs import kept_limit
from autolrs_cli.experiments.reproduce.request import ReproductionRequest
from autolrs_cli.experiments.reproduce.taken_over import TARGET
from autolrs_cli.experiments.reproduce.target import CalibratedTarget
from autolrs_cli.records.archive import NAME, read_archive, write_archive
from autolrs_cli.records.find_runs import runs_below
from autolrs_cli.reports.claims import ClaimCheck
from autolrs_cli.reports.compare.archived_run import archived
from autolrs_cli.reports.compare.comparison import Comparison, compare
from autolrs_cli.reports.compare.limit import KIND as LIMIT
from autolrs_cli.reports.compare.limit import PracticalLimit
from autolrs_cli.reports.compare.provenance import provenance
from autolrs_cli.reports.compare.run_record import RunRecord
from autolrs_cli.reports.compare.sources import NOTE, Sources
from autolrs_cli.reports.compare.speedups import Speedup, speedup
from autolrs_cli.reports.render.write_report import write_report


def compared(
    found: Mapping[str, Sequence[RunRecord]],
    folder: Path,
    archive: Path,
    limit: PracticalLimit | None,
    lost: Sequence[str],
) -> Comparison:
    """Return the comparison of all arms.

    Args:
        found: title of an arm -> its runs.
        folder: that of the run directories.
        archive: what will hold all of these runs.
        limit: the practical limit, if it was measured.
        lost: what failed, a sentence each.
    """
    runs = [run for own in found.values() for run in own]
    titles = {run.path.absolute(): title for title, own in found.items() for run in own}
    named = _fewest_words(runs, folder, archive)
    return compare(named, baseline=ORIGINAL, sources=Sources(runs, notes=lost), titles=titles, limit=limit)


def _fewest_words(runs: Sequence[RunRecord], folder: Path, archive: Path) -> list[Path]:
    """Return what the report names as what it was made of: the folder of all runs, if these are all that it holds."""
    held = {path.absolute() for path in runs_below(folder)}
    return [folder] if held == {run.path.absolute() for run in runs} else [archive]


def archive_records(
    comparison: Comparison,
    target: CalibratedTarget,
    studies: Sequence[Mapping[str, Any]],
    others: Sequence[Mapping[str, Any]],
) -> list[Mapping[str, Any]]:
    """Return what an archive keeps: enough for every table and figure, and to go on from on another machine.

    Args:
        comparison: of all arms.
        target: what it was about.
        studies: records of the studies.
        others: records of what belongs to no arm.
    """
    limit = [comparison.limit.to_json()] if comparison.limit else []
    runs = [archived(run, arm.name) for arm in comparison.arms for run in arm.all_runs]
    return [{"kind": TARGET, "target": target.to_node()}, *limit, *studies, *runs, *others]


def notes(said: Sequence[str]) -> list[Mapping[str, Any]]:
    """Return sentences as an archive keeps them."""
    return [{"kind": NOTE, "said": each} for each in said]


def rebuilt(request: ReproductionRequest, recipe: str) -> ClaimCheck:
    """Write a recipe's report again from an archive alone, whatever the code and the data are by now; return the claim.

    Raises:
        ConfigError: if there is no archive of it.
    """
    own = request.of(recipe) / "report"
    places = [own] if request.source is None else [request.source / recipe]
    archive = next((place / NAME for place in places if (place / NAME).is_file()), None)
    if archive is None:
        raise ConfigError(
            f"A report is rebuilt from an archive of its runs, but there is no {places[0] / NAME}. Name the folder "
            "that has one for each recipe with --from, or leave --report out."
        )
    limit = kept_limit(request.of(recipe))
    comparison = compare([archive], baseline=ORIGINAL, limit=limit)
    if comparison.limit is not None and comparison.limit == limit:  # measured since
        others = [record for record in read_archive(archive) if record["kind"] not in ("archive", LIMIT)]
        archive = own / NAME
        write_archive(archive, [comparison.limit.to_json(), *others])
    write_report(comparison, own, made_of=archive.read_bytes())
    return claim_check(recipe, comparison)


def found_before(request: ReproductionRequest, recipe: str) -> ClaimCheck | None:
    """Return what was found of a recipe by an earlier command in the same place; None: nothing."""
    archive = request.of(recipe) / "report" / NAME
    if not archive.is_file():
        return None
    limit = kept_limit(request.of(recipe))
    return claim_check(recipe, compare([archive], baseline=ORIGINAL, limit=limit))


def claim_check(recipe: str, comparison: Comparison) -> ClaimCheck:
    """Return what the paper claims of a recipe, beside what was found; arms are known by their titles."""
    found = {each.arm: each for each in comparison.speedups}
    ours = found.pop(AUTOLRS, None)
    tuned = {title: found[title] for title in TUNED_RIVALS if title in found}
    return ClaimCheck(
        recipe,
        CLAIMS.get(recipe),
        ours,
        found,
        {title: _against(comparison, AUTOLRS, title) for title in tuned if ours},
        str(comparison.goal),
        tuple(provenance(comparison)),
        comparison.limit,
        comparison.weights,
        _duels(comparison),
    )


def _duels(comparison: Comparison) -> dict[str, dict[str, Speedup]]:
    """Return each of our searches against what it is to beat, and against itself without one of its parts."""
    titles = comparison.outcomes.keys()
    return {
        ours: {title: _against(comparison, ours, title) for title in others if title in titles}
        for ours, others in DUELS.items()
        if ours in titles and titles & set(others)
    }


def _against(comparison: Comparison, ours: str, other: str) -> Speedup:
    """Return one of our arms against another one, on the seeds of both."""
    return speedup(ours, other, comparison.outcomes[ours], comparison.outcomes[other])
