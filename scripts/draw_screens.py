"""Draw what the live view showed of a real run, as SVG, from its journal.

    python scripts/draw_screens.py RUN_DIR docs/screens search=1691@80x24 end=end@120x40

NAME=STEP@WIDTHxHEIGHT is the view after so many optimizer steps (`end`: when the run was over). The pictures name no
font that a browser would have to fetch.
"""

from __future__ import annotations

import argparse
import html
import io
import re
from pathlib import Path

from rich.console import Console, RenderableType
from rich.terminal_theme import DIMMED_MONOKAI

from autolrs_cli.dashboard.render import render
from autolrs_cli.dashboard.run_state import State, evolve
from autolrs_cli.dashboard.state import reduce
from autolrs_cli.records.journal import read_journal
from autolrs_cli.records.run_directory import RunDirectory

# rich's own template fetches its font from a server. `matrix` is the text.
FORMAT = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {terminal_width} {terminal_height}">
<style>
.{unique_id}-matrix {{ font: {char_height}px "DejaVu Sans Mono", Menlo, Consolas, monospace; white-space: pre }}
{styles}
</style>
<rect width="100%" height="100%" rx="8" fill="#191919"/>
<g transform="translate(9, 6) scale(0.98)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
TEXT = re.compile(r'<text class="([^"]+)" x="([^"]+)" y="([^"]+)" textLength="([^"]+)"[^>]*>([^<]*)</text>')
BRAILLE = {chr(code) for code in range(0x2800, 0x2900)}
# (column, row) of each bit of a Braille character
DOTS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))
PIECES = re.compile(r"[\u2800-\u28ff]+|[^\s\xa0\u2800-\u28ff]+")


def main() -> None:
    """Draw each picture that was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("pictures", nargs="+", metavar="NAME=STEP@WIDTHxHEIGHT")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    for picture in given.pictures:
        match = re.fullmatch(r"(\w+)=(\d+|end)@(\d+)x(\d+)", picture)
        if match is None:
            parser.error(f"a picture must be NAME=STEP@WIDTHxHEIGHT, but got {picture}")
        name, step, width, height = match[1], match[2], int(match[3]), int(match[4])
        state = state_at(given.run_dir, None if step == "end" else int(step))
        path = given.folder / f"{name}.svg"
        path.write_text(svg(render(state, width, height), width, name), encoding="utf-8")
        print(f"{path}: {path.stat().st_size / 1024:.0f} KiB")


def state_at(run_dir: Path, step: int | None) -> State:
    """Return what the view knew after `step` optimizer steps; None: at the end."""
    state = evolve(State(), directory=str(run_dir))
    for record in read_journal(RunDirectory(run_dir).journal):
        if step is not None and record["total_steps"] > step:
            break
        state = reduce(state, record)
    return state


def svg(shown: RenderableType, width: int, name: str) -> str:
    """Return what is shown as a picture of a terminal of `width` columns."""
    console = Console(
        record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(shown)
    text = console.export_svg(title="", theme=DIMMED_MONOKAI, code_format=FORMAT, unique_id=f"autolrs-{name}")
    return re.sub(r"\s*\n", "\n", TEXT.sub(_words, text))


def _words(match: re.Match[str]) -> str:
    """Place each word by itself, and each character that is not ASCII: other fonts have other widths."""
    style, left, top, length, escaped = match.groups()
    text = html.unescape(escaped)
    pieces = []
    for word in PIECES.finditer(text):
        cell = float(length) / len(text)
        places = [float(left) + cell * at for at in range(*word.span())]
        if word[0][0] in BRAILLE:
            pieces.append(f'<path class="{style}" d="{_dots(word[0], places, float(top), cell)}"/>')
            continue
        place = " ".join(f"{each:.4g}" for each in (places[:1] if word[0].isascii() else places))
        pieces.append(f'<text class="{style}" x="{place}" y="{top}">{html.escape(word[0])}</text>')
    return "".join(pieces)


def _dots(word: str, places: list[float], base: float, cell: float) -> str:
    """Return a path of the dots of Braille characters, which many fonts have not; two columns of four in each cell."""
    path = ""
    for character, left in zip(word, places, strict=True):
        for bit, (column, row) in enumerate(DOTS):
            if (ord(character) - 0x2800) >> bit & 1:
                x, y = left + cell * (0.25 + 0.5 * column), base - cell * (1.25 - 0.5 * row)
                path += f"M{x:.5g} {y:.5g}h3v3h-3z"
    return path


if __name__ == "__main__":
    main()
