"""Experiment trackers that follow the journal: TensorBoard, Weights & Biases, MLflow."""
