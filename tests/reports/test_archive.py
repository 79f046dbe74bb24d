"""Archives of runs: small, the same each time, and as good as the run directories for tables."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import orjson
import pytest
from made_runs import make_run

from autolrs_cli.errors import ConfigError
from autolrs_cli.records.archive import read_archive, write_archive
from autolrs_cli.reports.compare.archived_run import MOST_POINTS, archived, read_archived_runs
from autolrs_cli.reports.compare.comparison import Comparison, compare
from autolrs_cli.reports.compare.limit import PracticalLimit
from autolrs_cli.reports.compare.provenance import provenance
from autolrs_cli.reports.compare.run_record import read_run
from autolrs_cli.reports.render.tables import arm_table, as_csv, seed_table, speedup_table

SECOND, THIRD, NEVER = [0.5, 0.9, 0.9, 0.9], [0.5, 0.6, 0.9, 0.9], [0.5, 0.6, 0.7, 0.8]
CHOSEN = [{"lr": 0.3, "flags": ["upper_edge"], "steps": 40}]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made") / "runs"
    for seed in range(5):
        make_run(root, "original", seed, THIRD)
        make_run(root, "original", seed, [*NEVER, 0.1234567890123456])
        run = make_run(root, "autolrs", seed, NEVER if seed == 4 else SECOND, chosen=CHOSEN)
        (run / "schedule.csv").write_text("stage,first_step,steps,lr\n1,0,40,0.30000000000000004\n")
    for seed in range(3):
        make_run(root, "constant", seed, [None, None, 0.2, 0.9], averaged=SECOND)
    return root


def archive_of(comparison: Comparison, path: Path) -> Path:
    write_archive(path, (archived(run, arm.name) for arm in comparison.arms for run in arm.all_runs))
    return path


def test_tables_from_an_archive_are_those_from_the_run_directories(runs: Path, tmp_path: Path) -> None:
    here = compare([runs])
    there = compare([archive_of(here, tmp_path / "records.jsonl.gz")], baseline="original")
    assert as_csv(there) == as_csv(here)
    for table in (arm_table, speedup_table, seed_table):
        assert table(there) == table(here)
    assert there.warnings == here.warnings
    assert any(
        line.startswith("from archives, made on ") and "18 of 18 runs" in line for line in provenance(there)
    )


def test_every_evaluation_is_kept_to_the_last_digit_and_what_is_only_drawn_is_thinned(
    runs: Path, tmp_path: Path
) -> None:
    path = make_run(tmp_path, "constant", 7, [i / 997 for i in range(997)], every=1)
    run = read_run(path)
    (tmp_path / "a.gz").parent.mkdir(exist_ok=True)
    write_archive(tmp_path / "a.gz", [archived(run, "an arm")])
    (back,) = read_archived_runs(tmp_path / "a.gz")
    assert back.evaluations == run.evaluations
    assert (back.started, back.chosen, back.ended, back.path) == (
        run.started,
        run.chosen,
        run.ended,
        run.path,
    )
    assert len(back.points.step) == MOST_POINTS
    assert (back.points.step[0], back.points.step[-1]) == (run.points.step[0], run.points.step[-1])
    drawn = np.interp(run.points.step, back.points.step, back.points.loss)
    assert np.abs(drawn[10:] - run.points.loss[10:]).max() < 0.01
    assert back.origin is not None
    assert back.origin.title == "an arm"
    assert len(back.origin.journal_sha256) == 64


def test_the_lrs_of_a_search_are_kept_so_that_they_can_be_replayed(runs: Path, tmp_path: Path) -> None:
    back = read_archived_runs(archive_of(compare([runs]), tmp_path / "a.gz"))
    spans = {run.origin.spans for run in back if run.origin and run.chosen}
    assert spans == {(("1", 0, 40, 0.30000000000000004),)}
    assert {run.origin.spans for run in back if run.origin and not run.chosen} == {()}


def test_a_missing_loss_stays_missing(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path, "constant", 0, [None, 0.5]))
    write_archive(tmp_path / "a.gz", [archived(run, "")])
    (back,) = read_archived_runs(tmp_path / "a.gz")
    assert back.evaluations[0].metrics == {"accuracy": None, "loss": None}


def test_the_same_runs_make_the_same_file_and_an_archive_of_an_archive_is_itself(
    runs: Path, tmp_path: Path
) -> None:
    comparison = compare([runs])
    one = archive_of(comparison, tmp_path / "one.gz").read_bytes()
    assert archive_of(comparison, tmp_path / "two.gz").read_bytes() == one
    again = compare([tmp_path / "one.gz"], baseline="original")
    assert archive_of(again, tmp_path / "three.gz").read_bytes() == one


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"no gzip at all",
        gzip.compress(b"", mtime=0),
        gzip.compress(b"{}\n", mtime=0),
        gzip.compress(b'{"kind":"archive","schema_version":99}\n', mtime=0),
        gzip.compress(b'{"kind":"archive","schema_version":1}\n{"kind":"run"}\n', mtime=0),
        gzip.compress(b'{"kind":"archive","schema_version":1}\n{"started":{}}\n', mtime=0),
        gzip.compress(b'{"kind":"archive","schema_version":1}\n', mtime=0)[:-9],
    ],
    ids=("empty", "no gzip", "nothing in it", "no kind", "other version", "bare run", "no run", "cut off"),
)
def test_a_damaged_archive_is_refused_in_words(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "records.jsonl.gz"
    path.write_bytes(damage)
    with pytest.raises(ConfigError, match=r"records\.jsonl\.gz"):
        compare([path])


def test_what_unfolds_to_more_than_any_archive_holds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autolrs_cli.records.archive.MOST_BYTES", 1000)
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"{" + b" " * 2000 + b"}"))
    with pytest.raises(ConfigError, match="unfolds to more than"):
        read_archive(tmp_path / "a.gz")


LIMIT = PracticalLimit(
    "accuracy", 0.9, "da7a", "wsd (average=none)", 0.2, 2.0, 20.0, 20, 3000, 50, 999, "a grid"
)


def test_an_archive_brings_its_practical_limit_along_for_its_own_target_alone(
    runs: Path, tmp_path: Path
) -> None:
    comparison = compare([runs])
    records = [archived(run, arm.name) for arm in comparison.arms for run in arm.all_runs]
    write_archive(tmp_path / "a.gz", [LIMIT.to_json(), *records])
    found = compare([tmp_path / "a.gz"], baseline="original")
    assert found.limit == LIMIT
    place = arm_table(found)[0].index("times the practical limit: steps, all steps")
    assert {line[0]: line[place] for line in arm_table(found)[1:]} == {
        "original": "2.00x, 2.00x",
        "autolrs search=paper": "1.00x, 2.00x",
        "constant + ema": "1.00x, 1.00x",
    }
    assert compare([tmp_path / "a.gz"], baseline="original", target=0.8).limit is None


@pytest.mark.parametrize("change", [{"steps": 0}, {"steps": "many"}, {"peak_lr": None}])
def test_a_damaged_limit_is_refused_in_words(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="--hindsight"):
        PracticalLimit.from_json({**LIMIT.to_json(), **change})
    assert PracticalLimit.from_json(orjson.loads(orjson.dumps(LIMIT.to_json()))) == LIMIT
