"""The Hydra configuration tree: the only home of default values."""
