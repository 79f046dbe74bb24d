"""Which code counts for a run: what it can have executed, and nothing that leaves its results alone."""

from __future__ import annotations

import ast
import re
import shutil
import sys
from collections.abc import Callable
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from harness import composed, toy

from autolrs_cli.runner.code_version import CodeVersion, code_version
from autolrs_cli.runner.code_version.executed import NEVER, OUR_PACKAGES, SEARCH, START
from autolrs_cli.runner.code_version.source import Source
from autolrs_cli.runner.code_version.sources import Sources
from autolrs_cli.search import preload

Modules = Callable[..., dict[str, str]]
ARMS = {
    "searched": ("recipe=resnet50", "schedule=autolrs"),
    "constant": ("recipe=resnet50", "schedule=constant"),
    "cosine": ("recipe=resnet50", "schedule=cosine"),
    "original": ("recipe=resnet50", "schedule=original"),
    "translation": ("recipe=transformer", "schedule=constant"),
    "pretraining": ("recipe=bert", "schedule=constant"),
    "a person's own": ("recipe=toy", "schedule=constant"),
}


@pytest.fixture(scope="module")
def configs() -> dict[str, dict[str, Any]]:
    return {name: composed(*overrides) for name, overrides in ARMS.items()}


def add_a_constant(text: str) -> str:
    return f"{text}\nnew_constant = 1\n"


class Tree:
    """A copy of our packages that can be edited, and what its code versions are."""

    def __init__(self, root: Path, configs: dict[str, dict[str, Any]]) -> None:
        self.packages = {name: root / name for name in OUR_PACKAGES}
        for name, folder in self.packages.items():
            shutil.copytree(str(files(name)), folder, ignore=shutil.ignore_patterns("__pycache__"))
        self.configs = configs
        self.read: dict[Path, Source] = {}
        self.unedited = self.versions()

    def version(self, arm: str) -> CodeVersion:
        return code_version(self.configs[arm], Sources(self.packages, read=self.read))

    def versions(self) -> dict[str, CodeVersion]:
        return {arm: self.version(arm) for arm in self.configs}

    def file(self, module: str) -> Path:
        top, *inner = module.split(".")
        base = self.packages[top].joinpath(*inner)
        return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")

    def moved_by(self, module: str, edit: Callable[[str], str] = add_a_constant) -> set[str]:
        """Return the arms whose version is another while a module is edited."""
        path = self.file(module)
        text = path.read_text()
        assert edit(text) != text
        try:
            path.write_text(edit(text))
            self.read.pop(path, None)
            return {
                arm for arm, version in self.versions().items() if version.total != self.unedited[arm].total
            }
        finally:
            path.write_text(text)
            self.read.pop(path, None)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory, configs: dict[str, dict[str, Any]]) -> Tree:
    return Tree(tmp_path_factory.mktemp("copy"), configs)


def test_a_copy_of_the_sources_elsewhere_has_the_same_version(tree: Tree) -> None:
    for arm, config in tree.configs.items():
        assert tree.version(arm) == code_version(config)


def test_no_path_is_part_of_it(tree: Tree) -> None:
    for version in tree.unedited.values():
        assert all(re.fullmatch(r"[\w.]+", module) for module in version.modules)


def test_comments_and_layout_of_every_file_leave_all_alone(
    tmp_path: Path, configs: dict[str, dict[str, Any]]
) -> None:
    tree = Tree(tmp_path, configs)
    tree.read.clear()
    for folder in tree.packages.values():
        for path in folder.rglob("*.py"):
            path.write_text("# rewritten\n" + ast.unparse(ast.parse(path.read_text())))
    assert tree.versions() == tree.unedited


def test_a_docstring_leaves_all_alone(tree: Tree) -> None:
    for module in ("autolrs_cli.training.engine", "autolrs_cli.contracts", "autolrs_cli.seeding"):
        assert not tree.moved_by(module, lambda text: text.replace('"""', '"""Now: ', 1))


@pytest.mark.parametrize(
    "edit",
    [
        add_a_constant,
        lambda text: text.replace("class Engine", "class Motor"),
    ],
    ids=["a constant", "a name"],
)
def test_what_the_loop_does_moves_all(tree: Tree, edit: Callable[[str], str]) -> None:
    assert tree.moved_by("autolrs_cli.training.engine", edit) == set(ARMS)


@pytest.mark.parametrize(
    "module", [START, "autolrs_cli.contracts", "autolrs_cli.seeding", "autolrs_cli.training.algorithm"]
)
def test_what_all_runs_execute_moves_all(tree: Tree, module: str) -> None:
    assert tree.moved_by(module) == set(ARMS)


@pytest.mark.parametrize("module", ["autolrs_cli.search.gp", "autolrs_cli.search", *SEARCH])
def test_a_changed_search_moves_searched_runs_alone(tree: Tree, module: str) -> None:
    assert tree.moved_by(module) == {"searched"}


@pytest.mark.parametrize("module", NEVER)
def test_what_cannot_change_results_leaves_all_alone(tree: Tree, module: str) -> None:
    assert not tree.moved_by(module)


def test_files_inside_a_package_that_never_counts_leave_all_alone(tree: Tree) -> None:
    assert not tree.moved_by("autolrs_cli.dashboard.render")
    assert not tree.moved_by("autolrs_cli.records.journal")


@pytest.mark.parametrize(
    ("module", "moved"),
    [
        ("autolrs_cli.schedules.decaying", {"cosine"}),
        ("autolrs_cli.schedules.cyclic", set()),
        ("autolrs_recipes.resnet50", {"searched", "constant", "cosine", "original"}),
        ("autolrs_recipes.data.images.digits", {"searched", "constant", "cosine", "original"}),
        ("autolrs_recipes.data.images.image_folder", set()),
        ("autolrs_recipes.models.thin_resnet", set()),
        ("autolrs_recipes.data.translation.streams", {"translation"}),
        ("autolrs_recipes.data.translation.phrases.frames", {"translation"}),
        ("autolrs_recipes.models.marian", {"translation"}),
        ("autolrs_recipes.data.pretraining.masking", {"pretraining"}),
    ],
)
def test_a_schedule_counts_for_its_own_arms_and_a_recipes_files_for_that_recipe(
    tree: Tree, module: str, moved: set[str]
) -> None:
    assert tree.moved_by(module) == moved


class TestPackagesThatHandOnNames:
    def test_another_name_leaves_all_alone(self, tree: Tree) -> None:
        another = tree.file("autolrs_cli.schedules.basic").with_name("triangular.py")
        another.write_text("class Triangular: pass")
        assert not tree.moved_by(
            "autolrs_cli.schedules",
            lambda text: text.replace(
                "\n__all__ = [",
                "from autolrs_cli.schedules.triangular import Triangular\n\n__all__ = [\n    'Triangular',",
            ),
        )

    def test_a_name_that_now_leads_elsewhere_moves_who_uses_it(self, tree: Tree) -> None:
        assert tree.moved_by(
            "autolrs_cli.schedules",
            lambda text: text.replace("import Constant,", "import WarmupStepDecay as Constant,"),
        ) >= {"constant", "translation", "a person's own"}

    def test_what_it_does_itself_moves_who_uses_it(self, tree: Tree) -> None:
        assert tree.moved_by("autolrs_cli.schedules") == set(ARMS)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a person's own modules: a schedule, what it imports, and what it does not."""
    folder = tmp_path / "own"
    (folder / "own_parts").mkdir(parents=True)
    (folder / "own_schedule.py").write_text("from own_helper import half\nclass Own:\n    pass\n")
    (folder / "own_helper.py").write_text(
        "def half(x):\n    from own_parts import whole\n    return whole(x) / 2\n"
    )
    (folder / "own_parts" / "__init__.py").write_text("from .inner import whole\n")
    (folder / "own_parts" / "inner.py").write_text("def whole(x):\n    return x\n")
    (folder / "own_parts" / "unused.py").write_text("x = 1\n")
    (folder / "own_notes.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(folder)
    return folder


class TestAPersonsOwnModules:
    @pytest.fixture
    def modules(self, tree: Tree) -> Modules:
        """Returns the modules beside ours that count for a schedule."""

        def of(target: str = "own_schedule.Own") -> dict[str, str]:
            config = composed("recipe=resnet50", "schedule=constant", f"schedule._target_={target}")
            found = code_version(config, Sources(tree.packages, read=dict(tree.read))).modules
            return {module: digest for module, digest in found.items() if not module.startswith("autolrs_")}

        return of

    def test_count_with_those_beside_them_that_they_import(self, own: Path, modules: Modules) -> None:
        assert list(modules()) == ["own_helper", "own_parts", "own_parts.inner", "own_schedule"]

    def test_move_the_version_when_they_change_and_not_when_they_are_documented(
        self, own: Path, modules: Modules
    ) -> None:
        before = modules()
        inner = own / "own_parts" / "inner.py"
        inner.write_text('def whole(x):\n    """Return x."""\n    return x  # all of it\n')
        assert modules() == before
        inner.write_text("def whole(x):\n    return x + 1\n")
        assert {module for module, digest in modules().items() if digest != before[module]} == {
            "own_parts.inner"
        }

    def test_may_lie_in_packages(self, own: Path, modules: Modules) -> None:
        assert list(modules("own_parts.unused.x")) == [
            "own_parts",
            "own_parts.inner",
            "own_parts.unused",
        ]

    def test_may_import_ours_the_search_too(self, own: Path) -> None:
        (own / "own_helper.py").write_text("from autolrs_cli.search import forecast\nhalf = forecast\n")
        config = composed("recipe=resnet50", "schedule=constant", "schedule._target_=own_schedule.Own")
        assert "autolrs_cli.search.forecasting" in code_version(config).modules
        assert "autolrs_cli.training.trials" not in code_version(config).modules

    def test_that_cannot_be_read_as_code_count_by_their_bytes(self, own: Path, modules: Modules) -> None:
        (own / "own_helper.py").write_text("a way of writing that only a later Python knows")
        before = modules()
        (own / "own_helper.py").write_text("another")
        assert modules()["own_helper"] != before["own_helper"]

    def test_that_are_not_there_are_left_out(self, modules: Modules) -> None:
        assert modules("own_nowhere.Own") == {}

    def test_libraries_do_not_count_since_their_versions_are_recorded(self, own: Path) -> None:
        config = composed("recipe=resnet50", "schedule=constant", "optimizer._target_=torch.optim.Adam")
        assert not any(module.startswith("torch") for module in code_version(config).modules)

    def test_an_installed_one_counts_with_its_own_package_alone(
        self, own: Path, modules: Modules, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sysconfig.get_path", lambda name: str(own))
        assert list(modules("own_parts.unused.x")) == [
            "own_parts",
            "own_parts.inner",
            "own_parts.unused",
        ]
        assert list(modules()) == ["own_schedule"]


def test_every_module_that_is_named_in_the_tables_is_there() -> None:
    assert [name for name in (START, *NEVER, *SEARCH) if find_spec(name) is None] == []


@pytest.mark.parametrize("schedule", ["autolrs", "constant", "plateau", "original"])
def test_whatever_a_run_calls_counts_or_never_can(tmp_path: Path, schedule: str) -> None:
    called: set[str] = set()

    def note(frame: Any, event: str, argument: object) -> None:
        # Not what an import executes, nor the methods that dataclasses make of fields.
        if frame.f_code.co_name != "<module>" and frame.f_code.co_filename[0] != "<":
            called.add(frame.f_globals.get("__name__", ""))

    overrides = ("recipe=toy", f"schedule={schedule}", "run.max_steps=50", "average=ema")
    preload()
    before = sys.gettrace()
    sys.settrace(note)
    try:
        toy(tmp_path / "run", *overrides[1:])
    finally:
        sys.settrace(before)
    ours = {name for name in called if name.split(".")[0] in (*OUR_PACKAGES, "toy_recipe")}
    counted = code_version(composed(*overrides)).modules
    never = {name for name in ours if any(f"{name}.".startswith(f"{each}.") for each in NEVER)}
    assert {"toy_recipe", "autolrs_cli.training.engine"} <= ours
    assert ours - never - counted.keys() == set()
