"""Optimizers, built from a recipe's parameter groups; the loop sets each group's LR before every step."""

from autolrs_recipes.optimizers.muon import muon
from autolrs_recipes.optimizers.prodigy import prodigy
from autolrs_recipes.optimizers.schedule_free import schedulefree_adamw, schedulefree_sgd
from autolrs_recipes.optimizers.usual import adam, from_class, sgd

__all__ = ["adam", "from_class", "muon", "prodigy", "schedulefree_adamw", "schedulefree_sgd", "sgd"]
