"""What cannot work ends before training: exit code 2, the key and the way out, and nothing for developers."""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from processes import TOY, USER, autolrs
from stored_cases import hub_cache, write_idx, write_parquet  # noqa: F401

Train = Callable[..., Any]
Refused = Callable[..., str]
TINY = ("recipe=resnet50", "scale=tiny", "search=paper")

# What is typed (after `recipe=resnet50 scale=tiny search=paper`), and what the answer must contain.
NUMBERS = {
    "lr_min above lr_max": (
        ("search.lr_min=0.1", "search.lr_max=0.01"),
        "`lr_min < lr_max` must hold, but got search.lr_min=0.1, search.lr_max=0.01. Set search.lr_min.",
    ),
    "lr_min equal to lr_max": (("search.lr_min=0.1", "search.lr_max=0.1"), "`lr_min < lr_max` must hold"),
    "negative and infinite LR": (
        ("search.lr_min=-1", "search.lr_max=inf"),
        "got search.lr_min=-1. Set search.lr_min.",
        "got search.lr_max=inf. Set search.lr_max.",
    ),
    "nan for an LR, and words": (
        ("search.lr_min=nan", "search.lr_max=high"),
        "got search.lr_min=nan. Set search.lr_min.",
        "got search.lr_max='high'. Set search.lr_max.",
    ),
    "LRs out of the range of floats": (
        ("search.lr_min=1e-400", "search.lr_max=1e400"),
        "got search.lr_min=0.0. Set search.lr_min.",
        "got search.lr_max=inf. Set search.lr_max.",
    ),
    "LRs of null and 0": (
        ("search.lr_min=0", "search.lr_max=null"),
        "search.lr_min=0.",
        "Set search.lr_max.",
    ),
    "stages that shrink": (
        ("search.initial_stage_steps=100",),
        "`initial_stage_steps <= max_stage_steps` must hold, but got search.initial_stage_steps=100",
    ),
    "short trials": (("search.trial_fraction=0.05",), "A trial must have 20 steps or more, but stage"),
    "trials longer than their stage, and one of them": (
        ("search.trial_fraction=1.5", "search.num_trials=1"),
        "`search.trial_fraction` must be less than or equal to 1, but got search.trial_fraction=1.5.",
        "got search.num_trials=1. Set search.num_trials.",
    ),
    "half a trial, half of it random": (
        ("search.num_trials=2.5", "search.num_random_trials=0.5", "search.objective=best"),
        "got search.num_trials=2.5. Set search.num_trials.",
        "Set search.num_random_trials.",
        "must be 'published', 'train' or 'choose', but got",
    ),
    "words for a number of the data": (
        ("data.image_size=abc",),
        "`data.image_size` must be a valid integer, but got data.image_size='abc'. Set data.image_size.",
    ),
    "empty slices": (
        ("data.choose_fraction=0", "data.target_fraction=0"),
        "`data.choose_fraction` must lie between 0 and 1, both excluded, to hold examples and leave some for "
        "training, but got data.choose_fraction=0. Set data.choose_fraction.",
        "but got data.target_fraction=0. Set data.target_fraction.",
    ),
    "slices that leave nothing": (
        ("data.choose_fraction=0.5", "data.target_fraction=0.5"),
        "must leave training images of every digit",
    ),
    "warm-up as long as the run": (
        ("run.max_steps=10",),
        "Shorten schedule.warmup_steps or lengthen run.max_steps.",
    ),
    "no steps": (
        ("run.max_steps=0", "run.eval_every_steps=abc", "run.log_every_steps=1.5", "run.dir="),
        "`run.max_steps` must be greater than 0, but got run.max_steps=0. Set run.max_steps.",
        "`run.eval_every_steps` must be a valid integer, but got run.eval_every_steps='abc'.",
        "`run.log_every_steps` must be a valid integer, but got run.log_every_steps=1.5.",
        "`run.dir` must have at least 1 character",
    ),
    "more than 64 bits": (
        ("run.max_steps=99999999999999999999", "search.num_trials=99999999999999999999"),
        "`run.max_steps` must be at most 2^63 - 1",
        "`search.num_trials` must be at most 2^63 - 1",
    ),
    "too many stages": (
        ("run.max_steps=1000000000",),
        "Raise search.max_stage_steps or shorten run.max_steps.",
    ),
    "the machine": (
        ("runtime.threads=0", "runtime.workers=1000000", "runtime.max_seconds=0", "seed=one"),
        "`runtime.threads` must be greater than 0, but got runtime.threads=0. Set runtime.threads.",
        "`runtime.workers` must be less than or equal to 1024, but got",
        "`runtime.max_seconds` must be greater than 0, but got",
        "`seed` must be a valid integer, but got seed='one'. Set seed.",
    ),
    "optimizer and batch": (
        ("optimizer.momentum=2", "optimizer.weight_decay=nan", "recipe.global_batch=17", "seed=-1"),
        "`optimizer.momentum` must be less than or equal to 1, but got optimizer.momentum=2. Set optimizer.momentum.",
        "but got optimizer.weight_decay=nan.",
        "Set recipe.micro_batch.",
        "`seed` must be greater than or equal to 0, but got seed=-1. Set seed.",
    ),
    "a value of each part, files and rules between settings": (
        (
            *("data=image_folder", "data.root=/no/such/folder", "data.check_images=some"),
            *("recipe.global_batch=17", "model.classifier_std=2"),
            *("schedule=cosine", "schedule.peak_lr=-1", "run.max_steps=3"),
        ),
        "6 problems",
        "`data.check_images` must be a valid integer, but got data.check_images='some'. Set data.check_images.",
        "data.root=/no/such/folder does not exist.",
        "`micro_batch` must divide `global_batch`, but got recipe.micro_batch=",
        "`model.classifier_std` must be less than or equal to 1, but got model.classifier_std=2.",
        "`schedule.peak_lr` must be greater than 0, but got schedule.peak_lr=-1. Set schedule.peak_lr.",
        "The warm-up must end before the run, but got schedule.warmup_steps=",
    ),
    "a switch for a number, and a number for a switch": (
        ("optimizer.momentum=true", "model.zero_init_residual=1", "data.image_size=32.0", "search=code"),
        "`optimizer.momentum` must be a valid number, but got optimizer.momentum=True.",
        "`model.zero_init_residual` must be a valid boolean, but got model.zero_init_residual=1.",
        "`data.image_size` must be a valid integer, but got data.image_size=32.0.",
    ),
    "constant LR": (
        ("schedule=constant", "schedule.peak_lr=0"),
        "but got schedule.peak_lr=0. Set schedule.peak_lr.",
    ),
    "milestones": (
        ("schedule=original", "original_schedule.milestones=abc"),
        "`original_schedule.milestones` must be a list, but got original_schedule.milestones='abc'.",
    ),
}

KINDS = {
    "unknown values": (
        ("runtime.device=tpu", "runtime.precision=fp16", "runtime.deterministic=perhaps", "average.name=swa"),
        "`runtime.device` must be 'auto', 'cpu' or 'cuda', but got runtime.device='tpu'. Set runtime.device.",
        "`runtime.precision` must be 'fp32' or 'bf16', but got",
        "`runtime.deterministic` must be a valid boolean, but got",
        "`average.name` must be one of 'none', 'ema', 'tail', but got average.name='swa'. Set average.",
    ),
    "unknown metric": (("target={metric:bleu,value:27}",), "`target.metric` must be loss or accuracy"),
    "a number for a list, and for a folder": (
        ("model.widths=5", "run.dir=5"),
        "`model.widths` must be a list, but got model.widths=5. Set model.widths.",
        "quote it: 'run.dir=\"5\"'.",
    ),
    "a value for a group": (
        ("search.clean_up_train=5",),
        "`search.clean_up_train` must be a group of settings, but got search.clean_up_train=5. Set ",
    ),
    "nothing for a part": (("recipe.model=null",), "`model` must name what to build, but got None."),
    "a class that is not there": (("recipe._target_=nope.Nope",), "Mend recipe._target_."),
    "a search that is not there": (("search._target_=nope.Nope",), "Mend search._target_."),
    "a search that is none": (("search._target_=torch.load",), "search"),
    "settings that are no search": (
        ("search._target_=autolrs_cli.settings.RunSettings",),
        "Mend search._target_.",
    ),
    "a variable that is not there": (("seed=${nope}",), "`seed` must resolve to a value, but does not"),
    "an environment variable that is not there": (("seed=${oc.env:NOPE_NOPE}",), "Set seed."),
    "a value that names itself": (("seed=${seed}",), "`seed` must resolve to a value, but does not"),
    "a value left open": (
        ("seed=???",),
        "`seed` must resolve to a value, but does not: Missing mandatory value",
    ),
    "bytes that are not text": (('run.dir="\udcff"',), "`run.dir` must be text in UTF-8"),
}

UNKNOWN = {
    "recipe": (("recipe=nope",), "Set recipe to one of: bert, resnet50, transformer"),
    "empty recipe": (("recipe=",), "Set recipe to one of: bert, resnet50, transformer"),
    "schedule": (
        ("schedule=nope",),
        "Set schedule to one of: autolrs, clr, constant, cosine",
    ),
    "search": (("search=bayes",), "Set search to one of: code, last_losses, lean, paper"),
    "scale": (("scale=huge",), "Set scale to one of: bench, demo, gpu, paper, tiny"),
    "launcher": (("hydra/launcher=nope",), "Set hydra/launcher to one of: "),
    "key": (("nope=1",), "`nope` must be a known setting, but it is not one. To see what there is: "),
    "key in a group": (("search.lr_maximum=1",), "`search.lr_maximum` must be a known setting"),
    "key of another option": (
        ("search=lean", "search.kappa=1"),
        "`search.kappa` must be a setting of the option that is chosen, but it is one of search=code, search=paper",
    ),
    "removed key": (("~nope",), "`nope` must be a known setting"),
    "added keys": (
        ("+new.key=1", "+runtime.new=1", "+search.new=1", "+search.clean_up_train.new=1", "+data.new=1"),
        "`new` is not a setting. Remove new.",
        "`runtime.new` is not a setting. Remove runtime.new.",
        "`search.new` is not a setting. Remove search.new.",
        "`search.clean_up_train.new` is not a setting.",
        "`data.new` is not a setting. Remove data.new.",
    ),
    "added keys of what is built": (
        ("+recipe.new=1", "+optimizer.new=1"),
        "`recipe.new` is not a setting. Remove recipe.new.",
        "`optimizer.new` is not a setting. Remove optimizer.new.",
    ),
    "removed group": (("~runtime",), "`runtime.device` must be given. Set runtime.device."),
    "removed number": (
        ("~search.lr_min",),
        "`search.lr_min` must be given. Set search.lr_min.",
    ),
    "removed name": (("~schedule.name",), "`schedule.name` must be text"),
}

GRAMMAR = {
    "a bare word": (("seed",), "An override must read KEY=VALUE, but got 'seed'. Write seed=VALUE."),
    "nothing": (("",), "An override must read KEY=VALUE, but got ''."),
    "no key": (("=5",), "Write GROUP=OPTION."),
    "an open bracket": (("seed=[",), "but got 'seed=['"),
    "an open brace": (("seed=${",), "but got 'seed=${'"),
    "an open quote": (("seed='1",), "quote it: 'seed=\"1\"'."),
    "a home folder": (("run.dir=~/x",), "quote it: 'run.dir=\"~/x\"'."),
    "two values without -m": (
        ("seed=1,2",),
        "Add -m for one run with each value, or write a list: 'seed=[1,2]'. If the comma is part of a text, quote it: "
        "'seed=\"1,2\"'.",
    ),
    "a folder with a comma": (
        ("run.dir=a,b",),
        "got run.dir=a,b. If the comma is part of a name, quote it: 'run.dir=\"a,b\"'.",
    ),
    "null for a group": (("recipe=null",), "Write GROUP=OPTION."),
    "an unknown flag": (("--frobnicate",), "unrecognized arguments: --frobnicate"),
    "a flag without its value": (("--cfg",), "expected one argument"),
    "a folder flag without its value": (("--config-dir",), "expected one argument"),
    "an unknown config": (("--cfg", "nope"), "invalid choice: 'nope'"),
    "an unknown package": (("--cfg", "job", "-p", "nope"), "package 'nope' not found"),
    "a folder that is not there": (("--config-dir", "/no/such/folder"), "'/no/such/folder' not found"),
    "a config that is not there": (("--config-name=nope",), "Cannot find primary config 'nope'"),
    "flags that exclude each other": (("-m", "--cfg", "job"), "Only one of --run, --multirun, --cfg"),
}


def case(name: str, overrides: tuple[str, ...], *told: str) -> object:
    return pytest.param(overrides, told, id=name)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [case(name, *each) for name, each in (NUMBERS | KINDS | UNKNOWN | GRAMMAR).items()],
)
def test_it_is_refused_with_the_way_out(
    overrides: tuple[str, ...], told: tuple[str, ...], refused: Refused
) -> None:
    answer = refused(*TINY, *overrides)
    for sentence in told:
        assert sentence in answer


@pytest.mark.parametrize("overrides", [[], ["seed=1"], ["--cfg", "job"], ["--help"]])
def test_without_a_recipe_they_are_listed(overrides: list[str], refused: Refused) -> None:
    told = refused(*overrides)
    assert "`recipe` must be chosen, but none was given." in told
    assert "Type: autolrs train recipe=NAME, with NAME one of: bert, resnet50, transformer" in told


def test_a_list_of_recipes_or_scales_is_not_several_runs(refused: Refused) -> None:
    told = refused("recipe=[resnet50,bert]")
    assert "`recipe` must be one name, but got recipe=[resnet50,bert]" in told
    assert "-m recipe=resnet50,bert" in told
    assert "`scale` must be one name" in refused("recipe=resnet50", "-m", "scale=[tiny]")


def test_several_runs_without_a_recipe_or_with_an_unknown_one(train: Callable[..., Any]) -> None:
    assert "`recipe` must be chosen" in train("-m", "seed=1,2").err
    assert "`recipe` must be one of the known options" in train("-m", "recipe=resnet50,toy").err


def test_everything_wrong_is_said_at_once(refused: Refused) -> None:
    wrong = (
        "seed=-1",
        "runtime.precision=fp16",
        "data.choose_fraction=0",
        "optimizer.momentum=2",
        "search.kappa=nan",
    )
    told = refused(*TINY, *wrong, "schedule.warmup_lr=0", "search.trial_fraction=2")
    assert told.startswith("7 problems, nothing was started:\n")
    assert told.count("error: ") == 7
    for key in (*(each.partition("=")[0] for each in wrong), "schedule.warmup_lr", "search.trial_fraction"):
        assert f"Set {key}" in told


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is here")
def test_cuda_without_cuda(refused: Refused) -> None:
    told = refused(*TINY, "runtime.device=cuda", "seed=-1")
    assert "`runtime.device=cuda` needs a CUDA device" in told
    assert "Set runtime.device=cpu" in told
    assert "`seed` must be" in told


class TestImages:
    """Faults of a folder of images are named and counted."""

    @pytest.fixture
    def told(self, tmp_path: Path, refused: Refused) -> Callable[..., str]:
        return lambda *overrides: refused(*TINY, "data=image_folder", f"data.root={tmp_path}", *overrides)

    def test_no_folder_given(self, refused: Refused) -> None:
        assert "`data.root` must be given with data=image_folder." in refused(*TINY, "data=image_folder")

    def test_missing_folder(self, refused: Refused) -> None:
        told = refused(*TINY, "data=image_folder", "data.root=/no/such/folder")
        assert "`data.root` must be a folder, but data.root=/no/such/folder does not exist." in told

    def test_empty_folder(self, told: Callable[..., str]) -> None:
        assert "has no train/" in told()

    def test_folders_without_images(self, tmp_path: Path, told: Callable[..., str]) -> None:
        for name in ("train/cat", "train/dog", "val/cat", "val/dog"):
            (tmp_path / name).mkdir(parents=True)
        assert "must hold images, but the class folders of" in told()

    def test_one_class(self, tmp_path: Path, told: Callable[..., str]) -> None:
        images(tmp_path, classes=("cat",))
        assert "must hold at least two classes" in told()

    def test_empty_and_corrupt_files_with_other_problems(
        self, tmp_path: Path, told: Callable[..., str]
    ) -> None:
        images(tmp_path)
        (tmp_path / "train" / "cat" / "empty.png").touch()
        (tmp_path / "val" / "dog" / "text.jpg").write_text("this is not an image")
        text = told("seed=-1", "data.image_size=0", "search.lr_min=-1")
        assert text.startswith("4 problems")
        assert "2 in data.root=" in text
        assert "train/cat/empty.png (empty file)" in text
        assert "val/dog/text.jpg (not an image)" in text

    def test_a_choosing_slice_that_takes_all(self, tmp_path: Path, told: Callable[..., str]) -> None:
        images(tmp_path, count=1)
        assert "The slice that chooses LRs must leave training images of every class" in told()


def images(root: Path, classes: tuple[str, ...] = ("cat", "dog"), count: int = 3) -> None:
    for split in ("train", "val"):
        for name in classes:
            (root / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = np.full((20, 20, 3), 40 * i, dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{i}.png")


class TestRunDirectory:
    """The run directory must be writable and new."""

    def test_it_cannot_be_made(self, tmp_path: Path, refused: Refused) -> None:
        (tmp_path / "file").touch()
        for path in (
            tmp_path / "file" / "run",
            tmp_path / "file",
            Path("/proc/run"),
            tmp_path / ("long" * 99),
        ):
            told = refused(*TINY, f"run.dir={path}")
            assert f"The run directory must be writable, but {path} is not: " in told
            assert "Set run.dir to a folder that you can write." in told

    def test_it_holds_a_run(self, tmp_path: Path, refused: Refused) -> None:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "journal.jsonl").touch()
        told = refused(*TINY, f"run.dir={tmp_path / 'run'}")
        assert "A run directory holds one run" in told
        assert "Set run.dir to another folder, or go on with that one: autolrs resume" in told

    def test_control_characters_and_unicode_do_no_harm(self, tmp_path: Path, refused: Refused) -> None:
        (tmp_path / "file").touch()
        told = refused(*TINY, f'run.dir="{tmp_path}/file/ünï 学習\t\a\x1b[31m"')
        assert "The run directory must be writable" in told
        assert "ünï 学習" in told


class TestProcess:
    """The same with a process of its own."""

    def test_a_refusal_writes_nothing_and_ends_with_2(self, tmp_path: Path) -> None:
        # HYDRA_FULL_ERROR=1 stands in many people's shell: it makes Hydra raise instead of print.
        composed = autolrs("train", "recipe=nope", cwd=tmp_path, HYDRA_FULL_ERROR="1")
        assert composed.stderr == (
            "error: `recipe` must be one of the known options, but got recipe=nope. "
            "Set recipe to one of: bert, resnet50, transformer\n"
        )
        checked = autolrs(
            "train", *TINY, "seed=-1", "search.lr_min=7", cwd=tmp_path, PYTHONIOENCODING="ascii"
        )
        assert checked.stderr.splitlines() == [
            "2 problems, nothing was started:",
            "error: `seed` must be greater than or equal to 0, but got seed=-1. Set seed.",
            "error: `lr_min < lr_max` must hold, but got search.lr_min=7.0, search.lr_max=1.0. Set search.lr_min.",
        ]
        assert (composed.returncode, composed.stdout) == (2, "")
        assert (checked.returncode, checked.stdout) == (2, "")
        assert list(tmp_path.iterdir()) == []

    def test_an_unknown_command_and_none(self, tmp_path: Path) -> None:
        unknown = autolrs("trian", cwd=tmp_path)
        assert unknown.returncode == 2
        assert "No such command 'trian'" in unknown.stderr
        assert "Traceback" not in unknown.stderr
        nothing = autolrs(cwd=tmp_path)
        assert nothing.returncode == 2
        assert "Start with: autolrs train recipe=resnet50" in nothing.stdout + nothing.stderr

    def test_no_recipe(self, tmp_path: Path) -> None:
        told = autolrs("train", cwd=tmp_path)
        assert (told.returncode, told.stdout) == (2, "")
        assert told.stderr.endswith("with NAME one of: bert, resnet50, transformer\n")


class TestShownWithoutTraining:
    """Hydra's flags that only show something."""

    def test_the_configuration(self, train: Train) -> None:
        said = train(*TINY, "seed=7", "--cfg", "job")
        assert (said.code, said.err) == (0, "")
        assert "\nseed: 7\n" in f"\n{said.out}"

    def test_one_group_of_it_in_any_order(self, train: Train) -> None:
        said = train("recipe=resnet50", "--cfg", "job", "--resolve", "--package", "search", "scale=tiny")
        assert said.code == 0
        assert "num_trials: 2" in said.out
        assert "runtime" not in said.out

    def test_help_and_information(self, train: Train, tmp_path: Path) -> None:
        assert "--multirun" in train("--hydra-help").out
        assert "schedule: autolrs, clr, constant, cosine" in train(*TINY, "--help").out
        told = autolrs("train", "recipe=resnet50", "--info", "searchpath", cwd=tmp_path)
        assert told.returncode == 0
        assert "pkg://autolrs_configs" in told.stdout

    def test_a_persons_own_folder(self, train: Train) -> None:
        said = train(*TOY[1:], "--cfg", "job")
        assert said.code == 0
        assert "_target_: toy_recipe.ToyRecipe" in said.out
        listed = train("--config-dir", str(USER))
        assert "one of: bert, decoding, failing, resnet50, toy, transformer" in listed.err


class TestOwnFiles:
    """A person's own configurations, as editors and systems may leave them."""

    @pytest.fixture
    def experiment(self, tmp_path: Path) -> Path:
        path = tmp_path / "mine" / "experiment" / "short.yaml"
        path.parent.mkdir(parents=True)
        path.write_text("# @package _global_\nrun:\n  max_steps: 20\n")
        return path

    @pytest.mark.parametrize("mark", [codecs.BOM_UTF8, codecs.BOM_UTF16_LE])
    def test_a_byte_order_mark_is_named(self, refused: Refused, experiment: Path, mark: bytes) -> None:
        experiment.write_bytes(mark + experiment.read_bytes())
        said = refused("--config-dir", str(experiment.parents[1]), "recipe=resnet50", "+experiment=short")
        assert f"{experiment} begins with a byte order mark (BOM)" in said
        assert "Save it as UTF-8 without BOM." in said

    def test_an_option_that_differs_in_its_unicode_form_only(
        self, refused: Refused, experiment: Path
    ) -> None:
        composed, parted = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
        experiment.rename(experiment.with_name(f"{composed}.yaml"))
        said = refused(
            "--config-dir", str(experiment.parents[1]), "recipe=resnet50", f'+experiment="{parted}"'
        )
        assert "the first is in NFD, the second in NFC" in said


class TestPublicData:
    """idx files and data of the hub."""

    def test_idx_files_that_are_missing_cut_or_something_else(self, tmp_path: Path, refused: Refused) -> None:
        given = (*TINY, "data=fashion_mnist", f"data.root={tmp_path}")
        assert "lacks train-images-idx3-ubyte, train-labels-idx1-ubyte" in refused(*given)
        write_idx(tmp_path)
        images = tmp_path / "train-images-idx3-ubyte"
        whole = images.read_bytes()
        images.write_bytes(whole[:-1])
        assert "is cut, or no idx file" in refused(*given)
        images.write_bytes(b"GIF8" + whole[4:])
        assert "must begin with the magic number 00000803" in refused(*given)

    def test_a_name_of_the_hub_without_network(self, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        for data in ("cifar10", "hub_images", "hub_text"):
            recipe = "bert" if data == "hub_text" else "resnet50"
            said = train(f"recipe={recipe}", "scale=tiny", f"data={data}", "data.name=somebody/something")
            assert (said.code, said.err.count("error:")) == (2, 1)
            assert "set data.name=FOLDER" in said.err

    def test_images_without_labels(self, tmp_path: Path, train: Train, hub_cache: None) -> None:  # noqa: F811
        write_parquet(tmp_path / "hub", label=None)
        said = train(*TINY, "data=hub_images", f"data.name={tmp_path / 'hub'}")
        assert (said.code, said.err.count("error:")) == (2, 1)
        assert "data without labels cannot be classified" in said.err
