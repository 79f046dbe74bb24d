"""The order of training examples when there are too many of them for a list of their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from autolrs_cli.seeding import derive_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Words = NDArray[np.uint64]

_ROUNDS = 6
# Places that are computed at once: many small steps share the cost of a call.
_BLOCK = 4096


class ScatteredOrder:
    """Which example stands at which place of the endless training sequence: one permutation per epoch.

    A permutation of Wikipedia's sentences would take a gigabyte in every loader worker. This one takes no memory:
    a Feistel network over the next even power of two is a permutation whatever its round function; numbers past
    the end are sent through it again until they fall inside.

    Args:
        num_examples: at least 1.
        seed: the run's seed.
        phase: 0-based phase of the run; each has an order of its own.
    """

    def __init__(self, num_examples: int, seed: int, phase: int) -> None:
        self.num_examples = num_examples
        self.seed = seed
        self.phase = phase
        self._block_size = min(_BLOCK, 8 * num_examples)  # few epochs in a block, since each is a call
        self._blocks: dict[int, NDArray[np.int64]] = {}
        self._half_bits = np.uint64(max(1, (num_examples - 1).bit_length() + 1 >> 1))

    def examples(self, first: int, count: int) -> NDArray[np.int64]:
        """Return the examples [count] at places first, ..., first + count - 1, across epochs."""
        start, end = first // self._block_size, (first + count - 1) // self._block_size + 1
        blocks = np.concatenate([self._block(number) for number in range(start, end)])
        return blocks[first - start * self._block_size :][:count]

    def _block(self, number: int) -> NDArray[np.int64]:
        if number not in self._blocks:
            while len(self._blocks) > 1:  # two: batches straddle their border
                del self._blocks[next(iter(self._blocks))]
            start = number * self._block_size
            places = np.arange(start, start + self._block_size, dtype=np.int64)
            epochs, places = np.divmod(places, self.num_examples)
            pieces = [self._permuted(int(epoch), places[epochs == epoch]) for epoch in np.unique(epochs)]
            self._blocks[number] = np.concatenate(pieces)
        return self._blocks[number]

    def _permuted(self, epoch: int, places: NDArray[np.int64]) -> NDArray[np.int64]:
        keys = [
            np.uint64(derive_seed(self.seed, "data", "order", self.phase, epoch, r)) for r in range(_ROUNDS)
        ]
        numbers = self._network(places.astype(np.uint64), keys)
        while (outside := numbers >= self.num_examples).any():
            numbers[outside] = self._network(numbers[outside], keys)
        return numbers.astype(np.int64)

    def _network(self, numbers: Words, keys: list[np.uint64]) -> Words:
        mask = (np.uint64(1) << self._half_bits) - np.uint64(1)
        left, right = numbers >> self._half_bits, numbers & mask
        for key in keys:
            left, right = right, left ^ (_mixed(right ^ key) & mask)
        return (left << self._half_bits) | right

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_blocks": {}}


def _mixed(words: Words) -> Words:
    """Return `words` with every bit depending on every bit: the finaliser of SplitMix64 (Steele et al. 2014)."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
