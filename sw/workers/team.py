"""Threads that work on the parts of one layer.

Parallelism is over parts, not inside BLAS: BLAS threads would leave pooling and activations serial.
While a `Team` works, BLAS is held to one thread by threadpoolctl; without it results are the same but
cores may be oversubscribed.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike

from heterolith.errors import InputError
from heterolith.sw.network import Array
from heterolith.sw.workers.arena import Arena

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

    def acquire(self) -> None:
        with self._lock:
            self._askers += 1
            if self._askers == 1:
                libraries = self._find()
                self._before = [library.get_num_threads() for library in libraries]
                for library in libraries:
                    library.set_num_threads(1)

    def release(self) -> None:
        with self._lock:
            self._askers -= 1
            if self._askers == 0:
                for library, threads in zip(self._find(), self._before, strict=True):
                    library.set_num_threads(threads)

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


class Team:
    """A number of threads, the caller's among them; several callers may share it.

    Raises
    ------
    InputError
        If the number of threads is not positive.
    """

    def __init__(self, threads: int) -> None:
        if threads < 1:
            raise InputError(f"{threads} threads cannot compute anything; give 1 or more")
        self.threads = threads
        self._lock = Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._arena = Arena()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Hold BLAS to one thread for a while."""
        _BLAS.acquire()
        try:
            yield
        finally:
            _BLAS.release()

    def run(self, task: Callable[[_Part], None], parts: Iterable[_Part]) -> None:
        """Do a task for every part; whoever is free takes the next one."""
        queue = deque(parts)
        helpers = min(self.threads, len(queue)) - 1
        futures = [self._executor().submit(_work, task, queue) for _ in range(helpers)]
        try:
            _work(task, queue)
        finally:
            queue.clear()
            for future in futures:
                future.result()

    def empty(self, shape: Sequence[int], dtype: DTypeLike) -> Array:
        """Return an array with undefined elements, in memory that this team used before."""
        return self._arena.empty(shape, dtype)

    def close(self) -> None:
        """End the threads and forget the memory; a later `run` starts new ones."""
        self._arena.clear()
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()

    def _executor(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self.threads - 1, "heterolith-cpu")
            return self._pool


def _work(task: Callable[[_Part], None], queue: deque[_Part]) -> None:
    with np.errstate(all="ignore"):
        while True:
            try:
                part = queue.popleft()
            except IndexError:
                return
            task(part)
