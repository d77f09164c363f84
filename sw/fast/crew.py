"""Workers that run lists of steps phase by phase: the caller, and threads or forked processes.

Between phases everybody waits for everybody else. Semaphores of the C library carry that, as they
order memory on every processor and can be spun on; a worker that waits long sleeps. Processes exist
because calls of a few microseconds do not run in parallel under one interpreter lock.
"""

from __future__ import annotations

import ctypes
import gc
import mmap
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol
from weakref import finalize

from heterolith.errors import HeterolithError
from heterolith.sw.fast.passes import Step
from heterolith.sw.numerics import prepared_numpy

_SEMAPHORE_BYTES = 64  # sem_t is 16 or 32 bytes
# Of about 0.15 us. Whom the system has put aside is waited for asleep, and so is the next run: a
# core that goes on spinning between runs is missing to whatever the caller does there.
_SPINS, _IDLE_SPINS = 10_000, 2_000
_SLEEP_NS = 200_000_000


class _Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


class _Semaphores:
    """Unnamed POSIX semaphores in memory that forked processes share."""

    def __init__(self, count: int) -> None:
        for name in (None, "libpthread.so.0"):
            self._held, self._free = ctypes.PyDLL(name), ctypes.CDLL(name, use_errno=True)
            if hasattr(self._held, "sem_init"):
                break
        self._memory = mmap.mmap(-1, count * _SEMAPHORE_BYTES)
        base = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self._places = [ctypes.c_void_p(base + k * _SEMAPHORE_BYTES) for k in range(count)]
        for place in self._places:
            if self._held.sem_init(place, 1, 0):
                raise HeterolithError("no semaphores on this system; use one worker")

    def post(self, place: int) -> None:
        self._held.sem_post(self._places[place])

    def wait(self, place: int, spins: int, alive: Callable[[], bool]) -> None:
        """Wait, spinning first; look now and then whether the others are still there."""
        semaphore, try_ = self._places[place], self._held.sem_trywait
        for _ in range(spins):
            if not try_(semaphore):
                return
        while True:
            end = time.time_ns() + _SLEEP_NS
            until = _Timespec(end // 1_000_000_000, end % 1_000_000_000)
            if not self._free.sem_timedwait(semaphore, ctypes.byref(until)):
                return
            if not alive():
                raise HeterolithError("a worker process has ended; compile the network again")


def can_fork() -> bool:
    """Tell whether workers may be forked processes here."""
    return hasattr(os, "fork") and sys.platform.startswith("linux")


class Crew(Protocol):
    """Runs the same program any number of times."""

    def run(self) -> None:
        """Run the program once."""

    def close(self) -> None:
        """End threads and processes."""


class Alone:
    """One worker: the caller."""

    def __init__(self, phases: Sequence[Sequence[Step]]) -> None:
        self._steps = tuple(step for phase in phases for step in phase)

    def run(self) -> None:
        """Run the program once."""
        for step in self._steps:
            step()

    def close(self) -> None:
        """Do nothing."""


class _Meeting:
    """Where workers meet between phases: worker k posts to every other and waits for each."""

    def __init__(self, workers: int, spins: int) -> None:
        self._count, self._spins = workers, spins
        self._semaphores = _Semaphores(workers * workers)
        self.alive: Callable[[], bool] = lambda: True

    def start(self, helper: int) -> None:
        self._semaphores.post(helper)

    def await_start(self, helper: int) -> None:
        """Wait for work; spin only briefly, so that an idle worker leaves its core to others."""
        self._semaphores.wait(helper, min(self._spins, _IDLE_SPINS), self.alive)

    def step(self, worker: int) -> Step:
        """Return the step with which a worker meets the others."""
        semaphores, others = self._semaphores, [k for k in range(self._count) if k != worker]
        posts = [worker * self._count + other for other in others]
        waits = [other * self._count + worker for other in others]
        # Place (0, helper) also starts a helper: between programs nothing else is posted there.

        def meet() -> None:
            for place in posts:
                semaphores.post(place)
            for place in waits:
                semaphores.wait(place, self._spins, self.alive)

        return meet


def _programs(phases: Sequence[Sequence[Sequence[Step]]], meeting: _Meeting) -> list[list[Step]]:
    """Return each worker's steps; phases hold one list of steps per worker."""
    programs: list[list[Step]] = []
    for worker in range(len(phases[0])):
        meet = meeting.step(worker)
        steps: list[Step] = []
        for phase in phases:
            steps += phase[worker]
            steps.append(meet)
        programs.append(steps)
    return programs


def _pin(cores: Sequence[int]) -> None:
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


class _Apart:
    """Keeps helpers off the caller's core.

    A helper that is woken is often put on the core of its waker, which does not sleep, and stays
    behind it for several milliseconds.
    """

    def __init__(self, helpers: Sequence[int | None], cores: Sequence[int]) -> None:
        self._where = getattr(ctypes.CDLL(None), "sched_getcpu", None)
        self._allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
        if cores or len(self._allowed) <= len(helpers):
            self._where = None  # the user has placed them, or there is no room
        self._helpers = [helper for helper in helpers if helper is not None]
        self._core = -1

    def place(self) -> None:
        """Look where the caller is; called before every run."""
        if self._where is None or (core := self._where()) == self._core:
            return
        self._core = core
        for helper in self._helpers:
            with suppress(OSError):  # one that has ended is found out about when it is waited for
                os.sched_setaffinity(helper, self._allowed - {core})


class Threads:
    """Workers as threads of this process.

    Parameters
    ----------
    phases
        For each phase and worker its steps.
    cores
        Core of each worker but the caller, whose is never changed; empty for any other than the
        caller's.
    """

    def __init__(
        self, phases: Sequence[Sequence[Sequence[Step]]], cores: Sequence[int] = ()
    ) -> None:
        self._meeting = _Meeting(len(phases[0]), 0)
        self._programs = _programs(phases, self._meeting)
        self._cores, self._stopped = cores, threading.Event()
        self._errors: list[BaseException] = []
        arguments = (self._meeting, self._stopped, self._errors)
        self._helpers = [
            threading.Thread(
                target=_serve_thread,
                args=(k, program, cores[k : k + 1], *arguments),
                name="heterolith-fast",
                daemon=True,
            )
            for k, program in enumerate(self._programs)
            if k
        ]
        for helper in self._helpers:
            helper.start()
        self._apart = _Apart([helper.native_id for helper in self._helpers], cores)
        self._close = finalize(self, _stop_threads, self._meeting, self._stopped, len(phases[0]))

    def run(self) -> None:
        """Run the program once; raise what a worker raised."""
        self._apart.place()
        for helper in range(1, len(self._programs)):
            self._meeting.start(helper)
        _run_all(self._programs[0], self._errors)
        if self._errors:
            raise self._errors.pop()

    def close(self) -> None:
        """End the threads."""
        self._close()


def _run_all(steps: Sequence[Step], errors: list[BaseException]) -> None:
    """Run all steps; after an error the meetings alone, so that nobody waits for ever."""
    rest = iter(steps)
    try:
        for step in rest:
            step()
    except BaseException as error:
        errors.append(error)
        for step in rest:
            if getattr(step, "__name__", "") == "meet":
                step()


def _serve_thread(
    worker: int,
    steps: Sequence[Step],
    core: Sequence[int],
    meeting: _Meeting,
    stopped: threading.Event,
    errors: list[BaseException],
) -> None:
    _pin(core)
    with prepared_numpy():
        while True:
            meeting.await_start(worker)
            if stopped.is_set():
                return
            _run_all(steps, errors)


def _stop_threads(meeting: _Meeting, stopped: threading.Event, workers: int) -> None:
    stopped.set()
    for helper in range(1, workers):
        meeting.start(helper)


class Processes:
    """Workers as forked processes over the memory that was shared when the program was made.

    Parameters are those of `Threads`. Constants are shared too, as nobody writes to them.
    """

    def __init__(
        self, phases: Sequence[Sequence[Sequence[Step]]], cores: Sequence[int] = ()
    ) -> None:
        self._meeting = _Meeting(len(phases[0]), _SPINS)
        programs = _programs(phases, self._meeting)
        self._steps, self._flag = programs[0], mmap.mmap(-1, 1)
        self._helpers: list[int] = []
        self._workers = len(programs)
        for k, program in enumerate(programs):
            if k:
                self._helpers.append(self._fork(k, program, cores[k : k + 1]))
        self._meeting.alive = _children_live(self._helpers)
        self._apart = _Apart(self._helpers, cores)
        self._close = finalize(
            self, _stop_processes, self._meeting, self._flag, self._helpers, self._workers
        )

    def run(self) -> None:
        """Run the program once."""
        if not self._close.alive:
            raise HeterolithError("the workers have ended; compile the network again")
        self._apart.place()
        try:
            for helper in range(1, self._workers):
                self._meeting.start(helper)
            for step in self._steps:
                step()
        except BaseException:  # the helpers are somewhere in between: nobody can go on with them
            for helper in self._helpers:
                os.kill(helper, signal.SIGKILL)
            self._close()
            raise

    def close(self) -> None:
        """End the processes."""
        self._close()

    def _fork(self, worker: int, steps: Sequence[Step], core: Sequence[int]) -> int:
        parent = os.getpid()
        with warnings.catch_warnings():
            # The child calls numpy and the C library alone and takes no lock of another thread.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child:
            return child
        code = 1
        try:
            gc.disable()
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            _pin(core)
            self._meeting.alive = lambda: os.getppid() == parent
            with prepared_numpy():
                while True:
                    self._meeting.await_start(worker)
                    if self._flag[0]:
                        break
                    for step in steps:
                        step()
            code = 0
        except BaseException:
            if os.getppid() == parent:
                sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)


def _children_live(helpers: list[int]) -> Callable[[], bool]:
    """Return what looks whether all children live; those that do not leave the list for good."""

    def alive() -> bool:
        ended = [helper for helper in helpers if os.waitpid(helper, os.WNOHANG) != (0, 0)]
        for helper in ended:
            helpers.remove(helper)  # its number may be another process's from now on
        return not ended

    return alive


def _stop_processes(meeting: _Meeting, flag: mmap.mmap, helpers: list[int], workers: int) -> None:
    flag[0] = 1
    for worker in range(1, workers):
        meeting.start(worker)
    while helpers:
        os.waitpid(helpers.pop(), 0)
