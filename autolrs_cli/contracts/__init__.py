"""What the parts of the house promise each other: Protocols and small frozen dataclasses.

A *step* is one optimizer update. An LR is the base LR; each parameter group trains at `base LR * lr_ratio`.
"""

from autolrs_cli.contracts.abilities import (
    Compilable,
    Divisible,
    Example,
    Exportable,
    FullMeasure,
    FullyMeasured,
    Portable,
    Preparable,
    Report,
    Showable,
    Verifiable,
)
from autolrs_cli.contracts.batches import (
    Batch,
    EvalStream,
    Noticing,
    PlacedBatch,
    Position,
    TrainStream,
    kept,
    on_host,
)
from autolrs_cli.contracts.optimizers import OptimizerFactory, SwitchingOptimizer
from autolrs_cli.contracts.recipe import (
    Description,
    Direction,
    EvalSplit,
    FileSetting,
    Metric,
    ParameterGroup,
    Phase,
    Recipe,
    Target,
)
from autolrs_cli.contracts.schedules import AdaptiveSchedule, Cycle, FilledCycles, RunLength, Schedule
from autolrs_cli.contracts.segments import LossKind, Segment, WeightsKind

__all__ = [
    "AdaptiveSchedule",
    "Batch",
    "Compilable",
    "Cycle",
    "Description",
    "Direction",
    "Divisible",
    "EvalSplit",
    "EvalStream",
    "Example",
    "Exportable",
    "FileSetting",
    "FilledCycles",
    "FullMeasure",
    "FullyMeasured",
    "LossKind",
    "Metric",
    "Noticing",
    "OptimizerFactory",
    "ParameterGroup",
    "Phase",
    "PlacedBatch",
    "Portable",
    "Position",
    "Preparable",
    "Recipe",
    "Report",
    "RunLength",
    "Schedule",
    "Segment",
    "Showable",
    "SwitchingOptimizer",
    "Target",
    "TrainStream",
    "Verifiable",
    "WeightsKind",
    "kept",
    "on_host",
]
