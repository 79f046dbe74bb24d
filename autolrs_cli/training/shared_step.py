"""One optimizer step's gradients and BatchNorm statistics, from the parts that several processes computed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from autolrs_cli.training.averaging import batch_norms
from autolrs_cli.training.world import World

# Large enough that a bucket's start costs nothing beside its transport.
BUCKET_BYTES = 32 << 20


class SharedStep:
    """Adds up what the processes computed of one step; every one of them then holds the whole, bit for bit.

    Sums, not means: parts may weigh unequally much (tokens, masked positions), or be empty.

    Args:
        world: those processes.
        model: on its device; the same on all of them.
    """

    def __init__(self, world: World, model: nn.Module) -> None:
        self._world = world
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        norms = batch_norms(model)
        buffers = (buffer for norm in norms for buffer in (norm.running_mean, norm.running_var))
        self._statistics = [buffer for buffer in buffers if buffer is not None]
        self._counts = [norm.num_batches_tracked for norm in norms if norm.num_batches_tracked is not None]
        self._buckets, self._views = _buckets([*self._parameters, *self._statistics])

    @torch.no_grad()
    def add_up(
        self, loss_sum: Tensor, weight: float, examples: int, assumed: float, left_out: int = 0
    ) -> tuple[Tensor, float, int]:
        """Leave in the parameters the gradients of the whole step's mean loss; return its sums.

        BatchNorm's running statistics become the mean over the processes: each has seen its part of the batch.

        Args:
            loss_sum: scalar, of this process's part.
            weight: the terms of its loss; 0: it is empty.
            examples: in it.
            assumed: what the gradients were divided by.
            left_out: micro-batches of it that were empty, which BatchNorm has not counted.

        Returns:
            Loss sum (float64, on the CPU), weight and examples of the whole step.
        """
        present = [p.grad is not None for p in self._parameters]
        said = self._world.step_sums([float(loss_sum), weight, examples, left_out, *present])
        total, weight, examples = torch.tensor(said[0], dtype=torch.float64), said[1], int(said[2])
        if weight:
            self._exchange(said[4:], assumed / weight)
        if said[3]:
            self._agree_on_counts()
        return total, weight, examples

    def _agree_on_counts(self) -> None:
        """Let all have seen as many batches: the mean over the processes, rounded down."""
        if self._counts:
            counts = torch.stack(self._counts)
            self._world.add_up([counts])
            torch._foreach_copy_(self._counts, list((counts // self._world.size).unbind()))

    def _exchange(self, present: Sequence[float], scale: float) -> None:
        pairs = list(zip(self._parameters, self._views, strict=False))
        own = [(view, p.grad) for p, view in pairs if p.grad is not None]
        for view in (view for p, view in pairs if p.grad is None):
            view.zero_()  # another process may have one
        if own:
            views, gradients = map(list, zip(*own, strict=True))
            torch._foreach_copy_(views, gradients)
            if scale != 1.0:
                torch._foreach_mul_(views, scale)
        statistics = self._views[len(self._parameters) :]
        if statistics:
            torch._foreach_copy_(statistics, self._statistics)
        self._world.add_up(self._buckets)
        for (parameter, view), anywhere in zip(pairs, present, strict=True):
            parameter.grad = view if anywhere else None
        if statistics:
            torch._foreach_div_(statistics, float(self._world.size))
            torch._foreach_copy_(self._statistics, statistics)


def _buckets(tensors: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Return flat memory for tensors like these, and for each of them its place there, laid out as it is."""
    groups: dict[torch.dtype, list[list[int]]] = {}
    for index, tensor in enumerate(tensors):
        parts = groups.setdefault(tensor.dtype, [[]])
        if parts[-1] and sum(tensors[i].nbytes for i in parts[-1]) + tensor.nbytes > BUCKET_BYTES:
            parts.append([])
        parts[-1].append(index)
    buckets: list[Tensor] = []
    views: dict[int, Tensor] = {}
    for part in (part for parts in groups.values() for part in parts):
        flat = torch.zeros(
            sum(tensors[i].numel() for i in part),
            dtype=tensors[part[0]].dtype,
            device=tensors[part[0]].device,
        )
        first = 0
        for i in part:
            like = torch.empty_like(
                tensors[i]
            )  # its strides, if no two elements share memory and none is left out
            views[i] = flat.as_strided(like.shape, like.stride(), first)
            first += like.numel()
        buckets.append(flat)
    return buckets, [views[i] for i in range(len(tensors))]
