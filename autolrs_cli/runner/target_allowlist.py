"""Which code a stored configuration may name.

`instantiate` calls whatever is importable, so a file must not become a way to run any function on this machine.
"""

from __future__ import annotations

import inspect
import re
import sys
import sysconfig
from collections.abc import Mapping
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from hydra.utils import get_object
from torch.optim import Optimizer

from autolrs_cli.errors import ConfigError
from autolrs_cli.runner.instantiate import targets

# Where the classes lie that configurations are made of, and the one package whose functions they name.
_CLASSES = ("autolrs_recipes.", "autolrs_cli.schedules.", "autolrs_cli.search.")
_FUNCTIONS = "autolrs_recipes.optimizers"
# Torch's own optimizers, which do nothing but compute; nothing else of torch, which can run code from files.
_OPTIMIZERS = r"torch\.optim\.\w+"


def require_trusted(config: Mapping[str, Any]) -> None:
    """Check that a stored configuration builds nothing but our objects, and those of the run's --config-dir.

    Raises:
        ConfigError: naming what it may not hold.
    """
    if open_value := _interpolation(config):
        raise ConfigError(
            f"A stored configuration must be resolved, but it holds {open_value!r}. Restore the file."
        )
    folder = config["run"].get("config_dir")
    wrong = untrusted_targets(config, folder)
    if wrong:
        raise ConfigError(
            f"A stored configuration may only name classes of autolrs, or of the run's --config-dir ({folder}), but "
            f"it names {', '.join(wrong)}. If it is your own, train with --config-dir set to the folder it lies in."
        )


def untrusted_targets(config: Mapping[str, Any], folder: str | None) -> list[str]:
    """Return the `_target_`s that are neither ours nor of a module in `folder`.

    Args:
        config: plain containers.
        folder: given with --config-dir; None: there was none.
    """
    user = _user_folder(folder)
    if user is not None and str(user) not in sys.path:
        sys.path.append(str(user))
    return list(dict.fromkeys(target for target in targets(config) if not _is_trusted(target, user)))


def _user_folder(folder: str | None) -> Path | None:
    """Return the folder, unless it is one of the installation's own: then everything would be "in" it."""
    if not folder:
        return None
    user = Path(str(folder)).resolve()
    installed = {
        Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")
    }
    return None if any(user.is_relative_to(path) for path in installed) else user


def _interpolation(node: Any) -> str | None:
    if isinstance(node, Mapping):
        return next(filter(None, (_interpolation(part) for pair in node.items() for part in pair)), None)
    if isinstance(node, list):
        return next(filter(None, map(_interpolation, node)), None)
    return node if isinstance(node, str) and "${" in node else None


def _is_trusted(target: str, user: Path | None) -> bool:
    if not re.fullmatch(r"\w+(\.\w+)+", target):
        return False
    top = target.partition(".")[0]
    if not target.startswith(_CLASSES) and not re.fullmatch(_OPTIMIZERS, target) and not _lies_in(top, user):
        return False
    try:
        found = get_object(target)
    except Exception:
        return False
    if top == "torch":
        return _is_optimizer(found)
    # Through "our_module.torch.load" one would reach a function that is not ours.
    home = str(getattr(found, "__module__", ""))
    if _lies_in(home.partition(".")[0], user):
        return True
    return f"{home}.".startswith(f"{_FUNCTIONS}.") or (
        inspect.isclass(found) and f"{home}.".startswith(_CLASSES)
    )


def _is_optimizer(found: object) -> bool:
    """Tell whether `found` is an optimizer that is defined in torch.optim."""
    return (
        inspect.isclass(found)
        and issubclass(found, Optimizer)
        and found.__module__.startswith("torch.optim.")
    )


def _lies_in(top: str, user: Path | None) -> bool:
    """Tell whether the top-level module `top` lies directly in the folder, and no other comes before it."""
    if user is None or not top:
        return False
    spec, first = PathFinder.find_spec(top, [str(user)]), PathFinder.find_spec(top)
    return spec is not None and first is not None and spec.origin is not None and spec.origin == first.origin
