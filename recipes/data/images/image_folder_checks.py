"""What can be wrong with a folder of images, found before training."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from autolrs_cli.wording import look_alike
from autolrs_recipes.checks import named
from autolrs_recipes.data.images.decoding import unreadable
from autolrs_recipes.data.images.listing import Listing, left_out_in_words

LAYOUT = "Point data.root at a folder in ImageNet layout: train/<class>/*.jpg and val/<class>/*.jpg."


def layout_problems(root: Path, train: Listing, val: Listing) -> list[str]:
    """Return what is wrong with the folders."""
    return [*_folder_problems(root, train), *_folder_problems(root, val), *_class_problems(root, train, val)]


def _folder_problems(root: Path, listing: Listing) -> list[str]:
    """Return what one of train/ and val/ lacks."""
    place = root / listing.folder
    if not listing.exists:
        return [
            "`data.root` must hold folders train/ and val/ with one folder per class, but "
            f"{root} has no {listing.folder}/. {LAYOUT}"
        ]
    if not listing.classes:
        return [f"`data.root` must hold one folder per class, but {place} has none. {LAYOUT}"]
    if not len(listing.paths):
        left_out = left_out_in_words([listing])
        but = f"have none (left out: {left_out})" if left_out else "have none"
        return [f"`data.root` must hold images, but the class folders of {place} {but}. {LAYOUT}"]
    empty = [listing.classes[i] for i in np.flatnonzero(listing.class_sizes() == 0)]
    if not empty:
        return []
    return [
        f"Every class folder must hold images, but {len(empty):,} of {place} have none: {named(empty)}. "
        "Delete them or put images there; data.root names the folder."
    ]


def _class_problems(root: Path, train: Listing, val: Listing) -> list[str]:
    """Return what is wrong with the classes, where both folders have some."""
    in_train, in_val = set(train.classes), set(val.classes)
    if not (in_train and in_val):
        return []
    found = []
    if len(in_train) == 1:
        found.append(
            f"`data.root` must hold at least two classes, but {root / 'train'} has only {train.classes[0]}. "
            "Add a class, or set data.root."
        )
    if in_train != in_val:
        only = [f"{name} (only in train/)" for name in sorted(in_train - in_val)]
        only += [f"{name} (only in val/)" for name in sorted(in_val - in_train)]
        found.append(
            f"train/ and val/ must have the same classes, but in data.root={root} {len(only):,} differ: "
            f"{named(only)}. Rename, add or delete class folders."
            + next(filter(None, (look_alike(name, in_val) for name in sorted(in_train - in_val))), "")
        )
    return found


def image_problems(root: Path, listings: list[Listing], most: int) -> list[str]:
    """Return one problem that names and counts the images that cannot be read; decodes at most `most`."""
    total = sum(len(listing.paths) for listing in listings)
    broken, decoded = unreadable(root, listings, most)
    if not broken:
        return []
    return [
        f"Every image must be readable, but {len(broken):,} in data.root={root} are empty or corrupt "
        f"({decoded:,} of {total:,} were decoded): {named(broken)}. Replace or delete them, or set "
        "data.on_error=replace to train on others of their class instead."
    ]
