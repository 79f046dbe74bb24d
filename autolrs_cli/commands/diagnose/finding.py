"""What `autolrs doctor` finds: one line each, with its remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """A fact about this machine.

    Args:
        area: what it is about, a word or two.
        status: "problem" keeps autolrs from working; "warning" costs something.
        said: the fact.
        remedy: what to type or mend, where there is something.
    """

    area: str
    status: Status
    said: str
    remedy: str | None = None


Check = Callable[[], Iterable[Finding]]


def guarded(area: str, check: Check) -> Iterator[Finding]:
    """Yield what `check` finds; a check that fails is a finding too."""
    try:
        yield from check()
    except Exception as error:  # a broken library may raise anything, and the other checks are still wanted
        said = f"could not be checked: {type(error).__name__}: {error}"
        yield Finding(area, "problem", said, "pip install --force-reinstall autolrs")
