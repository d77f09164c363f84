"""Who goes first: the keys of classic policies, and the surface on which others build.

At every moment at which a resource is free the waiting piece with the smallest key starts; ties go
to the earlier task. Hooks that a policy does not override cost nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from heterolith.errors import unknown_name

if TYPE_CHECKING:
    from heterolith.scheduler.realtime.simulate import Job, Machine


HOOKS = ("on_release", "on_boundary", "on_complete", "on_idle", "on_instant", "on_start")


class Policy(ABC):
    """Base of all policies: a key, and hooks that may reroute, drop or move jobs."""

    @abstractmethod
    def key(self, job: Job, now_ns: int) -> int:
        """Return the urgency of a job's next piece when it is requested; smaller goes first."""

    def on_release(self, machine: Machine, job: Job) -> None:  # noqa: B027 - optional
        """Act before the first piece of a job is requested."""

    def on_boundary(self, machine: Machine, job: Job) -> None:  # noqa: B027 - optional
        """Act after a piece has ended and before the next is requested."""

    def on_complete(self, machine: Machine, job: Job) -> None:  # noqa: B027 - optional
        """Act after the last piece of a job, or after it was dropped."""

    def on_instant(self, machine: Machine) -> None:  # noqa: B027 - optional
        """Act once per instant, after its ends and releases and before anything starts."""

    def on_start(self, machine: Machine, job: Job) -> None:  # noqa: B027 - optional
        """Act right before a job's next piece starts; it may be replaced on the same resource."""

    def on_idle(self, machine: Machine, resource: int) -> None:  # noqa: B027 - optional
        """Act when a resource has nothing to do."""


class EarliestDeadline(Policy):
    """EDF: the earliest absolute deadline first."""

    def key(self, job: Job, now_ns: int) -> int:  # noqa: D102
        return job.deadline_ns


class FixedPriority(Policy):
    """The priority of the task; `with_priorities` assigns RM or DM."""

    def key(self, job: Job, now_ns: int) -> int:  # noqa: D102
        return job.task.priority


class LeastLaxity(Policy):
    """The least slack first: deadline minus the work that is left.

    While pieces wait, the laxity of all of them falls at the same rate, so the order at the request
    stays right.
    """

    def key(self, job: Job, now_ns: int) -> int:  # noqa: D102
        return job.deadline_ns - job.remaining_ns


class FirstCome(Policy):
    """FIFO: in the order of requests."""

    def key(self, job: Job, now_ns: int) -> int:  # noqa: D102
        return now_ns


POLICIES: dict[str, type[Policy]] = {
    "edf": EarliestDeadline,
    "fifo": FirstCome,
    "fp": FixedPriority,
    "llf": LeastLaxity,
}


def policy(name: str) -> Policy:
    """Return a classic policy by name.

    Raises
    ------
    InputError
        If the name is unknown; near matches are suggested.
    """
    if name not in POLICIES:
        raise unknown_name("policy", name, POLICIES)
    return POLICIES[name]()
