"""The pictures of the live view are drawn from a run's journal, and say what it shows."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from documented import ROOT
from harness import toy
from processes import environment

SVG = "{http://www.w3.org/2000/svg}"


def words(picture: Path) -> set[str]:
    texts = ElementTree.parse(picture).getroot().iter(f"{SVG}text")
    return {html.unescape(text.text or "") for text in texts}


def test_a_picture_has_the_words_and_the_curves_of_the_view(tmp_path: Path) -> None:
    toy(tmp_path / "run", "schedule=constant", "run.max_steps=60")
    script = ROOT / "scripts" / "draw_screens.py"
    asked = ["early=20@80x24", "end=end@80x24"]
    subprocess.run(
        [sys.executable, str(script), "run", "pictures", *asked],
        cwd=tmp_path,
        env=environment(),
        check=True,
        capture_output=True,
    )
    early, end = tmp_path / "pictures" / "early.svg", tmp_path / "pictures" / "end.svg"
    assert {"toy", "schedule=constant", "20/60"} <= words(early)
    assert {"toy", "schedule=constant", "60/60", "done"} <= words(end)
    drawn = [path.get("d") or "" for path in ElementTree.parse(end).getroot().iter(f"{SVG}path")]
    assert any("M" in dots for dots in drawn), "the curves are drawn as dots, whatever fonts there are"
    assert not re.search(r"[\u2800-\u28ff]|@font-face|url\(", end.read_text(encoding="utf-8"))
