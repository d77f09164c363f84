"""Task sets for tests: small hand-made ones and random ones."""

from random import Random

from heterolith.scheduler.realtime import Piece, Resource, Task, TaskSet, with_priorities
from heterolith.scheduler.realtime.generate import uunifast


def task(name, period, *works, deadline=None, **options):
    """Return a task; a work is a WCET on resource 0 or ``(resource, wcet[, bcet])``."""
    pieces = []
    for number, work in enumerate(works):
        resource, wcet, *best = work if isinstance(work, tuple) else (0, work)
        pieces.append(
            Piece(resource=resource, wcet_ns=wcet, bcet_ns=(*best, wcet)[0], name=str(number))
        )
    return Task(
        name=name,
        period_ns=period,
        deadline_ns=deadline or period,
        pieces=tuple(pieces),
        **options,
    )


def taskset(*tasks, rule="dm", **options):
    """Return a task set on as many resources as the pieces need."""
    count = 1 + max(piece.resource for item in tasks for piece in item.pieces)
    resources = tuple(Resource(name=f"r{i}", **options) for i in range(count))
    return TaskSet(resources=resources, tasks=with_priorities(tasks, rule))


def random_set(rng: Random) -> TaskSet:
    """Return two to five tasks on one to three resources, with jitter and short deadlines."""
    count, resources = rng.randrange(2, 6), rng.randrange(1, 4)
    tasks = []
    for number, share in enumerate(uunifast(count, rng.uniform(0.2, 0.8 * resources), rng)):
        period = rng.choice([10, 20, 25, 40, 50, 80, 100]) * rng.randrange(1, 4) * 10
        total = max(1, int(share * period))
        cuts = sorted(rng.sample(range(1, total), min(total - 1, rng.randrange(6))))
        where, works = rng.randrange(resources), []
        for low, high in zip([0, *cuts], [*cuts, total], strict=True):
            if rng.random() < 0.4:
                where = rng.randrange(resources)
            works.append((where, high - low, rng.randrange(1, high - low + 1)))
        tasks.append(
            task(
                f"t{number}",
                period,
                *works,
                deadline=rng.choice([period, period * 4 // 5]),
                jitter_ns=rng.choice([0, 0, 0, period // 10]),
            )
        )
    return taskset(*tasks)


def tight_set(rng: Random) -> TaskSet:
    """Return two to four tasks of like pieces on one or two resources, near their capacity."""
    count, resources, size = rng.randrange(2, 5), rng.randrange(1, 3), rng.randrange(2, 6)
    tasks = []
    for number in range(count):
        works = [
            (rng.randrange(resources), 10 * rng.choice([size, size, rng.randrange(1, 2 * size)]))
            for _ in range(rng.randrange(1, 4))
        ]
        total = sum(wcet for _, wcet in works)
        share = rng.uniform(0.6, 1.05) * rng.choice([1, resources]) / count
        period = max(total, 10 * round(total / share / 10))
        deadline = rng.choice([period, period, max(10, period * 9 // 100 * 10)])
        tasks.append(task(f"t{number}", period, *works, deadline=deadline))
    return taskset(*tasks)
