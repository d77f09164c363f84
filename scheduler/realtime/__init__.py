"""Several networks in real time: task sets, simulation, analysis.

Door: `TaskSet`, `simulate`, `policy`, `response_times`.
"""

from heterolith.scheduler.realtime.policies import Policy, policy
from heterolith.scheduler.realtime.response import Response, response_times
from heterolith.scheduler.realtime.simulate import Options, simulate
from heterolith.scheduler.realtime.stats import Simulation
from heterolith.scheduler.realtime.tasks import (
    Piece,
    Point,
    Resource,
    Task,
    TaskSet,
    with_priorities,
)

__all__ = [
    "Options",
    "Piece",
    "Point",
    "Policy",
    "Resource",
    "Response",
    "Simulation",
    "Task",
    "TaskSet",
    "policy",
    "response_times",
    "simulate",
    "with_priorities",
]
