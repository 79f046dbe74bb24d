"""The search of ours: a ramp says where to look for the level, rungs find it, one check corrects it.

Rungs and check are judged by averaged weights on the slice that chooses LRs.
"""

from autolrs_cli.search.lean.settings import LeanSearch

__all__ = ["LeanSearch"]
