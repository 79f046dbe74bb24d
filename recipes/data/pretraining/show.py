"""Masked sentence pairs in tokens, for a person to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autolrs_cli.contracts import Batch, Example
from autolrs_recipes.data.pretraining.streams import FOLLOWS
from autolrs_recipes.data.pretraining.wordpiece import MASK

if TYPE_CHECKING:
    from tokenizers import Tokenizer

LEGEND = (
    "A and B are what the network sees: tokens, a blank between two; ## goes on with a word. It predicts the tokens in "
    "the last line, at these places (the first is 0): hidden behind [MASK], replaced by another token, or kept."
)


def sequences_in_words(tokenizer: Tokenizer, batch: Batch) -> list[Example]:
    """Return each sequence of a batch of `GlobalBatch.read`: both segments, whether B follows A, the masked tokens."""
    named = _Names(tokenizer)
    length = batch["input_ids"].shape[1]
    masked: list[dict[int, int]] = [{} for _ in batch["input_ids"]]
    places, originals = batch["masked_positions"].tolist(), batch["masked_tokens"].tolist()
    for place, original in zip(places, originals, strict=True):
        masked[place // length][place % length] = original
    examples = []
    for row, original_at in enumerate(masked):
        used = int(batch["attention_mask"][row].sum())
        seen = batch["input_ids"][row, :used].tolist()
        second = int(batch["token_type_ids"][row, :used].sum())
        follows = int(batch["next_sentence_label"][row]) == FOLLOWS
        padding = f" and {length - used} of padding" if used < length else ""
        predicted = [
            f"{place} {named.one(token)} ({named.fate(token, seen[place])})"
            for place, token in sorted(original_at.items())
        ]
        examples.append(
            Example(
                (
                    f"{used} tokens{padding}; B {'follows' if follows else 'does not follow'} A",
                    f"A: {named.all(seen[: used - second])}",
                    f"B: {named.all(seen[used - second :])}",
                    f"to predict: {', '.join(predicted)}",
                )
            )
        )
    return examples


class _Names:
    """Tokens by name."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def one(self, token: int) -> str:
        return self._tokenizer.id_to_token(token) or f"<{token}>"

    def all(self, tokens: list[int]) -> str:
        return " ".join(map(self.one, tokens))

    def fate(self, original: int, seen: int) -> str:
        """Say what became of a token that is to be predicted, as far as the batch tells."""
        if seen == MASK:
            return "hidden"
        return "kept" if seen == original else f"replaced by {self.one(seen)}"
