"""What is to be typed can be typed, and what looks alike is told apart."""

from __future__ import annotations

import shlex
import unicodedata

import pytest

from autolrs_cli.overrides import override_in
from autolrs_cli.wording import as_text, counted, look_alike, named, quoted

TEXTS = [
    "plain",
    "it's",
    'say "no"',
    "a,b",
    "~/x",
    "${seed}",
    "back\\slash\\",
    "'",
    "a b=c",
    "café",
    "$HOME `ls`",
]


def test_one_is_not_counted_as_many() -> None:
    assert [counted(n, "seed") for n in (0, 1, 2, 2000)] == ["0 seeds", "1 seed", "2 seeds", "2,000 seeds"]
    assert counted(1, "run directory", "run directories") == "1 run directory"
    assert counted(2, "pair makes", "pairs make") == "2 pairs make"


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_passes_the_shell_and_hydra_as_it_is(text: str) -> None:
    (word,) = shlex.split(as_text("run.dir", text))
    for written in (word, f"run.dir={quoted(text)}"):
        override = override_in(written)
        assert override is not None
        assert str(override.value()).replace("\\${", "${") == text


@pytest.mark.parametrize("text", TEXTS)
def test_a_name_passes_the_shell(text: str) -> None:
    assert shlex.split(f"autolrs compare --baseline {named(text)}")[-1] == text


def test_names_that_differ_in_their_unicode_form_are_told_apart() -> None:
    composed, parted = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    said = look_alike(parted, ["cafe", composed])
    assert "the first is in NFD, the second in NFC" in said
    assert look_alike(composed, [composed, "cafe"]) == ""
