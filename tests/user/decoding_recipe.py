"""The toy recipe, judged by something that a pass over held-out batches does not give."""

from __future__ import annotations

import torch
from torch import nn
from toy_recipe import HeldOutRings, ToyRecipe

from autolrs_cli.contracts import FullMeasure, Metric


class DecodingRecipe(ToyRecipe):
    metric = Metric("f_score", "max")

    def __init__(self, *, averaged_checkpoints: int, checkpoint_every_steps: int, **toy) -> None:
        super().__init__(**toy)
        self.averaged_checkpoints = averaged_checkpoints
        self.checkpoint_every_steps = checkpoint_every_steps

    def measure_fully(self, model: nn.Module, device: torch.device) -> FullMeasure:
        batch = HeldOutRings("target").batch(0)
        assert not model.training
        assert not torch.is_grad_enabled()
        found, is_outer = model(batch["points"].to(device)).argmax(1).bool(), batch["labels"].bool()
        both = (found & is_outer).sum()
        score = 2 * both / (found.sum() + is_outer.sum())
        weights = torch.cat([p.flatten() for p in model.parameters()]).norm()
        return FullMeasure(
            {"f_score": float(score), "weight_norm": float(weights)}, {"f_score": "of the outer ring"}
        )
