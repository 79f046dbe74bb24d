"""The fonts that matplotlib ships and that have all characters; their outlines, in units of the font files.

Nothing of FreeType's that depends on its version is used: it neither scales, nor hints, nor draws here.
"""

from __future__ import annotations

import string
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from autolrs_cli.errors import ConfigError
from autolrs_recipes.checks import named

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autolrs_recipes.data.images.streams import Slice

CHARACTERS = string.digits + string.ascii_uppercase + string.ascii_lowercase
"""Those that every font below has. Greek and Cyrillic are left out: Computer Modern has neither where others have
them, and many of their letters look like Latin ones."""
DESIGNS = (
    ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-BoldOblique", "DejaVuSans-Oblique"),
    ("DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-BoldOblique", "DejaVuSansMono-Oblique"),
    ("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-BoldItalic", "DejaVuSerif-Italic"),
    ("STIXGeneral", "STIXGeneralBol", "STIXGeneralBolIta", "STIXGeneralItalic"),
    ("cmr10", "cmb10"),
    ("cmti10",),
    ("cmss10",),
    ("cmtt10",),
)
"""Fonts whose letters are one form, made bold or slanted: were they in several slices, one would give away another."""
FONTS = tuple(name for design in DESIGNS for name in design)
SLICES: tuple[Slice, ...] = ("train", "choose", "target")
REMEDY = "Install matplotlib anew (pip install --force-reinstall matplotlib), or choose other data, as data=digits."
_MOVE, _LINE, _CURVE, _CUBIC, _CLOSE = 1, 2, 3, 4, 79
"""Codes of `matplotlib.path.Path`."""
_PIECES = 4
"""Straight pieces that stand for a curve: they miss it by less than a hundredth of an em."""


def letter_forms(which: Slice, *, unseen: bool) -> list[tuple[int, int]]:
    """Return which fonts (of `FONTS`) show which characters (of `CHARACTERS`) in a slice: (font, character).

    All of them in every slice; or, if held-out forms are to be `unseen`, each character's form in one design decides
    targets, that in another one chooses LRs, and those in the other six are trained on; the designs take turns. So no
    held-out form is ever trained on, but every font and every character is, and both held-out slices are equally hard.
    (With whole families held out they were not: a small network read 65 % of one and 57 % of the other, and 74 % and
    72 % with this split.)
    """
    if not unseen:
        return [(font, character) for character in range(len(CHARACTERS)) for font in range(len(FONTS))]
    found = []
    for character in range(len(CHARACTERS)):
        target, choose = character % len(DESIGNS), (character + len(DESIGNS) // 2) % len(DESIGNS)
        for place, design in enumerate(DESIGNS):
            if which == {target: "target", choose: "choose"}.get(place, "train"):
                found += [(FONTS.index(font), character) for font in design]
    return found


def font_files() -> list[Path]:
    """Return the files of `FONTS`, in order; they need not be there."""
    return [_folder() / f"{name}.ttf" for name in FONTS]


def _folder() -> Path:
    """Return where matplotlib keeps its fonts."""
    import matplotlib as mpl

    return Path(mpl.get_data_path()) / "fonts" / "ttf"


def font_problems() -> list[str]:
    """Return the fonts that are missing, in one problem."""
    missing = [path.name for path in font_files() if not path.is_file()]
    if not missing:
        return []
    return [
        f"data=glyphs draws characters from the fonts that matplotlib ships, but {_folder()} lacks "
        f"{named(missing)}. {REMEDY}"
    ]


def outlines(path: Path, characters: str) -> list[NDArray[np.float64]]:
    """Return the contours of characters in a font as straight segments.

    Returns:
        [S, 4] for each, from (x, y) to (x, y), in ems; y grows upwards, 0 is the base line.

    Raises:
        ConfigError: if the file is no font, or lacks some of them.
    """
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(str(path))
        lacking = [character for character in characters if not font.get_char_index(ord(character))]
    except (OSError, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"matplotlib's fonts must be readable, but {path} is not: {error}. {REMEDY}"
        ) from error
    if lacking:
        raise ConfigError(
            f"matplotlib's fonts must have every digit and letter, but {path} lacks {', '.join(lacking)}. {REMEDY}"
        )
    font.set_size(font.units_per_EM, 72)  # one pixel is one unit of the file: nothing is rounded
    return [_outline(font, character) for character in characters]


def _outline(font: Any, character: str) -> NDArray[np.float64]:
    from matplotlib import ft2font

    flags: Any = getattr(ft2font, "LoadFlags", ft2font)  # an enumeration since matplotlib 3.10
    unhinted = flags.NO_HINTING if flags is not ft2font else flags.LOAD_NO_HINTING
    font.load_char(ord(character), flags=unhinted)
    vertices, codes = font.get_path()
    return _segments(np.asarray(vertices, dtype=np.float64) / font.units_per_EM, codes.tolist())


def _segments(vertices: NDArray[np.float64], codes: list[int]) -> NDArray[np.float64]:
    """Return the contours, closed, as straight segments [S, 4]; those without length are left out."""
    pieces: list[NDArray[np.float64]] = []
    start = here = vertices[0]
    at = 0
    while at < len(codes):
        code = codes[at]
        if code == _MOVE:
            start = here = vertices[at]
            at += 1
            continue
        count = {_LINE: 1, _CURVE: 2, _CUBIC: 3, _CLOSE: 1}[code]
        controls = [here, start] if code == _CLOSE else [here, *vertices[at : at + count]]
        points = _bezier(np.stack(controls))
        pieces.append(np.concatenate([points[:-1], points[1:]], axis=1))
        here = points[-1]
        at += count
    segments = np.concatenate(pieces)
    kept: NDArray[np.float64] = segments[(segments[:, :2] != segments[:, 2:]).any(axis=1)]
    return kept


def _bezier(controls: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points on the curve of these control points [2 to 4, 2], its ends included (de Casteljau)."""
    if len(controls) == 2:
        return controls
    share = (np.arange(_PIECES + 1) / _PIECES)[:, None, None]
    points = np.broadcast_to(controls, (_PIECES + 1, *controls.shape))
    while points.shape[1] > 1:
        points = points[:, :-1] * (1 - share) + points[:, 1:] * share
    return points[:, 0]
