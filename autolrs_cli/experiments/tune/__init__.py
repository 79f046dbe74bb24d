"""Tuning a baseline schedule's own settings with Hyperband."""
