"""Makes one slice of the drawn characters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from autolrs_cli.contracts import Report
from autolrs_cli.seeding import derive_seed
from autolrs_recipes.data.images.glyphs.distance import distance_field
from autolrs_recipes.data.images.glyphs.draw import Look, draw
from autolrs_recipes.data.images.glyphs.fonts import CHARACTERS, fonts_of, outlines

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autolrs_recipes.data.images.streams import Slice


def draw_slice(
    which: Slice, count: int, look: Look, seed: int, report: Report
) -> dict[str, NDArray[np.generic]]:
    """Return "pixels", uint8 [N, canvas, canvas], "labels" and "fonts", int64 [N].

    Characters and fonts take turns, so that no two are shown more than once oftener than another; whoever reads the
    images for training shuffles them.

    Args:
        which: the slice; its draws are a stream of their own, whatever the sizes of the others.
        count: images.
        look: how far they differ.
        seed: fixes the draws.
        report: told how the work goes.

    Raises:
        ConfigError: if a font cannot be used.
    """
    fields = []
    files = fonts_of(which)
    for number, path in enumerate(files):
        report(f"reading fonts ({which})", number, len(files))
        fields += [distance_field(segments) for segments in outlines(path)]
    fonts, labels = np.divmod(np.arange(count), len(CHARACTERS))
    fonts %= len(files)
    pixels = draw(
        np.stack(fields),
        fonts * len(CHARACTERS) + labels,
        look,
        derive_seed(seed, "glyphs", which),
        lambda done: report(f"drawing characters ({which})", done, count),
    )
    return {"pixels": pixels, "labels": labels, "fonts": fonts}
