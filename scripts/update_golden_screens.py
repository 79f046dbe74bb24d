"""Rewrite tests/dashboard/golden/*.txt after a change to the live view. Look at the difference before you commit it."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent / "tests" / "dashboard"
sys.path.insert(0, str(TESTS))

from golden_screens import FOLDER, screens  # noqa: E402


def main() -> None:
    """Draw every moment in every size."""
    FOLDER.mkdir(exist_ok=True)
    wanted = dict(screens())
    for path in FOLDER.glob("*.txt"):
        if path.stem not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (FOLDER / f"{name}.txt").write_text(text, encoding="utf-8")
    print(f"{FOLDER}: {len(wanted)} screens")


if __name__ == "__main__":
    main()
