"""Experiment trackers that follow the journal: TensorBoard, Weights & Biases, MLflow."""

from autolrs_cli.trackers.following import Trackers

__all__ = ["Trackers"]
