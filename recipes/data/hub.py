"""Data from the Hugging Face hub, only when a person names it; or from a local copy of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from autolrs_cli.contracts import Report
from autolrs_cli.errors import ConfigError
from autolrs_recipes.data.cache import cache_root, content_hash

if TYPE_CHECKING:
    from datasets import Dataset

_PROBE_SECONDS = 10.0


def load(key: str, name: str, config: str | None, split: str) -> Dataset:
    """Return one split of a data set, memory-mapped.

    Args:
        key: the setting that named it, for messages.
        name: a folder (saved with `save_to_disk`, or a clone of the hub's repository), or a name on the hub.
        config: the hub's configuration (subset), for example "de-en"; None: its only one.
        split: for example "train".

    Raises:
        ConfigError: if it is neither here nor reachable, or has no such split.
    """
    folder = Path(name).expanduser()
    with _said(key, name, config, f"config {config}, split {split}"):
        if folder.is_dir():
            with _offline():
                return _load_folder(folder, config, split)
        return _load_hub(name, config, split)


def load_splits(key: str, name: str, config: str | None) -> dict[str, Dataset]:
    """Return every split of a data set in parquet files, memory-mapped; no code of it is run, nothing unpickled.

    Args:
        key: the setting that named it, for messages.
        name: a folder (saved with `save_to_disk`, a clone of the hub's repository, or just parquet files), or a name
            on the hub.
        config: the hub's configuration (subset); None: its only one.

    Raises:
        ConfigError: if it is neither here nor reachable, or is no such data.
    """
    folder = Path(name).expanduser()
    with _said(key, name, config, f"config {config}"):
        if folder.is_dir():
            with _offline():
                return _saved_splits(folder) or _parquet_splits(key, str(folder), config)
        with _asked_once(name):
            return _parquet_splits(key, name, config)


def chosen_split(splits: dict[str, Dataset], key: str, split: str, name: str | None) -> Dataset:
    """Return the split that a setting names.

    Raises:
        ConfigError: if there is no such split.
    """
    if split in splits:
        return splits[split]
    raise ConfigError(
        f"`{key}` must be a split of data.name={name}, but got {key}={split}, and it has "
        f"{', '.join(splits)}. Set {key}."
    )


def contents(splits: Iterable[Dataset], report: Report, cache_dir: str | None) -> dict[str, Any]:
    """Return what tells the rows of some splits from others, as JSON; files that are large are read once."""
    rows = list(splits)
    files = [Path(file["filename"]) for each in rows for file in each.cache_files]
    return {
        "rows": [len(each) for each in rows],
        "files": content_hash(files, report, cache_root(cache_dir)),
        # Of rows that lie in memory alone, only the library knows what they are.
        "in_memory": [each._fingerprint for each in rows if not each.cache_files],
    }


def problems(key: str, name: object, example: str) -> list[str]:
    """Return what is wrong with a setting that names hub data; the network is not asked.

    Args:
        key: the setting.
        name: its value.
        example: a name on the hub that would do, with its size, for example "wmt/wmt14 (downloads 1.7 GB)".
    """
    if isinstance(name, str) and name:
        looks_local = name.startswith((".", "/", "~"))
        if looks_local and not Path(name).expanduser().is_dir():
            return [
                f"`{key}` must be a folder or a name on the hub, but {key}={name} is not a folder. Set {key}."
            ]
        return []
    return [
        f"`{key}` must name the data, but got {key}={name!r}. Set {key}={example}, or {key}=FOLDER with a local copy."
    ]


def described(name: str | None, config: str | None) -> str:
    """Say which data it is, in words."""
    return f"{name}" + (f" ({config})" if config else "")


def split_problems(train: str, key: str, held_out: str | None, examples: str) -> list[str]:
    """Return what is wrong with the splits that settings name.

    Args:
        train: `data.train_split`.
        key: the setting that names the split which decides targets.
        held_out: its value; None: examples of the training split are held out.
        examples: what a split holds, for example "images".
    """
    if train != held_out:
        return []
    return [
        f"`data.train_split` and `{key}` must differ, since held-out {examples} must not be trained on, but got "
        f"{train} for both. Set {key}; null holds {examples} of the training split out."
    ]


def _load_folder(folder: Path, config: str | None, split: str) -> Dataset:
    import datasets

    if (folder / "dataset_dict.json").exists() or (folder / split / "state.json").exists():
        loaded = datasets.load_from_disk(str(folder / split))
    elif (folder / "state.json").exists():
        loaded = datasets.load_from_disk(str(folder))
    else:
        loaded = datasets.load_dataset(str(folder), config, split=split)
    assert isinstance(loaded, datasets.Dataset)
    return loaded


def _load_hub(name: str, config: str | None, split: str) -> Dataset:
    import datasets

    with _asked_once(name):
        loaded = datasets.load_dataset(name, config, split=split)
    assert isinstance(loaded, datasets.Dataset)
    return loaded


def _saved_splits(folder: Path) -> dict[str, Dataset]:
    """Return what `save_to_disk` wrote; nothing if it did not."""
    import datasets

    if not any((folder / name).exists() for name in ("dataset_dict.json", "state.json")):
        return {}
    loaded = datasets.load_from_disk(str(folder))
    if isinstance(loaded, datasets.DatasetDict):
        return {str(split): rows for split, rows in loaded.items()}
    return {str(loaded.split or "train"): loaded}


def _parquet_splits(key: str, name: str, config: str | None) -> dict[str, Dataset]:
    import datasets
    from datasets.packaged_modules.cache.cache import Cache
    from datasets.packaged_modules.parquet.parquet import Parquet

    builder = datasets.load_dataset_builder(name, config)
    # Cache: it was read before, from whatever, and lies there as Arrow.
    if not isinstance(builder, (Parquet, Cache)):
        raise ConfigError(
            f"`{key}` must be data in parquet files, but {key}={name} is not (the datasets library would read it as "
            f"{builder.name}). Most data on the hub have a branch with parquet files, refs/convert/parquet: copy that "
            f"to a folder and set {key}=FOLDER."
        )
    if Path(name).is_dir():
        _require_own_files(key, name, builder)
    builder.download_and_prepare()
    loaded = builder.as_dataset()
    assert isinstance(loaded, datasets.DatasetDict)
    return {str(split): rows for split, rows in loaded.items()}


def _require_own_files(key: str, name: str, builder: Any) -> None:
    """Check that a folder's data lie in it, and that all its files call their classes alike.

    Raises:
        ConfigError: if its README names data elsewhere, which nobody asked for, or if a number stands for one class in
            one file and for another in the next: the library would take the names of the first.
    """
    import pyarrow.parquet as pq

    own = Path(name).absolute()
    classes: dict[str, tuple[str, Any]] = {}
    for file in (str(each) for files in (builder.config.data_files or {}).values() for each in files):
        if not Path(file).absolute().is_relative_to(own):  # not resolved: the hub's own cache links elsewhere
            raise ConfigError(
                f"A folder must hold its data, but the README.md of {key}={name} names {file}. Copy that there, and "
                "take the line out of README.md."
            )
        said = orjson.loads((pq.read_schema(file).metadata or {}).get(b"huggingface", b"{}"))
        for column, feature in (said.get("info", {}).get("features") or {}).items():
            if not isinstance(feature, dict) or "names" not in feature:
                continue
            first, names = classes.setdefault(column, (file, feature["names"]))
            if names != feature["names"]:
                raise ConfigError(
                    f"All files of a data set must number its classes alike, but for {key}={name} {first} and {file} "
                    f"differ in the column {column}. Write them anew with the same class names in the same order."
                )


@contextmanager
def _offline() -> Iterator[None]:
    """Keep the library from going online: what a folder holds, it holds."""
    import datasets

    before = datasets.config.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE = before


@contextmanager
def _said(key: str, name: str, config: str | None, what: str) -> Iterator[None]:
    """Turn what goes wrong with loading into a message."""
    try:
        import datasets
    except ImportError as error:
        raise ConfigError(
            f"Data of the hub are read by the library datasets, but it cannot be imported ({error}), and got "
            f"{key}={name}. Install it: pip install datasets"
        ) from error

    datasets.disable_progress_bars()
    # Of versions before 4, which could run code that comes with data.
    datasets.config.HF_DATASETS_TRUST_REMOTE_CODE = False
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:  # the library's own errors have no common class
        # The second line lists the configurations that there are, where none was named.
        reason = " ".join(str(error).splitlines()[:2]).rstrip(". ") or type(error).__name__
        reason = reason.replace("OfflineModeIsEnabled", "no network, or HF_HUB_OFFLINE is set")
        raise ConfigError(
            f"`{key}` must be loadable with the datasets library, but {key}={name} ({what}) "
            f"is not: {reason}. {_ways_out(key, name, config, reason)}"
        ) from error


@contextmanager
def _asked_once(name: str) -> Iterator[None]:
    """Let the library go online only if the hub answers: without this, every file would be asked for six times."""
    import datasets

    offline = datasets.config.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = offline or not _reachable(name)
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE = offline


def _reachable(name: str) -> bool:
    """Tell whether the hub answers at all: one request, no retries."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        HfApi().dataset_info(name, timeout=_PROBE_SECONDS)
    except HfHubHTTPError:
        return True  # it answered; what is wrong is said by the loading itself
    except Exception:
        return False
    return True


def _ways_out(key: str, name: str, config: str | None, reason: str) -> str:
    if "onfig" in reason:
        return f"Set {'data.config' if key == 'data.name' else f'{key}_config'}."
    if Path(name).expanduser().is_dir():
        return f"Set {key} to a folder with a whole copy."
    wanted = f'"{name}"' + (f', "{config}"' if config else "")
    return (
        "On a machine with network: python -c 'from datasets import load_dataset; "
        f'load_dataset({wanted}).save_to_disk("FOLDER")\'; copy FOLDER here and set {key}=FOLDER.'
    )
