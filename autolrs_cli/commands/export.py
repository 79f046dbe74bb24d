"""`autolrs export`: a trained model for other libraries, and its schedule for other training loops."""

from __future__ import annotations

import shutil
from pathlib import Path

from autolrs_cli.durable import written_aside
from autolrs_cli.errors import AutoLRSError, ConfigError
from autolrs_cli.exit_codes import ExitCode
from autolrs_cli.terminal.console import PatientConsole, say, show_error

README = """# {recipe}, trained by autolrs

From the run {run}. Load the model with:

```python
{code}
```

`schedule.csv` holds the LR of every step. To train with it in PyTorch, build the optimizer with lr=1.0, or with the
ratio of each parameter group to the first:

```python
import csv
import torch

with open("schedule.csv", newline="") as file:
    lrs = [float(row["lr"]) for row in csv.DictReader(file) for _ in range(int(row["steps"]))]
optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: lrs[min(step, len(lrs) - 1)])
# after each optimizer.step():
scheduler.step()
```
"""


def main(run_dir: Path, target: Path) -> int:
    """Write the model of `run_dir` into the folder `target`; return the exit code."""
    console, errors = PatientConsole(), PatientConsole(stderr=True)
    try:
        with console.status("loading the run ..."):
            code = _export(run_dir, target)
    except AutoLRSError as error:
        return show_error(errors, error)
    say(console, f"wrote {target}; load it with:\n\n{code}")
    return ExitCode.DONE


def _export(run_dir: Path, target: Path) -> str:
    from safetensors import SafetensorError

    from autolrs_cli.contracts import Exportable
    from autolrs_cli.runner.finished_run import StoredRun

    target = target.absolute()
    _require_free(target)
    run = StoredRun(run_dir)
    if not isinstance(run.recipe, Exportable):
        raise ConfigError(
            f"The recipe {run.recipe.name} must have an `export` method to be exported, but has none. Add one (see "
            f"docs/own-recipe.md), or take {run.directory.model}."
        )
    model = run.model()
    try:
        with written_aside(target) as aside:
            aside.mkdir(parents=True)
            code = run.recipe.export(model, aside).replace(str(aside), str(target))
            shutil.copy(run.directory.schedule, aside)
            text = README.format(recipe=run.recipe.name, run=run.directory.root, code=code)
            (aside / "README.md").write_text(text, encoding="utf-8")
    except (OSError, SafetensorError) as error:
        raise ConfigError(
            f"The export must be written whole, but it cannot be: {error}. Mend that, or name another folder."
        ) from error
    return code


def _require_free(target: Path) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(
            f"The export must go into a new or empty folder, but {target} is neither. Name another."
        )
