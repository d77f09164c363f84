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
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from typing import Protocol

import numpy as np

from heterolith.sw.network import Array, Network
from heterolith.sw.variants import MixedNetwork, Realized, Rewriter, Variant, section
from heterolith.sw.workers.team import hold_blas

CHUNK = 200
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
class WholeNetwork:
    """Ask whether each exit is right, with some layers in a variant."""

    variants: Mapping[str, Variant]

    def prepare(self, rewriter: Rewriter, exits: Sequence[str]) -> Answering:
        """Return what answers with ``correct``: packed bits (exits, images)."""
        mixed = runner_of(rewriter.realize(self.variants))
        (name,) = rewriter.network.inputs

        def answer(images: Array, labels: Array) -> Answer:
            right = np.empty((len(exits), len(labels)), bool)
            for index, image in enumerate(images):
                scores = mixed.run({name: image[None]})
                right[:, index] = [int(scores[e].argmax()) == labels[index] for e in exits]
            return {"correct": pack(np.packbits(right, axis=1))}

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


def runner_of(made: Realized) -> MixedNetwork:
    """Return what runs a network with its variants."""
    return MixedNetwork(made.network, made.int8, made.quantized)


def _block(made: Realized, layers: Sequence[str]) -> MixedNetwork:
    """Return what runs one block of a network with variants; rewriting keeps tensors' names."""
    names = {new for new, old in made.origin.items() if old in layers}
    # what stands for no layer are casts of float16, and only this block may have some
    names |= {layer.name for layer in made.network.layers if layer.name not in made.origin}
    part = section(made.network, names)
    scales = None if made.quantized is None else made.quantized.of(part)
    return MixedNetwork(part, made.int8.intersection(names), scales)


def chunks(images: int) -> list[tuple[int, int]]:
    """Return (first, end) of every chunk."""
    return [(first, min(first + CHUNK, images)) for first in range(0, images, CHUNK)]


Task = tuple[int, int]
"""Number of the question, number of the chunk."""


def ask(
    subject: Subject, questions: Sequence[Question], tasks: Sequence[Task], threads: int
) -> Iterator[tuple[Task, Answer]]:
    """Answer tasks, as they are done; with one thread in this process and in order.

    Parameters
    ----------
    threads
        Processes to use.
    """
    if threads == 1 or len(tasks) < 2:
        desk = _Desk(subject, questions)
        for task in tasks:
            yield task, desk.answer(task)
        return
    with tempfile.TemporaryDirectory(prefix="heterolith-") as folder:
        path = Path(folder) / "images.npy"
        np.save(path, subject.images)  # shared by the system's page cache
        small = replace(subject, images=subject.images[:0])
        pool = ProcessPoolExecutor(
            threads,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_open,
            initargs=(small, questions, path),
        )
        try:
            yield from _collect(pool, tasks, threads)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _collect(
    pool: ProcessPoolExecutor, tasks: Sequence[Task], threads: int
) -> Iterator[tuple[Task, Answer]]:
    """Keep every process supplied with two tasks, in order: each prepares few questions."""
    waiting, running = iter(tasks), dict[Future[Answer], Task]()
    for task in itertools.islice(waiting, 2 * threads):
        running[pool.submit(_answer, task)] = task
    while running:
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            task = running.pop(future)
            for following in itertools.islice(waiting, 1):
                running[pool.submit(_answer, following)] = following
            yield task, future.result()


class _Desk:
    """Answers tasks; holds the question that was answered last."""

    def __init__(self, subject: Subject, questions: Sequence[Question]) -> None:
        self.subject, self.questions = subject, questions
        self.rewriter = Rewriter(subject.network, subject.samples())
        self.open: tuple[int, Answering] | None = None
        self.chunks = chunks(len(subject.labels))

    def answer(self, task: Task) -> Answer:
        """Return the answer to one question on one chunk."""
        number, chunk = task
        with hold_blas():
            if self.open is None or self.open[0] != number:
                prepared = self.questions[number].prepare(self.rewriter, self.subject.exits)
                self.open = (number, prepared)
            part = slice(*self.chunks[chunk])
            return self.open[1](self.subject.images[part], self.subject.labels[part])


_desk: list[_Desk] = []
"""The desk of a worker process."""


def _open(subject: Subject, questions: Sequence[Question], path: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the work
    Thread(target=_end_with_parent, daemon=True).start()
    images = np.load(path, mmap_mode="r")
    _desk.append(_Desk(replace(subject, images=images), questions))


def _end_with_parent() -> None:
    """End this process if its parent was killed: nobody else would end it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _answer(task: Task) -> Answer:
    return _desk[0].answer(task)
