"""Hydra's edge: from command-line overrides to resolved configurations."""
