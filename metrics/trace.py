"""Recorded traces: what a network answered on every image in every mix of degrees of its blocks.

A block is a set of layers that turn a knob together; a degree is a variant of them. A trace holds,
for the full product of degrees, the confidence and correctness of every exit on every image, all of
it recorded by running the images (`heterolith.metrics.record`). The answer of an exit depends on
the blocks before it alone and is stored once per such prefix.

File: an ``.npz`` with ``meta`` (JSON as bytes) and, per exit e, ``confidence_e`` (prefixes, images)
as uint8 in steps of 1/255, and ``correct_e``, the same as packed bits along images.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from heterolith.errors import InputError
from heterolith.sw.network import Array, Network
from heterolith.sw.variants import Realized, parse_variant, shapes

FORMAT = "heterolith trace 1"
STEPS = 255
"""Confidences are kept to 1/255; reading one back is off by at most half of that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockDegree:
    """One way to compute a block.

    Attributes
    ----------
    name
        Name of the variant (`heterolith.sw.variants.parse_variant`).
    changed
        The block's layers that run in it; the others have no such variant and stay float32.
    macs
        Multiply-accumulates of the block in it.
    loss
        Top-1 fraction that the last exit loses when this block alone runs so: measured.
    """

    name: str
    changed: tuple[str, ...]
    macs: int
    loss: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Layers of the float32 network, and what they can be run as; the first degree is exact."""

    name: str
    layers: tuple[str, ...]
    degrees: tuple[BlockDegree, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedTrace:
    """Answers of a network over the full product of degrees.

    Attributes
    ----------
    network, fingerprint
        Of the float32 network.
    data
        What the images are.
    exits
        Index of the last block of each exit, ascending.
    confidence
        float32 (choices, images, exits): the largest score.
    correct
        bool, same shape: whether that class is the label.
    """

    network: str
    fingerprint: str
    data: str
    blocks: tuple[Block, ...]
    exits: tuple[int, ...]
    confidence: Array
    correct: Array

    def __post_init__(self) -> None:
        wanted = (len(self.choices), self.confidence.shape[1], len(self.exits))
        if self.confidence.shape != wanted or self.correct.shape != wanted:
            raise InputError(
                f"trace of {self.network} has confidences {self.confidence.shape} and answers "
                f"{self.correct.shape}; its blocks and exits ask for {wanted}"
            )

    @property
    def choices(self) -> tuple[tuple[int, ...], ...]:
        """Every mix, one degree index per block, the first block slowest."""
        return tuple(itertools.product(*(range(len(block.degrees)) for block in self.blocks)))

    @property
    def accuracy(self) -> Array:
        """Top-1 fraction, float64 (choices, exits)."""
        return np.asarray(self.correct.mean(axis=1))

    def check(self, network: Network) -> None:
        """Refuse a network that the trace was not recorded on; raises `InputError`."""
        found = network.fingerprint()
        if found != self.fingerprint:
            raise InputError(
                f"the trace was recorded on {self.network} {self.fingerprint}, the network is "
                f"{network.name} {found}; record it again with: heterolith accuracy --record"
            )


def degree_network(network: Network, degree: BlockDegree) -> Realized:
    """Return the network with one block in a degree, for its shapes: values are not set.

    Raises
    ------
    InputError
        If the network has no such layers or variants.
    """
    variant = parse_variant(degree.name)
    return shapes(network, dict.fromkeys(degree.changed, variant))


def prefixes(blocks: Sequence[Block], last: int) -> int:
    """Return how many mixes of degrees the blocks up to ``last`` have."""
    return math.prod(len(block.degrees) for block in blocks[: last + 1])


def write_trace(trace: RecordedTrace) -> bytes:
    """Return the bytes of a trace's file."""
    arrays: dict[str, Array] = {}
    for exit_, last in enumerate(trace.exits):
        rows = prefixes(trace.blocks, last)
        step = len(trace.choices) // rows
        codes = np.rint(trace.confidence[::step, :, exit_] * STEPS).astype(np.uint8)
        arrays[f"confidence_{exit_}"] = codes
        arrays[f"correct_{exit_}"] = np.packbits(trace.correct[::step, :, exit_], axis=1)
    meta = {
        "format": FORMAT,
        "network": trace.network,
        "fingerprint": trace.fingerprint,
        "data": trace.data,
        "images": trace.confidence.shape[1],
        "blocks": [asdict(block) for block in trace.blocks],
        "exits": trace.exits,
    }
    arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    file = BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    return file.getvalue()


def read_trace(path: Path) -> RecordedTrace:
    """Read a trace.

    Raises
    ------
    InputError
        If the file is missing, is none, or contradicts itself.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return _read({name: file[name] for name in file.files})
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except (KeyError, TypeError, ValueError, EOFError) as error:
        raise InputError(f"{path} is no recorded trace: {error}") from error


def _read(arrays: Mapping[str, Array]) -> RecordedTrace:
    meta: dict[str, Any] = json.loads(arrays["meta"].tobytes().decode())
    if meta.get("format") != FORMAT:
        raise InputError(f"its format is {meta.get('format')!r}, this program reads {FORMAT!r}")
    blocks = tuple(
        Block(
            name=block["name"],
            layers=tuple(block["layers"]),
            degrees=tuple(
                BlockDegree(**{**degree, "changed": tuple(degree["changed"])})
                for degree in block["degrees"]
            ),
        )
        for block in meta["blocks"]
    )
    images, exits = int(meta["images"]), tuple(int(last) for last in meta["exits"])
    if not exits or list(exits) != sorted(set(exits)) or exits[-1] != len(blocks) - 1:
        raise InputError(f"its exits {exits} are not ascending up to block {len(blocks) - 1}")
    choices = prefixes(blocks, len(blocks) - 1)
    confidence = np.empty((choices, images, len(exits)), np.float32)
    correct = np.empty(confidence.shape, bool)
    for exit_, last in enumerate(exits):
        rows = prefixes(blocks, last)
        codes, bits = arrays[f"confidence_{exit_}"], arrays[f"correct_{exit_}"]
        if codes.shape != (rows, images) or bits.shape != (rows, -(-images // 8)):
            raise InputError(
                f"answers of exit {exit_} have shape {codes.shape}, not {rows, images}"
            )
        repeat = choices // rows
        confidence[:, :, exit_] = np.repeat(codes.astype(np.float32) / STEPS, repeat, axis=0)
        answers = np.unpackbits(bits, axis=1, count=images).astype(bool)
        correct[:, :, exit_] = np.repeat(answers, repeat, axis=0)
    return RecordedTrace(
        network=meta["network"],
        fingerprint=meta["fingerprint"],
        data=meta["data"],
        blocks=blocks,
        exits=exits,
        confidence=confidence,
        correct=correct,
    )
