"""Chance that is none: a number that follows from the seed and what it is drawn for, in whatever order it is drawn."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Chance:
    """Draws for one seed. The same words always draw the same number."""

    def __init__(self, seed: int) -> None:
        self._key = hashlib.blake2b(str(seed).encode(), digest_size=32).digest()

    def draw(self, *words: object) -> float:
        """A number from 0 (inclusive) to 1."""
        text = "\0".join(map(str, words)).encode()
        # 53 bits are what a float holds exactly, so that none is rounded up to 1.
        return (int.from_bytes(hashlib.blake2b(text, key=self._key, digest_size=8).digest()) >> 11) / 2**53

    def among(self, choices: Sequence[T], *words: object) -> T:
        """One of `choices`."""
        return choices[int(self.draw(*words) * len(choices))]

    def weighted(self, choices: Sequence[tuple[T, float]], *words: object) -> T:
        """One of `choices`, each as likely as its weight says."""
        left = self.draw(*words) * sum(weight for _, weight in choices)
        for choice, weight in choices:
            left -= weight
            if left < 0:
                return choice
        return choices[-1][0]

    def secret(self) -> str:
        """A key for the tokens of one rehearsal: no secret, for it follows from the seed, and of no use outside it."""
        return hashlib.blake2b(b"tokens", key=self._key, digest_size=24).hexdigest()
