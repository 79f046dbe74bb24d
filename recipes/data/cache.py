"""The cache of prepared data: made once, whole or absent, named by what it is made of, and made again when damaged."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock
from platformdirs import user_cache_path

from autolrs_cli.contracts import Report
from autolrs_cli.durable import publish
from autolrs_cli.errors import ConfigError
from autolrs_cli.homes import user_folder
from autolrs_recipes.data.contents import QUIET_BYTES, hashed, memory_of
from autolrs_recipes.data.manifest import damage, write_manifest

CACHE_VARIABLE = "AUTOLRS_CACHE_DIR"
# What a folder was made of, for a person who finds it.
INGREDIENTS = "ingredients.json"


def quiet(what: str, done: int, total: int | None) -> None:
    """Report to nobody."""


def cache_root(given: str | None) -> Path:
    """Return `given`, else $AUTOLRS_CACHE_DIR, else the folder that the system keeps for caches."""
    chosen = given or os.environ.get(CACHE_VARIABLE)
    return Path(chosen).expanduser().absolute() if chosen else user_folder(user_cache_path)


def prepared(
    root: Path,
    kind: str,
    ingredients: Mapping[str, Any],
    make: Callable[[Path], None],
    report: Report = quiet,
    *,
    full: bool = False,
) -> Path:
    """Return the folder that `make` fills, made now unless it was made before and is undamaged.

    The folder is filled aside and then renamed, under a lock: a preparation that was killed leaves nothing that
    counts, and two processes do not make the same thing twice.

    Args:
        root: the cache, from `cache_root`.
        kind: what it is, for people: "translation", "pretraining".
        ingredients: everything that the content depends on, as JSON: hashes of files, settings, versions.
        make: fills the empty folder it is given.
        report: told of damage, and how the hashing of large files goes.
        full: look for damage in every byte (see `manifest.HASHED_BYTES`).

    Raises:
        ConfigError: if the cache cannot be written; and whatever `make` raises.
    """
    text = json.dumps(ingredients, sort_keys=True, indent=1)
    home = root / kind
    final = home / hashlib.sha256(text.encode()).hexdigest()[:16]
    # Without a lock at first: the cache may be one that this person may only read.
    found = damage(final, full=full) if final.exists() else None
    if final.exists() and found is None:
        return final
    try:
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{final}.lock"):
            if final.exists() and (found := damage(final, full=full)):
                report(f"prepared data are damaged ({found}) and are made again: {final}", 1, 1)
                _remove(final)
            if not final.exists():
                _make_aside(final, text, make, report)
    except OSError as error:
        raise ConfigError(
            f"Prepared data must be kept in a folder with room that can be written, but {root} cannot take it: "
            f"{error.strerror or error}. "
            + (f"What {final} holds is damaged ({found}). " if found else "")
            + f"Set data.cache_dir or {CACHE_VARIABLE} to another folder."
        ) from error
    return final


def _make_aside(final: Path, ingredients: str, make: Callable[[Path], None], report: Report) -> None:
    aside = Path(f"{final}.part")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    try:
        make(aside)
        (aside / INGREDIENTS).write_text(ingredients, encoding="utf-8")
        write_manifest(aside, report)
        publish(aside, final)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _remove(path: Path) -> None:
    """Take away what stands at `path`; processes that read it keep what they have open."""
    if path.is_symlink() or not path.is_dir():
        path.unlink()
        return
    aside = Path(f"{path}.damaged")
    shutil.rmtree(aside, ignore_errors=True)
    path.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)


def content_hash(paths: Iterable[Path], report: Report = quiet, cache: Path | None = None) -> str:
    """Return a hash of the contents of files, in order; their names do not count.

    Args:
        paths: the files.
        report: told how the reading of many bytes goes.
        cache: where hashes of large files are remembered, so that they are read once; None: they are not.

    Raises:
        OSError: a file cannot be read.
    """
    files = [os.fsencode(path.absolute()) for path in paths]
    large = sum(os.stat(path).st_size for path in files) >= QUIET_BYTES  # noqa: PTH116 - bytes
    memory = memory_of(cache, "\0".join(map(os.fsdecode, files))) if cache and large else None
    found = hashed(files, memory, "reading files", report)
    if unreadable := [path for path, digest in zip(files, found.digests, strict=True) if not digest.any()]:
        raise OSError(errno.EIO, "cannot be read", os.fsdecode(unreadable[0]))
    return hashlib.sha256(found.digests.tobytes()).hexdigest()[:32]
