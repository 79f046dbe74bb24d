"""Configurations that nobody should give: refused with what is wrong, or accepted; never a traceback."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import pytest
from harness import USER, composed
from hostile_cases import FULL, LONGEST_PROBLEM, PATH_TRICKS, deep, listing, texts, values, watched
from hypothesis import given, settings
from hypothesis import strategies as st

from autolrs_cli.commands.train import main as train
from autolrs_cli.errors import ConfigError, TrainingError
from autolrs_cli.runner.execute import open_directory
from autolrs_cli.runner.plan import Plan, check

RECIPES = (
    ("recipe=toy", f"run.config_dir={USER}"),
    ("recipe=toy", "schedule=sgdr", f"run.config_dir={USER}"),
    ("recipe=resnet50", "scale=tiny"),
    ("recipe=transformer", "scale=tiny", "schedule=original"),
)
# Things that can be imported but are not what is asked for. None of them does anything when it is called.
TARGETS = ("math.nan", "math.inf", "os", "", ".", "a..b", "builtins.dict", "builtins.int", "builtins.object",
           "autolrs_cli.schedules.Nope", "autolrs_cli.schedules.Constant", "collections.OrderedDict", "no\0thing",
           "autolrs_recipes.optimizers", "toy_recipe.rings", "math.sqrt")  # fmt: skip


@pytest.fixture(scope="module")
def configurations() -> list[dict[str, Any]]:
    return [composed(*overrides) for overrides in RECIPES]


def keys(node: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every key of a configuration, those of groups included."""
    if isinstance(node, Mapping) and len(at) < 6:
        for name, part in node.items():
            yield (*at, name)
            yield from keys(part, (*at, name))


def mutated(config: dict[str, Any], data: st.DataObject) -> dict[str, Any]:
    """Return the configuration with one to three of its keys set to something else, removed, or joined by another."""
    config = copy.deepcopy(config)
    for _ in range(data.draw(st.integers(1, 3))):
        *path, name = data.draw(st.sampled_from(list(keys(config))))
        node: Any = config
        for part in path:
            node = node[part]
        what = data.draw(st.sampled_from(("set", "set", "set", "remove", "add")))
        if what == "remove":
            del node[name]
        elif what == "add":
            node[data.draw(texts)] = data.draw(values)
        elif name == "_target_":
            node[name] = data.draw(st.one_of(st.sampled_from(TARGETS), values))
        else:
            node[name] = data.draw(values)
    return config


def require_readable(error: ConfigError) -> None:
    assert error.problems
    for problem in error.problems:
        assert problem.strip()
        assert len(problem) < LONGEST_PROBLEM, f"{len(problem)} characters: {problem[:200]}"
        assert "Traceback" not in problem


@given(which=st.integers(0, len(RECIPES) - 1), data=st.data())
def test_a_configuration_is_checked_or_refused(
    which: int, data: st.DataObject, configurations: list[dict[str, Any]]
) -> None:
    config = mutated(configurations[which], data)
    with watched():
        try:
            assert isinstance(check(config), Plan)
        except ConfigError as error:
            require_readable(error)


class TestRunDirectory:
    """Whatever names are given, all that is written lies in the run directory."""

    @given(
        name=st.one_of(st.sampled_from(PATH_TRICKS), texts), key=st.sampled_from(("run.dir", "recipe.name"))
    )
    def test_nothing_is_written_beside_it(
        self, name: str, key: str, configurations: list[dict[str, Any]], sandbox: Path
    ) -> None:
        config = copy.deepcopy(configurations[0])
        group, _, last = key.partition(".")
        config[group][last] = name
        if key == "run.dir" and (Path(name).is_absolute() or name.startswith("~")):
            return  # a folder that the person names is theirs to write to
        before = listing(sandbox.parent)
        with watched():
            try:
                plan = check(config)
                root = open_directory(plan, config).root
            except ConfigError as error:
                require_readable(error)
                written = listing(sandbox.parent).keys() - before.keys()
                require(written <= parents(sandbox, name), f"{written} was written: {error}")
                return
        top = sandbox.parent
        written = {top / path for path in listing(sandbox.parent).keys() - before.keys()}
        on_the_way = {top / path for path in parents(sandbox, str(root))}
        assert all(path in on_the_way or path.is_relative_to(root.resolve()) for path in written), written
        if key == "recipe.name":
            assert root.resolve().is_relative_to(sandbox / "runs")

    @pytest.fixture
    def sandbox(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        (tmp_path / "in").mkdir()
        (tmp_path / "outside").mkdir()
        (tmp_path / "in" / "link").symlink_to(tmp_path / "outside")
        monkeypatch.chdir(tmp_path / "in")
        return tmp_path / "in"


def require(held: bool, otherwise: str) -> None:
    if not held:
        pytest.fail(otherwise)


def parents(sandbox: Path, name: str) -> set[str]:
    """The folder that was asked for, and those on the way to it, as far as they can be named."""
    wanted = sandbox / name
    top, found = sandbox.parent, set()
    for path in (wanted, *wanted.parents)[-50:]:  # what is longer cannot be made
        with suppress(OSError, ValueError):
            found.add(str(path.resolve().relative_to(top)))
    return found


class TestCommandLine:
    """The same through Hydra's parser, in this process, up to the first step."""

    KEYS = ("seed", "run.max_steps", "search.lr_min", "recipe.name", "run.dir", "schedule", "recipe", "scale",
            "+x", "search.clean_up_train", "~seed", "runtime.threads", "target", "data", "++a.b.c",
            "recipe._target_")  # fmt: skip

    @settings(max_examples=max(10, FULL // 4))
    @given(key=st.one_of(st.sampled_from(KEYS), texts), value=st.one_of(values.map(str), texts))
    def test_an_override(self, key: str, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        def stop(*_: object, **__: object) -> None:
            raise TrainingError("far enough")

        monkeypatch.setattr("autolrs_cli.runner.execute.execute", stop)
        monkeypatch.chdir(tmp_path)
        (tmp_path / "home").mkdir(exist_ok=True)
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        if key == "run.dir" and value.startswith("/"):
            return
        said_to = io.StringIO()
        with watched(), redirect_stdout(said_to), redirect_stderr(said_to):
            overrides = (f"{key}={value}", "--config-dir", str(USER), "recipe=toy", "dashboard=none")
            code = train(overrides, started=0.0)
        said = said_to.getvalue()
        assert code in (0, 1, 2)
        for noise in ("Traceback", "HYDRA_FULL_ERROR", "Error executing job", "\x1b[2J", "\a"):
            assert noise not in said, said
        assert code == 0 or "error: " in said, said


class TestFound:
    """What generated input has found."""

    @pytest.fixture
    def refused(self, configurations: list[dict[str, Any]]) -> Callable[..., str]:
        def run(*path: str, to: object, which: int = 0) -> str:
            config = copy.deepcopy(configurations[which])
            node: Any = config
            for part in path[:-1]:
                node = node[part]
            node[path[-1]] = to
            with watched(), pytest.raises(ConfigError) as caught:
                check(config)
            require_readable(caught.value)
            return str(caught.value)

        return run

    @pytest.mark.parametrize("kind", ["list", "group"])
    def test_nested_deeper_than_python_recurses(self, refused, kind: str) -> None:
        for path in (("seed",), ("recipe",), ("search", "clean_up_train"), ("model", "x")):
            assert "levels deep" in refused(*path, to=deep(100_000, kind))

    def test_a_number_with_more_digits_than_python_writes(self, refused) -> None:
        for path in (("seed",), ("runtime",), ("search", "lr_min"), ("optimizer", "momentum")):
            assert "2^63 - 1" in refused(*path, to=10**5000)

    def test_a_text_of_a_megabyte_is_quoted_in_part(self, refused) -> None:
        said = refused("runtime", "device", to="x" * 1_000_000)
        assert " [...] " in said
        assert said.endswith("Set runtime.device.")

    def test_what_commands_the_terminal_is_written_out(self, refused) -> None:
        assert "\\x1b[2J" in refused("\x1b[2J", to=1)

    @pytest.mark.parametrize("name", ["../../evil", "a/b", "..", "", "a\0b", "/tmp", "x" * 300, " x", "-rf"])
    @pytest.mark.parametrize("group", ["recipe", "schedule"])
    def test_a_name_becomes_a_folder(self, refused, group: str, name: str) -> None:
        assert "as the name of a folder" in refused(group, "name", to=name)

    @pytest.mark.parametrize(
        "target", ["builtins.dict", "math.pi", "builtins.object", "os", "torch.nn.Linear"]
    )
    def test_a_target_that_is_something_else(self, refused, target: str) -> None:
        for which, path in ((0, ("recipe",)), (1, ("schedule",)), (2, ("recipe", "model"))):
            assert "_target_" in refused(*path, to={"_target_": target, "name": "x"}, which=which)

    @pytest.mark.parametrize("flag", ["_partial_", "_recursive_", "_args_"])
    def test_flags_of_instantiate_with_odd_values(self, refused, flag: str) -> None:
        assert "must be buildable" in refused("optimizer", flag, to=7)

    def test_a_reference_that_was_escaped(self, refused) -> None:
        """It would be one again when config.yaml is read."""
        for text in ("${", "${seed}", "${oc.env:HOME}"):
            assert "not refer to one" in refused("run", "dir", to=text)

    def test_keys_that_are_no_text(self, refused) -> None:
        for key in (1, None, "\ud800"):
            assert "text in UTF-8 for its keys" in refused("recipe", "x", to={key: 1})

    @pytest.mark.parametrize("name", ["a\0b", "a/" * 1500, "a/" * 9000])
    def test_a_run_directory_that_cannot_be(
        self, name: str, configurations: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        config = copy.deepcopy(configurations[0])
        config["run"]["dir"] = name
        with pytest.raises(ConfigError, match="must be writable"):
            open_directory(check(config), config)
        assert list(tmp_path.iterdir()) == []
