"""The peak-power limit between concurrent items of a module.

A busy interval is (start in ns, end in ns, dynamic power in mW), half-open; an empty one has no
power. Tables hold them as int64 arrays of shape (items, 3, n).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from heterolith.scheduler.labels import Program
from heterolith.scheduler.model import Ints, Model


def can_exceed(model: Model, program: Program) -> bool:
    """Whether concurrent items of a module may break the peak-power limit."""
    if model.slack_mw is None:
        return False
    module = program.module
    powers: dict[tuple[str, int], int] = {}
    tensors = set(module.entries) | set(model.problem.outputs if module.final else ())
    for index in range(module.first, module.last):
        tensors.update(model.problem.tasks[index].inputs)
        for option in model.options[index]:
            key = ("device", option.device)
            powers[key] = max(powers.get(key, 0), int(option.power_mw.max()))
    for leg in (leg for t in tensors for route in model.routes[t].values() for leg in route):
        powers["link", leg.link] = max(powers.get(("link", leg.link), 0), leg.power_mw)
    return sum(powers.values()) > model.slack_mw


def too_hot(busy: Ints, first: int, slack_mw: int) -> npt.NDArray[np.bool_]:
    """Return, per column, whether an interval from index ``first`` on meets too high a power."""
    hot = np.zeros(busy.shape[2], bool)
    for item in range(first, len(busy)):
        start_ns, end_ns = busy[item, 0], busy[item, 1]
        meets = (busy[:, 0] < end_ns) & (start_ns < busy[:, 1])
        risky = (np.where(meets, busy[:, 2], 0).sum(axis=0) > slack_mw).nonzero()[0]
        if len(risky):
            starts, ends, power = busy[:, :, risky].transpose(1, 0, 2)
            # The sum is largest where some interval starts.
            for moment_ns in starts:
                inside = (starts[item] <= moment_ns) & (moment_ns < ends[item])
                load = np.where((starts <= moment_ns) & (moment_ns < ends), power, 0)
                hot[risky[inside & (load.sum(axis=0) > slack_mw)]] = True
    return hot
