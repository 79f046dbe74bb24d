"""What the live view shows at told moments, in three sizes (scripts/update_golden_screens.py rewrites them)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.text import Text
from stories import MOMENTS, SIZES

from autolrs_cli.dashboard.render import frame

FOLDER = Path(__file__).parent / "golden"


def shown(lines: Sequence[Text]) -> str:
    """Return lines as a person sees them, without colours and trailing blanks."""
    return "".join(f"{line.plain.rstrip()}\n" for line in lines)


def screens() -> Iterator[tuple[str, str]]:
    """Yield name and text of every golden screen."""
    for moment, state in MOMENTS.items():
        for width, height in SIZES:
            yield f"{moment}-{width}x{height}", shown(frame(state(), width, height))
    width, height = SIZES[0]
    yield (
        f"mid_search-{width}x{height}-ascii",
        shown(frame(MOMENTS["mid_search"](), width, height, unicode=False)),
    )
