"""The cache of prepared data: everything in it is made once, is whole or absent, and is named by what it is made of."""

from __future__ import annotations

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

CACHE_VARIABLE = "AUTOLRS_CACHE_DIR"
# What a folder was made of, for a person who finds it.
INGREDIENTS = "ingredients.json"
_BLOCK_BYTES = 1 << 20
# Read within a moment at every start of a run: not worth a line.
_QUIET_BYTES = 64 << 20


def quiet(what: str, done: int, total: int | None) -> None:
    """Report to nobody."""


def cache_root(given: str | None) -> Path:
    """Return `given`, else $AUTOLRS_CACHE_DIR, else the folder that the system keeps for caches."""
    chosen = given or os.environ.get(CACHE_VARIABLE)
    return Path(chosen).expanduser().absolute() if chosen else user_cache_path("autolrs", appauthor=False)


def prepared(root: Path, kind: str, ingredients: Mapping[str, Any], make: Callable[[Path], None]) -> Path:
    """Return the folder that `make` fills, made now unless it was made before.

    The folder is filled aside and then renamed, under a lock: a preparation that was killed leaves nothing that
    counts, and two processes do not make the same thing twice.

    Args:
        root: the cache, from `cache_root`.
        kind: what it is, for people: "translation", "pretraining".
        ingredients: everything that the content depends on, as JSON: hashes of files, settings, versions.
        make: fills the empty folder it is given.

    Raises:
        ConfigError: if the cache cannot be written; and whatever `make` raises.
    """
    text = json.dumps(ingredients, sort_keys=True, indent=1)
    home = root / kind
    final = home / hashlib.sha256(text.encode()).hexdigest()[:16]
    if final.is_dir():  # also in a cache that this person may only read
        return final
    try:
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{final}.lock"):
            if not final.is_dir():
                aside = Path(f"{final}.part")
                shutil.rmtree(aside, ignore_errors=True)
                aside.mkdir()
                try:
                    make(aside)
                    (aside / INGREDIENTS).write_text(text, encoding="utf-8")
                    publish(aside, final)
                finally:
                    shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise ConfigError(
            f"Prepared data must be kept in a folder with room that can be written, but {root} cannot take it: "
            f"{error.strerror or error}. Set data.cache_dir or {CACHE_VARIABLE} to another folder."
        ) from error
    return final


def content_hash(paths: Iterable[Path], report: Report = quiet) -> str:
    """Return a hash of the contents of files, in order; their names do not count."""
    files = list(paths)
    total, done = sum(path.stat().st_size for path in files), 0
    if total < _QUIET_BYTES:
        report = quiet
    digest = hashlib.sha256()
    for path in files:
        own = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                own.update(block)
                if (done + len(block)) * 100 // total > done * 100 // total:
                    report("reading files", done + len(block), total)
                done += len(block)
        digest.update(own.digest())
    return digest.hexdigest()[:32]
