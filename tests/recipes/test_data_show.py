"""`autolrs data show`: what it shows is what the batches of a run hold."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pretraining_cases
import pytest
import torch
import translation_cases
from PIL import Image
from rich.console import Console

from autolrs_cli.commands.shown_data import PICTURES, TEXTS, refuse_unusable, shown, write_out
from autolrs_cli.contracts import Example, Position, Showable
from autolrs_cli.errors import ConfigError
from autolrs_cli.reports.figures.sheet import CAPTION, GAP, sheet
from autolrs_recipes.data.images.preprocessing import Preprocessing
from autolrs_recipes.data.pretraining.wordpiece import MASK
from autolrs_recipes.data.translation.pairs import PAD_ID


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("bert")
    text = pretraining_cases.write_documents(root / "text.txt", pretraining_cases.documents(120))
    return pretraining_cases.recipe(pretraining_cases.text_files(root / "cache", text))


@pytest.fixture(scope="module")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    data = translation_cases.phrases(tmp_path_factory.mktemp("cache"), num_pairs=300)
    return translation_cases.recipe(data, micro_batches=2)


def first_batches(recipe: Any, seed: int, steps: int, phase: int = 0) -> list[dict[str, torch.Tensor]]:
    stream = recipe.train_stream(phase, seed)
    return [
        stream.batch(Position(phase, step, micro))
        for step in range(steps)
        for micro in range(stream.micro_batches)
    ]


def written(recipe: Any, tmp_path: Path, count: int = 3, seed: int = 5) -> list[str]:
    """Return the lines that --out holds."""
    out = tmp_path / "shown.txt"
    write_out(shown(recipe, 100, seed, count), out, Console(file=io.StringIO()))
    return out.read_text(encoding="utf-8").splitlines()


def test_the_three_recipes_can_be_shown(bert: Any, transformer: Any, recipe: Callable[..., Any]) -> None:
    assert all(isinstance(each, Showable) for each in (bert, transformer, recipe()))


class TestImages:
    def test_pictures_are_the_augmented_images_of_the_first_steps(self, recipe, digits) -> None:
        made = recipe()
        found = shown(made, 100, 5, None)
        assert len(found.examples) == PICTURES
        images = torch.cat([batch["images"] for batch in first_batches(made, 5, 2)])
        labels = torch.cat([batch["labels"] for batch in first_batches(made, 5, 2)])
        mean, std = digits().preprocessing().mean[0], digits().preprocessing().std[0]
        for example, image, label in zip(found.examples, images, labels, strict=True):
            assert example.lines == (str(int(label)),)
            brightness = (image * std + mean).clamp(0, 1).permute(1, 2, 0).numpy() * 255
            assert np.abs(example.pixels.astype(np.float64) - brightness).max() <= 0.51
        assert found.phases[0].places[31:34] == [(0, 31), (1, 0), (1, 1)]

    def test_letters_are_named(self, recipe, glyphs) -> None:
        made = recipe(data=glyphs())
        (batch,) = first_batches(made, 0, 1)[:1]
        names = [example.lines[0] for example in made.show(batch)]
        assert names == [made.data.preprocessing().classes[i] for i in batch["labels"].tolist()]

    def test_another_seed_has_other_batches(self, recipe) -> None:
        one, other = (shown(recipe(), 100, seed, 8).examples for seed in (0, 1))
        assert any(not np.array_equal(a.pixels, b.pixels) for a, b in zip(one, other, strict=True))

    def test_images_of_unknown_normalisation_are_spread_over_all_greys(self) -> None:
        pixels = Preprocessing(("a",)).pixels(torch.linspace(-3, 5, 12).view(1, 3, 2, 2))
        assert (pixels.min(), pixels.max()) == (0, 255)
        assert Preprocessing(("a",)).pixels(torch.ones(1, 3, 2, 2)).shape == (1, 2, 2, 3)

    def test_the_sheet_holds_every_pixel_enlarged_and_is_named(self, recipe, tmp_path, monkeypatch) -> None:
        monkeypatch.chdir(tmp_path)
        said = Console(file=io.StringIO(), width=200)
        what = shown(recipe(), 100, 0, 10)
        write_out(what, None, said)
        assert "10 pictures written to data-resnet50.png (--out FILE: elsewhere)" in said.file.getvalue()
        page = np.asarray(Image.open(tmp_path / "data-resnet50.png"))
        across, down, top = 64 + GAP, 64 + CAPTION + GAP, GAP + 2 * CAPTION
        for number, example in enumerate(what.examples):
            y, x = top + number // 8 * down, GAP + number % 8 * across
            assert np.array_equal(page[y : y + 64 : 4, x : x + 64 : 4], example.pixels)

    def test_long_names_stay_inside_their_column(self) -> None:
        blank = np.zeros((16, 16, 3), dtype=np.uint8)
        page = np.asarray(Image.open(io.BytesIO(sheet(("x" * 500,), [Example(("name " * 50,), blank)] * 9))))
        assert (page[:, :GAP] == 255).all()
        assert (page[:, -GAP + 1 :] == 255).all()
        top = GAP + CAPTION
        assert (page[top:, GAP + 64 : 2 * GAP + 64] == 255).all(), "a caption runs into the next column"


class TestSequences:
    def test_tokens_and_masks_are_those_of_the_batch(self, bert: Any, tmp_path: Path) -> None:
        (batch, *_) = first_batches(bert, 5, 1)
        length, name = batch["input_ids"].shape[1], bert.data.tokenizer.id_to_token
        for row, example in enumerate(bert.show(batch)):
            head, a, b, predicted = example.lines
            used = int(batch["attention_mask"][row].sum())
            seen = batch["input_ids"][row, :used].tolist()
            assert f"{a.removeprefix('A: ')} {b.removeprefix('B: ')}".split() == [name(i) for i in seen]
            assert len(b.split()) - 1 == int(batch["token_type_ids"][row].sum())
            assert ("does not follow" in head) == bool(batch["next_sentence_label"][row])
            assert head.startswith(f"{used} tokens")
            fates = {}
            for place, original in zip(batch["masked_positions"], batch["masked_tokens"], strict=True):
                if int(place) // length == row:
                    at = seen[int(place) % length]
                    fate = "hidden" if at == MASK else f"replaced by {name(at)}"
                    fates[int(place) % length] = (name(int(original)), "kept" if at == original else fate)
            expected = ", ".join(f"{at} {token} ({fate})" for at, (token, fate) in sorted(fates.items()))
            assert predicted == f"to predict: {expected}"

    def test_all_three_fates_come_about(self, bert: Any) -> None:
        text = "\n".join(line for example in shown(bert, 100, 0, 60).examples for line in example.lines)
        assert all(fate in text for fate in ("(hidden)", "(kept)", "(replaced by "))

    def test_both_phases_are_shown_with_the_legend(self, bert: Any, tmp_path: Path) -> None:
        lines = written(bert, tmp_path, count=2)
        assert bert.legend() in lines
        assert [line for line in lines if line.startswith("phase")] == [
            f"phase {phase}, step 0, example {place}" for phase in ("short", "long") for place in (0, 1)
        ]


class TestSentences:
    def test_tokens_are_those_of_the_batch(self, transformer: Any) -> None:
        tokenizer = transformer.data.prepared.tokenizer()
        for batch in first_batches(transformer, 5, 2):
            for row, example in enumerate(transformer.show(batch)):
                for line, side in zip(example.lines, ("source", "target"), strict=True):
                    tokens = [token for token in batch[side][row].tolist() if token != PAD_ID]
                    head, _, text = line.partition(": ")
                    assert head.startswith(f"{side}, {len(tokens)} tokens")
                    assert text.count("|") == len(tokens)
                    if "Ã" not in text:  # a part of a character, as the tokenizer names it
                        assert text.replace("|", "").removesuffix("</s>") == " " + tokenizer.decode(tokens)

    def test_text_goes_to_the_terminal_and_is_wrapped_there(self, transformer: Any, monkeypatch) -> None:
        monkeypatch.setenv("COLUMNS", "80")
        terminal = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
        write_out(shown(transformer, 100, 0, None), None, terminal)
        lines = terminal.file.getvalue().splitlines()
        assert max(map(len, lines)) <= 80
        assert sum(line.startswith("phase train") for line in lines) == TEXTS

    def test_a_pipe_gets_whole_lines(self, transformer: Any, tmp_path: Path) -> None:
        pipe = Console(file=io.StringIO(), width=80)
        write_out(shown(transformer, 100, 5, 3), None, pipe)
        assert pipe.file.getvalue().splitlines() == written(transformer, tmp_path)


class Mute:
    name = "mute"


class Loud:
    """A recipe whose text would command the terminal."""

    name = "loud"

    def show(self, batch: Any) -> list[Example]:
        return [Example(("\x1b[31mred\nline",))]


class TestBadInput:
    def test_a_recipe_that_cannot_show_itself(self) -> None:
        with pytest.raises(ConfigError, match="mute has no methods `show` and `legend`"):
            shown(Mute(), 10, 0, None)  # type: ignore[arg-type]

    def test_out_is_a_folder_or_lies_in_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        with pytest.raises(ConfigError, match=r"is a folder\. Name a file in it"):
            refuse_unusable(tmp_path)
        with pytest.raises(ConfigError, match="is none"):
            refuse_unusable(tmp_path / "file" / "sheet.png")
        refuse_unusable(tmp_path / "new" / "sheet.png")

    def test_pictures_are_png(self, recipe: Callable[..., Any], tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"must end in \.png"):
            write_out(shown(recipe(), 10, 0, 2), tmp_path / "sheet.txt", Console(file=io.StringIO()))
        assert list(tmp_path.iterdir()) == []

    def test_a_file_that_cannot_be_written(self, transformer: Any) -> None:
        with pytest.raises(ConfigError, match=r"must be writable, but /proc/nowhere/x\.txt is not"):
            write_out(shown(transformer, 10, 0, 1), Path("/proc/nowhere/x.txt"), Console(file=io.StringIO()))

    def test_nothing_commands_the_terminal(self, transformer: Any, monkeypatch) -> None:
        monkeypatch.setattr(transformer, "show", Loud().show)
        console = Console(file=io.StringIO(), width=80)
        write_out(shown(transformer, 10, 0, 1), None, console)
        assert console.file.getvalue().endswith("  \\x1b[31mred\\nline\n")
