"""Schedulability studies: many random task sets, several policies, any number of workers.

Every set has a random generator of its own, seeded by study, point and number, so the outcome does
not depend on who computes what. Finished blocks are kept in a side file next to the result; a study
that was stopped goes on from there.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from io import BytesIO, StringIO
from pathlib import Path
from random import Random

from heterolith.errors import InputError, MissingExtraError, unknown_name
from heterolith.scheduler.realtime.attack import attacks, horizon_ns
from heterolith.scheduler.realtime.baselines import all_on, dart_cut, preferable, task_level
from heterolith.scheduler.realtime.generate import uunifast
from heterolith.scheduler.realtime.lalarand import Allocation, allocate, schedulable
from heterolith.scheduler.realtime.migrate import Migration
from heterolith.scheduler.realtime.policies import FixedPriority
from heterolith.scheduler.realtime.profile import NetworkTask, NetworkTimes
from heterolith.scheduler.realtime.simulate import simulate
from heterolith.scheduler.realtime.tasks import Resource, TaskSet

BLOCK = 20
"""Sets per unit of work."""
SIMULATED = ("fp", "migration")
"""Policies that are judged by simulation."""
RUNS = 8
"""Simulations of one set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """What to sweep. Utilization is that of the reference resource, were it to compute all.

    `policies` are ``all:R``, ``preferable``, ``task-level``, ``cut:A>B``, ``layer-level``, and
    ``layer-level:A+B`` for layer-level allocation on some of the resources. These count sets whose
    bounds meet all deadlines. ``simulated:fp`` and ``simulated:migration`` count sets that the
    runs of `attacks` drive to no miss under the layer-level assignment: no guarantee, but what a
    policy without bounds can be compared by.
    """

    networks: tuple[NetworkTimes, ...]
    resources: tuple[str, ...]
    reference: str
    counts: tuple[int, ...]
    utilizations: tuple[float, ...]
    policies: tuple[str, ...]
    sets: int = 100
    seed: int = 0
    evaluations: int = 4000

    def __post_init__(self) -> None:
        if min(self.sets, self.evaluations, *self.counts) < 1 or min(self.utilizations) <= 0:
            raise InputError("sets, evaluations, task counts and utilizations must be above 0")
        for network in self.networks:
            if network.resources != len(self.resources):
                raise InputError(
                    f"network {network.name!r} has times for {network.resources} resources; the "
                    f"study names {len(self.resources)}"
                )
            if any(row[self.index(self.reference)] is None for row in network.layers):
                raise InputError(
                    f"reference {self.reference!r} cannot compute all of {network.name!r}"
                )
        for name in self.policies:
            decider(self, name)

    def index(self, resource: str) -> int:
        """Return the index of a resource by name."""
        if resource not in self.resources:
            raise unknown_name("resource", resource, self.resources)
        return self.resources.index(resource)

    def key(self) -> str:
        """Return a hash of everything that decides the outcome."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Sets of one point that a policy accepts."""

    tasks: int
    utilization: float
    policy: str
    sets: int
    schedulable: int


Decider = Callable[[Sequence[NetworkTask]], bool]
Block = tuple[int, float, int]
"""Task count, utilization, number of the block."""


def decider(study: Study, policy: str) -> Decider:
    """Return the test of a policy by name.

    Raises
    ------
    InputError
        If the name is unknown.
    """
    kind, _, argument = policy.partition(":")
    if kind == "all" and argument:
        r = study.index(argument)
        return lambda tasks: schedulable(tasks, all_on(tasks, r))
    if policy == "preferable":
        return lambda tasks: schedulable(tasks, preferable(tasks))
    if policy == "task-level":
        return lambda tasks: any(schedulable(tasks, a) for a in task_level(tasks))
    if kind == "cut" and argument.count(">") == 1:
        first, second = (study.index(name) for name in argument.split(">"))
        return lambda tasks: schedulable(tasks, dart_cut(tasks, first, second))
    if kind == "layer-level":
        kept = {study.index(name) for name in (argument or "+".join(study.resources)).split("+")}
        return lambda tasks: _layer_level(tasks, kept, study.evaluations)
    if kind == "simulated" and argument in SIMULATED:
        return lambda tasks: _simulated(study, tuple(tasks), argument)
    known = (
        "all:R", "preferable", "task-level", "cut:A>B", "layer-level", "layer-level:A+B",
        *(f"simulated:{name}" for name in SIMULATED),
    )  # fmt: skip
    raise unknown_name("policy", policy, known)


def _layer_level(tasks: Sequence[NetworkTask], kept: set[int], evaluations: int) -> bool:
    """Allocate on some of the resources; impossible if one of the layers runs on none of them."""
    cut = []
    for task in tasks:
        layers = tuple(
            tuple(time if r in kept else None for r, time in enumerate(row))
            for row in task.network.layers
        )
        if any(all(time is None for time in row) for row in layers):
            return False
        cut.append(replace(task, network=replace(task.network, layers=layers)))
    return _allocated(tuple(cut), evaluations).schedulable


@lru_cache(maxsize=1)
def _allocated(tasks: tuple[NetworkTask, ...], evaluations: int) -> Allocation:
    """Allocate once for all the policies that ask about the same set in turn."""
    return allocate(tasks, evaluations=evaluations)


def _simulated(study: Study, tasks: tuple[NetworkTask, ...], name: str) -> bool:
    """Whether no run misses a deadline, with execution times down to half of the WCET."""
    places = _allocated(tasks, study.evaluations).assignments
    bound = []
    for task, assignment in zip(tasks, places, strict=True):
        times = replace(task.network, best_ppm=min(task.network.best_ppm, 500_000))
        bound.append(replace(task, network=times).bind(assignment))
    made = TaskSet(resources=tuple(Resource(name=r) for r in study.resources), tasks=tuple(bound))
    named = {task.name: task for task in tasks}
    planned = dict(zip(named, places, strict=True))
    span = horizon_ns(made)
    for attacked, options in attacks(made, RUNS, 0):
        runs = Migration(named, planned) if name == "migration" else FixedPriority()
        if simulate(attacked, runs, span, options).misses:
            return False
    return True


def make_tasks(study: Study, count: int, utilization: float, number: int) -> list[NetworkTask]:
    """Return one random set: UUniFast shares over networks drawn at random, rate monotonic."""
    rng = Random(f"{study.seed} {count} {utilization!r} {number}")
    reference = study.index(study.reference)
    drawn = []
    for share in uunifast(count, utilization, rng):
        network = rng.choice(study.networks)
        work = sum(row[reference] or 0 for row in network.layers)
        drawn.append((max(1, int(work / max(share, 1e-9))), network))
    drawn.sort(key=lambda item: item[0])
    return [
        NetworkTask(
            name=f"t{rank}", network=network, period_ns=period, deadline_ns=period, priority=rank
        )
        for rank, (period, network) in enumerate(drawn)
    ]


def blocks(study: Study) -> list[Block]:
    """Return the units of work."""
    return [
        (count, utilization, number)
        for count in study.counts
        for utilization in study.utilizations
        for number in range(-(-study.sets // BLOCK))
    ]


def evaluate(study: Study, block: Block) -> tuple[Block, list[int]]:
    """Return how many sets of a block each policy accepts."""
    count, utilization, number = block
    tests = [decider(study, policy) for policy in study.policies]
    accepted = [0] * len(tests)
    for index in range(number * BLOCK, min((number + 1) * BLOCK, study.sets)):
        tasks = make_tasks(study, count, utilization, index)
        for at, test in enumerate(tests):
            accepted[at] += test(tasks)
    return block, accepted


def local(study: Study, pending: Sequence[Block], jobs: int) -> Iterator[tuple[Block, list[int]]]:
    """Evaluate blocks in this process, or in several."""
    if jobs == 1:
        yield from (evaluate(study, block) for block in pending)
        return
    from concurrent.futures import ProcessPoolExecutor, as_completed

    with ProcessPoolExecutor(jobs) as pool:
        try:
            for future in as_completed([pool.submit(evaluate, study, block) for block in pending]):
                yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def cluster(
    study: Study, pending: Sequence[Block], address: str
) -> Iterator[tuple[Block, list[int]]]:
    """Evaluate blocks on an existing Dask cluster.

    Raises
    ------
    MissingExtraError
        If dask.distributed is not installed.
    InputError
        If no scheduler answers at the address.
    """
    try:
        import distributed
    except ModuleNotFoundError as error:
        raise MissingExtraError("distributed", "sweep") from error
    try:
        client = distributed.Client(address, timeout=10)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise InputError(f"no Dask scheduler answers at {address!r}: {error}") from error
    with client:
        futures = client.map(evaluate, [study] * len(pending), list(pending), pure=False)
        finished = distributed.as_completed(futures)  # type: ignore[no-untyped-call]
        for future in finished:
            yield future.result()


def sweep(
    study: Study,
    run: Callable[[Study, Sequence[Block]], Iterable[tuple[Block, list[int]]]],
    side: Path | None = None,
) -> Iterator[tuple[int, int, list[Row]]]:
    """Run a study; yield blocks done, blocks in all, and rows of the points that are complete.

    Parameters
    ----------
    run
        Evaluates blocks in any order, e.g. ``partial(local, jobs=2)``.
    side
        File that keeps finished blocks; read first if it is there.

    Raises
    ------
    InputError
        If the side file belongs to another study.
    """
    every, done = blocks(study), _resume(study, side)
    pending = [block for block in every if block not in done]
    yield len(done), len(every), _rows(study, done)
    file = side.open("a", encoding="utf-8") if side else None
    try:
        if file and not done:
            file.write(json.dumps({"study": study.key()}) + "\n")
        for block, accepted in run(study, pending):
            done[block] = accepted
            if file:
                file.write(json.dumps([*block, accepted]) + "\n")
                file.flush()
            yield len(done), len(every), _rows(study, done)
    finally:
        if file:
            file.close()


def _resume(study: Study, side: Path | None) -> dict[Block, list[int]]:
    if side is None or not side.exists():
        return {}
    lines = side.read_text(encoding="utf-8").splitlines()
    try:
        head = json.loads(lines[0])["study"] if lines else ""
        found = {(c, u, n): accepted for c, u, n, accepted in map(json.loads, lines[1:])}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{side} is no side file of a sweep ({error}); delete it") from error
    if lines and head != study.key():
        raise InputError(f"{side} belongs to another study; delete it or name another result")
    return found


def _rows(study: Study, done: dict[Block, list[int]]) -> list[Row]:
    parts = -(-study.sets // BLOCK)
    rows = []
    for count in study.counts:
        for utilization in study.utilizations:
            found = [done.get((count, utilization, number)) for number in range(parts)]
            complete = [item for item in found if item is not None]
            if len(complete) < parts:
                continue
            rows += [
                Row(
                    tasks=count,
                    utilization=utilization,
                    policy=policy,
                    sets=study.sets,
                    schedulable=sum(item[at] for item in complete),
                )
                for at, policy in enumerate(study.policies)
            ]
    return rows


def weighted(rows: Iterable[Row]) -> dict[str, float]:
    """Return each policy's weighted schedulability: accepted share weighted by utilization.

    Bastoni, Brandenburg and Anderson, OSPERT 2010.
    """
    top: dict[str, float] = {}
    bottom: dict[str, float] = {}
    for row in rows:
        top[row.policy] = top.get(row.policy, 0.0) + row.utilization * row.schedulable / row.sets
        bottom[row.policy] = bottom.get(row.policy, 0.0) + row.utilization
    return {policy: top[policy] / bottom[policy] for policy in top}


def to_csv(rows: Sequence[Row]) -> str:
    """Return rows as CSV text."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["tasks", "utilization", "policy", "sets", "schedulable"])
    writer.writerows([r.tasks, r.utilization, r.policy, r.sets, r.schedulable] for r in rows)
    return text.getvalue()


def to_bytes(rows: Sequence[Row], suffix: str) -> bytes:
    """Return rows as a CSV or Parquet file.

    Raises
    ------
    MissingExtraError
        If the suffix is ``.parquet`` and pyarrow is not installed.
    """
    if suffix == ".csv":
        return to_csv(rows).encode()
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise MissingExtraError("pyarrow", "sweep") from error
    data = BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist([asdict(row) for row in rows]), data)
    return data.getvalue()
