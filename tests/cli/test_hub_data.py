"""Data of the hub by name: downloaded once, from a stand-in for the hub, and used without it from then on."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hub_server import NAME, serving
from processes import COMMAND, environment
from stored_cases import write_parquet


def check(tmp_path: Path, name: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """`autolrs data check` by a new interpreter: the hub's library reads its environment when it is imported."""
    own = {"HF_HOME": str(tmp_path / "home"), "AUTOLRS_CACHE_DIR": str(tmp_path / "cache"), "NO_PROXY": "*"}
    command = [
        *COMMAND,
        "data",
        "check",
        "recipe=resnet50",
        "scale=tiny",
        "data=cifar10",
        f"data.name={name}",
    ]
    return subprocess.run(
        command, cwd=tmp_path, env=environment(**own, **changes), capture_output=True, text=True, timeout=300
    )


@pytest.mark.slow
def test_downloaded_once_and_then_used_offline(tmp_path: Path) -> None:
    write_parquet(tmp_path / "hub", image="img", label="label")
    with serving(tmp_path / "hub") as endpoint:
        online = check(tmp_path, NAME, HF_ENDPOINT=endpoint)
        unknown = check(tmp_path, "someone/nothing", HF_ENDPOINT=endpoint)
    assert (online.returncode, online.stderr) == (0, "")
    assert f"{NAME}, 75 images of 3 classes" in online.stdout
    assert unknown.returncode == 2
    assert "doesn't exist on the Hub or cannot be accessed" in unknown.stderr
    gone = check(tmp_path, NAME, HF_ENDPOINT=endpoint)
    told = check(tmp_path, NAME, HF_ENDPOINT=endpoint, HF_HUB_OFFLINE="1")
    for offline in (gone, told):
        assert offline.returncode == 0, offline.stderr
        assert "latest cached version" in offline.stderr, "the library says so"
        assert "decoding images" not in offline.stdout
        assert offline.stdout.splitlines()[-6:] == online.stdout.splitlines()[-6:]
