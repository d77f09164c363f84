"""The placement problem: which device computes which layer, under hard limits.

All quantities are integers: time in nanoseconds, power in milliwatts, energy in picojoules
(1 mW x 1 ns = 1 pJ), memory in bytes. A problem holds no network and no platform, only their
costs, so that every solver and the checker work on the same plain numbers.

Execution model. Tasks are dispatched in problem order, which is topological. A device serves its
tasks, and a link its transfers, in dispatch order, one at a time and never preempted. To start
task k on device d: each distinct input tensor, in input order, that is not yet at d is sent from
the device that produced it over ``routes[origin, d]``, hop after hop (a hop starts when the
previous hop has ended and the link is free); it is then at d for later tasks too. The task starts
when d is free and all inputs are at d. After the last task every network output is sent to
``home`` likewise. The latency is the end of the last task or output transfer. Independent branches
on different devices overlap.

Operating points. The devices of a `Domain` share a clock: all their tasks between two cuts (tasks
after which everything is idle, `heterolith.scheduler.modules`) run at one point. At a cut the
domain may change it: all of the platform then waits ``switch_ns``, domain after domain. A domain
that cannot switch keeps one point for the whole plan. Devices in no domain choose theirs task by
task, at no cost.

Several networks. With `members` the tasks of several networks share the platform. Each network's
outputs are sent home right after its own last task, and its latency ends with them. The order of
dispatch is then a decision as well: `reordered` returns the problem in another one.

Streaming. Under ``limits.period_ns`` an input arrives every period and inputs overlap: whatever
serves one at a time (a device, a link) must have its work on one input done within the period,
which suffices for a cyclic schedule that repeats every period. The latency is that of one input
alone.

Energy over the window is ``idle_mw * window + sum of task, transfer and switching energies``; the
window is the period if there is one, else the deadline, else the latency.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

from heterolith.errors import InputError

OBJECTIVES = ("energy", "latency", "period", "power", "scalenet")
HOME = -1
"""Producer index of a network input: it is at ``home`` at time zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One way to compute a task: a device at an operating point in a variant.

    ``energy_pj`` is dynamic energy, above idle; ``cost`` the task's SCALENet numerical cost
    (dimensionless, used by the objective ``scalenet`` alone); ``accuracy_loss_ppm`` what the
    variant loses of the network's top-1 accuracy, in millionths. Losses of several tasks add up, a
    first-order model.
    """

    device: int
    latency_ns: int
    energy_pj: int
    weight_bytes: int = 0
    cost: float = 0.0
    point: str = "nominal"
    variant: str = "fp32"
    accuracy_loss_ppm: int = 0

    @property
    def power_mw(self) -> int:
        """Dynamic power while the task runs, rounded up."""
        return -(-self.energy_pj // self.latency_ns) if self.latency_ns else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A layer: its input tensors, the tensors it makes, and its choices (never empty)."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One link crossing of a transfer."""

    link: int
    latency_ns: int
    energy_pj: int
    bytes: int
    cost: float = 0.0

    @property
    def power_mw(self) -> int:
        """Dynamic power while bytes move, rounded up."""
        return -(-self.energy_pj // self.latency_ns) if self.latency_ns else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """An activation: the index of its producing task (or `HOME`) and how it travels.

    ``routes[origin, target]`` holds the hops between two devices; a missing pair cannot be
    travelled; (d, d) is never there.
    """

    name: str
    producer: int
    routes: Mapping[tuple[int, int], tuple[Hop, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Hard limits; ``None`` means no limit.

    Attributes
    ----------
    deadline_ns
        Latency bound and length of the energy window. Several networks: that of the last one; each
        may have its own besides (`Member`).
    period_ns
        Bound on the work of the busiest device or link on one input: inputs arrive at this period.
    energy_pj
        Bound on the energy over the window, idle included.
    accuracy_loss_ppm
        Bound on the sum of accuracy losses.
    average_power_mw
        Bound on energy / window, idle power included. Without a deadline the window may be
        stretched by idling, so the bound sets the shortest period (`Metrics.period_ns`).
    peak_power_mw
        Bound on idle power plus the dynamic power of everything that runs at one instant.
    memory_bytes
        Bound for each memory domain: weights placed there + ``activation_bytes``.
    """

    deadline_ns: int | None = None
    average_power_mw: int | None = None
    peak_power_mw: int | None = None
    memory_bytes: int | None = None
    period_ns: int | None = None
    energy_pj: int | None = None
    accuracy_loss_ppm: int | None = None

    def __post_init__(self) -> None:
        for name in (row.name for row in fields(self)):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
                raise InputError(f"limit {name} is {value!r}; give a whole number")
        if self.period_ns is None:
            return
        if self.deadline_ns is not None and self.deadline_ns > self.period_ns:
            raise InputError(
                f"deadline {self.deadline_ns} ns is longer than the period {self.period_ns} ns: "
                "inputs would overlap and delay one another; give a deadline within the period, or "
                "the period alone"
            )
        if self.peak_power_mw is not None and self.deadline_ns is None:
            raise InputError(
                "a peak-power limit with a period needs a deadline within it: the powers of "
                "overlapping inputs add up"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """Devices with a common clock and voltage; see *operating points* in the module docstring.

    ``switch_ns`` and ``switch_pj`` are what one change of the point takes; ``None`` means that the
    point is set once for the whole plan.
    """

    name: str
    devices: tuple[int, ...]
    switch_ns: int | None = None
    switch_pj: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One of several networks: its tasks in dispatch order, its outputs, its own deadline."""

    name: str
    tasks: tuple[int, ...]
    outputs: tuple[int, ...]
    deadline_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Everything a solver or the checker needs; see the module docstring.

    Attributes
    ----------
    memory_of
        Device index -> memory domain index.
    memory_capacity_bytes
        Capacity per memory domain; a hard limit like ``limits.memory_bytes``.
    activation_bytes
        Peak of the live activations of the network at 4 bytes an element; every memory domain is
        charged with it (an upper bound).
    outputs
        Tensors wanted at ``home``.
    domains
        Devices that share an operating point; each device is in one at most.
    members
        The networks, if there are several; together they have every task once.
    """

    name: str
    devices: tuple[str, ...]
    links: tuple[str, ...]
    memories: tuple[str, ...]
    memory_of: tuple[int, ...]
    memory_capacity_bytes: tuple[int, ...]
    home: int
    tasks: tuple[Task, ...]
    tensors: tuple[Tensor, ...]
    outputs: tuple[int, ...]
    idle_mw: int
    activation_bytes: int = 0
    objective: str = "energy"
    limits: Limits = field(default_factory=Limits)
    domains: tuple[Domain, ...] = ()
    members: tuple[Member, ...] = ()

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise InputError(f"objective {self.objective!r} is not one of {', '.join(OBJECTIVES)}")
        if self.objective == "power" and self.fixed_window_ns is None:
            raise InputError("objective power needs a deadline: average power is energy over it")
        for index, task in enumerate(self.tasks):
            if not task.choices:
                raise InputError(f"task {task.name!r} has no device that can compute it")
            for tensor in task.inputs:
                if self.tensors[tensor].producer >= index:
                    raise InputError(
                        f"task {task.name!r} reads tensor {self.tensors[tensor].name!r}, which is "
                        "made later: the graph has a cycle, or its tasks are out of order"
                    )
        _check_groups(self)

    @property
    def fixed_window_ns(self) -> int | None:
        """Length of the energy window if it does not depend on the latency."""
        limits = self.limits
        return limits.deadline_ns if limits.period_ns is None else limits.period_ns


def _check_groups(problem: Problem) -> None:
    held = [device for domain in problem.domains for device in domain.devices]
    if len(held) != len(set(held)) or not set(held) <= set(range(len(problem.devices))):
        raise InputError(f"domains of {problem.name!r} hold a device twice or an unknown one")
    tasks = sorted(task for member in problem.members for task in member.tasks)
    if problem.members and tasks != list(range(len(problem.tasks))):
        raise InputError(f"members of {problem.name!r} do not have every task exactly once")


def reordered(problem: Problem, order: Sequence[int]) -> Problem:
    """Return the problem with its tasks in another order of dispatch.

    Parameters
    ----------
    order
        Task indices, each once.

    Raises
    ------
    InputError
        If a task comes before one whose tensor it reads.
    """
    place = {task: position for position, task in enumerate(order)}
    return replace(
        problem,
        tasks=tuple(problem.tasks[task] for task in order),
        tensors=tuple(
            tensor if tensor.producer == HOME else replace(tensor, producer=place[tensor.producer])
            for tensor in problem.tensors
        ),
        members=tuple(
            replace(member, tasks=tuple(sorted(place[task] for task in member.tasks)))
            for member in problem.members
        ),
    )
