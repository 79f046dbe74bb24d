"""Modules in the current folder are not taken for Python's, torch's or ours by the processes of an experiment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from processes import USER, environment

from autolrs_cli.experiments import own_process

SHORT = ("--config-dir", str(USER), "recipe=toy", "schedule=constant", "run.max_steps=20")


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A folder with modules of the names of others, and another autolrs_cli; importing any leaves a mark."""
    spring = "from pathlib import Path\nPath(__file__).with_suffix('.sprung').touch()\nraise SystemExit(3)\n"
    (tmp_path / "autolrs_cli").mkdir()
    for name in ("random", "torch", "socket", "autolrs_cli/__init__"):
        (tmp_path / f"{name}.py").write_text(spring)
    return tmp_path


def sprung(trap: Path) -> list[str]:
    return [path.name for path in trap.rglob("*.sprung")]


def test_a_sweep_runs_where_modules_have_the_names_of_others(trap: Path) -> None:
    launcher = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")  # starts workers of its own
    # With -P, as the installed entry point has it: what it starts is looked at, and all of that is started anew.
    command = (
        sys.executable,
        "-P",
        "-m",
        "autolrs_cli",
        "sweep",
        *SHORT,
        *launcher,
        "--dir",
        "s",
        "--no-compare",
    )
    done = subprocess.run(command, cwd=trap, env=environment(), capture_output=True, text=True)
    assert (done.returncode, done.stderr, sprung(trap)) == (0, "", []), done.stdout
    (summary,) = (trap / "s").rglob("summary.json")
    assert json.loads(summary.read_text())["status"] == "done"


def test_a_process_of_ours_and_its_own_find_the_code_that_started_them(trap: Path) -> None:
    start = (
        "import subprocess, sys\n"
        "sys.exit(subprocess.run([sys.executable, '-m', 'autolrs_cli', '--version']).returncode)"
    )
    for command in (own_process.python_module("autolrs_cli", "--version"), [sys.executable, "-c", start]):
        done = subprocess.run(
            command, cwd=trap, env=own_process.environment(), capture_output=True, text=True
        )
        assert (done.returncode, done.stderr, sprung(trap)) == (0, "", [])


def test_python_m_in_a_source_tree_hands_that_tree_on(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    source = Path(own_process.__file__).parents[2] / "autolrs_cli"
    (tree / "autolrs_cli").symlink_to(source)
    code = "from autolrs_cli.experiments.own_process import environment; print(environment()['PYTHONPATH'])"
    (tree / "show.py").write_text(code)
    # The package lies here and nowhere else on the path, as in a clone that was never installed.
    elsewhere = [
        each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if Path(each) != source.parent
    ]
    done = subprocess.run(
        [sys.executable, "-m", "show"],
        cwd=tree,
        env=environment(PYTHONPATH=os.pathsep.join(elsewhere)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().split(os.pathsep) == [str(tree), *filter(None, elsewhere)]
