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

Energy over the window is ``idle_mw * window + sum of task and transfer energies``; the window is
the deadline if there is one, else the latency.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from heterolith.errors import InputError

OBJECTIVES = ("energy", "latency", "power", "scalenet")
HOME = -1
"""Producer index of a network input: it is at ``home`` at time zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One way to compute a task: a device at an operating point in a variant.

    ``energy_pj`` is dynamic energy, above idle; ``cost`` the task's SCALENet numerical cost
    (dimensionless, used by the objective ``scalenet`` alone).
    """

    device: int
    latency_ns: int
    energy_pj: int
    weight_bytes: int = 0
    cost: float = 0.0
    point: str = "nominal"
    variant: str = "fp32"

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
        Latency bound and length of the energy window.
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

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise InputError(f"objective {self.objective!r} is not one of {', '.join(OBJECTIVES)}")
        if self.objective == "power" and self.limits.deadline_ns is None:
            raise InputError("objective power needs a deadline: average power is energy over it")
        for index, task in enumerate(self.tasks):
            if not task.choices:
                raise InputError(f"task {task.name!r} has no device that can compute it")
            for tensor in task.inputs:
                if self.tensors[tensor].producer >= index:
                    raise InputError(f"task {task.name!r} reads a tensor that is made later")
