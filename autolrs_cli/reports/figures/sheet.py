"""A sheet of pictures, each with a few words below it; enlarged by whole numbers, so that each pixel stays itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from autolrs_cli.contracts import Example

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont
    from PIL.ImageFont import ImageFont as BitmapFont

LEAST_EDGE = 64
"""Pixels that a picture is enlarged to, at least."""
GAP, FONT_SIZE = 8, 13
CAPTION = FONT_SIZE + 6
COLUMNS = 8
_INK, _PAPER = "black", "white"


def sheet(title: Sequence[str], examples: Sequence[Example]) -> bytes:
    """Return a PNG of pictures, row by row, `COLUMNS` or more in each.

    Args:
        title: lines above all; words that do not fit are cut off, as they are below the pictures.
        examples: at least one, with pictures of equal sizes.
    """
    pictures = [Image.fromarray(example.pixels) for example in examples if example.pixels is not None]
    width, height = pictures[0].size
    scale = math.ceil(LEAST_EDGE / max(width, height))
    columns = min(len(pictures), max(COLUMNS, math.ceil(math.sqrt(len(pictures)))))
    across, down = width * scale + GAP, height * scale + CAPTION + GAP
    top = GAP + len(title) * CAPTION
    rows = math.ceil(len(pictures) / columns)
    made = Image.new("RGB", (GAP + max(columns, COLUMNS) * across, top + rows * down), _PAPER)
    pen, font = ImageDraw.Draw(made), _font()
    for number, line in enumerate(title):
        pen.text((GAP, GAP + number * CAPTION), _cut(line, made.width - 2 * GAP, font), _INK, font)
    for number, (picture, example) in enumerate(zip(pictures, examples, strict=True)):
        row, column = divmod(number, columns)
        x, y = GAP + column * across, top + row * down
        made.paste(picture.resize((width * scale, height * scale), Image.Resampling.NEAREST), (x, y))
        caption = _cut(" ".join(example.lines), width * scale, font)
        pen.text((x, y + height * scale + 2), caption, _INK, font)
    png = BytesIO()
    made.save(png, "PNG")
    return png.getvalue()


def _font() -> FreeTypeFont | BitmapFont:
    """Return matplotlib's font, which has more alphabets than Pillow's own; else that one."""
    import matplotlib as mpl

    try:
        return ImageFont.truetype(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", FONT_SIZE)
    except OSError:
        return ImageFont.load_default(FONT_SIZE)


def _cut(text: str, width: int, font: FreeTypeFont | BitmapFont) -> str:
    """Return as much of a text as is no wider than `width` pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}...") > width:
        text = text[:-1]
    return f"{text}..."
