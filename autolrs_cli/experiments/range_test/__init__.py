"""The LR range test."""
