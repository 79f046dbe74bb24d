"""What a person gave or is to type, written so that it is read as it is meant: by Hydra, by a shell, by eyes."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Iterable


def quoted(text: str) -> str:
    """Return `text` as a value in Hydra's grammar, in quotes where it needs them."""
    return text if re.fullmatch(r"[\w./-]+", text, re.ASCII) else in_quotes(text)


def in_quotes(text: str) -> str:
    """Return `text` in Hydra's quotes, so that nothing in it has a meaning."""
    inner = re.sub(r'(\\*)("|$)', lambda m: m[1] * 2 + (f"\\{m[2]}" if m[2] else ""), text)
    return '"' + inner.replace("${", "\\${") + '"'


def as_text(key: str, text: str) -> str:
    """Return what to type in a shell for the setting `key` to be `text`, whatever that holds."""
    return shlex.quote(f"{key}={in_quotes(text)}")


def named(name: str) -> str:
    """Return a name in quotes that a shell takes, too."""
    return shlex.quote(name) if "'" in name else f"'{name}'"


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return "1 seed", "2 seeds", "1,000 seeds"; `many` where it is not `one` with an s."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def look_alike(given: str, known: Iterable[str]) -> str:
    """Return sentences, to be appended, on a known name that differs in its Unicode form only; empty: there is none.

    An é can be one character (NFC, as keyboards give it) or two (NFD, as some systems name files).
    """
    folded = unicodedata.normalize("NFC", given)
    twin = next(
        (name for name in known if name != given and unicodedata.normalize("NFC", name) == folded), None
    )
    if twin is None:
        return ""
    return (
        f" {given} and {twin} look alike, but differ in their Unicode form: the first is in {_form(given)}, the second "
        f"in {_form(twin)}. Copy the one that is there, or rename it."
    )


def _form(name: str) -> str:
    return next(
        (form for form in ("NFC", "NFD") if unicodedata.is_normalized(form, name)), "neither NFC nor NFD"
    )
