"""From the command line of one run to that of another beside it."""

from __future__ import annotations

from collections.abc import Sequence

from autolrs_cli.config_keys import lies_below
from autolrs_cli.overrides import key_in


def for_another_run(words: Sequence[str], left_out: Sequence[str]) -> list[str]:
    """Return the overrides of one run that another one beside it needs, too.

    A search's numbers are not among them. Which search is chosen is: it says whose weights are read out.

    Args:
        words: what was typed.
        left_out: groups and keys that the other run has in its own way.
    """
    keys = {word: key_in(word) for word in words}
    return [w for w in words if not lies_below(keys[w], left_out) and not keys[w].startswith("search.")]
