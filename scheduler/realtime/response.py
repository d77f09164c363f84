"""Response-time bounds of fixed-priority tasks whose pieces run on several resources.

Model: distinct priorities, deadlines up to the period, pieces never interrupted, each resource
serves the most urgent waiting piece, jobs arrive at least a period apart. On resource r task i has
work ``E(i, r)``, its longest piece ``M(i, r)``, and segments s of work ``c(s)``, the last piece of
which is ``l(s)``.

* A less urgent piece blocks once per segment: within one, the end of a piece and the request of the
  next are the same instant. ``b(s) = max M(k, r(s))`` over less urgent k.
* The work of h on r arrives between its best-case prefix ``P(h, r)`` (BCETs before it) and ``R(h) -
  E(h, r)`` after the job; what lies between is jitter, ``J(h, r) = R(h) - E(h, r) - P(h, r)``
  (Tindell and Clark, holistic analysis, 1994; Chen et al., "Many suspensions, many problems",
  Real-Time Systems 2019). If all of it is in the first segment, J is the release jitter: a window
  that begins at w, the last instant at which no such work is pending, has none left over.
* Nothing delays a piece that has started, so releases count up to the start of the last piece, that
  instant included: ``n(S, h, r) = floor((S + J(h, r)) / T(h)) + 1``.

Bound A looks at the whole job, bound B at segment after segment:

    S = sum E(i, r) - l(last) + sum b(s) + sum over r of i, h: n(S, h, r) E(h, r);  R = S + l(last)
    S(s) = b(s) + c(s) - l(s) + sum over h: n(S(s), h, r(s)) E(h, r(s));   R = sum S(s) + l(s)

If w is before the request, a piece of length p that began before w may run there, of task i itself
too: of an earlier segment, or of the job before, which so pushes its own delay on to the next
(Davis, Burns, Bril and Lukkien, "Controller Area Network schedulability analysis: refuted,
revisited and revised", Real-Time Systems 2007). At least as much time as of it is served passes
before the request, so such a window adds p to S and takes p from R; as S grows by p at least, the
longest piece is the worst. In A the windows of later resources begin before the release, with a
less urgent piece or one of the job before; in B the task's own pieces count where longer than b(s).
The job before plays no part if what it leaves pending is served before the next release: with ``L =
M(i, r) + sum n(L, h, r) E(h, r)``, if ``R + L - M(i, r) <= T(i)`` less the release jitter on every
such r; then no job pushes the next, by induction from the first.

The lesser of A and B holds. The bounds follow the analysis reconstructed for LaLaRAND (Kang et al.,
RTSS 2021); that they are sound is argued here and tested by search for a counterexample.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from heterolith.errors import InputError
from heterolith.scheduler.realtime.profile import Step
from heterolith.scheduler.realtime.tasks import Task, TaskSet, chunked


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What the analysis needs of a task: work, prefix and longest piece per resource, and segments.

    A segment is ``(resource, work, last piece)``; `prefix` is None where all work is in the first.
    """

    period_ns: int
    deadline_ns: int
    jitter_ns: int
    work: tuple[int, ...]
    prefix: tuple[int | None, ...]
    longest: tuple[int, ...]
    segments: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A bound on the response of one task, or the reason why there is none.

    `terms` are the parts of the bound in nanoseconds: ``work``, ``jitter``, ``blocking``, and one
    per more urgent task. `method` is ``A`` or ``B``.
    """

    task: str
    bound_ns: int | None
    deadline_ns: int
    method: str = ""
    terms: tuple[tuple[str, int], ...] = ()
    reason: str = ""

    @property
    def schedulable(self) -> bool:
        """Whether the bound is within the deadline."""
        return self.bound_ns is not None and self.bound_ns <= self.deadline_ns

    @property
    def dominant(self) -> str:
        """The largest term, or the reason why there is no bound."""
        return max(self.terms, key=lambda term: term[1])[0] if self.terms else self.reason


def load(task: Task, resources: int) -> Load:
    """Summarise a task for the analysis."""
    steps = ((p.resource, p.wcet_ns, p.bcet_ns, p.name) for p in task.pieces)
    return summary(steps, resources, task.period_ns, task.deadline_ns, task.jitter_ns)


def summary(
    steps: Iterable[Step], resources: int, period_ns: int, deadline_ns: int, jitter_ns: int = 0
) -> Load:
    """Summarise a task given by the steps of its pieces."""
    work, longest, best = [0] * resources, [0] * resources, 0
    prefix: list[int | None] = [None] * resources
    parts: list[tuple[int, int, int]] = []
    now, segment, last = -1, 0, 0
    for r, worst, least, _ in steps:
        if r != now:
            if now >= 0:
                parts.append((now, segment, last))
                if prefix[r] is None:
                    prefix[r] = 0 if work[r] else best
            now, segment = r, 0
        last = worst
        segment += worst
        work[r] += worst
        best += least
        longest[r] = max(longest[r], worst)
    parts.append((now, segment, last))
    return Load(
        period_ns=period_ns,
        deadline_ns=deadline_ns,
        jitter_ns=jitter_ns,
        work=tuple(work),
        prefix=tuple(prefix),
        longest=tuple(longest),
        segments=tuple(parts),
    )


Rivals = Sequence[tuple[int, int, int]]
"""More urgent tasks on one resource: (lateness J, period, work)."""


def _settle(start: int, rivals: Rivals, limit: int) -> int | None:
    """Return the least S with S = start + interference(S), or None above the limit.

    As floor(x) + 1 > x, no solution is below (start + sum J C / T) / (1 - sum C / T), and there is
    none if the rivals alone fill the resource: the iteration starts there.
    """
    share = late = 0.0
    for lateness, period, work in rivals:
        share += work / period
        late += lateness * work / period
    if share >= 1:
        return None
    last, now = -1, max(start, int((start + late) / (1 - share) * (1 - 1e-9)))
    while now != last:
        if now > limit:
            return None
        last = now
        now = start
        for lateness, period, work in rivals:
            now += ((last + lateness) // period + 1) * work
    return now


def _rivals(above: Sequence[tuple[Load, int]], resource: int) -> list[tuple[int, int, int]]:
    rivals = []
    for h, value in above:
        work, prefix = h.work[resource], h.prefix[resource]
        if work:
            late = h.jitter_ns if prefix is None else value - work - prefix
            rivals.append((late, h.period_ns, work))
    return rivals


def bound(
    own: Load, above: Sequence[tuple[Load, int]], block: Sequence[int], reach: int = 1
) -> tuple[int, str] | None:
    """Bound the response of one task.

    Parameters
    ----------
    own
        The task.
    above
        More urgent tasks with their response bounds.
    block
        Longest piece of less urgent tasks, per resource; see `blocks`.
    reach
        Look up to this many periods. Above 1 the value only tells a search how far away it is: a
        response beyond the period is no bound.

    Returns
    -------
    tuple or None
        Bound in nanoseconds from the arrival and its method, or None if it is above the limit.
    """
    limit = own.period_ns * reach - own.jitter_ns
    rivals = {r: _rivals(above, r) for r in {r for r, _, _ in own.segments}}
    early = {r for r in rivals if any(h.work[r] and h.prefix[r] is None for h, _ in above)}
    best = _least(own, block, rivals, early, limit)
    if best and not _separate(own, best[0], rivals, early):
        best = _least(own, block, rivals, early, limit, follows=True)
    return best and (best[0] + own.jitter_ns, best[1])


def _separate(own: Load, value: int, rivals: Mapping[int, Rivals], early: Collection[int]) -> bool:
    """Whether what a job leaves waiting has been served before the next job is released."""
    gap = own.period_ns - own.jitter_ns - value
    for r in early:
        longest = own.longest[r]
        busy = _settle(longest, rivals[r], gap + longest)
        if busy is None:
            return False
    return True


def _least(
    own: Load,
    block: Sequence[int],
    rivals: Mapping[int, Rivals],
    early: Collection[int],
    limit: int,
    *,
    follows: bool = False,
) -> tuple[int, str] | None:
    """Return the lesser of both bounds from the release, None above the limit.

    `early` are the resources on which a window may begin before the request; `follows` tells that
    it may begin with a piece of the job before.
    """
    first, tail = own.segments[0][0], own.segments[-1][2]
    ahead = [max(own.longest[r] * follows, block[r] * (r != first)) for r in early]
    start = max(ahead, default=0)
    every = [rival for found in rivals.values() for rival in found]
    fixed = sum(own.work) - tail + sum(block[r] for r, _, _ in own.segments)
    begin = _settle(fixed + start, every, limit + start)
    whole = limit + 1 if begin is None else begin - start + tail
    total, seen = 0, set()
    for r, work, last in own.segments:
        part = _settle(block[r] + work - last, rivals[r], limit)
        longest = own.longest[r]
        if part is not None and r in early and (follows or r in seen) and longest > block[r]:
            late = _settle(longest + work - last, rivals[r], limit + longest)
            part = None if late is None else max(part, late - longest)
        seen.add(r)
        total += limit + 1 if part is None else part + last
        if total >= whole:
            break
    best = (total, "B") if total < whole else (whole, "A")
    return None if best[0] > limit else best


def blocks(loads: Sequence[Load]) -> list[tuple[int, ...]]:
    """Return per task the longest piece of less urgent ones on each resource.

    Tasks are given most urgent first.
    """
    found = [(0,) * len(loads[0].longest)]
    for own in reversed(loads[1:]):
        found.append(tuple(map(max, found[-1], own.longest)))
    return found[::-1]


def bounds(loads: Sequence[Load]) -> list[int | None]:
    """Return the bounds of tasks given most urgent first; None from the first without one."""
    above: list[tuple[Load, int]] = []
    found: list[int | None] = []
    for own, block in zip(loads, blocks(loads), strict=True):
        best = bound(own, above, block)
        if best is None:
            return found + [None] * (len(loads) - len(found))
        found.append(best[0])
        above.append((own, best[0]))
    return found


def check_model(taskset: TaskSet) -> None:
    """Refuse a task set that fixed-priority analysis does not cover.

    Raises
    ------
    InputError
        If two tasks share a priority or a deadline is beyond its period.
    """
    seen: dict[int, str] = {}
    for task in taskset.tasks:
        if task.priority in seen:
            raise InputError(
                f"tasks {seen[task.priority]!r} and {task.name!r} share priority {task.priority}; "
                "the analysis needs distinct ones (with_priorities assigns them)"
            )
        seen[task.priority] = task.name
        if task.deadline_ns > task.period_ns:
            raise InputError(
                f"task {task.name!r}: deadline {task.deadline_ns} ns is beyond the period "
                f"{task.period_ns} ns; this analysis needs a deadline up to the period"
            )


def response_times(taskset: TaskSet) -> tuple[Response, ...]:
    """Bound the response of every task under fixed priorities, in the order of the set.

    Raises
    ------
    InputError
        See `check_model`.
    """
    check_model(taskset)
    cut = chunked(taskset)
    order = sorted(range(len(cut.tasks)), key=lambda i: cut.tasks[i].priority)
    loads = [load(cut.tasks[i], len(cut.resources)) for i in order]
    found = bounds(loads)
    answers = {index: _explain(cut, order, rank, loads, found) for rank, index in enumerate(order)}
    return tuple(answers[i] for i in range(len(order)))


def _overload(taskset: TaskSet, tasks: Sequence[Task]) -> str:
    """Return which resource some tasks alone overload, or nothing."""
    for r, resource in enumerate(taskset.resources):
        share = sum((Fraction(t.work_ns(r), t.period_ns) for t in tasks), Fraction(0))
        if share > 1:
            return (
                f"utilization {float(share):.3f} of {resource.name!r} is over its capacity of 1: "
                "lengthen periods or move layers"
            )
    return ""


def _explain(
    taskset: TaskSet,
    order: Sequence[int],
    rank: int,
    loads: Sequence[Load],
    found: Sequence[int | None],
) -> Response:
    task, own = taskset.tasks[order[rank]], loads[rank]
    if found[rank] is None:
        first = found.index(None)
        reason = f"more urgent task {taskset.tasks[order[first]].name!r} has no bound"
        if first == rank:
            reason = _overload(taskset, [taskset.tasks[i] for i in order[: rank + 1]])
            reason = reason or f"response exceeds the period {task.period_ns} ns"
        return Response(task=task.name, bound_ns=None, deadline_ns=task.deadline_ns, reason=reason)
    above = [(loads[i], value) for i, value in enumerate(found[:rank]) if value is not None]
    block = blocks(loads)[rank]
    best = bound(own, above, block)
    assert best is not None
    blocking = sum(block[r] for r, *_ in own.segments)
    terms = [("work", sum(own.work)), ("jitter", own.jitter_ns), ("blocking", blocking)]
    for i in range(rank):
        without = bound(own, above[:i] + above[i + 1 :], block)
        assert without is not None
        terms.append((taskset.tasks[order[i]].name, best[0] - without[0]))
    return Response(
        task=task.name,
        bound_ns=best[0],
        deadline_ns=task.deadline_ns,
        method=best[1],
        terms=tuple(terms),
    )
