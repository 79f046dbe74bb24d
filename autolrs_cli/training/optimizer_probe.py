"""Find out before hours are spent whether an optimizer can be brought back: by trying it on a few small parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, TypeVar

import orjson
import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from autolrs_cli.contracts import OptimizerFactory, ParameterGroup
from autolrs_cli.errors import ConfigError, TrainingError, UnfitGroupsError
from autolrs_cli.seeding import generator
from autolrs_cli.training.engine_state import load_training_tensors, training_tensors
from autolrs_cli.training.optimizer_state import make_ready, parameters_of, set_lr
from autolrs_cli.training.random_streams import random_states, set_random_states
from autolrs_cli.training.snapshot import Snapshot
from autolrs_cli.training.state_tree import Parts, UnstorableError, same_bits, take_apart

T = TypeVar("T")
# Optimizers do something special every 2 to 10 steps. Few of those periods divide the first number, so one that is
# counted anew shows; the second reaches beyond all of them.
STEPS_BEFORE, STEPS_AFTER = 7, 12
_LR = 0.01
_CPU = torch.device("cpu")
_ONE, _OTHER = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
_OUTSIDE = (
    "Keep all that its steps depend on in its state or its parameter groups, or give it out in state_dict() and take "
    "it in load_state_dict(); or choose another optimizer."
)


def require_restorable(make_optimizer: OptimizerFactory) -> None:
    """Check that an optimizer makes steps from gradients alone, and makes the same ones once it was brought back.

    It is rewound as a search does it, then written and read as a checkpoint, on the CPU. The global random streams are
    left as they were.

    Args:
        make_optimizer: from parameter groups to an optimizer.

    Raises:
        ConfigError: saying what differs and what to do.
    """
    streams = random_states(_CPU)
    try:
        first = _Twin(make_optimizer, streams)
        first.require_rewindable()
        second = _Twin(make_optimizer, streams)
        second.load(first.saved())
        hidden = _differing(_attributes(first.optimizer), _attributes(second.optimizer))
        for step in range(2 * STEPS_BEFORE, 2 * STEPS_BEFORE + STEPS_AFTER):
            wanted, found = first.step(step), second.step(step)
            first.require_same(wanted, found, "written to a checkpoint and read again", hidden)
    finally:
        set_random_states(streams, _CPU)


def specimen(make_optimizer: OptimizerFactory) -> Optimizer:
    """Return an optimizer of a few small parameters, for asking what it is like."""
    shapes = ((4, 3), (3, 2, 2, 2), (3,), (5,))
    return _built(make_optimizer, [nn.Parameter(torch.zeros(shape)) for shape in shapes])


def takes_any_groups(make_optimizer: OptimizerFactory) -> bool:
    """Tell whether it does not depend on the recipe's parameter groups if the optimizer can be used."""
    try:
        make_optimizer([ParameterGroup("a", [_ONE]), ParameterGroup("b", [_OTHER], lr_ratio=0.5)])
    except UnfitGroupsError:
        return False
    return True


def _built(make_optimizer: OptimizerFactory, parameters: Sequence[nn.Parameter]) -> Optimizer:
    """Build an optimizer of a matrix, a kernel and vectors, in the first groups of these that it can train."""
    first, rest = list(parameters[:2]), list(parameters[2:])
    ways = [(hidden, ratio) for hidden in (first[:0], first, first[:1]) for ratio in (0.5, 1.0)]
    for hidden, ratio in ways:
        groups = [
            ParameterGroup("weights", first, hidden=hidden),
            ParameterGroup("rest", rest, decay=False, lr_ratio=ratio),
        ]
        with suppress(UnfitGroupsError):
            optimizer: Optimizer = make_optimizer(groups)
            return optimizer
    raise ConfigError(
        "`optimizer` must be able to train some parameter groups, but it refuses matrices, kernels and vectors, at "
        "one LR and at several. Mend optimizer."
    )


class _Twin:
    """Small parameters of several shapes, the same in each, and an optimizer of them.

    Args:
        make_optimizer: builds it.
        streams: what optimizers that draw random numbers draw from, at every step anew.
    """

    def __init__(self, make_optimizer: OptimizerFactory, streams: dict[str, Any]) -> None:
        self._streams = streams
        draw = generator(0, "optimizer probe")
        drawn = [torch.randn(shape, generator=draw) for shape in ((4, 3), (3, 2, 2, 2), (3,), (5,))]
        drawn[1] = drawn[1].to(memory_format=torch.channels_last)
        self._parameters = parameters = [nn.Parameter(each) for each in drawn]
        self.model = nn.ParameterList(parameters)
        set_random_states(streams, _CPU)
        self.optimizer = _attempt("be buildable", lambda: _built(make_optimizer, parameters))
        _require_contract(self.optimizer)
        _attempt("go into training", lambda: make_ready(self.optimizer))

    def step(self, number: int) -> list[Tensor]:
        """Make a step with the gradients of that number; return the weights after it."""
        draw = generator(number, "optimizer probe", "gradients")
        for parameter in self._parameters:
            parameter.grad = torch.empty_like(parameter, requires_grad=False).normal_(generator=draw)
        set_random_states(self._streams, _CPU)
        set_lr(self.optimizer, _LR)
        _attempt("make steps from gradients alone (tried on the CPU)", self.optimizer.step)
        return [parameter.detach().clone() for parameter in self._parameters]

    def require_rewindable(self) -> None:
        """Go forward, back to the untrained state, and forward again; then the same from there on."""
        snapshot = Snapshot(self.model, self.optimizer)
        for steps in (range(STEPS_BEFORE), range(STEPS_BEFORE, 2 * STEPS_BEFORE)):
            _attempt("be copied", snapshot.save)
            then = _attributes(self.optimizer)
            wanted = [self.step(step) for step in steps]
            _attempt("go back to a copy", snapshot.restore)
            hidden = _differing(then, _attributes(self.optimizer))
            for step, weights in zip(steps, wanted, strict=True):
                self.require_same(weights, self.step(step), "brought back to a copy of its state", hidden)

    def saved(self) -> tuple[bytes, bytes]:
        """Return what a checkpoint would hold of it."""
        tensors, values = _attempt("be written", lambda: training_tensors(self.model, self.optimizer))
        return save(tensors), orjson.dumps(values)

    def load(self, written: tuple[bytes, bytes]) -> None:
        """Bring it to the state that was written."""
        tensors, values = load(written[0]), orjson.loads(written[1])
        _attempt("be read", lambda: load_training_tensors(self.model, self.optimizer, tensors, values))

    def require_same(
        self, wanted: Sequence[Tensor], found: Sequence[Tensor], how: str, hidden: Sequence[str]
    ) -> None:
        """Raise a ConfigError unless two steps have led to the same weights."""
        if all(map(same_bits, wanted, found)):
            return
        where = f" It keeps {', '.join(hidden)} outside its state_dict()." if hidden else ""
        raise ConfigError(
            "`optimizer` must go on from a saved state as if nothing had happened, but "
            f"{type(self.optimizer).__name__}, {how}, makes other steps than before.{where} {_OUTSIDE}"
        )


def _attempt(what: str, work: Callable[[], T]) -> T:
    """Return what `work` returns.

    Raises:
        ConfigError: whatever an optimizer, which anybody may have written, stumbles over.
    """
    try:
        return work()
    except ConfigError:
        raise
    except TrainingError as error:
        raise ConfigError(f"`optimizer` must {what}. {error}") from error
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(
            f"`optimizer` must {what}, but this went wrong: {reason}. Mend optimizer."
        ) from error


def _require_contract(optimizer: object) -> None:
    name = type(optimizer).__name__
    if not isinstance(optimizer, Optimizer):
        raise ConfigError(
            f"`optimizer` must build a torch.optim.Optimizer, but it builds {name}. Mend optimizer."
        )
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        raise ConfigError(
            f"`optimizer` must make its steps from gradients alone, but {name} asks for a closure that computes the "
            "loss several times a step. Choose another optimizer."
        )
    lacking = {key for group in optimizer.param_groups for key in ("lr", "lr_ratio") if key not in group}
    if lacking:
        raise ConfigError(
            f"`optimizer` must give each parameter group an lr and the lr_ratio of its ParameterGroup, but {name} has "
            f"groups without {' and '.join(sorted(lacking))}. Mend optimizer."
        )


def _attributes(optimizer: Optimizer) -> dict[str, Parts]:
    """Return copies of what an optimizer keeps in attributes of its own, as far as they can be compared."""
    found: dict[str, Parts] = {}
    for name, value in vars(optimizer).items():
        if name in _usual_attributes():
            continue
        try:
            parts = take_apart(value, name, parameters_of(optimizer))
        except UnstorableError:
            continue
        copies = {at: each._replace(memory=each.memory.clone()) for at, each in parts.storages.items()}
        found[name] = Parts(parts.tree, copies)
    return found


@cache
def _usual_attributes() -> frozenset[str]:
    return frozenset(vars(SGD([nn.Parameter(torch.zeros(1))])))


def _differing(then: Mapping[str, Parts], now: Mapping[str, Parts]) -> list[str]:
    both = sorted({*then, *now})
    return [name for name in both if name not in then or name not in now or not then[name].is_same(now[name])]
