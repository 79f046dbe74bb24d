"""The lines at the top: what is trained, what is going on, how far it is, what it found."""

from __future__ import annotations

import textwrap

from rich.text import Text

from autolrs_cli.dashboard import status_text
from autolrs_cli.dashboard.run_state import State
from autolrs_cli.terminal import formats

LABEL = 7
MIN_BAR = 10
BARS = {True: ("━", "╸", "─"), False: ("#", "#", "-")}

# What goes first where rows are short; the lines keep their order on the screen.
DROPPED_FIRST = (
    "data",
    "notice1",
    "pace",
    "averaged",
    "target",
    "stage",
    "title",
    "figures",
    "run",
    "notice",
    "activity",
)
# Rows from which on a notice may take two lines; it may at the end, too.
TALL = 30


def head(state: State, width: int, height: int, *, unicode: bool) -> dict[str, Text]:
    """Return the lines by name, in order; those that have nothing to say are left out."""
    if not state.description:
        return {"activity": line(status_text.activity(state), width, "bold")}
    run, stage = _run_bar(state, width, unicode), _stage_bar(state, width, unicode)
    d = state.description
    found = {
        "title": line(f"autolrs  {status_text.title(d)}", width, "bold cyan"),
        "data": line(f"{d['data']}; {d['device']}, {d['precision']}, {status_text.threads(d)}", width, "dim"),
        "activity": line(status_text.activity(state), width, "bold"),
        "run": run,
        "stage": stage,
        "figures": line(_figures(state), width),
        "averaged": line(_averaged(state), width, "yellow"),
        "target": line(status_text.target(state) or "", width, "green" if state.target_reached else ""),
        "pace": line(pace(state, width), width, "dim"),
    }
    most = 2 if state.over or height >= TALL else 1
    for number, text in enumerate(wrapped(_notice(state), width, most)):
        found[f"notice{number or ''}"] = Text(text, style="red" if state.ended == "failed" else "yellow")
    return {name: text for name, text in found.items() if text.plain}


def fitted(lines: dict[str, Text], rows: int) -> list[Text]:
    """Return at most `rows` of the lines, leaving out the least important ones."""
    kept = dict(lines)
    for name in DROPPED_FIRST:
        if len(kept) <= rows:
            break
        kept.pop(name, None)
    return list(kept.values())[: max(rows, 0)]


def line(text: str, width: int, style: str = "") -> Text:
    """Return one line, cut with an ellipsis."""
    found = Text(text.partition("\n")[0], style=style)
    found.truncate(width, overflow="ellipsis")
    return found


def _run_bar(state: State, width: int, unicode: bool) -> Text:
    search = f" ({state.total_steps - state.step} not kept)" if state.total_steps > state.step else ""
    left = "" if state.over else f"  {formats.duration(state.seconds_left)} left"
    after = f"{state.total_steps}/{state.planned_steps} steps{search}{left}"
    return _bar("run", state.total_steps, state.planned_steps, after, width, unicode)


def _stage_bar(state: State, width: int, unicode: bool) -> Text:
    if state.stage is None or state.over:
        return Text("")
    done, planned = state.stage_steps
    left = formats.duration(state.stage_seconds_left)
    name = f"stage {state.stage['stage'] + 1}"
    return _bar(name, done, planned, f"{done}/{planned} steps  {left} left", width, unicode)


def _bar(name: str, done: int, planned: int, after: str, width: int, unicode: bool) -> Text:
    full, tip, empty = BARS[unicode]
    room = max(MIN_BAR, width - LABEL - len(after) - 2)
    filled = round(room * min(1.0, done / max(planned, 1)))
    text = Text(name.ljust(LABEL + 1))
    text.append(full * max(0, filled - 1) + tip * (filled > 0), style="cyan")
    text.append(empty * (room - filled), style="dim").append(f" {after}")
    text.truncate(width, overflow="ellipsis")
    return text


def _figures(state: State) -> str:
    parts = [f"LR {formats.lr(state.lr)}"] if state.lr is not None else []
    if state.losses.items:
        parts.append(f"training loss {formats.number(state.loss)}")
    if "raw" in state.held_out and state.held_out["raw"].metrics:
        parts.append(f"held out: {formats.metrics(_ordered(state, 'raw'))}")
    return "  ".join(parts)


def _ordered(state: State, weights: str) -> dict[str, float | None]:
    """Return the latest measures, the recipe's metric and the loss first: a narrow screen cuts off the others."""
    found = state.held_out[weights].metrics
    first = [name for name in (state.description["metric"]["name"], "loss") if name in found]
    return {name: found[name] for name in (*first, *found)}


def _averaged(state: State) -> str:
    held = state.held_out.get("averaged")
    if held is None or not held.metrics:
        return ""
    return f"averaged weights, step {held.step}: {formats.metrics(_ordered(state, 'averaged'))}"


def pace(state: State, width: int) -> str:
    """Return speed, the search's share of the time, and memory: as many of them, in this order, as fit."""
    parts = []
    speed = state.steps_per_second
    if speed is not None and not state.over:
        parts.append(f"{formats.rate(speed)} steps/s")
        kept, examples = state.examples
        if kept:
            parts.append(f"{formats.rate(speed * examples / kept)} {state.description['example_unit']}/s")
    if state.t and state.is_searched:
        parts.append(f"search {state.search_seconds / state.t:.0%} of {formats.duration(state.t)}")
    elif state.t:
        parts.append(f"time {formats.duration(state.t)}")
    parts += _memory(state)
    while len(parts) > 1 and len("  ".join(parts)) > width:
        parts.pop()
    wide = "   ".join(parts)
    return wide if len(wide) <= width else "  ".join(parts)


def _memory(state: State) -> list[str]:
    machine = state.machine
    if machine is None:
        return []
    parts = [f"memory {formats.size(machine.process)}"]
    if machine.device_used is not None and machine.device_total is not None:
        parts.append(f"device {formats.share(machine.device_used, machine.device_total)}")
    return [*parts, f"host {formats.share(machine.host_used, machine.host_total)}"]


def _notice(state: State) -> str:
    command = status_text.next_command(state)
    if command:
        return f"to go on: {command}"
    return (state.reason if state.ended == "failed" else state.notice) or ""


def wrapped(text: str, width: int, most: int) -> list[str]:
    """Return `text` in at most `most` lines, the last one cut with an ellipsis."""
    lines = textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)
    if len(lines) > most:
        lines = [*lines[: most - 1], line(" ".join(lines[most - 1 :]), width).plain]
    return lines
