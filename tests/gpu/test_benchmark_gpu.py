"""The benchmark works: here on the CPU, where its figures mean nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from processes import environment

ROOT = Path(__file__).parents[2]
QUICK = ("--device", "cpu", "--scale", "tiny", "--seconds", "0.01", "--rounds", "1")


def rows(*arguments: str) -> list[dict[str, str]]:
    """Return what `benchmark_gpu.py ARGUMENTS` prints, row by row, by the name of the column."""
    command = [sys.executable, str(ROOT / "scripts" / "benchmark_gpu.py"), *arguments, *QUICK]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = [line[2:-2].split(" | ") for line in done.stdout.splitlines() if line.startswith("|")]
    names, _, *values = lines
    return [dict(zip(names, each, strict=True)) for each in values]


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["resnet50", "transformer", "bert"])
def test_it_prints_a_row_for_each_way_of_compiling(recipe: str) -> None:
    compiled = ["default"] if recipe == "bert" else []
    found = rows(recipe, "--compile", "none", *compiled)
    assert [row["compile"] for row in found] == ["none", *compiled]
    for name in (
        "bare ms",
        "engine ms",
        "hand ms",
        "run ms",
        "bare/run",
        "save/copy",
        "restore/copy",
        "startup s",
    ):
        assert float(found[0][name]) > 0
    for name in ("bare ms", "run ms", "bare/engine"):
        assert float(found[-1][name]) > 0


@pytest.mark.slow
def test_another_checkout_is_measured_beside() -> None:
    before, now = rows("resnet50", "--compile", "none", "--against", str(ROOT))
    assert (before["compile"], now["compile"]) == ("before", "none")
    assert float(now["over before"]) > 0
