"""Experiment trackers that follow the journal: TensorBoard, Weights & Biases, MLflow."""

from autolrs_cli.trackers.run_trackers import Trackers

__all__ = ["Trackers"]
