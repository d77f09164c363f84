"""Passes of ``heterolith profile``, and the machine's pace among them; kept as they are made."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.progress import Progress

from heterolith import metrics
from heterolith.cli.partial import Partial
from heterolith.errors import InputError
from heterolith.metrics import Subject
from heterolith.metrics.pace import readings, reference
from heterolith.sw import CpuWorker

PACE_PASSES, PACE_TIMES = 5, 10
"""Between readings of the machine's pace: passes, and times that a reading takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What is timed, how often, and where unfinished work is kept.

    Attributes
    ----------
    key
        Of whatever makes two runs the same.
    passes, seconds
        What both have to be reached.
    ops
        Operators whose rows are kept; all where it is empty.
    """

    subjects: Sequence[Subject]
    key: str
    threads: int | None
    warmup: int
    passes: int
    seconds: float
    out: Path | None
    resume: bool
    ops: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Record:
    """What was measured so far, ns.

    Attributes
    ----------
    times
        Of every layer, one list a pass.
    paces
        Of the reference network, one list each time it ran.
    unfinished
        Of the layers that the pass under way has done.
    """

    times: list[list[int]] = field(default_factory=list)
    paces: list[list[int]] = field(default_factory=list)
    unfinished: list[int] = field(default_factory=list)

    @property
    def all_times(self) -> list[list[int]]:
        """Whole passes, or as much of the first one as there is."""
        return self.times or ([self.unfinished] if self.unfinished else [])

    @property
    def reference_ns(self) -> int:
        """Median time of the reference network."""
        return round(float(np.median(np.concatenate(self.paces))))

    @property
    def drift(self) -> float:
        """How far the machine's pace was from this, relative, where it was farthest."""
        return max(abs(float(np.median(pace)) / self.reference_ns - 1) for pace in self.paces)


def add(
    session: Session,
    record: Record,
    workers: Sequence[CpuWorker],
    partial: Partial,
    progress: Progress,
) -> None:
    """Add passes to a record until there are enough, and paces before, between and after them.

    Parameters
    ----------
    workers
        One for each subject, and one for the reference network.
    partial
        Gets what is added, row by row.
    """
    *own, last = workers
    yardstick = reference()
    timed = metrics.passes(session.subjects, own, session.warmup, record.unfinished)
    bar = progress.add_task("passes", total=1.0)
    begin = time.monotonic()

    def share() -> float:
        """Return how much of what is wanted is there."""
        spent = time.monotonic() - begin
        of_time = spent / session.seconds if session.seconds else 1.0
        return min(1.0, of_time, len(record.times) / session.passes)

    def pace() -> float:
        """Add a reading; return what time the next one is due."""
        start = time.monotonic()
        record.paces.append(readings(yardstick, last))
        partial.append({"reference_ns": record.paces[-1]})
        return start + (1 + PACE_TIMES) * (time.monotonic() - start)

    due, since = pace(), 0
    while share() < 1:
        if since >= PACE_PASSES and time.monotonic() >= due:
            due, since = pace(), 0
            next(timed)  # untimed: caches are the reference network's
        record.times.append(next(timed).tolist())
        since += 1
        progress.update(bar, completed=share())
        partial.append(record.times[-1])
    pace()


def resumed(session: Session, partial: Partial) -> Record:
    """Return the record of an interrupted run.

    Raises
    ------
    InputError
        If there is none, or it measured something else.
    """
    expected = sum(len(subject.network.layers) for subject in session.subjects)
    record = Record()
    for row in partial.resume(session.key, "model, sweep, seed or number of threads"):
        if isinstance(row, dict):
            record.paces.append(row["reference_ns"])
        elif len(row) == expected:
            record.times.append(row)
    if record.times and not record.paces:
        raise InputError(f"{partial.path} is of an earlier version; run without --resume")
    return record
