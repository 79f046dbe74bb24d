"""What the flags of a chosen LR mean for a person."""

from __future__ import annotations

from typing import NamedTuple


class FlagMeaning(NamedTuple):
    """A flag in words."""

    fact: str
    advice: str = ""
    """What to do about it, or what else there is to know: a sentence."""

    @property
    def sentence(self) -> str:
        """The fact with its advice."""
        return f"{self.fact}. {self.advice}".rstrip()


MEANINGS = {
    "lower_edge": FlagMeaning(
        "the chosen LR sits on the search interval's lower end",
        "Lower search.lr_min if larger steps did not help, or expect that short trials favour small LRs.",
    ),
    "upper_edge": FlagMeaning(
        "the chosen LR sits on the search interval's upper end", "Raise search.lr_max."
    ),
    "searched_again": FlagMeaning(
        "training diverged at the LR chosen first, so the stage was taken back and searched again"
    ),
    "all_failed": FlagMeaning(
        "every trial diverged, so a lower LR was used", "Under search=paper, lower search.lr_max."
    ),
    "negative": FlagMeaning(
        "the winning forecast is a loss below zero", "The published forecast has no lower bound."
    ),
    "overflow": FlagMeaning("the winning forecast overflowed, and is the trial's last loss instead"),
    "undetermined": FlagMeaning(
        "the winning trial's losses do not determine a decay (flat, noisy, or a straight line)"
    ),
    "level_unsure": FlagMeaning(
        "the best LR of the short trials lies beyond those that were tried, or they learnt nothing",
        "Raise search.rungs or search.rung_fraction.",
    ),
    "too_short": FlagMeaning("nothing was learnt in so few steps; the next trials have twice as many"),
    "few_points": FlagMeaning("the winning trial has too few losses for a fit"),
}
