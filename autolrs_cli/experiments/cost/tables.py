"""What `autolrs plan` shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from autolrs_cli.experiments.cost.estimate import Cost, Measured, Shape
from autolrs_cli.runner.plan import Plan
from autolrs_cli.runner.torch_runtime import device_name
from autolrs_cli.terminal.formats import LOSS_NAMES, duration
from autolrs_cli.training.checkpoint import KEPT
from autolrs_cli.wording import counted


def show_run(plan: Plan, shape: Shape, measured: Measured, cost: Cost) -> RenderableType:
    """Return the cost of one run in full."""
    return Group(*_parts(plan, shape, measured, cost))


def _parts(plan: Plan, shape: Shape, measured: Measured, cost: Cost) -> Iterator[RenderableType]:
    settings, described = plan.settings, plan.recipe.describe()
    name = f"{settings.recipe['name']} scale={settings.scale} schedule={settings.schedule['name']}"
    yield Text(name, style="bold")
    yield Text(f"{described.model} on {described.data}; {device_name(plan.device)}, {plan.threads} threads")
    yield Text()
    yield _steps(shape, cost)
    if shape.stages:
        yield Text()
        yield _stages(shape)
    yield Text()
    yield _time(cost)
    step, evaluation = _milliseconds(measured.step_seconds), _milliseconds(measured.evaluation_seconds)
    yield Text(
        f"From {measured.timed_steps} timed steps ({step} each), one evaluation ({evaluation}) and so on, on this "
        "machine, as busy as it is now. A trial that ends early saves time."
    )
    yield Text()
    yield _bytes(shape, measured, cost)


def _steps(shape: Shape, cost: Cost) -> Table:
    table = _table("steps", ("", "left"), ("steps", "right"), ("", "left"))
    if shape.warm_up_steps:
        table.add_row("warm-up", f"{shape.warm_up_steps:,}", "")
    kept = counted(len(shape.stages), "searched stage") if shape.stages else "no search"
    table.add_row("training", f"{shape.max_steps - shape.warm_up_steps:,}", kept)
    if shape.stages:
        table.add_row("search, at most", f"{shape.search.steps:,}", counted(shape.trials, "trial"))
        ratio = cost.total_steps / shape.max_steps
        table.add_row("in all", f"{cost.total_steps:,}", f"{ratio:.2f} for each step kept")
    table.add_row(
        "evaluations",
        f"{shape.evaluations:,}",
        f"every {shape.eval_every_steps:,} kept steps, and at the end",
    )
    return table


def _stages(shape: Shape) -> Table:
    names = ("stage", "from step", "steps", "trials", "of steps")
    table = _table(None, *((name, "right") for name in names), ("judged by", "left"))
    for stage in shape.stages:
        numbers = ((stage.stage or 0) + 1, stage.first_step, stage.steps, stage.num_trials, stage.trial_steps)
        table.add_row(*(f"{number:,}" for number in numbers), LOSS_NAMES[stage.objective])
    return table


def _time(cost: Cost) -> Table:
    table = _table("time", ("", "left"), ("time", "right"), ("share", "right"))
    for name, seconds in cost.seconds.items():
        if seconds:
            table.add_row(name.replace("_", " "), duration(seconds), f"{seconds / cost.total_seconds:.1%}")
    table.add_row("in all", duration(cost.total_seconds), "")
    return table


def _bytes(shape: Shape, measured: Measured, cost: Cost) -> Table:
    table = _table("memory and disk", ("", "left"), ("size", "right"), ("", "left"))
    table.add_row("parameters", decimal(measured.parameter_bytes), "")
    table.add_row(
        "optimizer", decimal(measured.optimizer_bytes), "beside them, and gradients as large as they"
    )
    if shape.stages:
        table.add_row(
            "snapshot", decimal(measured.snapshot_bytes), "a copy of the training state, for the search"
        )
    if measured.peak_device_bytes is not None:
        table.add_row("peak on the GPU", decimal(measured.peak_device_bytes), "in the timed steps")
    table.add_row(
        "peak of the process", decimal(measured.peak_host_bytes), "in the timed steps, libraries included"
    )
    table.add_row(
        "a checkpoint",
        decimal(measured.checkpoint_bytes),
        f"the last {KEPT} are kept; gone when the run is done",
    )
    if shape.averaging_files:
        size = shape.averaging_files * measured.weights_bytes
        table.add_row(
            "weights to average", decimal(size), f"those of the last {shape.averaging_files} checkpoints"
        )
    table.add_row("journal", decimal(cost.journal_bytes), "estimated")
    table.add_row("disk, at most", decimal(cost.disk_peak_bytes), "while it trains")
    table.add_row("disk, in the end", decimal(cost.disk_final_bytes), "weights, journal, summary")
    return table


def show_grid(rows: Sequence[tuple[str, int, Cost, Measured]]) -> RenderableType:
    """Return the cost of a sweep.

    Args:
        rows: what sets the runs apart, how many there are, the cost of each, what was measured.
    """
    table = _table(
        None, ("runs", "left"), *((n, "right") for n in ("number", "steps each", "time each", "time", "disk"))
    )
    for label, runs, cost, _ in rows:
        seconds, disk = cost.total_seconds, cost.disk_final_bytes
        cells = (f"{cost.total_steps:,}", duration(seconds), duration(runs * seconds), decimal(runs * disk))
        table.add_row(Text(label), str(runs), *cells)
    runs = sum(row[1] for row in rows)
    seconds = sum(number * cost.total_seconds for _, number, cost, _ in rows)
    disk = sum(number * cost.disk_final_bytes for _, number, cost, _ in rows)
    table.add_row("in all", str(runs), "", "", duration(seconds), decimal(disk), style="bold")
    peak = max(measured.peak_host_bytes for *_, measured in rows)
    note = (
        f"One after another, on this machine as busy as it is now; {rows[0][3].timed_steps} steps of each recipe and "
        f"size were timed. Each run needs about {decimal(peak)} of memory. In detail: one value for each key."
    )
    return Group(table, Text(note))


def _table(title: str | None, *columns: tuple[str, str]) -> Table:
    table = Table(
        box=None, pad_edge=False, padding=(0, 2, 0, 0), title=title, title_justify="left", title_style="bold"
    )
    for name, justify in columns:
        table.add_column(name, justify="right" if justify == "right" else "left")
    return table


def _milliseconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"
