"""Reading in worker processes: whose mistake an error is."""

from __future__ import annotations

import pytest
import torch

from autolrs_cli.contracts import Batch
from autolrs_cli.training.loader import read_all


class FaultyStream:
    """A slice whose code has a mistake in it."""

    num_batches = 2

    def batch(self, index: int) -> Batch:
        raise RuntimeError(f"mat1 and mat2 shapes cannot be multiplied in batch {index}")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_mistake_in_a_recipe_is_not_taken_for_a_worker_that_died(workers: int) -> None:
    """Torch names the worker in both."""
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied") as raised:
        next(read_all(FaultyStream(), workers, torch.device("cpu")))
    assert type(raised.value) is RuntimeError
