"""The loop of every run, and AutoLRS's Algorithm 1 in it ([Jin2021]_)."""

from __future__ import annotations

from collections.abc import Sequence

from autolrs_cli.contracts import Schedule, Segment
from autolrs_cli.search import SearchPolicy
from autolrs_cli.training.divergence import DivergedError
from autolrs_cli.training.trainer import Trainer
from autolrs_cli.training.trials import Prober


def train(trainer: Trainer, opening: Sequence[Segment], schedule: Schedule) -> None:
    """Train the kept steps that are not searched: all of them, or the warm-up before a search.

    Args:
        trainer: at the beginning of the run, or where an earlier process left it.
        opening: in order, from the run's first step on.
        schedule: gives the LR of each of these steps.
    """
    for segment in opening:
        trainer.keep(segment, schedule.lr)


def search_and_train(trainer: Trainer, prober: Prober, policy: SearchPolicy) -> None:
    """Find the LRs of what is left of the run while it trains ([Jin2021]_ Algorithm 1).

    A run that was stopped in the middle of a stage goes on there: `policy` then knows the finished trials, or the
    choice. A stage whose kept steps diverge is taken back, and the policy asked anew.

    Args:
        trainer: after the steps that are not searched.
        prober: makes trials, and takes the training state to where they start and end.
        policy: whose answers are followed.
    """
    while not trainer.is_over and (stage := policy.next_stage(trainer.state.place.step)):
        if policy.choice is None:
            prober.save_start(stage)
            while trial := policy.ask():
                prober.restore_start()
                best = policy.tell(trial, prober.probe(trial, stage, policy.report))
                if best and policy.keeps_winner:
                    prober.save_end(trial)
            choice = policy.choose()
            prober.go_on_from(choice, stage)
        try:
            trainer.keep(stage, policy.lr)
        except DivergedError as diverged:
            prober.take_back(stage, diverged)
