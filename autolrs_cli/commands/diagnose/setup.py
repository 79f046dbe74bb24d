"""Checks of what is installed and set: bundled data, optional libraries, terminal, environment, completion."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.resources import files
from pathlib import Path

import yaml

from autolrs_cli.commands.diagnose.finding import Finding

SMALLEST_TERMINAL = (80, 24)
NETWORK = (
    "HF_HUB_OFFLINE",
    "HF_DATASETS_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "HF_HOME",
    "WANDB_MODE",
    "MLFLOW_TRACKING_URI",
)
# Extras that a person who only runs experiments has no use for.
FOR_DEVELOPERS = ("docs", "test")
# Where each shell reads completions or its start-up commands from.
STARTUP = {
    "bash": (
        ".bashrc",
        ".bash_profile",
        ".bash_completion",
        ".local/share/bash-completion/completions/autolrs",
    ),
    "zsh": (".zshrc", ".zprofile"),
    "fish": (".config/fish/config.fish", ".config/fish/completions/autolrs.fish"),
}


def bundled_data() -> Iterator[Finding]:
    """Whether each data set that comes with what is installed (`bundled`) is usable; nothing is prepared."""
    for path in sorted(Path(str(files("autolrs_configs"))).glob("data/*.yaml")):
        yield from _data(path.stem, path.read_text(encoding="utf-8"))


def _data(name: str, text: str) -> Iterator[Finding]:
    values = yaml.safe_load(text)
    module, _, target = values.pop("_target_").rpartition(".")
    area, remedy = f"data={name}", "pip install --force-reinstall autolrs"
    try:
        cls = getattr(importlib.import_module(module), target)
        problems = cls(**values).problems() if getattr(cls, "bundled", False) else None
    except Exception as error:  # a broken library may raise anything
        yield Finding(area, "problem", f"{type(error).__name__}: {error}", remedy)
        return
    if problems:
        yield Finding(area, "problem", " ".join(problems), remedy)
    elif problems is not None:
        yield Finding(area, "ok", text.partition("\n")[0].lstrip("# ").rstrip("."))


def extras() -> Iterator[Finding]:
    """Which optional libraries are there; those that are not cost nothing."""
    wanted: dict[str, str] = {}
    for line in requires("autolrs") or ():
        requirement, _, extra = line.partition("extra ==")
        name = extra.strip().strip("\"'")
        if name and name not in FOR_DEVELOPERS:
            wanted[name] = requirement.partition(">")[0].partition(";")[0].strip()
    for extra, library in wanted.items():
        try:
            yield Finding(extra, "ok", f"{library} {version(library)}")
        except PackageNotFoundError:
            yield Finding(extra, "ok", "not installed (optional)", f"pip install 'autolrs[{extra}]'")


def terminal() -> Iterator[Finding]:
    """Whether the live view can be shown here."""
    if not sys.stdout.isatty():
        yield Finding("terminal", "ok", "none: standard output is a file or a pipe; runs print plain lines")
        return
    size = shutil.get_terminal_size()
    small = size.columns < SMALLEST_TERMINAL[0] or size.lines < SMALLEST_TERMINAL[1]
    kind = os.environ.get("TERM", "")
    dumb = kind in ("", "dumb", "unknown")
    encoding = (sys.stdout.encoding or "").lower()
    colour = "no colour (NO_COLOR)" if os.environ.get("NO_COLOR") else "no colour" if dumb else "colour"
    said = f"{size.columns}x{size.lines}, {colour}, {encoding}, TERM={kind or '(not set)'}"
    if dumb:
        yield Finding(
            "terminal", "warning", f"{said}: plain lines only", "Set TERM, for example TERM=xterm-256color."
        )
    elif small:
        yield Finding("terminal", "warning", f"{said}: the live view is cut", "Make it 80x24 or larger.")
    elif not encoding.startswith("utf"):
        yield Finding("terminal", "warning", f"{said}: charts in plain characters", "Set LANG=C.UTF-8.")
    else:
        yield Finding("terminal", "ok", said)


def environment() -> Iterator[Finding]:
    """What is set that decides whether and where something goes over the network."""
    found = [f"{name}={os.environ[name]}" for name in NETWORK if os.environ.get(name)]
    said = (
        "  ".join(found)
        or "nothing set; only data=wmt14 and data=wikipedia_books load anything, if given a hub name"
    )
    yield Finding("network", "ok", said)


def completion() -> Iterator[Finding]:
    """Whether TAB completes autolrs in the person's shell."""
    shell = Path(os.environ.get("SHELL", "")).name
    if shell not in STARTUP:
        yield Finding(
            "completion",
            "ok",
            f"unknown for the shell {shell or '(SHELL is not set)'}",
            "autolrs completion --help",
        )
        return
    for name in STARTUP[shell]:
        place = Path(os.path.expanduser("~")) / name  # noqa: PTH111 - stays `~` without a home folder
        if place.is_file() and "autolrs" in place.read_text(encoding="utf-8", errors="replace"):
            yield Finding("completion", "ok", f"{shell}: set up in {place}")
            return
    lines = {
        "bash": "echo 'eval \"$(autolrs completion bash)\"' >> ~/.bashrc",
        "zsh": "echo 'eval \"$(autolrs completion zsh)\"' >> ~/.zshrc",
        "fish": "autolrs completion fish > ~/.config/fish/completions/autolrs.fish",
    }
    yield Finding("completion", "ok", f"{shell}: not set up (optional)", lines[shell])
