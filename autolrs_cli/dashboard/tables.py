"""Trials and chosen LRs as lines of text in columns."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from autolrs_cli.dashboard import notices
from autolrs_cli.dashboard.run_state import ChosenRow, State, TrialRow
from autolrs_cli.terminal import formats

# Columns before the verdict.
TRIAL_COLUMNS = (("#", 2), ("LR", 7), ("steps", 5), ("loss", 7), ("predicted", 9), ("sd", 6))
CHOSEN_COLUMNS = (("stage", 5), ("from step", 9), ("LR", 7), ("predicted", 9))


def trials_table(state: State, width: int, rows: int) -> list[Text]:
    """Return the current stage's trials: `rows` lines with the two of the heading, so that nothing else moves.

    Where they do not all fit, the best one, the running one and the latest stay.
    """
    if state.stage is None or rows < 1:
        return []
    shown = _most_important(state.trials, rows - 2)
    hidden = len(state.trials) - len(shown)
    number = state.stage["stage"] + 1
    title = f"trials of stage {number}, by {formats.LOSS_NAMES.get(state.stage['objective'], 'loss')}"
    if not state.searching and state.chosen and state.chosen[-1].account:
        title = f"stage {number}: {state.chosen[-1].account}"
    if hidden > 0:
        title += f" ({hidden} more not shown)"
    heading = _cells([name for name, _ in TRIAL_COLUMNS], TRIAL_COLUMNS)
    lines = [_line(title, width, "bold"), _line(heading, width, "dim")]
    lines += [_trial(state, row, width) for row in shown]
    return [*lines, *(Text("") for _ in range(rows - len(lines)))][:rows]


def _most_important(trials: Sequence[TrialRow], room: int) -> list[TrialRow]:
    """Return at most `room` trials, in order."""
    if len(trials) <= room:
        return list(trials)
    ranked = sorted(trials, key=lambda row: (row.best, row.status == "running", row.index), reverse=True)
    return sorted(ranked[: max(0, room)], key=lambda row: row.index)


def _trial(state: State, row: TrialRow, width: int) -> Text:
    values = [
        str(row.index + 1),
        formats.lr(row.lr),
        str(row.step),
        formats.number(row.loss),
        formats.number(row.predicted),
        formats.number(row.std, 3),
    ]
    if row.status in ("diverged", "stopped"):  # it has no forecast: the room says why
        values = values[:4]
    cells = _cells(values, TRIAL_COLUMNS[: len(values)])
    return _line(f"{cells}  {_verdict(state, row, width - len(cells) - 2)}", width, _style(row))


def _verdict(state: State, row: TrialRow, room: int) -> str:
    if row.status == "diverged":
        whole = f"diverged: {row.reason}"
        return whole if len(whole) <= room else f"diverged: {notices.FAILURES.get(row.failure, row.reason)}"
    if row.end_lr is not None:
        return f"ramp to LR {formats.lr(row.end_lr)}{f': {row.reason}' if row.reason else ''}"
    if row.status == "stopped":
        return f"stopped: {row.reason}"
    if row.status != "ok":
        return row.status
    best = "chosen" if _is_chosen(state, row) else "best so far" if row.best else ""
    return "; ".join(filter(None, (best, formats.flags(row.flags))))


def _is_chosen(state: State, row: TrialRow) -> bool:
    return not state.searching and bool(state.chosen) and state.chosen[-1].trial == row.index


def _style(row: TrialRow) -> str:
    if row.status == "diverged":
        return "red"
    if row.status == "running":
        return "yellow"
    if row.status == "stopped":
        return "dim"
    return "bold green" if row.best else ""


def chosen_table(state: State, width: int, rows: int) -> list[Text]:
    """Return the chosen LR of each stage, the latest ones where they do not all fit."""
    if rows < 3 or not state.chosen:
        return []
    heading = _cells([name for name, _ in CHOSEN_COLUMNS], CHOSEN_COLUMNS)
    lines = [_line("chosen LRs", width, "bold"), _line(heading, width, "dim")]
    return lines + [_chosen(row, width) for row in state.chosen[-(rows - 2) :]]


def _chosen(row: ChosenRow, width: int) -> Text:
    values = [
        str(row.stage + 1),
        str(row.first_step),
        formats.lr(row.lr),
        formats.number(row.predicted),
    ]
    style = "yellow" if row.flags else "cyan"
    why = "; ".join(filter(None, (formats.flags(row.flags), row.account)))
    return _line(f"{_cells(values, CHOSEN_COLUMNS)}  {why}", width, style)


def _cells(values: Sequence[str], columns: Sequence[tuple[str, int]]) -> str:
    return " ".join(value.rjust(room) for value, (_, room) in zip(values, columns, strict=True))


def _line(text: str, width: int, style: str) -> Text:
    line = Text(text, style=style)
    line.truncate(width, overflow="ellipsis")
    return line
