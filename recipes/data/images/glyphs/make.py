"""Makes one slice of the drawn characters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from autolrs_cli.contracts import Report
from autolrs_cli.seeding import derive_seed
from autolrs_recipes.data.images.glyphs.distance import CELLS, distance_field
from autolrs_recipes.data.images.glyphs.draw import Look, draw
from autolrs_recipes.data.images.glyphs.fonts import CHARACTERS, FONTS, font_files, letter_forms, outlines

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autolrs_recipes.data.images.streams import Slice


def draw_slice(
    which: Slice, count: int, look: Look, seed: int, report: Report, *, unseen_forms: bool
) -> dict[str, NDArray[np.generic]]:
    """Return "pixels", uint8 [N, canvas, canvas], "labels" and "fonts", int64 [N].

    The characters take turns, and so do a character's fonts; whoever reads the images for training shuffles them.

    Args:
        which: the slice; its draws are a stream of their own, whatever the sizes of the others.
        count: images.
        look: how far they differ.
        seed: fixes the draws.
        report: told how the work goes.
        unseen_forms: whether held-out slices show letter forms of their own.

    Raises:
        ConfigError: if a font cannot be used.
    """
    forms = letter_forms(which, unseen=unseen_forms)
    fonts, characters = np.array(forms).T
    of_character = [np.flatnonzero(characters == i) for i in range(len(CHARACTERS))]
    rounds, labels = np.divmod(np.arange(count), len(CHARACTERS))
    shown = np.array([of_character[i][r % len(of_character[i])] for r, i in zip(rounds, labels, strict=True)])
    seed = derive_seed(seed, "glyphs", which)
    pixels = draw(
        _fields(forms, which, report),
        shown,
        look,
        seed,
        lambda done: report(f"drawing characters ({which})", done, count),
    )
    return {"pixels": pixels, "labels": labels, "fonts": fonts[shown]}


def _fields(forms: list[tuple[int, int]], which: Slice, report: Report) -> NDArray[np.float32]:
    """Return the distance field of each form, [K, CELLS, CELLS]."""
    fields = np.empty((len(forms), CELLS, CELLS), dtype=np.float32)
    for number, path in enumerate(font_files()):
        report(f"reading fonts ({which})", number, len(FONTS))
        places = [place for place, (font, _) in enumerate(forms) if font == number]
        characters = "".join(CHARACTERS[forms[place][1]] for place in places)
        for place, segments in zip(places, outlines(path, characters), strict=True):
            fields[place] = distance_field(segments)
    return fields
