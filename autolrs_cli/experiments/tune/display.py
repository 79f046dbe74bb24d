"""What a person sees of a study: the plan, one line per run under one bar, and the table at the end."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from autolrs_cli.compose.user_configs import path_of
from autolrs_cli.experiments.tune.hyperband import seconds_spent
from autolrs_cli.experiments.tune.rung_run import RungResult
from autolrs_cli.experiments.tune.search_space import Point
from autolrs_cli.experiments.tune.study import Configuration
from autolrs_cli.experiments.tune.task import TuningTask
from autolrs_cli.experiments.tune.trials_table import STATES, at_an_edge, lengths_of
from autolrs_cli.terminal.console import say
from autolrs_cli.wording import counted


def statement(task: TuningTask) -> Iterator[str]:
    """Yield what will be done, before it is."""
    tuned, plan = task.tuned, task.plan
    weights = " (averaged weights)" if task.averaged else ""
    yield (
        f"tuning {tuned.schedule} on {tuned.recipe} at scale={tuned.scale}, seed {task.config['seed']}, by the loss on "
        f"the slice that chooses LRs{weights}"
    )
    yield f"data: {task.run_plan.recipe.describe().data}"
    yield (
        f"budget {plan.budget_steps:,} steps ({_lengths(task)} runs of full length; AutoLRS as published makes "
        f"{plan.search_steps:,} to search): {counted(plan.configurations, 'configuration')}, "
        f"{counted(plan.runs, 'run')}, {counted(plan.steps, 'step')}"
    )
    for number, bracket in enumerate(plan.brackets, 1):
        runs = ", then ".join(
            f"{counted(count, 'run')} of {counted(length, 'step')}"
            for count, length in zip(bracket.runs, bracket.lengths, strict=True)
        )
        yield f"  bracket {number}: {runs}"
    short, full = plan.brackets[0].lengths[0], plan.brackets[0].lengths[-1]
    if short < full:
        higher = (full / short) ** task.settings.horizon_exponent
        yield (
            "  Each run is decayed over its own length. The short ones choose which configurations get a run of full "
            f"length, and try LRs {higher:.2g} times as high as those that they stand for."
        )
    yield f"study directory: {task.directory.root}"


def _lengths(task: TuningTask) -> str:
    return f"{task.plan.budget_steps / task.run_plan.settings.run.max_steps:.4g}"


class TuningScreen:
    """One bar over all runs on a terminal, and one line for each run that ends.

    Args:
        console: where it is shown.
        task: the study.
        live: whether to show the bar, where there is a terminal.
    """

    def __init__(self, console: Console, task: TuningTask, *, live: bool) -> None:
        self._console = console
        self._planned = task.plan.steps
        self._done = 0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("steps"),
            TimeRemainingColumn(),
            console=console,
            disable=not (live and console.is_terminal),
        )
        self._task = self._bar.add_task("", total=self._planned)

    def __enter__(self) -> TuningScreen:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def began(self, configuration: Configuration, length: int) -> None:
        """Name the run beside the bar."""
        self._bar.update(self._task, description=f"trial {configuration.number}, {length:,} steps")

    def made(self, steps: int) -> None:
        """Move the bar within a run."""
        self._bar.update(self._task, completed=min(self._planned, self._done + steps))

    def ended(self, configuration: Configuration, length: int, outcome: RungResult) -> None:
        """Say how a run ended."""
        self._done += outcome.steps
        self.made(0)
        result = outcome.reason if outcome.loss is None else f"loss {outcome.loss:.4f}"
        text = (
            f"{self._done:>{len(f'{self._planned:,}')},}/{self._planned:,}  trial {configuration.number:>2}, "
            f"{length:,} steps: {result}  ({_point(configuration.point)})"
        )
        say(self._bar.console, text)


def results(task: TuningTask, best: Configuration) -> RenderableType:
    """Return the table of all configurations, the best one, and how to use it."""
    everything = task.study.configurations()
    lengths = lengths_of(everything)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("trial", justify="right")
    for name in best.point:
        table.add_column(name, justify="right")
    for length in lengths:
        table.add_column(f"at {length:,}", justify="right")
    table.add_column("")
    for each in everything:
        is_best = each.number == best.number
        losses = [_loss(each.results.get(length)) for length in lengths]
        row = [str(each.number), *map(_value, each.point.values()), *losses]
        table.add_row(*row, "best" if is_best else STATES[each.state.name], style="bold" if is_best else None)
    caption = Text("\nLoss on the slice that chooses LRs, at the end of runs of so many steps:")
    return Group(caption, table, Text(), *(Text(line) for line in _closing(task, best, everything)))


def _closing(task: TuningTask, best: Configuration, everything: list[Configuration]) -> Iterator[str]:
    runs = sum(len(each.results) for each in everything)
    yield (
        f"{task.steps_made():,} steps in {runs} runs, {seconds_spent(everything):,.0f} s; "
        f"budget {task.plan.budget_steps:,}; AutoLRS as published makes {task.plan.search_steps:,} to search."
    )
    yield f"best: trial {best.number}, {_point(best.point)}, loss {best.results[max(best.results)].loss:.4f}"
    for warning in at_an_edge(task.settings.space, best):
        yield f"warning: {warning}"
    yield f"kept as {path_of(task.option)}"
    if task.others:
        yield f"beside it, from other studies: {', '.join(f'schedule={option}' for option in task.others)}"
    yield f"figure: {task.directory.plot} (and .svg); table: {task.directory.trials}"
    yield f"train with it: {task.command}"


def _loss(outcome: RungResult | None) -> str:
    if outcome is None:
        return ""
    return "diverged" if outcome.loss is None else f"{outcome.loss:.4f}"


def _point(point: Point) -> str:
    return ", ".join(f"{name} {_value(value)}" for name, value in point.items())


def _value(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.3g}"
