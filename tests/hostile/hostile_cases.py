"""Input that no well-meaning person gives, what an answer to it must be like, and a watchdog for those that hang."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

FULL = int(os.environ.get("AUTOLRS_HOSTILE_EXAMPLES", "0"))
"""Examples per property; 0: the short form."""
# No input may hang; this is for machines that are slow, not for inputs that are.
HANG_SECONDS = 60
# A person must be able to read what they are told.
LONGEST_PROBLEM = 2_000


class HungError(BaseException):
    """An example took too long; not an `Exception`, which the code under test might catch."""


def _hung(*_: object) -> None:
    raise HungError(f"no answer within {HANG_SECONDS} s")


@contextmanager
def watched() -> Iterator[None]:
    """Break off what hangs, blocked system calls included."""
    before = signal.signal(signal.SIGALRM, _hung)
    signal.setitimer(signal.ITIMER_REAL, HANG_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def listing(folder: Path) -> dict[str, str]:
    """Return every path below `folder` and, for regular files, the hash of what is in it."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file() and not path.is_symlink()
        else ""
        for path in sorted(folder.rglob("*"))
    }


def deep(levels: int, kind: str = "list") -> Any:
    """Return a list in a list in a list, or a group in a group."""
    node: Any = 1
    for _ in range(levels):
        node = [node] if kind == "list" else {"a": node}
    return node


PATH_TRICKS = (
    "..", "../..", "../outside", "/", "/proc/self/mem", "/dev/null", "/dev/full", "a/../../b", "a\0b", "~", "~nobody/x",
    ".", "./", "con", "a" * 300, "a/" * 3000, "$(touch x)", "`id`", "-rf", "--", "file:///etc", "\\\\host\\share",
    "a\nb", "\u202egpj", "link/x", "${oc.env:HOME}", "*", "[a]", " ",
)  # fmt: skip
WORDS = (
    "", "null", "nan", "inf", "-inf", "1e400", "0x10", "true", "autolrs", "none", "cpu", "cuda:99", "bf16", "loss",
    "${seed}", "${oc.env:PATH}", "${hydra:runtime.cwd}", "${oc.decode:${seed}}", "${", "???", "\x1b[2J\x1b[31m", "\a",
    "\0", "\ud800", "\udcff", "é" * 2000, "x" * 100_000, "{{}}", "%s%n", "[bold]x[/bold]", "[/]", "'", '"', "\\",
)  # fmt: skip
WHOLE = (0, -1, 1, 2, 10**6, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 10**400)
FLOATS = (float("nan"), float("inf"), -float("inf"), 0.0, -0.0, 5e-324, 1e308, -1e308, 0.1, 1e-400)

texts = st.one_of(st.sampled_from(WORDS), st.sampled_from(PATH_TRICKS), st.text(max_size=20))
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(WHOLE),
    st.integers(),
    st.sampled_from(FLOATS),
    st.floats(),
    texts,
)
nested = st.one_of(
    st.lists(scalars, max_size=3),
    st.dictionaries(st.one_of(texts, st.integers(0, 5)), scalars, max_size=3),
    st.sampled_from([deep(15), deep(30), deep(30, "group"), [], {}, [[]], [{}]]),
)
values = st.one_of(scalars, nested)
