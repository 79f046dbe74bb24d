"""Small translation data, models and recipes that the tests of the Transformer recipe share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from autolrs_recipes.data.translation.parallel_text import ParallelText
from autolrs_recipes.data.translation.phrases.phrases import Phrases
from autolrs_recipes.models.marian import Marian
from autolrs_recipes.transformer import Transformer


def phrases(cache: Path, made: Callable[..., Any] = Phrases, **changes: Any) -> Any:
    settings: dict[str, Any] = {
        "num_pairs": 1200,
        "generation_seed": 0,
        "choose_pairs": 20,
        "target_pairs": 40,
        "vocab_size": 500,
        "max_length": 100,
        "cache_dir": str(cache),
    }
    return made(**{**settings, **changes})


def parallel_text(cache: Path, made: Callable[..., Any] = ParallelText, **changes: Any) -> Any:
    settings: dict[str, Any] = {
        "source": None,
        "target": None,
        "validation_source": None,
        "validation_target": None,
        "test_source": None,
        "test_target": None,
        "choose_fraction": 0.1,
        "choose_max_pairs": 100,
        "vocab_size": 400,
        "max_length": 40,
        "cache_dir": str(cache),
    }
    return made(**{**settings, **changes})


def model(made: Callable[..., Any] = Marian, **changes: Any) -> Any:
    settings: dict[str, Any] = {
        "d_model": 32,
        "layers": 1,
        "heads": 2,
        "d_ff": 64,
        "dropout": 0.1,
        "max_length": 128,
    }
    return made(**{**settings, **changes})


def recipe(data: Any, made: Callable[..., Any] = Transformer, **changes: Any) -> Any:
    settings: dict[str, Any] = {
        "name": "transformer",
        "model": model(),
        "data": data,
        "batch_tokens": 400,
        "micro_batches": 1,
        "eval_tokens": 1000,
        "label_smoothing": 0.1,
        "beam_size": 4,
        "length_penalty": 0.6,
        "bleu_sentences": None,
        "averaged_checkpoints": 5,
        "checkpoint_every_steps": 10,
    }
    return made(**{**settings, **changes})
