"""What is left of the processor's time at run time when every job keeps its floor.

Tasks on one resource under EDF, admitted by `floors`. At an instant at which nothing runs, the work
due by d is what the active jobs with a deadline up to d still need at their floors, and the floors
of the jobs that may yet arrive and be due by d. Their distance to the time left until d is the
*room*. If the room is 0 or more for every d now, it stays so while the resource serves by EDF; and
a piece that is due after d may be in the way only where no work due by d waits, which admission has
allowed for up to `piece_limits`. Hence any change (a better degree, a batch) that leaves every room
at 0 or more keeps every deadline. Ours; ApNet says only that deadlines hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from heterolith.scheduler.adaptive.floors import Demand

Change = tuple[int, int]
"""A deadline, and by how much the work due by then grows, ns (below 0: shrinks)."""

JOBS = 256
"""Most future jobs looked at one by one; what lies beyond is bounded by a line."""


class Room:
    """The room at one instant, for asking which changes it bears.

    Parameters
    ----------
    now_ns
        The instant; nothing runs.
    active
        Deadline and work left at the floor of every active job.
    future
        Per task its demand, the work of its floor, and its earliest next arrival.
    """

    __slots__ = ("_ends", "_rooms")

    def __init__(
        self,
        now_ns: int,
        active: Sequence[tuple[int, int]],
        future: Sequence[tuple[Demand, int, int]],
    ) -> None:
        last = max((deadline for deadline, _ in active), default=now_ns)
        last += max((task.deadline_ns for task, _, _ in future), default=0)
        count = sum(max(0, last - arrival) // task.period_ns + 1 for task, _, arrival in future)
        if count > JOBS:
            last = now_ns + (last - now_ns) * JOBS // count
        due = [job for job in active if job[0] <= last]
        for task, work, arrival in future:
            first = max(now_ns, arrival) + task.deadline_ns
            due += [(end, work) for end in range(first, last + 1, task.period_ns)]
        due.sort()
        self._ends = [end for end, _ in due]
        needed = accumulate(work for _, work in due)
        self._rooms = [end - now_ns - w for end, w in zip(self._ends, needed, strict=True)]
        self._ends.append(last + 1)
        self._rooms.append(_beyond(now_ns, last + 1, active, future))

    def bears(self, changes: Sequence[Change]) -> bool:
        """Whether every room stays at 0 or more after changes."""
        last = self._ends[-1]  # stands for every later instant, whose changes are told apart below
        for end, room in zip(self._ends, self._rooms, strict=True):
            left = room
            for deadline, grown in changes:
                if deadline <= end or (end == last and grown > 0):
                    left -= grown
            if left < 0:
                return False
        return True


def _beyond(
    now_ns: int,
    end_ns: int,
    active: Sequence[tuple[int, int]],
    future: Sequence[tuple[Demand, int, int]],
) -> int:
    """Return a lower bound of the room of every instant from `end_ns` on.

    A task's jobs due by d are at most ``(d - arrival - D + T) / T``; the room of that line grows
    with d because utilization is at most 1.
    """
    room = end_ns - now_ns - sum(work for _, work in active)
    for task, work, arrival in future:
        span = end_ns - max(now_ns, arrival) - task.deadline_ns + task.period_ns
        room -= max(0, -(-span * work // task.period_ns))
    return room
