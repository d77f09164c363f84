"""Policies for requests with stages: imprecise computation and its baselines, resource by resource.

A request with its answer stays until its deadline as long as more stages may be worth while; one
whose next stage cannot end in time is ended.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from heterolith.errors import InputError, unknown_name
from heterolith.scheduler.adaptive.books import JobView
from heterolith.scheduler.adaptive.imprecise import (
    EPSILON,
    PREDICTORS,
    Request,
    plan,
    predict,
    timely,
)
from heterolith.scheduler.adaptive.model import KnobNetwork, Scenario
from heterolith.scheduler.adaptive.policy import AdaptivePolicy
from heterolith.scheduler.realtime.simulate import Job, Machine


def check_stages(scenario: Scenario) -> None:
    """Refuse scenarios that imprecise computation is not defined for.

    Raises
    ------
    InputError
        If a task's blocks are on several resources, or an exit has no recorded confidence.
    """
    for task in scenario.tasks:
        used = sorted({layer.resource for layer in task.network.layers})
        if len(used) > 1:
            names = ", ".join(scenario.board.resources[r] for r in used)
            raise InputError(
                f"task {task.name!r} has blocks on {names}; stages are planned for one resource"
            )
        if task.network.trace is None and len(task.network.exits) > 1:
            raise InputError(
                f"network {task.network.name!r} has exits without confidence; give it a trace "
                "recorded with `heterolith accuracy --record`"
            )


class Chooser(AdaptivePolicy):
    """Names the request that runs next, each time the resource is free; the reference point."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario)
        check_stages(scenario)
        self._next: JobView | None = None

    @abstractmethod
    def choose(self, waiting: Sequence[JobView], machine: Machine) -> JobView | None:
        """Return who runs next; None ends all that wait."""

    def key(self, job: Job, now_ns: int) -> int:  # noqa: D102 - as in AdaptivePolicy
        return -1 if self._next is not None and job is self._next.job else super().key(job, now_ns)

    def on_instant(self, machine: Machine) -> None:  # noqa: D102 - as in Policy
        super().on_instant(machine)
        for resource in sorted({v.network.layers[0].resource for v in self.live if v is not None}):
            if machine.running[resource] is not None:
                continue
            waiting = [v for v in self.live if v is not None and resource_of(v) == resource]
            self._next = self.choose(waiting, machine)
            if self._next is None:
                for view in [v for v in waiting if not v.ended]:
                    machine.reroute(view.job, ()) if view.depth else machine.drop(view.job)
            elif len(waiting) > 1:
                machine.reroute(self._next.job, self._next.job.pieces[self._next.job.index :])
            self._next = None


def resource_of(view: JobView) -> int:
    """Return the resource of a request, all stages of which are on one."""
    return view.network.layers[0].resource


class RoundRobin(Chooser):
    """One stage each in turn."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario)
        self._last = -1

    def choose(self, waiting: Sequence[JobView], machine: Machine) -> JobView | None:  # noqa: D102
        del machine
        count = len(self.scenario.tasks)
        found = min(waiting, key=lambda view: (view.index - self._last - 1) % count)
        self._last = found.index
        return found


class LeastConfidence(Chooser):
    """LCF: the request whose answer is least sure; the earlier deadline among equals."""

    def choose(self, waiting: Sequence[JobView], machine: Machine) -> JobView | None:  # noqa: D102
        del machine
        return min(
            waiting,
            key=lambda view: (
                view.confidences[-1] if view.confidences else 0.0,
                view.job.deadline_ns,
            ),
        )


@dataclass(slots=True)
class _Plan:
    """What is planned for one request: predicted confidences, and how many exits to reach."""

    predicted: tuple[float, ...]
    depth: int


DISPATCH = ("mandatory", "edf")


class Imprecise(Chooser):
    """Depths by dynamic programming, dispatch by EDF, mandatory stages before optional ones.

    The plan is made anew when requests arrive. A new confidence exchanges stages greedily: where
    the next stage of the request gains less than one that another forgoes, the latter takes its
    place. Where even the mandatory first stages do not fit, as many requests as possible are kept
    (`timely`) and the others dropped.

    Parameters
    ----------
    utility
        ``exp``, ``max``, ``linear`` or ``oracle``: see `predict`.
    epsilon
        The plan's rewards are within this share of the optimum.
    dispatch
        ``mandatory``: requests without an answer go before those that have one, in the plan too.
        ``edf``: by deadline alone, as published; requests yet to come then find less time left.
    """

    def __init__(
        self,
        scenario: Scenario,
        utility: str = "exp",
        epsilon: float = EPSILON,
        dispatch: str = "mandatory",
    ) -> None:
        super().__init__(scenario)
        if utility not in PREDICTORS:
            raise unknown_name("utility prediction", utility, PREDICTORS)
        if dispatch not in DISPATCH:
            raise unknown_name("dispatch", dispatch, DISPATCH)
        self.utility, self.epsilon, self.dispatch = utility, epsilon, dispatch
        self._mean = [mean_confidence(task.network) for task in scenario.tasks]
        self._stages = [task.network.stage_ns() for task in scenario.tasks]
        self._new: set[int] = set()

    def admit(self, view: JobView, machine: Machine) -> bool:  # noqa: D102 - as in AdaptivePolicy
        del machine
        view.data = _Plan(predicted=self._predict(view), depth=0)
        self._new.add(resource_of(view))
        return True

    def goes_on(self, view: JobView, machine: Machine) -> bool:  # noqa: D102 - as in AdaptivePolicy
        view.data.predicted = self._predict(view)
        if resource_of(view) not in self._new:
            self._exchange(view, machine.now_ns)
        return True

    def choose(self, waiting: Sequence[JobView], machine: Machine) -> JobView | None:  # noqa: D102
        views = sorted(waiting, key=lambda view: (view.job.deadline_ns, view.index))
        if resource_of(waiting[0]) in self._new:
            self._new.remove(resource_of(waiting[0]))
            views = self._admitted(views, machine)
            self._plan(views, machine.now_ns)
        wanted = self._foremost(views)
        if wanted is None and views:
            self._plan(views, machine.now_ns)  # time may be left over where pieces were short
            wanted = self._foremost(views)
        return wanted

    def _foremost(self, views: Sequence[JobView]) -> JobView | None:
        """Return the first by deadline whose plan goes on; see `dispatch`."""
        planned = [view for view in views if view.data.depth > view.depth]
        if self.dispatch == "mandatory":
            planned.sort(key=lambda view: view.depth > 0)
        return planned[0] if planned else None

    def _predict(self, view: JobView) -> tuple[float, ...]:
        trace = view.network.trace
        true: tuple[float, ...] = ()
        if self.utility == "oracle" and trace is not None:
            exact = tuple(layer.degrees[0].name for layer in view.network.layers)
            exits = range(len(trace.exits))
            true = tuple(float(trace.confidence[trace.row(exact, e), view.image, e]) for e in exits)
        mean = self._mean[view.index]
        return predict(self.utility, view.confidences, mean, true or mean)

    def _left_ns(self, view: JobView, depth: int) -> int:
        """Return the time that a request still takes to a depth; stages that began are partial."""
        last = view.network.exits[depth - 1] if depth else -1
        layers = view.network.layers[view.layer : last + 1]
        return sum(layer.degrees[0].wcet_ns for layer in layers)

    def _admitted(self, views: Sequence[JobView], machine: Machine) -> list[JobView]:
        """Drop requests whose mandatory stages do not all fit."""
        owed = [
            (v.job.deadline_ns - machine.now_ns, 0 if v.depth else self._left_ns(v, 1))
            for v in views
        ]
        kept = []
        for view, stays in zip(views, timely(owed), strict=True):
            if stays:
                kept.append(view)
            else:
                machine.drop(view.job)
        return kept

    def _plan(self, views: Sequence[JobView], now_ns: int) -> None:
        """Plan depths; the mandatory stages fit and are no option to leave out."""
        owed = self._owed(views)
        begin = now_ns + sum(owed)
        requests = []
        for view, first_ns in zip(views, owed, strict=True):
            depths = range(max(1, view.depth), len(view.network.exits) + 1)
            options = tuple(
                (self._left_ns(view, depth) - first_ns, view.data.predicted[depth - 1])
                for depth in depths
            )
            requests.append(Request(deadline_ns=view.job.deadline_ns - begin, options=options))
        chosen = plan(requests, self.epsilon)
        for number, view in enumerate(views):
            first = max(1, view.depth)
            view.data.depth = first + chosen[number] if chosen is not None else first

    def _owed(self, views: Sequence[JobView]) -> list[int]:
        """Return the time of each request that goes before all optional stages."""
        if self.dispatch == "edf":
            return [0] * len(views)
        return [0 if view.depth else self._left_ns(view, 1) for view in views]

    def _exchange(self, view: JobView, now_ns: int) -> None:
        """Give the next stage's time to a request that would gain more from it."""
        if view.data.depth <= view.depth:
            return
        mine = _gain(view, view.depth)
        others = [
            v for v in self.live
            if v is not None and v is not view and resource_of(v) == resource_of(view)
            and v.data.depth < len(v.network.exits)
        ]  # fmt: skip
        others.sort(key=lambda v: -_gain(v, v.data.depth))
        for other in others:
            if _gain(other, other.data.depth) <= mine:
                return
            before = view.data.depth
            view.data.depth, other.data.depth = view.depth, other.data.depth + 1
            if self._fits(resource_of(view), now_ns):
                return
            view.data.depth, other.data.depth = before, other.data.depth - 1

    def _fits(self, resource: int, now_ns: int) -> bool:
        views = sorted(
            (v for v in self.live if v is not None and resource_of(v) == resource),
            key=lambda v: (v.job.deadline_ns, v.index),
        )
        owed = self._owed(views)
        end = now_ns + sum(owed)
        for view, first_ns in zip(views, owed, strict=True):
            end += self._left_ns(view, view.data.depth) - first_ns
            if end > view.job.deadline_ns and view.data.depth > max(1, view.depth):
                return False
        return True


def _gain(view: JobView, depth: int) -> float:
    """Return what the stage after a depth adds to the predicted confidence."""
    predicted = view.data.predicted
    return float(predicted[depth] - (predicted[depth - 1] if depth else 0.0))


def mean_confidence(network: KnobNetwork) -> tuple[float, ...]:
    """Return the mean confidence of each exit of the exact network over the held-out images."""
    trace = network.trace
    if trace is None:
        return (1.0,) * len(network.exits)
    exact = tuple(layer.degrees[0].name for layer in network.layers)
    return tuple(
        float(trace.confidence[trace.row(exact, e), : trace.held_out, e].mean())
        for e in range(len(trace.exits))
    )
