"""Draws characters: a random affine change, stroke weight, contrast, polarity, background and noise for each image.

Only operations that IEEE 754 rounds in one way everywhere are used, one at a time, and random bits whose stream NumPy
keeps the same in all versions: so the same fonts give the same pixels on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from autolrs_recipes.data.images.glyphs.distance import CELLS, EMS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

Told: TypeAlias = Callable[[int], None]
EDGE_EMS = 1.25
"""Edge of an image without its margin: a character's em, and a little room."""
_TOGETHER = 512
"""Images drawn at once: their arrays fit the processor's cache."""
_NUM_DRAWS = 13
_BYTES_STD = math.sqrt(4 * (256**2 - 1) / 12)
"""Of the sum of four random bytes."""


@dataclass(frozen=True)
class Look:
    """How far images differ; each value is the largest change of its kind.

    Args:
        image_size: edge of an image without its margin, in pixels.
        margin: pixels around it that training images are shifted over.
        rotate_degrees: either way.
        shear: shift of a character's top against its bottom, over its height, either way.
        zoom_fraction: of the size, either way, and of width against height.
        shift_fraction: of the edge, either way.
        weight_ems: added to or taken from every edge of a stroke.
        least_contrast: smallest difference between stroke and background; the largest is 1.
        shade: how much the background's brightness changes from edge to edge.
        noise: standard deviation of the noise of each pixel.
    """

    image_size: int
    margin: int
    rotate_degrees: float
    shear: float
    zoom_fraction: float
    shift_fraction: float
    weight_ems: float
    least_contrast: float
    shade: float
    noise: float

    @property
    def canvas(self) -> int:
        """Edge of a drawn image, in pixels."""
        return self.image_size + 2 * self.margin


def draw(fields: Floats, which: NDArray[np.int64], look: Look, seed: int, told: Told) -> NDArray[np.uint8]:
    """Return images, uint8 [N, canvas, canvas].

    Args:
        fields: [K, CELLS, CELLS], from `distance_field`.
        which: [N], the field that each image shows.
        look: how far they differ.
        seed: of all draws.
        told: called with the number of images drawn so far.
    """
    bits = np.random.PCG64(seed)
    uniform = _uniform(bits, len(which))
    images = np.empty((len(which), look.canvas, look.canvas), dtype=np.uint8)
    for first in range(0, len(which), _TOGETHER):
        told(first)
        some = slice(first, first + _TOGETHER)
        images[some] = _drawn(fields, which[some], look, uniform[:, some], bits)
    return images


def _uniform(bits: np.random.PCG64, count: int) -> Floats:
    """Return draws from [-1, 1), [_NUM_DRAWS, count, 1, 1], of 24 bits: exact in float32."""
    raw = bits.random_raw((_NUM_DRAWS * count,)) >> np.uint64(40)
    return (raw.astype(np.float32) * np.float32(2**-23) - np.float32(1)).reshape(_NUM_DRAWS, count, 1, 1)


def _drawn(
    fields: Floats, which: NDArray[np.int64], look: Look, uniform: Floats, bits: np.random.PCG64
) -> NDArray[np.uint8]:
    pixel_ems, x, y = _positions(look, uniform[:6])
    weight, soft, contrast, level, polarity, shade_x, shade_y = uniform[6:]
    distance = _sampled(fields, which, x, y) + weight * np.float32(look.weight_ems)
    # An edge is blurred over 1 to 2 pixels.
    covered = np.clip(
        distance / (pixel_ems * (soft * np.float32(0.5) + np.float32(1.5))) + np.float32(0.5), 0, 1
    )
    most = np.float32(1 - look.least_contrast) / 2
    difference = np.float32(1) - most - contrast * most
    darker = (np.float32(1) - difference) * (level + np.float32(1)) / 2
    covered = np.where(polarity < 0, np.float32(1) - covered, covered)
    bright = darker + difference * covered
    place = (np.arange(look.canvas) + 0.5 - look.canvas / 2).astype(np.float32) / np.float32(look.image_size)
    bright = bright + (shade_x * place[None, None, :] + shade_y * place[None, :, None]) * np.float32(
        look.shade
    )
    bright = bright + _noise(bits, bright.shape) * np.float32(look.noise)
    pixels: NDArray[np.uint8] = np.rint(np.clip(bright, 0, 1) * np.float32(255)).astype(np.uint8)
    return pixels


def _positions(look: Look, uniform: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the size of a pixel in ems, [N, 1, 1], and where each pixel lies, [N, H, W], in ems from the middle."""
    turn, shear, zoom, stretch, shift_x, shift_y = uniform
    one = np.float32(1)
    # Half-angle formulas: libraries differ in the last bit of sine and cosine, and of the one tangent here.
    half = turn * np.float32(f"{math.tan(math.radians(look.rotate_degrees) / 2):.6g}")
    cos, sin = (one - half * half) / (one + half * half), (half + half) / (one + half * half)
    pixel_ems = np.float32(EDGE_EMS / look.image_size) / (one + zoom * np.float32(look.zoom_fraction))
    wide = one / (one + stretch * np.float32(look.zoom_fraction))
    place = (np.arange(look.canvas) + 0.5 - look.canvas / 2).astype(np.float32)
    shift = np.float32(look.shift_fraction * look.image_size)
    px, py = place[None, None, :] - shift_x * shift, place[None, :, None] - shift_y * shift
    x, y = (px * cos + py * sin) * pixel_ems, (py * cos - px * sin) * pixel_ems
    return pixel_ems, (x + y * (shear * np.float32(look.shear))) * wide, y


def _sampled(fields: Floats, which: NDArray[np.int64], x: Floats, y: Floats) -> Floats:
    """Return the fields at points in ems from their middles, bilinear; outside of a field, as at its edge."""
    cell = np.float32(CELLS / EMS)
    most = np.float32(CELLS - 1.001)
    column = np.clip(x * cell + np.float32(CELLS / 2 - 0.5), 0, most)
    row = np.clip(y * cell + np.float32(CELLS / 2 - 0.5), 0, most)
    left, top = column.astype(np.int32), row.astype(np.int32)
    right, down = column - left.astype(np.float32), row - top.astype(np.float32)
    at = left + top * np.int32(CELLS) + (which * CELLS**2).astype(np.int32)[:, None, None]
    flat = fields.reshape(-1)
    a, b, c, d = (flat[at + step] for step in (0, 1, CELLS, CELLS + 1))
    above = a + (b - a) * right
    found: Floats = above + ((c + (d - c) * right) - above) * down
    return found


def _noise(bits: np.random.PCG64, shape: tuple[int, ...]) -> Floats:
    """Return noise of deviation 1: sums of four random bytes, nearly normal."""
    count = math.prod(shape)
    raw = bits.random_raw(((count + 1) // 2,)).astype("<u8").view(np.uint8).reshape(-1, 4)
    total = raw.astype(np.float32)
    summed = total[:, 0] + total[:, 1] + total[:, 2] + total[:, 3]
    return ((summed[:count] - np.float32(510)) * np.float32(f"{1 / _BYTES_STD:.6g}")).reshape(shape)
