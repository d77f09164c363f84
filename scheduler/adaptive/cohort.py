"""NeuOS's decision at a layer boundary: one operating point for all, a degree for who runs next.

After the authors' slides (Bateni and Liu, ATC 2020); the equations are a reconstruction. LAG is the
time by which a network is ahead of its ideal schedule, positive = ahead: every layer has a share of
the deadline in proportion to its time, and ``LAG = shares of what is done - time since release``.
Times are ns, speeds and needs parts per million of the reference point.

1. Need of network i: ``S(i) = work / (shares left + LAG(i))``, work being what the resource must do
   by i's deadline, at the reference, exact: i's own and, in shared state, that of the cohort. What
   a later deadline needs, an earlier one needs too: the largest S from i on counts.
2. Delta: for every network the point with the least PowerUp whose SpeedUp is at least S(i).
3. X: what is left of every network's need at every point of Delta, ``S(j) / SpeedUp(j)``; above 1
   the network has to be approximated by that much.
4. The mode picks a point of Delta: least PowerUp (min-energy), least sum of X (max-accuracy), or
   both (balanced). The network that runs next takes the degree of least loss that makes up for X.

Ours: a point is picked only if after the next layer all deadlines can still be met at the fastest
point and the deepest degrees, and changes of the point are paid for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import hypot, sqrt

from heterolith.errors import unknown_name
from heterolith.scheduler.adaptive.powerup import PPM, PowerUp

BEYOND = 64 * PPM
"""Need of a network whose time is over."""


def lag_ns(shares: Sequence[int], done: int, elapsed_ns: int) -> int:
    """Return how far ahead a network is: shares of its first `done` layers less the time passed."""
    return sum(shares[:done]) - elapsed_ns


@dataclass(frozen=True, slots=True)
class Member:
    """What a network of the cohort shows the others, and its next layer.

    Attributes
    ----------
    left_ns
        Time to its deadline: shares of the layers left, plus LAG.
    exact_ns, deepest_ns
        Work left at the reference, exact and at the deepest degrees.
    kind
        Of the next layer.
    times
        Worst-case times of the next layer by degree, the exact one first.
    """

    left_ns: int
    exact_ns: int
    deepest_ns: int
    kind: int
    times: tuple[int, ...]


Due = tuple[int, int, int]
"""Work that will yet arrive: time to its deadline, exact, deepest."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A point of Delta: what it draws, the sum of X and of X above 1, the runner's degree."""

    point: int
    power_ppm: int
    needs_ppm: int
    excess_ppm: int
    degree: int


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a decision rests on; `members` by deadline, the one that runs next first."""

    tables: PowerUp
    members: tuple[Member, ...]
    due: tuple[Due, ...] = ()
    point: int = 0
    switch_ns: int = 0


def needs(at: Situation, lost_ns: int = 0) -> list[int]:
    """Return S of every member in ppm, with some time lost to a change of the point."""
    found, work, waiting = [], 0, sorted(at.due, reverse=True)
    for member in at.members:
        work += member.exact_ns
        while waiting and waiting[-1][0] <= member.left_ns:
            work += waiting.pop()[1]
        left = member.left_ns - lost_ns
        found.append(min(BEYOND, -(-work * PPM // left)) if left > 0 else BEYOND)
    return list(accumulate(reversed(found), max))[::-1]


def degree_for(times: Sequence[int], need_ppm: int) -> int:
    """Return the first degree that speeds a layer up by a need, else the deepest."""
    bound = times[0] * PPM
    return next((d for d, time in enumerate(times) if time * need_ppm <= bound), len(times) - 1)


def choices(at: Situation) -> list[Choice]:
    """Return Delta with its X: one choice per distinct point.

    A network asks for another point only if the present one is too slow for it, or the other draws
    less and is fast enough though the change takes time.
    """
    speeds, powers, runner = at.tables.speed_ppm, at.tables.power_ppm, at.members[0]
    stay, change = needs(at), needs(at, at.switch_ns)
    points: dict[int, None] = {}
    for member, now, then in zip(at.members, stay, change, strict=True):
        other, speed, power = at.point, speeds[member.kind], powers[member.kind]
        found = at.tables.point(member.kind, then)
        if speed[at.point] < now or (power[found] < power[at.point] and speed[found] >= then):
            other = found
        points[other] = None
    made = []
    for point in points:
        wanted = stay if point == at.point else change
        rest = [s * PPM // speeds[m.kind][point] for m, s in zip(at.members, wanted, strict=True)]
        made.append(
            Choice(
                point=point,
                power_ppm=at.tables.power_ppm[runner.kind][point],
                needs_ppm=sum(rest),
                excess_ppm=sum(r - PPM for r in rest if r > PPM),
                degree=degree_for(runner.times, rest[0]),
            )
        )
    return made


def slacks(at: Situation) -> list[tuple[bool, int]]:
    """Return per deadline whether the runner's work is due by it, and the least time to spare.

    The least is what is left if all runs at the fastest point and the deepest degrees.
    """
    ends = [(m.left_ns, m.deepest_ns, i == 0) for i, m in enumerate(at.members)]
    ends += [(left, deepest, False) for left, _, deepest in at.due]
    found, work, own = [], 0, False
    for left, deepest, runner in sorted(ends):
        work, own = work + deepest, own or runner
        found.append((own, left - work))
    return found


def safe(at: Situation, spare: Sequence[tuple[bool, int]], point: int, degree: int) -> bool:
    """Whether all deadlines can still be met after the next layer at a point and degree."""
    runner, speeds = at.members[0], at.tables.speed_ppm
    fastest = at.tables.rows[runner.kind][-1][2]
    time = -(-runner.times[degree] * PPM // speeds[runner.kind][point])
    time += at.switch_ns * ((point != at.point) + (point != fastest))
    planned = runner.times[-1]
    return all(time <= slack + (planned if own else 0) for own, slack in spare)


def _least_power(found: Sequence[Choice]) -> Choice:
    return min(found, key=lambda c: (c.power_ppm, c.needs_ppm))


def _least_needs(found: Sequence[Choice]) -> Choice:
    return min(found, key=lambda c: (c.needs_ppm, c.power_ppm))


def _scores(values: Sequence[int]) -> list[float]:
    """Return standard scores, 0 if all values are equal."""
    mean = sum(values) / len(values)
    spread = sqrt(sum((v - mean) ** 2 for v in values) / len(values))
    return [(v - mean) / spread if spread else 0.0 for v in values]


def _regression(found: Sequence[Choice]) -> Choice:
    """Pick what lies deepest below the line through (power, excess); ties go to the lesser sum.

    On standard scores the least-squares line has the correlation as its slope. Every line through
    two points leaves no residual: of two the nearest to nothing is picked, see `_norm`.
    """
    if len(found) == 2:
        return _norm(found)
    x, y = _scores([c.power_ppm for c in found]), _scores([c.excess_ppm for c in found])
    slope = sum(a * b for a, b in zip(x, y, strict=True)) / len(found)
    ranked = [
        (round((b - slope * a) / sqrt(1 + slope * slope), 9), round(a + b, 9), c.power_ppm, i)
        for i, (a, b, c) in enumerate(zip(x, y, found, strict=True))
    ]
    return found[min(ranked)[3]]


def _norm(found: Sequence[Choice]) -> Choice:
    """Pick the least distance from no power and no excess, each relative to its largest."""
    power = max(c.power_ppm for c in found) or 1
    excess = max(c.excess_ppm for c in found) or 1
    return min(
        found, key=lambda c: (hypot(c.power_ppm / power, c.excess_ppm / excess), c.power_ppm)
    )


MODES: dict[str, Callable[[Sequence[Choice]], Choice]] = {
    "min-energy": _least_power,
    "max-accuracy": _least_needs,
    "balanced": _regression,
    "balanced-norm": _norm,
}


def mode(name: str) -> Callable[[Sequence[Choice]], Choice]:
    """Return a mode's rule; raises `InputError` if there is none of that name."""
    if name not in MODES:
        raise unknown_name("NeuOS mode", name, MODES)
    return MODES[name]


def decide(at: Situation, rule: Callable[[Sequence[Choice]], Choice]) -> tuple[int, int]:
    """Return the operating point and the degree of the layer that runs next."""
    spare = slacks(at)
    found = [c for c in choices(at) if safe(at, spare, c.point, c.degree)]
    runner = at.members[0]
    if not found:
        point = at.tables.rows[runner.kind][-1][2]
        allowed = (d for d in range(len(runner.times)) if safe(at, spare, point, d))
        return point, next(allowed, len(runner.times) - 1)
    best = rule(found)
    if best.point != at.point and _stays(at, best) and safe(at, spare, at.point, best.degree):
        return at.point, best.degree
    return best.point, best.degree


def _stays(at: Situation, best: Choice) -> bool:
    """Whether the present point is as fast as the chosen one and a change would not pay.

    Going down is undone some time: it costs two changes, each at the power of the point it leads
    to. It saves, idle power included, until the runner's deadline: then others decide.
    """
    runner = at.members[0]
    speed, power = at.tables.speed_ppm[runner.kind], at.tables.power_ppm[runner.kind]
    if speed[at.point] < speed[best.point]:
        return False

    def spent(point: int) -> int:
        busy = min(runner.left_ns, runner.exact_ns * PPM // speed[point])
        return (
            busy * power[point] + (runner.left_ns - busy) * at.tables.idle_ppm[runner.kind][point]
        )

    cost = at.switch_ns * (power[best.point] + power[at.point])
    return spent(at.point) - spent(best.point) <= cost
