"""Small text, models and recipes that the tests of BERT's pre-training share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from autolrs_recipes.bert import Bert
from autolrs_recipes.data.pretraining.hub_text import HubText
from autolrs_recipes.data.pretraining.pydocs import PyDocs
from autolrs_recipes.data.pretraining.text_files import TextFiles
from autolrs_recipes.data.pretraining.wikipedia_books import WikipediaBooks
from autolrs_recipes.models.bert import PretrainingBert

SPLIT: dict[str, Any] = {
    "vocab_size": 300,
    "tokenizer_sentences": 1_000_000,
    "choose_fraction": 0.1,
    "target_fraction": 0.2,
}


def documents(count: int, seed: int = 0, most: int = 14) -> list[list[str]]:
    """Documents of 1 to `most` sentences of 2 to 12 made-up words; no two alike."""
    rng = np.random.default_rng(seed)
    words = ["".join(rng.choice(list("abcdefghij"), 3)) for _ in range(60)]
    return [
        [
            " ".join([*rng.choice(words, int(rng.integers(2, 13))), f"n{d}"])
            for _ in range(int(rng.integers(1, most)))
        ]
        for d in range(count)
    ]


def write_documents(path: Path, docs: list[list[str]]) -> str:
    path.write_text("\n\n".join("\n".join(doc) for doc in docs) + "\n", encoding="utf-8")
    return str(path)


def text_files(cache: Path, files: Any, made: Callable[..., Any] = TextFiles, **changes: Any) -> Any:
    settings = {
        "files": files,
        "validation_files": None,
        "format": "sentences",
        "document_sentences": 10,
        "cache_dir": str(cache),
        **SPLIT,
    }
    return made(**{**settings, **changes})


def wikipedia_books(cache: Path, made: Callable[..., Any] = WikipediaBooks, **changes: Any) -> Any:
    settings = {
        "wikipedia": None,
        "wikipedia_config": None,
        "books": None,
        "books_config": None,
        "text_column": "text",
        "document_sentences": 10,
        "cache_dir": str(cache),
        **SPLIT,
    }
    return made(**{**settings, **changes})


def hub_text(cache: Path, name: Path | str | None, made: Callable[..., Any] = HubText, **changes: Any) -> Any:
    settings = {
        "name": name if name is None else str(name),
        "config": None,
        "train_split": "train",
        "validation_split": None,
        "text_column": "text",
        "rows": "documents",
        "document_sentences": 10,
        "cache_dir": str(cache),
        **SPLIT,
    }
    return made(**{**settings, **changes})


def pydocs(cache: Path, **changes: Any) -> PyDocs:
    return PyDocs(**{"cache_dir": str(cache), **SPLIT, "vocab_size": 1000, **changes})


def small_bert(made: Callable[..., Any] = PretrainingBert, **changes: Any) -> Any:
    settings = {
        "hidden": 32,
        "layers": 2,
        "heads": 2,
        "intermediate": 64,
        "dropout": 0.0,
        "max_length": 64,
    }
    return made(**{**settings, **changes})


def recipe(data: Any, made: Callable[..., Any] = Bert, **changes: Any) -> Any:
    settings = {
        "name": "bert",
        "model": small_bert(),
        "data": data,
        "global_batch": 12,
        "micro_batch": 4,
        "eval_batch": 7,
        "short_length": 24,
        "long_length": 48,
        "short_fraction": 0.9,
        "eval_length": 24,
        "mask_fraction": 0.15,
        "choose_pairs": 20,
        "target_pairs": 30,
    }
    return made(**{**settings, **changes})
