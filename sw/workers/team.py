"""Threads that work on the parts of one layer.

Parallelism is over parts, not inside BLAS, which would leave pooling and activations serial. While
a `Team` works, threadpoolctl holds BLAS to one thread; without it results are the same, but more
threads than cores may be busy.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, Generic, TypeVar
from weakref import finalize

import numpy as np

from heterolith.errors import InputError
from heterolith.sw.numerics import prepared_numpy
from heterolith.sw.workers.arena import Arena
from heterolith.sw.workers.scratch import Scratch

_Part = TypeVar("_Part")


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _BlasLimit:
    """Holds BLAS to one thread while anybody asks for it; counts askers, so nesting is fine."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._askers = 0
        self._libraries: list[Any] | None = None
        self._before: list[int] = []

    def __enter__(self) -> None:
        with self._lock:
            self._askers += 1
            if self._askers == 1:
                libraries = self._find()
                self._before = [library.get_num_threads() for library in libraries]
                for library in libraries:
                    library.set_num_threads(1)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._askers -= 1
            if self._askers == 0:
                for library, threads in zip(self._find(), self._before, strict=True):
                    library.set_num_threads(threads)

    def libraries(self) -> list[Any]:
        """Return what holds each BLAS library in this process."""
        with self._lock:
            return self._find()

    def _find(self) -> list[Any]:
        if self._libraries is None:
            try:
                from threadpoolctl import ThreadpoolController
            except ModuleNotFoundError:
                self._libraries = []
            else:
                found = ThreadpoolController().select(user_api="blas")
                self._libraries = list(found.lib_controllers)
        return self._libraries


_BLAS = _BlasLimit()


def hold_blas() -> AbstractContextManager[None]:
    """Hold BLAS to one thread for a while; nests, and several threads may do it."""
    return _BLAS


def blas_is_known() -> bool:
    """Tell whether numpy's BLAS can be held to one thread."""
    return bool(_BLAS.libraries())


class _Batch(Generic[_Part]):
    """Parts of one layer; it is done when all parts are, no matter who came to work on them."""

    def __init__(self, task: Callable[[_Part], None], parts: Iterable[_Part]) -> None:
        self._task, self._buffer = task, np.getbufsize()
        self._queue = deque(parts)
        self._lock = Lock()
        self._open = len(self._queue)
        self._done = Lock()
        self._done.acquire()
        self._error: BaseException | None = None

    def __len__(self) -> int:
        return len(self._queue)

    def work(self) -> None:
        """Take parts until none is left."""
        with prepared_numpy(self._buffer):
            while True:
                try:
                    part = self._queue.popleft()
                except IndexError:
                    return
                try:
                    self._task(part)
                except BaseException as error:  # handed to the thread that waits
                    self._error = error
                with self._lock:
                    self._open -= 1
                    if self._open == 0:
                        self._done.release()

    def wait(self) -> None:
        """Return when all parts are done; raise what one of them raised."""
        self._done.acquire()
        if self._error is not None:
            raise self._error


def _serve(inbox: SimpleQueue[_Batch[Any] | None]) -> None:
    """Work on batches until ``None`` comes."""
    while True:
        batch = inbox.get()
        if batch is None:
            return
        batch.work()


def _dismiss(inbox: SimpleQueue[_Batch[Any] | None], threads: Sequence[Thread]) -> None:
    for _ in threads:
        inbox.put(None)


class Team:
    """A number of threads, the caller's among them; several callers may share it.

    A thread that wakes too late for a small layer costs nothing: the caller has done its parts.

    Attributes
    ----------
    empty, scratch
        `Arena.empty` and `Scratch.take` of this team: memory for results, and for the task at hand.

    Raises
    ------
    InputError
        If the number of threads is not positive.
    """

    def __init__(self, threads: int) -> None:
        if threads < 1:
            raise InputError(f"{threads} threads cannot compute anything; give 1 or more")
        self.threads = threads
        self._arena, self._scratch = Arena(), Scratch()
        # bound once: a method in between would be one more piece of code to fetch in every layer
        self.empty, self.scratch = self._arena.empty, self._scratch.take
        self._lock = Lock()
        self._inbox: SimpleQueue[_Batch[Any] | None] = SimpleQueue()
        self._stop: Callable[[], Any] | None = None

    def at_work(self) -> AbstractContextManager[None]:
        """Hold BLAS to one thread for a while."""
        return hold_blas()

    def run(self, task: Callable[[_Part], None], parts: Iterable[_Part]) -> None:
        """Do a task for every part; whoever is free takes the next one.

        Threads of this team compute without warnings and with numpy's buffer as the caller set it.
        """
        if self.threads == 1 or len(parts := tuple(parts)) < 2:
            for part in parts:
                task(part)
            return
        batch = _Batch(task, parts)
        helpers = min(self.threads, len(batch)) - 1
        if helpers > 0:
            self._start()
        for _ in range(helpers):
            self._inbox.put(batch)
        batch.work()
        batch.wait()

    def close(self) -> None:
        """End the threads and forget the memory; a later `run` starts new ones."""
        self._arena.clear()
        self._scratch.clear()
        with self._lock:
            if self._stop is not None:
                self._stop()
                self._stop = None

    def _start(self) -> None:
        with self._lock:
            if self._stop is not None:
                return
            threads = [
                Thread(target=_serve, args=(self._inbox,), name="heterolith-cpu", daemon=True)
                for _ in range(self.threads - 1)
            ]
            for thread in threads:
                thread.start()
            # The threads hold the inbox alone: they end with the team, closed or forgotten.
            self._stop = finalize(self, _dismiss, self._inbox, threads)
