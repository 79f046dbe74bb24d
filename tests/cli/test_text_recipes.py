"""The Transformer and BERT recipes on files that a person brings: trained both ways, killed, resumed, exported."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from harness import assert_equal_weights, events, run
from killing import MOMENTS, at_call, killed

from autolrs_cli.commands.export import main as export
from autolrs_cli.commands.resume import main as resume
from autolrs_cli.training.engine import Engine

WORDS = {
    "the": "das",
    "a": "ein",
    "red": "rote",
    "green": "grüne",
    "house": "Haus",
    "dog": "Hund",
    "tree": "Baum",
    "runs": "rennt",
    "sleeps": "schläft",
    "falls": "fällt",
    "and": "und",
    "slowly": "langsam",
    "in": "in",
}
ENGLISH, GERMAN = list(WORDS), list(WORDS.values())


def sentences(count: int, seed: int) -> tuple[list[str], list[str]]:
    """Sentences of random words, and their translations word by word."""
    draw = random.Random(seed)
    drawn = [[draw.randrange(len(ENGLISH)) for _ in range(draw.randint(3, 9))] for _ in range(count)]
    return (
        [" ".join(ENGLISH[i] for i in words) for words in drawn],
        [" ".join(GERMAN[i] for i in words) for words in drawn],
    )


@pytest.fixture(scope="module")
def overrides(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, ...]]:
    """What a person types for their own files, for each recipe."""
    folder = tmp_path_factory.mktemp("files")
    for part, (count, seed) in {"train": (600, 1), "dev": (60, 2)}.items():
        for side, lines in zip(("en", "de"), sentences(count, seed), strict=True):
            (folder / f"{part}.{side}").write_text("\n".join(lines) + "\n", encoding="utf-8")
    lines, _ = sentences(900, 3)
    documents = ["\n".join(lines[i : i + 15]) for i in range(0, len(lines), 15)]
    (folder / "text.txt").write_text("\n\n".join(documents) + "\n", encoding="utf-8")
    cache = f"data.cache_dir={folder / 'cache'}"
    translations = [
        f"data.{key}={folder / name}"
        for key, name in {
            "source": "train.en",
            "target": "train.de",
            "validation_source": "dev.en",
            "validation_target": "dev.de",
        }.items()
    ]
    return {
        "transformer": (
            "recipe=transformer",
            "scale=tiny",
            "search=paper",
            "data=parallel_text",
            *translations,
            cache,
        ),
        "bert": (
            "recipe=bert",
            "scale=tiny",
            "search=paper",
            "data=text_files",
            f"data.files=[{folder / 'text.txt'}]",
            cache,
        ),
    }


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, overrides: dict[str, tuple[str, ...]]
) -> Callable[[str, str], Path]:
    made: dict[tuple[str, str], Path] = {}

    def make(recipe: str, schedule: str) -> Path:
        key = recipe, schedule
        if key not in made:
            made[key] = tmp_path_factory.mktemp("runs") / "run"
            run(made[key], *overrides[recipe], f"schedule={schedule}")
        return made[key]

    return make


def summary(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "summary.json").read_text())
    return found


@pytest.mark.parametrize("schedule", ["autolrs", "original"])
@pytest.mark.parametrize(
    ("recipe", "measures"),
    [
        ("transformer", {"loss", "smoothed_loss", "accuracy", "bleu", "bleu_of_copying_source"}),
        ("bert", {"loss", "mlm_loss", "mlm_accuracy", "nsp_loss", "nsp_accuracy"}),
    ],
)
def test_trained_on_files(
    finished: Callable[[str, str], Path], recipe: str, measures: set[str], schedule: str
) -> None:
    directory = finished(recipe, schedule)
    found = summary(directory)
    assert (found["status"], found["step"]) == ("done", 210)
    assert set(found["metrics"]) == measures | {"choose_loss"}
    measured = [r for r in events(directory, "eval") if (r["split"], r["weights"]) == ("target", "raw")]
    losses = [record["metrics"]["loss"] for record in measured]
    assert losses[-1] < losses[0]
    assert bool(found["chosen"]) == (schedule == "autolrs")


def test_bert_restarts_its_stages_with_the_long_phase(finished: Callable[[str, str], Path]) -> None:
    started = events(finished("bert", "autolrs"), "stage_started")
    assert [(r["phase"], r["first_step"], r["steps"]) for r in started] == [
        ("short", 10, 40),
        ("short", 50, 118),
        ("long", 168, 42),
    ]


@pytest.mark.parametrize("recipe", ["transformer", "bert"])
def test_exported_models_load_in_plain_transformers(
    finished: Callable[[str, str], Path], tmp_path: Path, recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert export(finished(recipe, "original"), tmp_path / "out") == 0
    code = re.search(r"```python\n(.*?)```", (tmp_path / "out" / "README.md").read_text(), re.DOTALL)
    assert code is not None
    assert "autolrs" not in code[1]
    exec(code[1], {})


@pytest.mark.parametrize(
    ("recipe", "call"),
    # Steps of an undisturbed run: the warm-up, then the trials and the training of each stage.
    [("bert", 345), ("bert", 395), ("transformer", 100)],
    ids=[
        "in a trial of BERT's second phase",
        "training BERT's second phase",
        "in a trial of the Transformer",
    ],
)
def test_killed_and_resumed(
    finished: Callable[[str, str], Path],
    overrides: dict[str, tuple[str, ...]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    recipe: str,
    call: int,
) -> None:
    monkeypatch.setitem(MOMENTS, "now", lambda: mock.patch.object(Engine, "step", at_call(call, Engine.step)))
    directory = tmp_path / "run"
    assert killed("now", lambda: run(directory, *overrides[recipe], "run.checkpoint_every_seconds=0.05"))
    assert resume(directory, ["dashboard=none"], [], started=time.perf_counter()) == 0
    reference = finished(recipe, "autolrs")
    assert_equal_weights(directory, reference)
    assert (directory / "schedule.csv").read_text() == (reference / "schedule.csv").read_text()
    for key in ("metrics", "chosen", "notes", "examples"):
        assert summary(directory)[key] == summary(reference)[key]
