"""What optimizers promise beyond those of torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from autolrs_cli.contracts.recipe import ParameterGroup

if TYPE_CHECKING:
    from torch.optim import Optimizer


@runtime_checkable
class SwitchingOptimizer(Protocol):
    """An optimizer that is judged by other weights than those it trains: schedule-free ones, for example.

    It is a `torch.optim.Optimizer` that computes either from the other and puts them into the parameters. It is built
    in either mode, makes steps and is saved in training mode, and is switched whenever weights are measured or written.

    With an attribute `batchnorm_batches: int`, BatchNorm's statistics are then estimated anew, on so many of the run's
    first training micro-batches; without it they stay those of the weights that are trained.
    """

    def train(self) -> None:
        """Put the weights that are trained into the parameters, if they are not there."""

    def eval(self) -> None:
        """Put the weights that it is judged by into the parameters, if they are not there."""


class OptimizerFactory(Protocol):
    """What the config group `optimizer` makes: a partial of a function, or of a class of torch's kind.

    Such a class takes torch's parameter groups. Each group of the optimizer keeps its `lr_ratio`. An optimizer whose
    attribute `estimates_lr: bool` is true takes the schedule's LR as a factor of its own: no LR is searched for it.
    """

    def __call__(self, groups: list[ParameterGroup]) -> Optimizer:
        """Return the optimizer of these groups.

        Raises:
            UnfitGroupsError: if it cannot train the groups of the recipe.
        """
