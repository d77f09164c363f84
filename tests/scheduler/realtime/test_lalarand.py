from dataclasses import replace
from fractions import Fraction
from random import Random

import pytest

from heterolith.errors import InputError
from heterolith.scheduler.realtime import Resource, TaskSet, response_times
from heterolith.scheduler.realtime.baselines import all_on, dart_cut, preferable, task_level
from heterolith.scheduler.realtime.generate import uunifast
from heterolith.scheduler.realtime.lalarand import Evaluator, allocate, schedulable, with_speed
from heterolith.scheduler.realtime.profile import NetworkTask, NetworkTimes
from heterolith.scheduler.realtime.response import load


def network(rng, layers=8, resources=2):
    """Network."""
    rows, enter = [], []
    for _ in range(layers):
        row = [rng.randrange(50, 500) for _ in range(resources)]
        rows.append(tuple(row))
        enter.append(
            tuple(
                tuple(0 if a == b else rng.randrange(10, 60) for b in range(resources))
                for a in range(resources)
            )
        )
    return NetworkTimes(name="n", layers=tuple(rows), enter_ns=tuple(enter))


def tasks_of(rng, count, total, resources=2):
    """Tasks of."""
    tasks = []
    for number, share in enumerate(uunifast(count, total, rng)):
        net = network(rng, resources=resources)
        period = int(sum(row[0] for row in net.layers) / share) + 1
        tasks.append((period, number, net))
    return [
        NetworkTask(name=f"t{n}", network=net, period_ns=p, deadline_ns=p, priority=rank)
        for rank, (p, n, net) in enumerate(sorted(tasks, key=lambda t: t[:2]))
    ]


@pytest.mark.parametrize("resources", [2, 3])
def test_layer_level_accepts_whatever_a_coarser_scheme_accepts(resources):
    """Layer level accepts whatever a coarser scheme accepts."""
    more = 0
    for seed in range(25):
        tasks = tasks_of(Random(seed), 3, 0.85 * resources, resources)
        coarse = [*task_level(tasks), preferable(tasks), dart_cut(tasks, 0, 1)]
        found = allocate(tasks, evaluations=2000)
        assert found.schedulable >= any(schedulable(tasks, a) for a in coarse)
        more += found.schedulable and not any(schedulable(tasks, a) for a in coarse)
    assert more > 0


def test_an_accepted_allocation_meets_its_deadlines_by_the_analysis():
    """An accepted allocation meets its deadlines by the analysis."""
    for seed in range(20):
        tasks = tasks_of(Random(seed), 3, 1.0)
        found = allocate(tasks, evaluations=2000)
        if found.schedulable:
            bound = tuple(t.bind(a) for t, a in zip(tasks, found.assignments, strict=True))
            made = TaskSet(resources=(Resource(name="a"), Resource(name="b")), tasks=bound)
            assert all(r.schedulable for r in response_times(made))


def test_lateness_is_zero_exactly_when_schedulable():
    """Lateness is zero exactly when schedulable."""
    for seed in range(20):
        tasks = tasks_of(Random(seed), 3, 1.0)
        late, first = Evaluator(tasks).lateness(all_on(tasks, 0), stop=float("inf"))
        assert (late == 0) == (first is None) == schedulable(tasks, all_on(tasks, 0))


def test_a_switch_is_charged_where_a_resource_is_entered():
    """A switch is charged where a resource is entered."""
    net = network(Random(1), layers=3)
    pieces = net.pieces((0, 1, 1))
    assert pieces[1].wcet_ns == net.layers[1][1] + net.enter_ns[1][0][1]
    assert pieces[2].wcet_ns == net.layers[2][1]
    linked = net.pieces((0, 1, 1), link=2)
    assert [p.resource for p in linked] == [0, 2, 1, 1]


def test_a_layer_that_a_resource_cannot_compute_goes_elsewhere():
    """A layer that a resource cannot compute goes elsewhere."""
    net = NetworkTimes(
        name="n", layers=((5, None), (5, 3)), enter_ns=(((0, 0), (0, 0)),) * 2
    )  # fmt: skip
    assert net.alone(1) == (0, 1)
    with pytest.raises(InputError, match="cannot compute layer 0"):
        net.pieces((1, 1))


def test_a_cut_has_one_change_at_most_and_balances():
    """A cut has one change at most and balances."""
    tasks = tasks_of(Random(3), 4, 1.0)
    for assignment in dart_cut(tasks, 0, 1):
        assert sorted(assignment) == list(assignment)


def test_a_cut_is_the_one_that_balances_best():
    """The cut of each network is the best of all, by the work of its pieces."""
    for seed in range(10):
        tasks = tasks_of(Random(seed), 4, 1.0)
        loads = [Fraction(0), Fraction(0)]

        def mean(task):
            return Fraction(sum(map(sum, task.network.layers)), task.period_ns)

        found = dict(zip((t.name for t in tasks), dart_cut(tasks, 1, 0), strict=True))
        for item in sorted(tasks, key=mean, reverse=True):
            options = []
            for cut in range(9):
                made = item.bind((1,) * cut + (0,) * (8 - cut))
                after = [loads[r] + Fraction(made.work_ns(r), item.period_ns) for r in (0, 1)]
                options.append((abs(after[0] - after[1]), -cut, after))
            _, cut, loads = min(options)
            assert found[item.name] == (1,) * -cut + (0,) * (8 + cut)


@pytest.mark.parametrize("link", [None, 2])
def test_a_search_evaluates_what_the_analysis_sees(link):
    """Remembered summaries and bounds equal those of freshly bound tasks."""
    tasks, rng = tasks_of(Random(5), 4, 1.3), Random(6)
    tasks = [replace(t, network=replace(t.network, best_ppm=600_000)) for t in tasks]
    shared = Evaluator(tasks, link)
    places = [tuple(rng.randrange(2) for _ in range(8)) for _ in range(12)]
    for _ in range(200):
        chosen = [rng.choice(places) for _ in tasks]
        bound = [task.bind(a, link) for task, a in zip(tasks, chosen, strict=True)]
        assert shared.loads(chosen) == [load(task, 3 if link else 2) for task in bound]
        fresh = Evaluator(tasks, link).lateness(chosen, stop=9.0)
        assert shared.lateness(chosen, stop=9.0) == fresh


def test_the_speed_factor_touches_one_resource():
    """The speed factor touches one resource."""
    task = tasks_of(Random(3), 2, 1.0)[0]
    fast = with_speed(task, 1, 2.0).network.layers
    assert [row[0] for row in fast] == [row[0] for row in task.network.layers]
    assert fast[0][1] == round(task.network.layers[0][1] / 2)


def test_wrong_input_is_refused_with_its_reason():
    """Wrong input is refused with its reason."""
    tasks = tasks_of(Random(3), 2, 1.0)
    with pytest.raises(InputError, match="share a priority"):
        allocate([tasks[0], tasks[0]])
    with pytest.raises(InputError, match="no tasks"):
        allocate([])
    with pytest.raises(InputError, match="same resources"):
        allocate([tasks[0], tasks_of(Random(3), 1, 1.0, 3)[0]])
    with pytest.raises(InputError, match="above 0"):
        uunifast(3, 0, Random(1))
