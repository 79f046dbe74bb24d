"""The search of ours: one ramp reads the level, few checks correct it, the averaged weights judge."""

from autolrs_cli.search.lean.settings import LeanSearch

__all__ = ["LeanSearch"]
