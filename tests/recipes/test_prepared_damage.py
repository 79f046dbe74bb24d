"""Prepared data that were cut, removed or changed on disk: noticed at the start, made again, and said so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pretraining_cases
import pytest
import translation_cases

from autolrs_cli.contracts import Position
from autolrs_cli.errors import ConfigError
from autolrs_recipes.data import manifest
from autolrs_recipes.data.cache import prepared


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def remove(path: Path) -> None:
    path.unlink()


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


EVERYWHERE = (cut, remove, flip)
ONCE = (empty, lengthen, replace_by_folder)


def translation(root: Path) -> tuple[Any, Callable[[], Path]]:
    lines = [(f"the {word} number {i}", f"die {word} zahl {i}") for i in range(40) for word in ("big", "red")]
    for name, rows in (("train", lines[:60]), ("dev", lines[60:])):
        for side, suffix in ((0, "en"), (1, "de")):
            (root / f"{name}.{suffix}").write_text("".join(f"{row[side]}\n" for row in rows))
    files = {
        "source": root / "train.en",
        "target": root / "train.de",
        "validation_source": root / "dev.en",
        "validation_target": root / "dev.de",
    }
    data = translation_cases.parallel_text(root / "cache", **{k: str(v) for k, v in files.items()})
    return translation_cases.recipe(data), lambda: data.prepared.folder


def pretraining(root: Path) -> tuple[Any, Callable[[], Path]]:
    text = pretraining_cases.write_documents(root / "text", pretraining_cases.documents(30))
    data = pretraining_cases.text_files(root / "cache", text)
    return pretraining_cases.recipe(data), lambda: data._folder


def used(recipe: Any) -> list[Any]:
    """Everything that a run reads of the data, from its start to its end."""
    batches = [recipe.train_stream(0, 0).batch(Position(0, 0, 0))]
    for split in ("choose", "target"):
        stream = recipe.eval_stream(split)
        batches += [stream.batch(i) for i in range(stream.num_batches)]
    seen = [{name: tensor.tolist() for name, tensor in batch.items()} for batch in batches]
    if hasattr(recipe, "measure_fully"):
        seen += [recipe.data.prepared.test_sentences(), recipe.data.prepared.tokenizer().to_str()]
    else:
        seen += [recipe.data.tokenizer.to_str()]
    return [*seen, recipe.fingerprint(), recipe.describe()]


def prepared_again(make: Callable, root: Path) -> tuple[Any, list[str]]:
    """A recipe as another process would have it, prepared, and what was said of damage."""
    recipe, _ = make(root)
    said: list[str] = []
    recipe.prepare(lambda what, *_: said.append(what))
    return recipe, [what for what in said if "damaged" in what]


@pytest.mark.parametrize("make", [translation, pretraining])
def test_any_damage_of_any_file_is_noticed_and_mended(tmp_path: Path, make: Callable) -> None:
    recipe, folder = make(tmp_path)
    recipe.prepare(lambda *_: None)
    good = used(recipe)
    files = sorted(path.relative_to(folder()) for path in folder().rglob("*") if path.is_file())
    assert len(files) > 5
    cases = [(file, damage) for file in files for damage in EVERYWHERE]
    for file, damage in [*cases, *((files[-1], damage) for damage in ONCE)]:
        damage(folder() / file)
        again, said = prepared_again(make, tmp_path)
        if file.name != manifest.MANIFEST:
            assert file.name in said[0], (file, damage)
            assert "are made again" in said[0], (file, damage)
        assert used(again) == good, (file, damage)
    assert prepared_again(make, tmp_path)[1] == []


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"files": 3}', '{"files": {}}', '{"files": {"x": 1}}', "\0"]
)
def test_a_manifest_that_is_none_is_damage(tmp_path: Path, text: str) -> None:
    folder = prepared(tmp_path, "kind", {}, lambda folder: (folder / "x").write_text("1"))
    (folder / manifest.MANIFEST).write_text(text)
    made = []
    prepared(tmp_path, "kind", {}, lambda folder: made.append((folder / "x").write_text("1")))
    assert len(made) == 1


def test_files_beyond_the_bound_are_hashed_only_when_everything_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "HASHED_BYTES", 100)
    made = []

    def make(folder: Path) -> None:
        made.append(1)
        (folder / "large").write_bytes(b"x" * 101)

    folder = prepared(tmp_path, "kind", {}, make)
    flip(folder / "large")
    prepared(tmp_path, "kind", {}, make)
    assert len(made) == 1
    cut(folder / "large")
    prepared(tmp_path, "kind", {}, make)  # sizes are always checked
    assert len(made) == 2
    flip(folder / "large")
    prepared(tmp_path, "kind", {}, make, full=True)
    assert len(made) == 3


def test_damage_in_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    folder = prepared(tmp_path, "kind", {}, lambda folder: (folder / "x").write_text("1"))
    flip(folder / "x")
    (tmp_path / "kind" / f"{folder.name}.lock").unlink(missing_ok=True)
    (tmp_path / "kind" / f"{folder.name}.lock").mkdir()  # root may write anywhere: this stops it, too
    with pytest.raises(ConfigError, match=r"the content of x has changed.*data\.cache_dir"):
        prepared(tmp_path, "kind", {}, lambda _: None)


def test_what_the_end_needs_is_checked_at_the_start(tmp_path: Path) -> None:
    """BLEU reads test.jsonl after the last step, the export reads tokenizer.json."""
    recipe, folder = translation(tmp_path)
    recipe.prepare(lambda *_: None)
    listed = json.loads((folder() / manifest.MANIFEST).read_text())["files"]
    assert {"test.jsonl", "tokenizer.json", "facts.json", "ingredients.json"} <= listed.keys()
