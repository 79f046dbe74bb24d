"""The packages import each other in one direction only, and help costs no heavy import."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from processes import autolrs, environment

from autolrs_cli.app import app

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "torchvision", "hydra", "omegaconf", "botorch", "gpytorch", "scipy", "sklearn", "numpy"}
HELP_THEN_MODULES = """
import atexit, json, sys
atexit.register(lambda: sys.stderr.write(json.dumps(sorted({name.partition('.')[0] for name in sys.modules}))))
sys.argv = ['autolrs', *sys.argv[1:]]
from autolrs_cli.app import main
main()
"""


def test_imports_go_down_only() -> None:
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command; lint_imports_command()",
    ]
    checked = subprocess.run(
        [*command, "--no-cache"], cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "0 broken" in checked.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["train", "-h"], ["--version"]])
def test_help_imports_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    helped = subprocess.run(
        [sys.executable, "-c", HELP_THEN_MODULES, *arguments],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert helped.returncode == 0, helped.stderr
    assert helped.stdout.strip()
    assert not HEAVY & set(json.loads(helped.stderr))
    assert list(tmp_path.iterdir()) == []


def test_what_only_starts_jobs_imports_no_torch(tmp_path: Path) -> None:
    """A launcher may start a process of its own for each job, on top of the job's."""
    code = "import sys, autolrs_cli.experiments.launchers.hydra_process; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment()).returncode == 0


def test_help_says_what_there_is(tmp_path: Path) -> None:
    top = autolrs("--help", cwd=tmp_path).stdout
    for command in app.registered_commands:
        assert command.callback is not None
        assert f" {command.name or command.callback.__name__} " in top
    assert "autolrs train recipe=resnet50" in top
    train = " ".join(autolrs("train", "--help", cwd=tmp_path).stdout.replace("│", " ").split())
    for needed in (
        "autolrs train recipe=transformer schedule=original",
        "data=image_folder data.root=PATH",
        "search=lean|paper|code|last_losses",
        "scale=tiny|demo|bench|gpu|paper",
        "Exit codes: 0 done; 1 failed while running; 2 usage or configuration; 130, 143 interrupted; 75 stopped",
    ):
        assert needed in train
