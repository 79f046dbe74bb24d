"""Golden losses of the toy recipe: a change that should not alter results reproduces them.

Float64 throughout, and no surrogate (all trials are drawn), so that another machine's linear algebra differs only
in the last bits: hence a tolerance of 1e-9 instead of none. Only the initial weights are drawn in float32, and kernels
that do not fuse multiplication and addition round them otherwise: there the tolerance is 1e-5. After a change that is
meant to alter results: `python scripts/update_golden.py`, and say why in the commit.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from harness import GOLDEN_OVERRIDES, golden_losses

GOLDEN = Path(__file__).parent.parent / "golden"
FUSED = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")


@pytest.mark.parametrize("schedule", GOLDEN_OVERRIDES)
def test_losses_are_the_golden_ones(tmp_path: Path, schedule: str) -> None:
    golden = json.loads((GOLDEN / f"{schedule}.json").read_text())
    assert golden_losses(tmp_path, schedule) == pytest.approx(golden, rel=1e-9 if FUSED else 1e-5)


def test_there_is_a_golden_file_for_every_schedule() -> None:
    schedules = {path.stem for path in (Path(__file__).parents[2] / "configs" / "schedule").glob("*.yaml")}
    schedules.remove("replay")  # has no losses of its own: test_replay.py
    assert schedules == set(GOLDEN_OVERRIDES) == {path.stem for path in GOLDEN.glob("*.json")}
