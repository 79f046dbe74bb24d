"""Damaged, foreign and contested run directories: the checkpoint before, or a clear refusal."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
import yaml
from harness import USER, assert_equal_weights, composed, run
from killing import killed

from autolrs_cli.commands.resume import main
from autolrs_cli.errors import ConfigError, TrainingError
from autolrs_cli.records.run_directory import HARMLESS_KEYS, RunDirectory
from autolrs_cli.training.checkpoint import Checkpoints

SECOND_STAGE = "second stage"
ENGINE = "autolrs_cli.training.engine"
MOTOR = "autolrs_cli.training.motor"
EditCode = Callable[[dict[str, str]], dict[str, str]]


def resume(directory: Path, *changes: str, allowed: tuple[str, ...] = ()) -> int:
    return main(directory, ["dashboard=none", *changes], list(allowed), started=time.perf_counter())


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("reference") / "run"
    run(directory, "recipe=toy", f"run.config_dir={USER}")
    return directory


@pytest.fixture(scope="module")
def killed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a run was made and killed; what it left is in `kept`."""
    root = tmp_path_factory.mktemp("stopped")
    assert killed(SECOND_STAGE, lambda: run(root / "run", "recipe=toy", f"run.config_dir={USER}"))
    (root / "run").rename(root / "kept")
    return root


@pytest.fixture
def stopped(killed_once: Path) -> Path:
    """A run that was killed in its second stage, with checkpoints at the starts of both, where it was made."""
    directory = killed_once / "run"
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(killed_once / "kept", directory)
    assert Checkpoints(directory / "checkpoints").steps() == [10, 50]
    return directory


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def edit_code(directory: Path, edit: EditCode) -> tuple[str, str]:
    """Change the code that the journal says the run began with; return its version there, and the true one."""
    journal = directory / "journal.jsonl"
    first, *rest = journal.read_bytes().splitlines(keepends=True)
    record = orjson.loads(first)
    true = record["code_version"]
    record |= {"code": edit(record["code"]), "code_version": "0" * len(true)}
    line = orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
    # As long as before: a checkpoint knows where in the journal it was taken.
    line = line.replace(b"{", b"{" + b" " * (len(first) - len(line)), 1)
    assert len(line) == len(first)
    journal.write_bytes(line + b"".join(rest))
    return record["code_version"], true


DAMAGES: dict[str, Callable[[Path], None]] = {
    "truncated tensors": lambda folder: (folder / "tensors.safetensors").write_bytes(b"\x10\0\0"),
    "a flipped bit in the tensors": lambda folder: flip(folder / "tensors.safetensors"),
    "a flipped bit in the values": lambda folder: flip(folder / "values.json"),
    "a manifest that is no JSON": lambda folder: (folder / "manifest.json").write_text("{"),
    "an empty manifest": lambda folder: (folder / "manifest.json").write_text("{}"),
    "a file that is gone": lambda folder: (folder / "values.json").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_checkpoint_before_is_used(stopped: Path, reference: Path, damage: str, capsys) -> None:
    DAMAGES[damage](stopped / "checkpoints" / "step-000000050")
    assert resume(stopped) == 0
    assert_equal_weights(stopped, reference)
    warned = [r for r in (stopped / "journal.jsonl").read_text().splitlines() if '"warned"' in r]
    assert any("step-000000050 is damaged" in line for line in warned)


def test_with_all_damaged_a_person_decides(stopped: Path, reference: Path, capsys) -> None:
    before = (stopped / "journal.jsonl").read_bytes()
    for folder in (stopped / "checkpoints").glob("step-*"):
        flip(folder / "tensors.safetensors")
    assert resume(stopped) == 2
    assert "all in" in capsys.readouterr().err
    assert (stopped / "journal.jsonl").read_bytes() == before
    shutil.rmtree(stopped / "checkpoints")
    assert resume(stopped) == 0
    assert_equal_weights(stopped, reference)


def test_what_cannot_be_read_now_is_not_thrown_away(
    stopped: Path, reference: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    def too_many_files(*_: object) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr("autolrs_cli.training.checkpoint._checksum", too_many_files)
        assert resume(stopped) == 2
    assert "Too many open files" in capsys.readouterr().err
    assert resume(stopped) == 0
    assert_equal_weights(stopped, reference)


def test_training_goes_on_where_a_checkpoint_cannot_be_written(
    tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("autolrs_cli.training.checkpoint.save_file", full)
    assert run(tmp_path / "run", "recipe=toy", f"run.config_dir={USER}").status == "done"
    assert_equal_weights(tmp_path / "run", reference)
    assert "No space left" in (tmp_path / "run" / "journal.jsonl").read_text()


def test_a_journal_damaged_before_the_checkpoint_is_left_as_it_is(stopped: Path, capsys) -> None:
    lines = (stopped / "journal.jsonl").read_text().splitlines(keepends=True)
    lines[3] = "x" * (len(lines[3]) - 1) + "\n"
    (stopped / "journal.jsonl").write_text("".join(lines))
    assert resume(stopped) == 2
    assert "journal.jsonl" in capsys.readouterr().err
    assert (stopped / "journal.jsonl").read_text() == "".join(lines)


def test_changes_survive_a_second_kill(
    stopped: Path, reference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A harmless change given to the first resume, and other libraries then, are remembered by the second."""
    from autolrs_cli.runner import trainer_factory

    versions = trainer_factory.versions()
    with monkeypatch.context() as patched:
        patched.setattr(trainer_factory, "versions", lambda: {**versions, "torch": "0.1"})
        assert killed("final export", lambda: resume(stopped, "runtime.max_seconds=5000"))
    assert resume(stopped) == 0
    summary = json.loads((stopped / "summary.json").read_text())
    assert (summary["resumed"], summary["bit_exact"]) == (2, False)


def test_a_run_that_began_again_with_a_change_can_go_on(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    command = ("recipe=toy", "schedule=constant", f"run.config_dir={USER}")
    assert killed("training", lambda: run(directory, *command))
    assert killed("training", lambda: resume(directory, "runtime.max_seconds=5000"))
    assert resume(directory, "runtime.max_seconds=6000") == 0


def test_a_newer_format_is_not_guessed_at(stopped: Path, capsys) -> None:
    for folder in (stopped / "checkpoints").glob("step-*"):
        manifest = orjson.loads((folder / "manifest.json").read_bytes())
        (folder / "manifest.json").write_bytes(orjson.dumps({**manifest, "format_version": 99}))
    assert resume(stopped) == 2
    assert "version 99" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("not json\n", "journal"),
        ('{"event": "step"}\n', "journal"),
        ('{"event": "interrupted", "t": 0, "step": 0, "total_steps": 0, "reason": "x"}\n', "run_started"),
        ("[1]\n", "journal"),
    ],
)
def test_a_foreign_journal_is_named(stopped: Path, content: str, told: str, capsys) -> None:
    (stopped / "journal.jsonl").write_text(content)
    assert resume(stopped) == 2
    said = capsys.readouterr().err
    assert told in said
    assert "Traceback" not in said


def test_a_journal_that_lost_its_end_is_named(stopped: Path, capsys) -> None:
    lines = (stopped / "journal.jsonl").read_text().splitlines(keepends=True)
    (stopped / "journal.jsonl").write_text("".join(lines[:3]))
    assert resume(stopped) == 2
    assert "journal.jsonl" in capsys.readouterr().err


class TestChangedWorld:
    def edit(self, directory: Path, key: str, value: object) -> None:
        config = yaml.safe_load((directory / "config.yaml").read_text())
        group, _, name = key.rpartition(".")
        (config[group] if group else config)[name] = value
        (directory / "config.yaml").write_text(yaml.safe_dump(config))

    def test_a_changed_setting_is_refused_by_name(self, stopped: Path, capsys) -> None:
        self.edit(stopped, "search.kappa", 5.0)
        self.edit(stopped, "runtime.max_seconds", 100.0)
        assert resume(stopped) == 2
        said = capsys.readouterr().err
        assert "search.kappa=5.0 where the run began with 2.0. Restore it" in said
        assert "--allow-change runtime.max_seconds" in said
        assert resume(stopped, allowed=("runtime.max_seconds", "search.kappa")) == 2
        assert "runtime.max_seconds" not in capsys.readouterr().err

    def test_a_harmless_one_can_be_allowed(self, stopped: Path, reference: Path) -> None:
        self.edit(stopped, "runtime.max_seconds", 10000.0)
        assert resume(stopped, allowed=("runtime.max_seconds",)) == 0
        assert_equal_weights(stopped, reference)

    def test_only_harmless_settings_can_be_given(self, stopped: Path, reference: Path, capsys) -> None:
        assert resume(stopped, "search.kappa=3", "seed=1", "nonsense") == 2
        said = capsys.readouterr().err
        assert all(text in said for text in ("search.kappa=3", "seed=1", "nonsense"))
        assert resume(stopped, "runtime.workers=1", "run.log_every_steps=5") == 0
        assert_equal_weights(stopped, reference)

    def test_changed_data_are_refused(self, stopped: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
        monkeypatch.setattr("toy_recipe.ToyRecipe.fingerprint", lambda _: "other rings")
        assert resume(stopped) == 2
        assert "other rings" in capsys.readouterr().err

    def test_changed_libraries_are_told_and_marked(
        self, stopped: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from autolrs_cli.runner import trainer_factory

        versions = trainer_factory.versions()
        monkeypatch.setattr(trainer_factory, "versions", lambda: {**versions, "torch": "0.1"})
        assert resume(stopped) == 0
        journal = (stopped / "journal.jsonl").read_text()
        assert json.loads((stopped / "summary.json").read_text())["bit_exact"] is False
        assert (
            f"not bit-exact from here on, since this has changed: torch was {versions['torch']} and is 0.1"
            in journal
        )

    @pytest.mark.parametrize(
        ("edit", "said"),
        [
            (lambda code: code | {ENGINE: "0" * 8}, f" ({ENGINE})"),
            (lambda code: {}, ""),  # as the journals of earlier versions
        ],
        ids=["a module", "as a whole"],
    )
    def test_changed_code_is_told_and_marked(self, stopped: Path, edit: EditCode, said: str) -> None:
        began, now = edit_code(stopped, edit)
        assert resume(stopped) == 0
        assert json.loads((stopped / "summary.json").read_text())["bit_exact"] is False
        changed = f"since this has changed: code was {began} and is {now}{said}."
        assert changed in (stopped / "journal.jsonl").read_text()

    def test_code_that_was_not_executed_then_or_is_not_now_is_no_change(
        self, stopped: Path, reference: Path
    ) -> None:
        edit_code(stopped, lambda code: {m: h for m, h in code.items() if m != ENGINE} | {MOTOR: "0" * 8})
        assert resume(stopped) == 0
        assert json.loads((stopped / "summary.json").read_text())["bit_exact"] is True
        assert_equal_weights(stopped, reference)

    def test_harmless_keys_are_keys(self) -> None:
        config = composed("recipe=toy")
        for key in HARMLESS_KEYS:
            node: object = config
            for part in key.split("."):
                assert isinstance(node, dict)
                node = node[part]


class TestLock:
    def test_a_second_process_is_refused_and_told_who_works_there(self, stopped: Path, capfd) -> None:
        with RunDirectory(stopped).locked():
            assert killed_not(lambda: resume(stopped)) == 2
        assert f"is in use by process {os.getpid()} on " in capfd.readouterr().err
        assert resume(stopped) == 0

    def test_the_lock_dies_with_its_process(self, stopped: Path) -> None:
        assert killed("restore", lambda: resume(stopped))
        assert resume(stopped) == 0


def killed_not(work: Callable[[], int]) -> int:
    """Do `work` in another process and return its exit code; locks are shared within one."""
    import multiprocessing

    process = multiprocessing.get_context("fork").Process(target=lambda: os._exit(work()))
    process.start()
    process.join(120)
    assert process.exitcode is not None
    return process.exitcode


def test_a_folder_that_is_no_run(tmp_path: Path, capsys) -> None:
    assert resume(tmp_path) == 2
    assert "config.yaml" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_that_does_not_fit_on_the_disk_leaves_those_before(
    stopped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = Checkpoints(stopped / "checkpoints")
    found = checkpoints.read()
    assert found is not None

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("autolrs_cli.training.checkpoint.save_file", full)
    with pytest.raises(TrainingError, match="No space left"):
        checkpoints.write(60, found[1])
    assert checkpoints.steps() == [10, 50]
    assert not list((stopped / "checkpoints").glob("*.part"))


def test_a_checkpoint_of_another_model_is_refused(
    stopped: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    import toy_recipe
    from torch import nn

    monkeypatch.setattr(
        toy_recipe.ToyRecipe, "model", lambda _: nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2)).double()
    )
    with pytest.raises(ConfigError, match="configured model"):
        run_resumed(stopped)


def run_resumed(directory: Path) -> None:
    from autolrs_cli.runner.execute import execute
    from autolrs_cli.runner.resume_checks import reopen
    from autolrs_cli.runner.resume_point import find_resume_point

    plan, config, _ = reopen(RunDirectory(directory), [], [], lambda *_: None)
    execute(
        plan,
        config,
        RunDirectory(directory),
        started=time.perf_counter(),
        resume=find_resume_point(RunDirectory(directory)),
    )


def test_summary_of_a_run_stopped_by_its_time_limit_says_how_to_go_on(tmp_path: Path, capsys) -> None:
    done = run(tmp_path / "run", "recipe=toy", "runtime.max_seconds=1e-9", f"run.config_dir={USER}")
    assert done.exit_code == 75
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["status"] == "interrupted"
    assert resume(tmp_path / "run", "runtime.max_seconds=null") == 0
