"""`autolrs export`: what other libraries load, and what a stored run may not make this machine do."""

from __future__ import annotations

import csv
import json
import re
import sysconfig
from pathlib import Path

import pytest
import torch
import yaml
from harness import USER, run, weights
from processes import autolrs
from safetensors.torch import load_file
from torchvision.models import resnet50

from autolrs_cli.commands.export import main as export
from autolrs_cli.errors import ConfigError
from autolrs_cli.runner.finished_run import StoredRun

REAL = (
    "recipe=resnet50",
    "scale=tiny",
    "model=resnet50",
    "schedule=original",
    "average=none",
    "run.max_steps=2",
    "recipe.global_batch=2",
)
SHORT_SCHEDULE = ("original_schedule.warmup_steps=0", "recipe.micro_batch=2", "run.eval_every_steps=2")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("runs") / "run"
    run(directory, *REAL, *SHORT_SCHEDULE)
    return directory


def code_of(folder: Path, language: str = "python") -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)


def test_torchvision_loads_it(finished: Path, tmp_path: Path) -> None:
    done = autolrs("export", str(finished), str(tmp_path / "out"), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    loading, _ = code_of(tmp_path / "out")
    assert loading.strip() in done.stdout
    assert "autolrs" not in loading
    names: dict = {}
    exec(loading, names)
    assert isinstance(names["model"], type(resnet50()))
    trained = weights(finished)
    assert all(trained[name].equal(value) for name, value in names["model"].state_dict().items())


def test_averaged_weights_are_exported_where_they_decide(tmp_path: Path) -> None:
    run(tmp_path / "run", *(each for each in REAL if each != "average=none"), *SHORT_SCHEDULE)
    assert export(tmp_path / "run", tmp_path / "out") == 0
    names: dict = {}
    exec(code_of(tmp_path / "out")[0], names)
    found = names["model"].state_dict()
    averaged = load_file(tmp_path / "run" / "model_averaged.safetensors")
    raw = load_file(tmp_path / "run" / "model.safetensors")
    assert all(found[name].equal(value) for name, value in averaged.items())
    assert not all(found[name].equal(value) for name, value in raw.items())


def test_the_schedule_drives_another_training_loop(finished: Path, tmp_path: Path, monkeypatch) -> None:
    assert export(finished, tmp_path / "out") == 0
    _, schedule = code_of(tmp_path / "out")
    monkeypatch.chdir(tmp_path / "out")
    names: dict = {"model": torch.nn.Linear(1, 1)}
    exec(schedule.replace("scheduler.step()", ""), names)
    used = []
    for _ in range(3):
        used.append(names["optimizer"].param_groups[0]["lr"])
        names["optimizer"].step()
        names["scheduler"].step()
    with (finished / "schedule.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    recorded = [float(row["lr"]) for row in rows for _ in range(int(row["steps"]))]
    assert used == [*recorded, recorded[-1]]


def test_a_folder_in_use_is_left_alone(finished: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "mine").touch()
    assert export(finished, tmp_path) == 2
    assert "new or empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_recipe_without_export_says_so(tmp_path: Path, capsys) -> None:
    run(tmp_path / "run", "recipe=toy", "schedule=original", f"run.config_dir={USER}")
    assert export(tmp_path / "run", tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert "toy" in said
    assert "model.safetensors" in said
    assert not (tmp_path / "out").exists()


class TestStoredRun:
    def copy(self, finished: Path, tmp_path: Path) -> Path:
        for name in ("config.yaml", "summary.json", "schedule.csv"):
            (tmp_path / name).write_bytes((finished / name).read_bytes())
        return tmp_path

    def edit(self, directory: Path, **recipe: object) -> None:
        config = yaml.safe_load((directory / "config.yaml").read_text())
        config["recipe"].update(recipe)
        (directory / "config.yaml").write_text(yaml.safe_dump(config))

    @pytest.mark.parametrize(
        "target",
        [
            "os.system",
            "torch.load",
            "builtins.eval",
            "autolrs_recipes.resnet50.torch.load",
            "torch.optim.lr_scheduler.LambdaLR",
            "torch.optim.swa_utils.AveragedModel",
            "torch.optim.sgd.torch.load",
            "torch.optim.sgd.SGD",  # the one name of each optimizer is enough
            "torch.optim.lr_scheduler",
            "torch.optim.Optimizer.load_state_dict",
            "autolrs_cli.runner.finished_run.importlib.import_module",
            "toy_recipe.ToyRecipe",  # no --config-dir was recorded
            "autolrs_cli.records.journal.cut_journal",  # ours, but not what configurations are made of
            "autolrs_recipes.data.translation.token_table.write_token_table",
            "autolrs_recipes.there_is_no_such_module.X",
            "autolrs_recipes.${oc.select:nope,resnet50}.ResNet50",
        ],
    )
    def test_it_calls_nothing_but_our_classes(self, finished: Path, tmp_path: Path, target: str) -> None:
        directory = self.copy(finished, tmp_path)
        self.edit(directory, data={"_target_": target})
        with pytest.raises(ConfigError, match=re.escape(target)):
            StoredRun(directory)

    def test_torchs_own_optimizers_may_be_named(self, finished: Path, tmp_path: Path) -> None:
        directory = self.copy(finished, tmp_path)
        config = yaml.safe_load((directory / "config.yaml").read_text())
        config["optimizer"] = {"_target_": "torch.optim.RMSprop"}
        (directory / "config.yaml").write_text(yaml.safe_dump(config))
        assert StoredRun(directory).config["optimizer"]["_target_"] == "torch.optim.RMSprop"

    @pytest.mark.parametrize("folder", ["/", sysconfig.get_path("stdlib"), sysconfig.get_path("purelib")])
    def test_a_folder_that_holds_everything_is_not_a_persons_own(
        self, finished: Path, tmp_path: Path, folder: str
    ) -> None:
        directory = self.copy(finished, tmp_path)
        config = yaml.safe_load((directory / "config.yaml").read_text())
        config["run"]["config_dir"] = folder
        config["optimizer"] = {"_target_": "pathlib.Path.touch"}
        (directory / "config.yaml").write_text(yaml.safe_dump(config))
        with pytest.raises(ConfigError, match=r"pathlib\.Path\.touch"):
            StoredRun(directory)

    def test_the_users_own_folder_is_recorded_and_trusted(self, tmp_path: Path) -> None:
        done = autolrs(
            "train", "--config-dir", str(USER), "recipe=toy", "schedule=original", "run.dir=run", cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["run"]["config_dir"] == str(
            USER
        )
        assert StoredRun(tmp_path / "run").model().training is False

    def test_changed_data_is_refused(self, finished: Path, tmp_path: Path) -> None:
        directory = self.copy(finished, tmp_path)
        summary = json.loads((directory / "summary.json").read_text())
        (directory / "summary.json").write_text(json.dumps({**summary, "data_fingerprint": "other"}))
        with pytest.raises(ConfigError, match="fingerprint"):
            StoredRun(directory)

    def test_a_run_without_weights_says_so(self, finished: Path, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"model\.safetensors"):
            StoredRun(self.copy(finished, tmp_path)).model()

    @pytest.mark.parametrize("content", ["", "a: [", "- 1", "recipe: 3\n", "\0"])
    def test_a_damaged_configuration_is_named(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "config.yaml").write_text(content)
        with pytest.raises(ConfigError):
            StoredRun(tmp_path)
