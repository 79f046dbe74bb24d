"""The loss of a micro-batch as the engine takes it: the recipe's function, called or compiled.

What is compiled is the forward pass with its loss, and so its backward pass; the optimizer is not. Its kernels are
fused already, and an LR, momentum or state that changes in Python can then cost no second compilation.

CUDA graphs (`reduce-overhead`) replay kernels on the memory that they were recorded with. Parameters and buffers stay
where they are: snapshots and checkpoints are copied into them. What a graph gives out is overwritten by its next
replay: the loss is added to a tensor of its own before that, and gradients that are yet to be added to are moved out
(`keep`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from autolrs_cli.contracts import Batch, Compilable, Recipe, on_host
from autolrs_cli.errors import TrainingError
from autolrs_cli.settings import Compile


def shaped(recipe: Recipe, mode: Compile) -> Callable[[Batch], Batch]:
    """Return what is made of a training batch on the CPU: one of few shapes, where each shape is a graph of its own."""
    if mode == "reduce-overhead" and isinstance(recipe, Compilable):
        return recipe.bucketed
    return lambda batch: batch


class LossFunction:
    """Loss sum (scalar tensor) and weight of a micro-batch, as `recipe.loss` gives them.

    Args:
        recipe: whose loss it is.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe

    def __call__(self, model: nn.Module, batch: Batch) -> tuple[Tensor, float]:
        """Return both, on the device of the batch."""
        return self._recipe.loss(model, batch)

    def keep(self, parameters: Iterable[nn.Parameter], *, first: bool) -> None:
        """Let the gradients of a step outlast the next call; nothing has to be done for it."""


class CompiledLoss(LossFunction):
    """The same, compiled; the recipe's own pass still measures.

    Of a recipe that is not `Compilable`, the whole of `loss` is compiled, with what breaks the graph in it.

    Args:
        recipe: whose loss it is.
        mode: torch.compile's.
    """

    def __init__(self, recipe: Recipe, mode: Compile) -> None:
        super().__init__(recipe)
        self._splits = recipe if isinstance(recipe, Compilable) else None
        self._graphs = mode == "reduce-overhead"
        self._kept: set[int] = set()
        """Parameters whose gradients of this step lie in memory of their own."""
        function: Any = recipe.loss if self._splits is None else self._splits.loss_sum
        self._compiled: Callable[..., Any] = torch.compile(function, mode=mode)

    def __call__(self, model: nn.Module, batch: Batch) -> tuple[Tensor, float]:
        """Return both.

        Raises:
            TrainingError: if it cannot be compiled.
        """
        if self._graphs:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        placed = dict(batch)
        try:
            if self._splits is None:
                loss_sum, weight = self._compiled(model, placed)
                return loss_sum, weight
            for name, dimensions in self._splits.varying.items():
                for dimension in dimensions:
                    torch._dynamo.maybe_mark_dynamic(placed[name], dimension)
            return self._compiled(model, placed), self._splits.terms(on_host(batch))
        except torch._dynamo.exc.TorchDynamoException as error:
            reason = str(error).strip().partition("\n")[0]
            raise TrainingError(
                f"`runtime.compile` needs a loss that torch.compile can compile here, but it says: {reason} "
                "Set runtime.compile=none, or mend the compiler (CXX, CC) or the recipe's loss."
            ) from error

    def keep(self, parameters: Iterable[nn.Parameter], *, first: bool) -> None:
        """Let the gradients of a step outlast the next call: move those out that the next replay would overwrite.

        Args:
            parameters: whose gradients they are; what is in memory of its own is added to there.
            first: whether a step has begun with the last call.
        """
        if not self._graphs:
            return
        if first:
            self._kept.clear()
        for parameter in parameters:
            if parameter.grad is not None and id(parameter) not in self._kept:
                parameter.grad = parameter.grad.clone()
                self._kept.add(id(parameter))


def loss_function(recipe: Recipe, mode: Compile) -> LossFunction:
    """Return the loss as `runtime.compile` asks for it."""
    return LossFunction(recipe) if mode == "none" else CompiledLoss(recipe, mode)
