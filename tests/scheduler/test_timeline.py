"""The execution model on cases worked out by hand."""

from dataclasses import replace

import pytest

from heterolith.errors import InputError
from heterolith.scheduler.problem import HOME, Choice, Hop, Problem, Task, Tensor
from heterolith.scheduler.timeline import Replay, UnreachableError, evaluate, peak_mw

from .instances import random_problem

HOPS = (
    Hop(link=0, latency_ns=3, energy_pj=6, bytes=4, cost=0.5),
    Hop(link=1, latency_ns=5, energy_pj=5, bytes=4, cost=0.25),
)


def choice(device: int, latency_ns: int, energy_pj: int, weight_bytes: int = 0) -> Choice:
    """Return a choice with one unit of cost."""
    return Choice(
        device=device,
        latency_ns=latency_ns,
        energy_pj=energy_pj,
        weight_bytes=weight_bytes,
        cost=1.0,
    )


def diamond() -> Problem:
    """Return input -> a -> (b, c) -> d; device 0 is home, device 1 lies two hops away."""
    routes = {(0, 1): HOPS, (1, 0): HOPS[::-1]}
    names = (("x", HOME), ("a", 0), ("b", 1), ("c", 2), ("d", 3))
    choices = (choice(0, 10, 20, 7), choice(1, 4, 40, 9))
    inputs = ((0,), (1,), (1,), (2, 3))
    return Problem(
        name="diamond",
        devices=("near", "far"),
        links=("first", "second"),
        memories=("ram", "vram"),
        memory_of=(0, 1),
        memory_capacity_bytes=(1000, 1000),
        home=0,
        tasks=tuple(
            Task(name=name, inputs=ins, outputs=(index + 1,), choices=choices)
            for index, (name, ins) in enumerate(zip("abcd", inputs, strict=True))
        ),
        tensors=tuple(Tensor(name=n, producer=p, routes=routes) for n, p in names),
        outputs=(4,),
        idle_mw=100,
        activation_bytes=50,
    )


def test_one_device_serves_tasks_one_after_another() -> None:
    """Without transfers the timeline is a queue."""
    timeline = evaluate(diamond(), (0, 0, 0, 0))
    assert timeline.start_ns == (0, 10, 20, 30)
    assert timeline.latency_ns == 40
    assert timeline.energy_pj == 80
    assert timeline.crossings == ()
    assert timeline.peak_power_mw == 102
    assert timeline.memory_bytes == (4 * 7 + 50, 0)
    assert timeline.cost == 4.0


def test_a_tensor_crosses_hop_after_hop_and_stays() -> None:
    """Two readers on the far device cause one transfer; the output returns home."""
    timeline = evaluate(diamond(), (0, 1, 1, 1))
    crossings = [(c.tensor, c.hop.link, c.start_ns, c.end_ns) for c in timeline.crossings]
    assert crossings == [(1, 0, 10, 13), (1, 1, 13, 18), (4, 1, 30, 35), (4, 0, 35, 38)]
    assert timeline.start_ns == (0, 18, 22, 26)
    assert timeline.latency_ns == 38
    assert timeline.energy_pj == 20 + 3 * 40 + 2 * 11
    assert timeline.weight_bytes == (7, 27)
    assert timeline.memory_bytes == (57, 77)
    assert timeline.cost == 4 + 2 * 0.75


def test_branches_on_two_devices_overlap() -> None:
    """Task b runs far while c runs near; both transfers of b's branch are waited for."""
    timeline = evaluate(diamond(), (0, 1, 0, 0))
    assert timeline.start_ns == (0, 18, 10, 30)
    assert timeline.end_ns == (10, 22, 20, 40)
    # c (2 mW) meets the crossings of a (2 and 1 mW) and b (10 mW) from 18 to 20.
    assert timeline.peak_power_mw == 100 + 2 + 10


def test_a_link_serves_transfers_in_dispatch_order() -> None:
    """The second tensor waits for the link although it was ready earlier than the first left."""
    problem = diamond()
    both = replace(problem.tasks[3], inputs=(1, 0))
    problem = replace(problem, tasks=(*problem.tasks[:3], both))
    timeline = evaluate(problem, (0, 0, 0, 1))
    starts = [(c.tensor, c.hop.link, c.start_ns) for c in timeline.crossings[:4]]
    assert starts == [(1, 0, 10), (1, 1, 13), (0, 0, 13), (0, 1, 18)]


def test_peak_power_is_half_open_and_ignores_instants() -> None:
    """An interval that ends where another starts does not add up; empty ones do not count."""
    assert peak_mw([(0, 5, 3), (5, 9, 4)]) == 4
    assert peak_mw([(0, 6, 3), (5, 9, 4)]) == 7
    assert peak_mw([(0, 6, 3), (2, 2, 90)]) == 3
    assert peak_mw([]) == 0


def test_a_missing_route_is_named() -> None:
    """The error has the tensor and both devices."""
    problem = diamond()
    stuck = replace(problem.tensors[1], routes={})
    problem = replace(problem, tensors=(problem.tensors[0], stuck, *problem.tensors[2:]))
    with pytest.raises(UnreachableError, match=r"'a' has no route from near to far"):
        evaluate(problem, (0, 1, 0, 0))


def test_a_selection_of_wrong_length_is_refused() -> None:
    """The error has both lengths."""
    with pytest.raises(InputError, match=r"3 entries, the problem has 4 tasks"):
        evaluate(diamond(), (0, 0, 0))


@pytest.mark.parametrize("seed", range(30))
def test_a_copied_replay_goes_on_independently(seed: int) -> None:
    """Copying between two tasks and carrying on gives the figures of the whole replay."""
    problem = random_problem(seed)
    choices = [task.choices[0] for task in problem.tasks]
    whole = Replay(problem)
    try:
        for index, taken in enumerate(choices):
            branch = whole.copy()
            for later in range(index, len(choices)):
                branch.dispatch(later, choices[later])
            assert branch.finish() == evaluate(problem, (0,) * len(choices)).latency_ns
            whole.dispatch(index, taken)
    except UnreachableError:
        return
    assert whole.finish() == branch.finish()
    assert whole.energy_pj == branch.energy_pj
