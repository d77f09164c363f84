"""Worst-case times under a DRAM that several resources share.

A piece that needs its memory for `memory_ns` alone is delayed, in the worst case, by one transfer
of every other master per transfer of its own if the arbiter is round robin and bursts are equal; so
with m masters the memory part takes m times as long. Latency-hiding only helps. The bound holds for
any interleaving; it says nothing about other arbiters.

`with_contention` stretches the pieces of a bound set; `contended` stretches layer times, before
resources are chosen. Transfers are memory through and through.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from heterolith.errors import InputError
from heterolith.scheduler.realtime.profile import NetworkTimes
from heterolith.scheduler.realtime.tasks import TaskSet


def with_contention(
    taskset: TaskSet, masters: Collection[str], memory_ns: Mapping[str, int]
) -> TaskSet:
    """Stretch the WCET of pieces on resources that share one DRAM.

    Parameters
    ----------
    taskset
        Tasks whose WCETs hold without contention.
    masters
        Names of the resources that share the DRAM.
    memory_ns
        Time in memory of a piece run alone, by ``task/piece``; at most its WCET. Pieces not named
        count as all memory.

    Raises
    ------
    InputError
        If a master is unknown or a memory time is above its piece's WCET.
    """
    shared = {taskset.resource(name) for name in masters}
    extra = len(shared) - 1
    tasks = []
    for task in taskset.tasks:
        pieces = []
        for piece in task.pieces:
            if piece.resource not in shared:
                pieces.append(piece)
                continue
            label = f"{task.name}/{piece.name}"
            memory = memory_ns.get(label, piece.wcet_ns)
            if not 0 <= memory <= piece.wcet_ns:
                raise InputError(
                    f"memory time of {label!r} is {memory} ns; it must be in 0..{piece.wcet_ns}"
                )
            pieces.append(replace(piece, wcet_ns=piece.wcet_ns + extra * memory))
        tasks.append(replace(task, pieces=tuple(pieces)))
    return replace(taskset, tasks=tuple(tasks))


def contended(
    network: NetworkTimes, masters: Collection[int], link: int | None = None
) -> NetworkTimes:
    """Stretch layer times and transfers on resources (indices) that share one DRAM.

    With m masters a layer takes ``1 + (m - 1) memory_ppm / 10^6`` times as long, a transfer m
    times. The best case stays without contention: `best_ppm` is divided by m, which no layer's
    best case is below.

    Parameters
    ----------
    link
        Resource that carries transfers; without one the entered resource does.
    """
    count = max(1, len(masters))
    factor = 1_000_000 + (count - 1) * network.memory_ppm

    def layer(time: int | None, resource: int) -> int | None:
        return time if time is None or resource not in masters else -(-time * factor // 1_000_000)

    def move(time: int, entered: int) -> int:
        return time * count if (entered if link is None else link) in masters else time

    return replace(
        network,
        layers=tuple(tuple(layer(t, r) for r, t in enumerate(row)) for row in network.layers),
        enter_ns=tuple(
            tuple(tuple(move(t, b) for b, t in enumerate(row)) for row in table)
            for table in network.enter_ns
        ),
        best_ppm=max(1, network.best_ppm // count),
    )
