"""Images run through variants of a network, by several processes, interruptible.

A `Question` is prepared once per process (networks rewritten, compiled, calibrated) and then
answered chunk by chunk. Answers are plain JSON, so that they can be kept as they come and a run
can go on where it ended.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import tempfile
from base64 import b64decode, b64encode
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from typing import Protocol

import numpy as np

from heterolith.sw.network import Array, Network
from heterolith.sw.variants import MixedNetwork, Realized, Rewriter, Variant, section
from heterolith.sw.workers.team import hold_blas

CHUNK = 50
"""Images per answer."""

Answer = Mapping[str, str]
Answering = Callable[[Array, Array], Answer]
"""From images (N, C, H, W) and labels (N,) to an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A network with one input, its exits in order of depth, and calibration images for it.

    ``images`` and ``calibration`` are float32 (N, C, H, W), ``labels`` int64 (N,).
    """

    network: Network
    exits: tuple[str, ...]
    images: Array
    labels: Array
    calibration: Array

    def samples(self) -> list[dict[str, Array]]:
        """Return the calibration images as network inputs."""
        (name,) = self.network.inputs
        return [{name: image[None]} for image in self.calibration]


class Question(Protocol):
    """What is asked of every image."""

    def prepare(self, rewriter: Rewriter, exits: Sequence[str]) -> Answering:
        """Return what answers; the rewriter has network and calibration samples."""


@dataclass(frozen=True, slots=True)
class EachNetwork:
    """Ask whether each exit is right, in the float32 network with one set of changes after another.

    Attributes
    ----------
    changes
        Per network what changes: layer name -> variant, empty for the float32 network itself.
    """

    changes: tuple[Mapping[str, Variant], ...]

    def prepare(self, rewriter: Rewriter, exits: Sequence[str]) -> Answering:
        """Return what answers with ``correct``: packed bits (networks x exits, images).

        What does not depend on a changed layer is computed once for all networks.
        """
        network = rewriter.network
        parts = [
            _block(rewriter.realize(changed), affected(network, changed)) if changed else None
            for changed in self.changes
        ]
        read = [x for part in parts if part is not None for x in part.inputs]
        (name,) = network.inputs
        known = tuple(dict.fromkeys(x for x in (*exits, *read) if x != name))
        exact = MixedNetwork(replace(network, outputs=known))

        def answer(images: Array, labels: Array) -> Answer:
            right = np.empty((len(parts), len(exits), len(labels)), bool)
            for index, image in enumerate(images):
                values = {name: image[None], **exact.run({name: image[None]})}
                for number, part in enumerate(parts):
                    made = part.run({x: values[x] for x in part.inputs}) if part else {}
                    scores = [made.get(x, values[x]) for x in exits]
                    right[number, :, index] = [int(x.argmax()) == labels[index] for x in scores]
            rows = right.reshape(-1, len(labels))
            return {"correct": pack(np.packbits(rows, axis=1))}

        return answer


@dataclass(frozen=True, slots=True)
class EveryMix:
    """Ask for confidence and correctness of each exit in every mix of degrees of blocks.

    Attributes
    ----------
    blocks
        Per block its layers in order, and per degree what changes: layer name -> variant.
    ends
        Index of the last block of each exit.
    """

    blocks: tuple[tuple[tuple[str, ...], tuple[Mapping[str, Variant], ...]], ...]
    ends: tuple[int, ...]

    def prepare(self, rewriter: Rewriter, exits: Sequence[str]) -> Answering:
        """Return what answers with ``confidence_e`` (uint8) and ``correct_e`` (packed) per exit.

        Both have shape (mixes of the blocks up to the exit, images). What mixes have in common is
        computed once.
        """
        runners = [
            [_block(rewriter.realize(changed), layers) for changed in degrees]
            for layers, degrees in self.blocks
        ]
        rows = list(itertools.accumulate((len(row) for row in runners), lambda a, b: a * b))
        (name,) = rewriter.network.inputs

        def answer(images: Array, labels: Array) -> Answer:
            sure = [np.empty((rows[end], len(labels)), np.uint8) for end in self.ends]
            right = [np.empty(part.shape, bool) for part in sure]

            def visit(depth: int, row: int, values: Mapping[str, Array], image: int) -> None:
                for degree, runner in enumerate(runners[depth]):
                    at = row * len(runners[depth]) + degree
                    known = {**values, **runner.run({x: values[x] for x in runner.inputs})}
                    if depth in self.ends:
                        number = self.ends.index(depth)
                        scores = known[exits[number]]
                        sure[number][at, image] = np.rint(float(scores.max()) * 255)
                        right[number][at, image] = int(scores.argmax()) == labels[image]
                    if depth + 1 < len(runners):
                        visit(depth + 1, at, known, image)

            for index, image in enumerate(images):
                visit(0, 0, {name: image[None]}, index)
            confidence = {f"confidence_{i}": pack(part) for i, part in enumerate(sure)}
            bits = {f"correct_{i}": pack(np.packbits(x, axis=1)) for i, x in enumerate(right)}
            return {**confidence, **bits}

        return answer


def pack(array: Array) -> str:
    """Return the bytes of an array as text."""
    return b64encode(np.ascontiguousarray(array).tobytes()).decode()


def unpack(text: str, rows: int) -> Array:
    """Return the uint8 array (rows, ...) that `pack` was given."""
    return np.frombuffer(b64decode(text), np.uint8).reshape(rows, -1)


def unpack_bits(text: str, rows: int, images: int) -> Array:
    """Return the bool array (rows, images) whose packed bits `pack` was given."""
    return np.unpackbits(unpack(text, rows), axis=1, count=images).astype(bool)


def affected(network: Network, changed: Collection[str]) -> tuple[str, ...]:
    """Return the layers whose results depend on some layers, these included."""
    names, tensors = [], set[str]()
    for layer in network.layers:
        if layer.name in changed or tensors.intersection(network.activations(layer)):
            names.append(layer.name)
            tensors.update(layer.outputs)
    return tuple(names)


def _block(made: Realized, layers: Collection[str]) -> MixedNetwork:
    """Return what runs some layers of a network with variants; rewriting keeps tensors' names."""
    names = {new for new, old in made.origin.items() if old in layers}
    # what stands for no layer are casts of float16, and only these layers may have some
    names |= {layer.name for layer in made.network.layers if layer.name not in made.origin}
    part = section(made.network, names)
    scales = None if made.quantized is None else made.quantized.of(part)
    return MixedNetwork(part, made.int8.intersection(names), scales)


def chunks(images: int) -> list[tuple[int, int]]:
    """Return (first, end) of every chunk."""
    return [(first, min(first + CHUNK, images)) for first in range(0, images, CHUNK)]


def ask(
    subject: Subject, question: Question, wanted: Sequence[int], threads: int
) -> Iterator[tuple[int, Answer]]:
    """Answer a question on some chunks, as they are done; with one thread here and in order.

    Parameters
    ----------
    wanted
        Numbers of chunks.
    threads
        Processes to use.
    """
    if threads == 1 or len(wanted) < 2:
        if wanted:
            desk = _Desk(subject, question)
            for chunk in wanted:
                yield chunk, desk.answer(chunk)
        return
    with tempfile.TemporaryDirectory(prefix="heterolith-") as folder:
        path = Path(folder) / "images.npy"
        np.save(path, subject.images)  # shared by the system's page cache
        small = replace(subject, images=subject.images[:0])
        pool = ProcessPoolExecutor(
            min(threads, len(wanted)),
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_open,
            initargs=(small, question, path),
        )
        try:
            running = {pool.submit(_answer, chunk): chunk for chunk in wanted}
            for future in as_completed(running):
                yield running[future], future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class _Desk:
    """A question prepared once, answered chunk by chunk."""

    def __init__(self, subject: Subject, question: Question) -> None:
        self.subject, self.chunks = subject, chunks(len(subject.labels))
        rewriter = Rewriter(subject.network, subject.samples())
        with hold_blas():
            self.answering = question.prepare(rewriter, subject.exits)

    def answer(self, chunk: int) -> Answer:
        """Return the answer on one chunk."""
        part = slice(*self.chunks[chunk])
        with hold_blas():
            return self.answering(self.subject.images[part], self.subject.labels[part])


_desk: list[_Desk] = []
"""The desk of a worker process."""


def _open(subject: Subject, question: Question, path: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the work
    Thread(target=_end_with_parent, daemon=True).start()
    images = np.load(path, mmap_mode="r")
    _desk.append(_Desk(replace(subject, images=images), question))


def _end_with_parent() -> None:
    """End this process if its parent was killed: nobody else would end it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _answer(chunk: int) -> Answer:
    return _desk[0].answer(chunk)
