"""Train a network under AutoLRS or a baseline learning-rate schedule, and compare the two honestly."""
