"""Sentences with the borders of their tokens, for a person to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autolrs_recipes.data.translation.pairs import PAD_ID

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import Tensor

BOUNDARIES = (
    "Each | ends a token; a blank belongs to the token that it stands in. A token that is part of a character is "
    "written as the tokenizer names it."
)
_BROKEN = "\N{REPLACEMENT CHARACTER}"


def tokens_in_words(tokenizer: Tokenizer, side: str, tokens: Tensor) -> str:
    """Return "source, 4 tokens and 2 of padding:  The| price| is|</s>|".

    Args:
        tokenizer: of the byte-pair encoding.
        side: "source" or "target".
        tokens: int64 [T], padded at the end.
    """
    from tokenizers.decoders import ByteLevel

    used = tokens[tokens != PAD_ID].tolist()
    names = [tokenizer.id_to_token(token) or f"<{token}>" for token in used]
    texts = [ByteLevel().decode([name]) for name in names]
    shown = "".join(f"{name if _BROKEN in text else text}|" for name, text in zip(names, texts, strict=True))
    padding = f" and {len(tokens) - len(used)} of padding" if len(used) < len(tokens) else ""
    return f"{side}, {len(used)} tokens{padding}: {shown}"
