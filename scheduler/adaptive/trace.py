"""What every exit of a network said about every recorded image, and whether it was right.

Files are `heterolith.metrics.trace`'s; `heterolith.scheduler.adaptive.pricing.image_trace` reads
one into this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from heterolith.errors import InputError


def held_out(images: int) -> int:
    """Return how many images at the front are for what policies know beforehand: a fifth."""
    return images // 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTrace:
    """Confidence and correctness of every exit, recorded by running images; never invented.

    Attributes
    ----------
    network
        Fingerprint of the exact network.
    layers
        Names of its blocks.
    choices
        The whole-network choices that were run: one degree name per block each.
    confidence, correct
        float32 and bool arrays of shape (choices, images, exits).
    exits
        Index of the last block of each exit.
    source
        What recorded it: ``measured``, with the data and the workers.
    """

    network: str
    layers: tuple[str, ...]
    exits: tuple[int, ...]
    choices: tuple[tuple[str, ...], ...]
    confidence: NDArray[np.float32]
    correct: NDArray[np.bool_]
    source: str = ""
    _rows: dict[tuple[str, ...], int] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        shape = (len(self.choices), self.images, len(self.exits))
        if self.confidence.shape != shape or self.correct.shape != shape or 0 in shape:
            raise InputError(
                f"trace of {self.network!r}: confidence {self.confidence.shape} and correct "
                f"{self.correct.shape} must both be (choices, images, exits) = {shape}, none 0"
            )
        low, high = self.confidence.min(), self.confidence.max()
        if not (low >= 0 and high <= 1):  # false for NaN too
            raise InputError(f"trace of {self.network!r}: confidences must be in 0..1")
        for row, choice in enumerate(self.choices):
            if len(choice) != len(self.layers):
                raise InputError(
                    f"trace of {self.network!r}: choice {'/'.join(choice)} has {len(choice)} "
                    f"degrees for {len(self.layers)} blocks"
                )
            for last in self.exits:  # an exit depends on the blocks before it alone
                self._rows.setdefault(choice[: last + 1], row)

    @property
    def images(self) -> int:
        """Number of recorded images."""
        return self.correct.shape[1] if self.correct.ndim == 3 else 0

    @property
    def held_out(self) -> int:
        """Images at the front, a fifth, for what policies know beforehand; jobs get the others."""
        return held_out(self.images)

    def lookup(self, degrees: Sequence[str], image: int, exit_: int) -> tuple[float, bool]:
        """Return confidence and correctness of an exit under the degrees chosen so far.

        Raises
        ------
        InputError
            If that choice was not recorded.
        """
        row = self.row(degrees, exit_)
        return float(self.confidence[row, image, exit_]), bool(self.correct[row, image, exit_])

    def row(self, degrees: Sequence[str], exit_: int) -> int:
        """Return the row of a choice of degrees, of which those up to the exit count."""
        key = tuple(degrees[: self.exits[exit_] + 1])
        if key not in self._rows:
            raise InputError(
                f"trace of {self.network!r} has no choice {'/'.join(key) or '(none)'}; record it "
                "with `heterolith accuracy --record`"
            )
        return self._rows[key]
