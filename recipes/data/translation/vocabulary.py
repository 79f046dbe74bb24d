"""What a translation model needs to know of its data: the tokenizer, and a sentence to try it on."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from autolrs_recipes.data.tokenizer_file import read_tokenizer
from autolrs_recipes.data.translation.pairs import TOKENIZER_FILE, PreparedPairs

_EXAMPLE_FILE = "example.json"


@dataclass(frozen=True)
class Vocabulary:
    """The tokenizer, as a file.

    Args:
        tokenizer_file: as the tokenizers library writes it.
        size: number of tokens.
        example: a source sentence.
    """

    tokenizer_file: Path
    size: int
    example: str

    @classmethod
    def of(cls, prepared: PreparedPairs) -> Vocabulary:
        """Return that of prepared pairs."""
        return cls(prepared.tokenizer_file, prepared.facts.vocabulary, prepared.test_sentences()[0][0])

    def write(self, folder: Path) -> None:
        """Write it into a folder."""
        shutil.copyfile(self.tokenizer_file, folder / TOKENIZER_FILE)
        text = json.dumps({"source": self.example}, ensure_ascii=False)
        (folder / _EXAMPLE_FILE).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Vocabulary:
        """Read what `write` wrote.

        Raises:
            OSError, ValueError, KeyError: if it is not that.
        """
        example = json.loads((folder / _EXAMPLE_FILE).read_text(encoding="utf-8"))["source"]
        size = read_tokenizer(folder / TOKENIZER_FILE).get_vocab_size()
        return cls(folder / TOKENIZER_FILE, size, str(example))
