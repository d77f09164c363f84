"""Accuracy of variants, measured on images: per layer and variant, combined, and as a trace.

A loss is the top-1 fraction that the last exit loses against the float32 network, on the same
images; its standard error is that of paired answers, ``sqrt(changed answers) / images``. Placement
adds losses up (`heterolith.scheduler.problem`); `Combination` says how far the sum is from what was
measured with all of its variants at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import numpy as np

from heterolith.errors import InputError
from heterolith.metrics.answers import Answer, EachNetwork, EveryMix, chunks, unpack, unpack_bits
from heterolith.metrics.trace import Block, BlockDegree, RecordedTrace, degree_network
from heterolith.sw.network import Array, Layer, Network
from heterolith.sw.variants import Variant, exits, parse_variant, stages, why_not

MOST_BLOCKS, MOST_DEGREES = 5, 4
"""A trace holds the full product of degrees, at most 4**5 mixes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A mix of variants to measure: layer -> variant, empty for the float32 network.

    ``kind`` is ``float``, ``layer`` (one layer changed), ``all`` (every layer that has the variant)
    or ``mix`` (drawn by a seed).
    """

    name: str
    kind: str
    variants: Mapping[str, Variant] = field(default_factory=dict)


def candidates(
    network: Network,
    variants: Sequence[str],
    mixes: int = 0,
    seed: int = 0,
    keep: Sequence[str] = (),
) -> tuple[Candidate, ...]:
    """Return what to measure: float32, each variant of each layer, each variant everywhere, mixes.

    Parameters
    ----------
    variants
        Names, see `heterolith.sw.variants.parse_variant`.
    mixes
        Networks in which every layer draws one of its variants, or none.
    keep
        Shell patterns of layers that keep full rank.

    Raises
    ------
    InputError
        If a name is no variant, or no layer has one of them.
    """
    kinds = list(dict.fromkeys(parse_variant(name) for name in variants))
    if not kinds:
        raise InputError("no variant is named; give e.g. --variants int8,lowrank:0.5")
    found = [Candidate(name="float", kind="float")]
    offers: dict[str, list[Variant]] = {}
    for variant in kinds:
        names = [x.name for x in network.layers if _offered(network, x, variant, keep)]
        if not names:
            reason = why_not(network, network.layers[0], variant)
            raise InputError(f"no layer of {network.name} has the variant {variant.name}: {reason}")
        for name in names:
            offers.setdefault(name, []).append(variant)
            found.append(
                Candidate(name=f"{name} {variant.name}", kind="layer", variants={name: variant})
            )
    found += [
        Candidate(
            name=f"all {variant.name}",
            kind="all",
            variants={name: variant for name, offered in offers.items() if variant in offered},
        )
        for variant in kinds
    ]
    rng = np.random.default_rng(seed)
    for number in range(mixes):
        drawn = {name: int(rng.integers(len(offered) + 1)) for name, offered in offers.items()}
        mixed = {name: offers[name][at - 1] for name, at in drawn.items() if at}
        found.append(Candidate(name=f"mix {number}", kind="mix", variants=mixed))
    return tuple(found)


def _offered(network: Network, layer: Layer, variant: Variant, keep: Sequence[str]) -> bool:
    kept = variant.share != 1.0 and any(fnmatchcase(layer.name, pattern) for pattern in keep)
    return not kept and not why_not(network, layer, variant)


def question(asked: Sequence[Candidate]) -> EachNetwork:
    """Return what `heterolith.metrics.answers.ask` is to be asked."""
    return EachNetwork(tuple(candidate.variants for candidate in asked))


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A candidate's accuracy per exit, and what its last exit loses, with its standard error."""

    candidate: Candidate
    accuracy: tuple[float, ...]
    loss: float
    loss_error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Combination:
    """Something measured beside the sum of the losses of its parts."""

    measured: Measured
    predicted_loss: float

    @property
    def error(self) -> float:
        """How far the sum is off, in top-1 fraction; positive if the mix loses more."""
        return self.measured.loss - self.predicted_loss


def measured(
    asked: Sequence[Candidate], answers: Sequence[Answer], images: int, exits_there: int
) -> tuple[Measured, ...]:
    """Return the accuracy of every candidate; the first is the float32 network.

    Parameters
    ----------
    answers
        Those to `question`, of all chunks in order.
    """
    rows = len(asked) * exits_there
    parts = [
        unpack_bits(answer["correct"], rows, end - first)
        for answer, (first, end) in zip(answers, chunks(images), strict=True)
    ]
    right = np.concatenate(parts, axis=1).reshape(len(asked), exits_there, images)
    changed = np.count_nonzero(right[:, -1] != right[0, -1], axis=1)
    return tuple(
        Measured(
            candidate=candidate,
            accuracy=tuple(float(row.mean()) for row in mine),
            loss=float(right[0, -1].mean() - mine[-1].mean()),
            loss_error=math.sqrt(differing) / images,
        )
        for candidate, mine, differing in zip(asked, right, changed.tolist(), strict=True)
    )


def combinations(found: Sequence[Measured]) -> tuple[Combination, ...]:
    """Return what has parts that were all measured alone: mixes, and joined variants of a layer."""
    alone = {
        item: each.loss
        for each in found
        if each.candidate.kind == "layer"
        for item in each.candidate.variants.items()
    }
    made = []
    for each in found:
        parts = list(each.candidate.variants.items())
        if each.candidate.kind == "layer":
            parts = [(layer, part) for layer, variant in parts for part in variant.parts]
        several = len(parts) > 1 or (parts and each.candidate.kind != "layer")
        if several and all(part in alone for part in parts):
            total = sum(alone[part] for part in parts)
            made.append(Combination(measured=each, predicted_loss=total))
    return tuple(made)


def losses(found: Sequence[Measured]) -> dict[tuple[str, str], float]:
    """Return (layer, variant name) -> measured loss of this layer alone."""
    return {
        (layer, variant.name): each.loss
        for each in found
        if each.candidate.kind == "layer"
        for layer, variant in each.candidate.variants.items()
    }


def block_layers(
    network: Network, patterns: Sequence[Sequence[str]]
) -> tuple[tuple[str, ...], ...]:
    """Return the layers of each block: shell patterns per block, or one block per exit if none.

    Raises
    ------
    InputError
        If a layer is in no block, a pattern matches nothing, or a block needs a later one.
    """
    if not patterns:
        return stages(network)
    place: dict[str, int] = {}
    for number, block in enumerate(patterns):
        for pattern in block:
            hits = [x.name for x in network.layers if fnmatchcase(x.name, pattern)]
            if not hits:
                raise InputError(f"pattern {pattern!r} of block {number + 1} matches no layer")
            for name in hits:
                place.setdefault(name, number)
    makers = {tensor: layer.name for layer in network.layers for tensor in layer.outputs}
    for layer in network.layers:
        if layer.name not in place:
            raise InputError(f"layer {layer.name!r} is in no block; add a pattern that matches it")
        for tensor in network.activations(layer):
            before = makers.get(tensor, "")
            if before and place[before] > place[layer.name]:
                raise InputError(
                    f"layer {layer.name!r} of block {place[layer.name] + 1} needs {before!r} of "
                    f"block {place[before] + 1}; blocks come one after the other"
                )
    return tuple(
        tuple(x.name for x in network.layers if place[x.name] == number)
        for number in range(len(patterns))
    )


def plan_blocks(
    network: Network,
    patterns: Sequence[Sequence[str]],
    degrees: Sequence[str],
    keep: Sequence[str] = (),
) -> tuple[Block, ...]:
    """Return the blocks of a trace to record; losses are not known yet and 0.

    Parameters
    ----------
    patterns
        As for `block_layers`.
    degrees
        Names of variants besides ``fp32``; a block keeps those that change a layer of it.
    keep
        Shell patterns of layers that keep full rank.

    Raises
    ------
    InputError
        If there are too many, or a name is no variant.
    """
    parts = block_layers(network, patterns)
    variants = [Variant(), *(parse_variant(name) for name in degrees)]
    variants = list(dict.fromkeys(variants))
    if len(parts) > MOST_BLOCKS or len(variants) > MOST_DEGREES:
        raise InputError(
            f"{len(parts)} blocks of {len(variants)} degrees; a trace holds their full product, at "
            f"most {MOST_BLOCKS} blocks of {MOST_DEGREES}; join blocks or leave degrees out"
        )
    layers = {layer.name: layer for layer in network.layers}
    made = []
    for number, part in enumerate(parts):
        offered = []
        for variant in variants:
            changed = tuple(x for x in part if _offered(network, layers[x], variant, keep))
            if changed or variant == Variant():
                degree = BlockDegree(name=variant.name, changed=changed, macs=0, loss=0.0)
                offered.append(_with_macs(network, part, degree))
        made.append(Block(name=f"block{number + 1}", layers=part, degrees=tuple(offered)))
    return tuple(made)


def _with_macs(network: Network, part: Sequence[str], degree: BlockDegree) -> BlockDegree:
    made = degree_network(network, degree)
    macs = sum(x.macs for x in made.network.layers if made.origin.get(x.name) in part)
    return BlockDegree(name=degree.name, changed=degree.changed, macs=macs, loss=degree.loss)


def ends(network: Network, blocks: Sequence[Block]) -> tuple[int, ...]:
    """Return the index of the last block of each exit.

    Raises
    ------
    InputError
        If an output is no confidence, or two exits end in one block.
    """
    makers = {tensor: layer.name for layer in network.layers for tensor in layer.outputs}
    place = {name: number for number, block in enumerate(blocks) for name in block.layers}
    found = tuple(place[makers[name]] for name in exits(network))
    if list(found) != sorted(set(found)) or found[-1] != len(blocks) - 1:
        raise InputError(
            f"exits end in blocks {[x + 1 for x in found]} of {len(blocks)}; each exit ends a "
            "block of its own, the last exit the last block"
        )
    return found


def every_mix(blocks: Sequence[Block], exit_blocks: Sequence[int]) -> EveryMix:
    """Return the question whose answers make a trace."""
    return EveryMix(
        blocks=tuple(
            (
                block.layers,
                tuple(dict.fromkeys(d.changed, parse_variant(d.name)) for d in block.degrees),
            )
            for block in blocks
        ),
        ends=tuple(exit_blocks),
    )


def recorded(
    network: Network, data: str, blocks: Sequence[Block], answers: Iterable[Answer]
) -> RecordedTrace:
    """Put the answers to `every_mix` together, chunk after chunk; measure each block's losses."""
    last = ends(network, blocks)
    sizes = [len(block.degrees) for block in blocks]
    total = math.prod(sizes)
    sure: list[Array] = []
    right: list[Array] = []
    for answer in answers:
        codes, bits = [], []
        for exit_, end in enumerate(last):
            rows = math.prod(sizes[: end + 1])
            part = unpack(answer[f"confidence_{exit_}"], rows)
            hits = unpack_bits(answer[f"correct_{exit_}"], rows, part.shape[1])
            codes.append(np.repeat(part, total // rows, axis=0))
            bits.append(np.repeat(hits, total // rows, axis=0))
        sure.append(np.stack(codes, axis=2).astype(np.float32) / np.float32(255))
        right.append(np.stack(bits, axis=2))
    correct = np.concatenate(right, axis=1)
    accuracy = correct[:, :, -1].mean(axis=1)
    made = []
    for number, block in enumerate(blocks):
        step = math.prod(sizes[number + 1 :])
        degrees = (
            BlockDegree(
                name=degree.name,
                changed=degree.changed,
                macs=degree.macs,
                loss=float(accuracy[0] - accuracy[at * step]),
            )
            for at, degree in enumerate(block.degrees)
        )
        made.append(Block(name=block.name, layers=block.layers, degrees=tuple(degrees)))
    return RecordedTrace(
        network=network.name,
        fingerprint=network.fingerprint(),
        data=data,
        blocks=tuple(made),
        exits=last,
        confidence=np.concatenate(sure, axis=1),
        correct=correct,
    )
