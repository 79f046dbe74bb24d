"""The built wheel is whole, and works from a folder that has `configs/` and `recipes/` of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from processes import environment

ROOT = Path(__file__).parents[1]
SOURCES = ("autolrs_cli", "recipes", "configs", "pyproject.toml", "setup.py", "README.md", "LICENSE")
PACKAGES = {"autolrs_cli": "autolrs_cli", "recipes": "autolrs_recipes", "configs": "autolrs_configs"}
WHERE = """
import autolrs_cli.app, autolrs_configs, autolrs_recipes, autolrs_recipes.resnet50
print(autolrs_cli.app.__file__, autolrs_configs.__file__, autolrs_recipes.__file__, autolrs_recipes.resnet50.__file__)
"""


def run(*command: str, cwd: Path, **changes: str) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env=environment(**changes),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the sources, so that nothing is left beside them."""
    tree = tmp_path_factory.mktemp("tree")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tree)
    run("-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", "dist", ".", cwd=tree)
    (built,) = (tree / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    run("-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(wheel), cwd=target)
    return target


@pytest.fixture
def decoys(tmp_path: Path) -> Path:
    """A folder in which `configs` and `recipes` are someone else's, and break whoever takes them for ours."""
    for name in ("configs", "recipes"):
        (tmp_path / name / "recipe").mkdir(parents=True)
        (tmp_path / name / "__init__.py").write_text("raise ImportError('a decoy was imported')\n")
        (tmp_path / name / "resnet50.py").write_text("raise ImportError('a decoy was imported')\n")
        (tmp_path / name / "train.yaml").write_text("decoy: true\n")
        (tmp_path / name / "recipe" / "resnet50.yaml").write_text("decoy: true\n")
    return tmp_path


def test_the_wheel_holds_our_packages_and_no_other(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES.values())


@pytest.mark.parametrize("folder", PACKAGES)
def test_the_wheel_holds_every_file_of_ours(wheel: Path, folder: str) -> None:
    packed = set(zipfile.ZipFile(wheel).namelist())
    ours = [
        path.relative_to(ROOT / folder).as_posix()
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".yaml") or path.name == "py.typed"
    ]
    assert ours
    assert {f"{PACKAGES[folder]}/{name}" for name in ours} - packed == set()


def test_the_wheel_works_beside_folders_of_the_same_names(installed: Path, decoys: Path) -> None:
    # PYTHONPATH comes before site-packages, so the editable installation of this repository is not what is found.
    here = {"PYTHONPATH": str(installed)}
    found = run("-c", WHERE, cwd=decoys, **here).split()
    assert len(found) == 4
    assert all(Path(file).is_relative_to(installed) for file in found), found
    for command in (["-m", "autolrs_cli"], [str(installed / "bin" / "autolrs")]):
        config = run(*command, "train", "recipe=resnet50", "--cfg", "job", cwd=decoys, **here)
        assert "_target_: autolrs_recipes.resnet50.ResNet50" in config
        assert "decoy" not in config
