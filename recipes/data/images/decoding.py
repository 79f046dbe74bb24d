"""Decodes image files of every format that Pillow reads by itself, and finds those that cannot be read."""

from __future__ import annotations

import functools
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias

import numpy as np
from joblib import cpu_count
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from autolrs_recipes.data.contents import in_order
from autolrs_recipes.data.images.listing import Listing

Background: TypeAlias = Literal["white", "grey", "black"]
BACKGROUNDS: dict[Background, tuple[int, int, int]] = {
    "white": (255, 255, 255),
    "grey": (128, 128, 128),
    "black": (0, 0, 0),
}
"""What shows through transparent pixels."""
_MOST_THREADS = 16
_FIRST = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "PPM", "TIFF")
# EPS is a program, which Pillow would have Ghostscript run.
_NEVER = frozenset(("EPS",))
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""From EXIF's orientation to what brings the image upright."""

# Of an image whose pixels are well; said for each again and again, it would bury what matters.
warnings.filterwarnings("ignore", message="Corrupt EXIF data", category=UserWarning)


@functools.cache
def formats() -> tuple[str, ...]:
    """Return Pillow's names of the formats that it reads without help, the frequent ones first."""
    Image.init()
    read = {name for name, (opener, _) in Image.OPEN.items() if not _is_stub(opener)} - _NEVER
    return (*(name for name in _FIRST if name in read), *sorted(read - set(_FIRST)))


@functools.cache
def suffixes() -> frozenset[str]:
    """Return the suffixes of these formats, in lower case and with their dots."""
    known = frozenset(formats())
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in known)


def _is_stub(opener: object) -> bool:
    """Tell whether a format is only recognised: its pixels need a library that somebody else must register."""
    return isinstance(opener, type) and issubclass(opener, ImageFile.StubImageFile)


def decode(path: Path | BinaryIO, background: Background = "white") -> Image.Image:
    """Decode an image completely and upright, as RGB with 8 bits a colour; of a moving image, the first frame.

    Args:
        path: the file, or its bytes; its format is told by its content.
        background: what shows through where it is transparent.

    Raises:
        ValueError: pixels of 32 bits, which have no agreed range.
        Exception: whatever Pillow's plugins stumble over in a broken file; mostly OSError.
    """
    with Image.open(path, formats=formats()) as image:
        bits = _grey_bits(image)
        image.load()
        upright = _upright(image)
        if bits is not None:
            # Pillow would cut these off at 255, which leaves a white image.
            return Image.fromarray((np.asarray(upright) >> (bits - 8)).astype(np.uint8)).convert("RGB")
        if upright.mode in ("I", "F"):
            raise ValueError(
                f"pixels of mode {upright.mode}, which have no agreed range; convert it to 8 or 16 bits"
            )
        return _opaque(upright, background)


def _grey_bits(image: Image.Image) -> int | None:
    """Return the bits of each pixel of a grey image that has more than 8 of them; None: it has not."""
    if image.mode == "I" and image.format == "PPM":
        return 16  # Pillow scales whatever the file's brightest value is to 16 bits
    if not image.mode.startswith("I;16"):
        return None
    given = getattr(image, "tag_v2", {}).get(258)  # TIFF's BitsPerSample: 12 bits come unscaled
    return 12 if given in (12, (12,)) else 16


def _upright(image: Image.Image) -> Image.Image:
    """Turn an image as its camera noted it; Pillow itself has turned TIFF."""
    try:
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # broken metadata of a good image
        return image
    return image if turn is None else image.transpose(turn)


def _opaque(image: Image.Image, background: Background) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    ground = Image.new("RGBA", image.size, (*BACKGROUNDS[background], 255))
    return Image.alpha_composite(ground, image.convert("RGBA")).convert("RGB")


def unreadable(root: Path, listings: list[Listing], most: int) -> tuple[list[str], int]:
    """Return every image that cannot be read, as "path (reason)" in order, and how many were decoded.

    Args:
        root: folder the paths are relative to.
        listings: whose images; the sizes of all files are looked at.
        most: how many images to decode, spread evenly over all.
    """
    paths = np.concatenate([listing.paths for listing in listings])
    sizes = np.concatenate([listing.file_bytes for listing in listings])
    broken = {
        int(i): "empty file" if sizes[i] == 0 else "cannot be opened" for i in np.flatnonzero(sizes <= 0)
    }
    sample = np.linspace(0, len(paths) - 1, min(most, len(paths))).astype(int).tolist()
    decoded = [i for i in sample if i not in broken]
    faults = _decode_all([root / os.fsdecode(paths[i]) for i in decoded])
    broken.update({i: fault for i, fault in zip(decoded, faults, strict=True) if fault is not None})
    return [f"{os.fsdecode(paths[i])} ({broken[i]})" for i in sorted(broken)], len(decoded)


def _decode_all(paths: list[Path]) -> list[str | None]:
    """Return for each image what is wrong with it, or None."""
    threads = min(_MOST_THREADS, cpu_count())
    with warnings.catch_warnings(), ThreadPoolExecutor(threads) as pool:
        warnings.simplefilter("ignore")  # broken metadata of a good image is no concern of ours
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return list(in_order(pool, _fault, paths))


def _fault(path: Path) -> str | None:
    try:
        decode(path)
    except Exception as error:
        return fault_in_words(error)
    return None


def fault_in_words(error: Exception) -> str:
    """Return what is wrong with an image that `decode` could not decode; Pillow's plugins raise whatever they like."""
    if isinstance(error, (Image.DecompressionBombWarning, Image.DecompressionBombError)):
        return f"more than {Image.MAX_IMAGE_PIXELS:,} pixels"
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    return str(error).splitlines()[0] if str(error) else type(error).__name__
