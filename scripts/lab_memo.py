"""Real training that is never done twice: the memory under `scripts/search_lab.py`.

A *state* is everything that training changes, named by how it came about: the run's configuration, its seed, the code
that trains, and every LR since. From a state a *stretch* of steps leads to another. Both are functions of their names
alone, so their losses are kept in files, and a policy that asks for a stretch that any policy asked for before is
answered from there.
"""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from plans import config_of, plan_of
from safetensors.torch import load_file, save_file

from autolrs_cli.records.journal import Journal
from autolrs_cli.records.run_directory import RunDirectory
from autolrs_cli.runner.code_version import code_version
from autolrs_cli.runner.trainer_factory import make_trainer
from autolrs_cli.training.checkpoint import Checkpoint
from autolrs_cli.training.engine import Engine
from autolrs_cli.training.interruption import StopRequest
from autolrs_cli.training.ledger import Ledger
from autolrs_cli.training.trainer import Trainer


@dataclass(frozen=True)
class State:
    """A training state, by name."""

    name: str
    step: int
    """Kept steps so far: which batch comes next."""


@dataclass(frozen=True)
class Stretch:
    """Steps from one state to another."""

    losses: Sequence[float]
    """Training loss of each step; shorter than was asked if one became non-finite, which ends it."""
    held_out: Mapping[str, float]
    """`choose/raw`, `target/averaged`, ...: what was measured at its end."""
    end: State


class Memo:
    """Trains from any state that was reached before, and remembers what came of it.

    Args:
        folder: where the memory lies; safe to delete.
        overrides: what is trained, as of `autolrs train`; with averaged weights.
    """

    def __init__(self, folder: Path, overrides: Sequence[str]) -> None:
        self.plan = plan_of(*overrides)
        # As a run without a search: what a policy is made of decides nothing here, and may change from hour to hour.
        config = config_of(*overrides, "schedule=constant")
        told = {
            key: config[key] for key in ("recipe", "optimizer", "average", "target", "runtime", "seed")
        } | {
            "data_fingerprint": self.plan.recipe.fingerprint(),
            "phases": [asdict(phase) for phase in self.plan.phases],
            "code": code_version(config).total,
        }
        name = hashlib.sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
        self._folder = folder / name
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "what.json").write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2))
        self.root = State("root", 0)
        self.made_steps = 0
        """Steps that were not remembered."""
        self._at: State | None = None

    def advance(
        self, state: State, lrs: Sequence[float], measure: Sequence[str] = (), *, keep: bool = False
    ) -> Stretch:
        """Train from `state` at these LRs, one a step.

        Args:
            state: where to start.
            lrs: of each step.
            measure: what is measured at the end: "choose/raw", "choose/averaged", or "target", which is both.
            keep: whether the end state is written down, since much will start there; others are made again when asked.
        """
        name = hashlib.sha256(f"{state.name}:".encode() + np.asarray(lrs, np.float64).tobytes()).hexdigest()[
            :20
        ]
        path = self._folder / f"{name}.json"
        known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        end = State(name, state.step + len(lrs))
        missing = [what for what in measure if not any(k.startswith(what) for k in known.get("held_out", {}))]
        if not known or (missing and math.isfinite(known["losses"][-1])):
            self._go_to(state)
            losses = self._train(state, lrs)
            self._at = end
            sound = math.isfinite(losses[-1])
            held_out = {k: v for what in missing for k, v in (self._measure(what) if sound else {}).items()}
            known = {
                "parent": state.name, "step": state.step, "lrs": list(map(float, lrs)), "losses": losses,
                "held_out": {**known.get("held_out", {}), **held_out},
            }  # fmt: skip
            path.write_text(json.dumps(known))
            if keep and sound:
                self._write(end)
        return Stretch(known["losses"], known["held_out"], end)

    def _train(self, state: State, lrs: Sequence[float]) -> list[float]:
        losses: list[float] = []
        phases, first = self.plan.phases, 0
        for number, lr in enumerate(lrs):
            step, phase, first = state.step + number, 0, 0
            while step >= first + phases[phase].steps:
                first, phase = first + phases[phase].steps, phase + 1
            batches, micro = self._trainer.data.read(phase, step)
            losses.append(self._engine.step(batches, float(lr), micro)[0])
            self.made_steps += 1
            if not math.isfinite(losses[-1]):
                break
        return losses

    def _measure(self, what: str) -> dict[str, float]:
        if what != "target":
            _, weights = what.split("/")
            loss, parts = self._trainer.evaluator.choose_losses(
                "averaged" if weights == "averaged" else "raw"
            )
            return {what: loss} | {f"{what}/{number}": part for number, part in enumerate(parts)}
        found = self._trainer.evaluator.evaluate(0, full=False)
        metric = self.plan.target.metric if self.plan.target else "loss"
        return {"target/raw": found.raw_metrics[metric], "target/averaged": found.metrics[metric]}

    def _go_to(self, state: State) -> None:
        if self._at == state:
            return
        if state == self.root:
            self._engine.load_state(self._fresh)
        elif (path := self._folder / f"{state.name}.safetensors").exists():
            values = json.loads((self._folder / f"{state.name}.values.json").read_text())
            self._engine.load_state(Checkpoint(load_file(path), values))
        else:
            known = json.loads((self._folder / f"{state.name}.json").read_text())
            parent = State(known["parent"], known["step"])
            self._go_to(parent)
            self._train(parent, known["lrs"])
            self._write(state)  # it is asked for again
        self._at = state

    def _write(self, state: State) -> None:
        kept = self._engine.state()
        save_file(
            {k: t.contiguous() for k, t in kept.tensors.items()}, self._folder / f"{state.name}.safetensors"
        )
        (self._folder / f"{state.name}.values.json").write_bytes(orjson.dumps(kept.values))

    @property
    def _engine(self) -> Engine:
        return self._trainer.engine

    @cached_property
    def _trainer(self) -> Trainer:
        """What makes the steps of a real run, with nowhere to write."""
        assert self.plan.settings.averaging is not None, "the lab reads averaged weights: add average=ema"
        self._scratch = tempfile.TemporaryDirectory()
        folder, started = Path(self._scratch.name), time.perf_counter()
        journal = Journal(folder / "journal.jsonl", started=started)
        trainer = make_trainer(self.plan, RunDirectory(folder), journal, Ledger(started), StopRequest())
        fresh = trainer.engine.state()
        self._fresh = Checkpoint({k: t.clone() for k, t in fresh.tensors.items()}, fresh.values)
        self._at = self.root
        return trainer
