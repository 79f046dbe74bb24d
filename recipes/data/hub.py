"""Data from the Hugging Face hub, only when a person names it; or from a local copy of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from autolrs_cli.errors import ConfigError

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
    import datasets

    datasets.disable_progress_bars()
    folder = Path(name).expanduser()
    try:
        if folder.is_dir():
            return _load_folder(folder, config, split)
        return _load_hub(name, config, split)
    except ConfigError:
        raise
    except Exception as error:  # the library's own errors have no common class
        reason = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
        raise ConfigError(
            f"`{key}` must be loadable with the datasets library, but {key}={name} (config {config}, split {split}) "
            f"is not: {reason}. {_ways_out(key, name, config)}"
        ) from error


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

    offline = datasets.config.HF_HUB_OFFLINE
    # One question is enough; without this, every file would be asked for six times.
    datasets.config.HF_HUB_OFFLINE = offline or not _reachable(name)
    try:
        loaded = datasets.load_dataset(name, config, split=split)
    finally:
        datasets.config.HF_HUB_OFFLINE = offline
    assert isinstance(loaded, datasets.Dataset)
    return loaded


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


def _ways_out(key: str, name: str, config: str | None) -> str:
    wanted = f'"{name}"' + (f', "{config}"' if config else "")
    return (
        "On a machine with network: python -c 'from datasets import load_dataset; "
        f'load_dataset({wanted}).save_to_disk("FOLDER")\'; copy FOLDER here and set {key}=FOLDER.'
    )
