"""Random placement problems, small enough to enumerate."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from heterolith.scheduler.problem import HOME, Choice, Domain, Hop, Limits, Problem, Task, Tensor

DEVICES = ("cpu", "fpga", "gpu")
LINKS = ("axi", "pcie")
ROUTES = {
    (0, 1): (0,), (1, 0): (0,), (0, 2): (1,), (2, 0): (1,), (1, 2): (0, 1), (2, 1): (1, 0)
}  # fmt: skip
"""FPGA and GPU reach each other over two hops."""


def random_problem(seed: int, objective: str = "energy", limits: Limits | None = None) -> Problem:
    """Return a DAG of 1 to 7 tasks on three devices.

    It has branches, skip connections, tasks with several outputs, network inputs read late or
    twice, outputs that are read again, unread outputs, closed routes, zero latencies and costs.
    """
    rng = Random(seed)
    count = rng.randint(1, 7)
    tensors = [(f"in{i}", HOME) for i in range(rng.choice((1, 1, 1, 2)))]
    rows = []
    for index in range(count):
        near = tensors[-rng.choice((1, 2, 3, 9)) :]
        size = min(len(near), rng.choice((1, 1, 1, 2, 2, 3)))
        names = rng.sample(range(len(tensors) - len(near), len(tensors)), size)
        inputs = tuple(names) + ((names[0],) if rng.random() < 0.05 else ())
        if rng.random() < 0.02:
            inputs = ()
        outputs = tuple(range(len(tensors), len(tensors) + rng.choice((1, 1, 1, 1, 2))))
        tensors += [(f"t{tensor}", index) for tensor in outputs]
        rows.append((inputs, outputs))
    outputs = [len(tensors) - 1]
    while rng.random() < 0.2:
        outputs.append(rng.randrange(len(tensors)))
    return Problem(
        name=f"random {seed}",
        devices=DEVICES,
        links=LINKS,
        memories=("board", "card"),
        memory_of=(0, 0, 1),
        memory_capacity_bytes=(1000, 1000),
        home=rng.choice((0, 0, 0, 2)),
        tasks=tuple(
            Task(name=f"task{i}", inputs=ins, outputs=outs, choices=_choices(rng))
            for i, (ins, outs) in enumerate(rows)
        ),
        tensors=tuple(
            Tensor(name=name, producer=producer, routes=_routes(rng)) for name, producer in tensors
        ),
        outputs=tuple(dict.fromkeys(outputs)),
        idle_mw=rng.choice((0, 1, 3, 10)),
        activation_bytes=rng.choice((0, 5)),
        objective=objective,
        limits=limits or Limits(),
    )


def random_points(seed: int, objective: str = "energy", limits: Limits | None = None) -> Problem:
    """Return a DAG of up to 4 tasks with operating points, domains that may switch, and losses."""
    base, number = random_problem(seed), seed
    while len(base.tasks) > 4:
        number += 10_000
        base = random_problem(number)
    rng = Random(seed)
    tasks = []
    for task in base.tasks:
        offers = [choice for choice in task.choices for _ in range(2)][:4]
        choices = tuple(
            replace(
                choice,
                point=rng.choice("ab"),
                variant=f"v{number}",
                latency_ns=choice.latency_ns + rng.randint(0, 9),
                energy_pj=rng.randint(0, 150),
                accuracy_loss_ppm=rng.choice((0, 0, rng.randint(1, 9))),
            )
            for number, choice in enumerate(offers)
        )
        tasks.append(replace(task, choices=choices))
    kinds = [(None, 0), (rng.randint(0, 6), rng.randint(0, 40))]
    groups = rng.choice((((0,), (1,)), ((0, 1), (2,)), ((0,), (1,), (2,)), ((1, 2),)))
    domains = []
    for row, devices in enumerate(groups):
        switch_ns, switch_pj = rng.choice(kinds)
        domains.append(
            Domain(name=f"d{row}", devices=devices, switch_ns=switch_ns, switch_pj=switch_pj)
        )
    return replace(
        base,
        tasks=tuple(tasks),
        domains=tuple(domains),
        objective=objective,
        limits=limits or Limits(),
    )


def _choices(rng: Random) -> tuple[Choice, ...]:
    devices = rng.sample(range(3), rng.choice((1, 2, 3, 3, 3)))
    if rng.random() < 0.15:
        devices.append(devices[0])
    return tuple(
        Choice(
            device=device,
            latency_ns=rng.choice((0, rng.randint(1, 9), rng.randint(1, 30))),
            energy_pj=rng.choice((0, rng.randint(1, 60), rng.randint(1, 200))),
            weight_bytes=rng.choice((0, rng.randint(1, 20))),
            cost=rng.choice((0.0, rng.random())),
            point=f"p{index}",
        )
        for index, device in enumerate(devices)
    )


def _routes(rng: Random) -> dict[tuple[int, int], tuple[Hop, ...]]:
    routes = {}
    for ends, links in ROUTES.items():
        if rng.random() < 0.03:
            continue
        routes[ends] = tuple(
            Hop(
                link=link,
                latency_ns=rng.choice((0, rng.randint(1, 10))),
                energy_pj=rng.choice((0, rng.randint(1, 30))),
                bytes=rng.randint(0, 9),
                cost=rng.choice((0.0, rng.random())),
            )
            for link in (links if rng.random() > 0.03 else ())
        )
    return routes
