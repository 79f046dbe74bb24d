"""Tokenizers as files, of the tokenizers library."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def read_tokenizer(path: Path) -> Tokenizer:
    """Return the tokenizer in a file.

    Raises:
        OSError: if there is no such file.
        ValueError: if it holds no tokenizer.
    """
    from tokenizers import Tokenizer

    text = path.read_text(encoding="utf-8")
    try:
        return Tokenizer.from_str(text)
    except Exception as error:  # the library has no class of its own for this
        raise ValueError(f"{path.name} holds no tokenizer: {error}") from error
