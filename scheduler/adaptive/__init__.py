"""Networks with knobs of accuracy, and the policies that turn them under deadlines.

Door: `Scenario`, `AdaptivePolicy`, `evaluate`; all policies by name are in `bench`, declared
scenarios in `scenarios`.
"""

from heterolith.scheduler.adaptive.books import JobView
from heterolith.scheduler.adaptive.model import (
    AdaptiveTask,
    Board,
    Degree,
    KnobLayer,
    KnobNetwork,
    Place,
    Scenario,
    SystemPoint,
    hull,
    place,
)
from heterolith.scheduler.adaptive.policy import AdaptivePolicy
from heterolith.scheduler.adaptive.run import PolicyRow, evaluate
from heterolith.scheduler.adaptive.trace import ImageTrace

__all__ = [
    "AdaptivePolicy",
    "AdaptiveTask",
    "Board",
    "Degree",
    "ImageTrace",
    "JobView",
    "KnobLayer",
    "KnobNetwork",
    "Place",
    "PolicyRow",
    "Scenario",
    "SystemPoint",
    "evaluate",
    "hull",
    "place",
]
