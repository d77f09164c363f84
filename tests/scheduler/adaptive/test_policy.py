from dataclasses import replace

import pytest

from heterolith.errors import InputError
from heterolith.scheduler.adaptive.policy import AdaptivePolicy
from heterolith.scheduler.adaptive.run import evaluate

from .fixtures import board, network, scenario, task

MS = 10**6


def test_every_job_answers_and_energy_adds_up():
    """A light task answers always; energy is idle plus active times busy."""
    made = scenario(task(network(2 * MS, trace=False), 10 * MS), horizon_ns=100 * MS)
    row = evaluate("edf", AdaptivePolicy(made))
    assert (row.jobs, row.misses, row.accuracy) == (10, 0, None)
    assert row.energy_mj == pytest.approx((100 * 400 + 10 * 2 * 1000) / 1e3)


def test_accuracy_is_looked_up_and_not_estimated():
    """The booked accuracy is that of the recorded images, for the degrees that ran."""

    class Deep(AdaptivePolicy):
        def degree(self, view, machine):
            return 2

    net = network(2 * MS, 2 * MS, images=50)
    made = scenario(task(net, 10 * MS), horizon_ns=40 * 10 * MS)
    row = net.trace.row([net.layers[0].degrees[2].name] * 2, 0)
    wanted = net.trace.correct[row, net.trace.held_out :, 0].mean()  # 40 images, once each
    assert evaluate("deep", Deep(made)).accuracy == pytest.approx(wanted)


def test_a_deadline_is_firm_and_the_last_exit_before_it_counts():
    """A job ends at its deadline with the answer of the last exit reached."""
    net = network(4 * MS, 4 * MS, 4 * MS, exits=(0, 1, 2), count=1)
    made = scenario(task(net, 20 * MS, 9 * MS), horizon_ns=100 * MS)
    row = evaluate("edf", AdaptivePolicy(made))
    assert (row.jobs, row.misses, row.mean_depth) == (5, 0, 2.0)


def test_a_job_without_an_answer_is_a_miss_and_counts_as_wrong():
    """Without an exit by the deadline a job misses, and its answer is wrong."""
    made = scenario(task(network(9 * MS, count=1), 20 * MS, 8 * MS), horizon_ns=100 * MS)
    row = evaluate("edf", AdaptivePolicy(made))
    assert (row.misses, row.hard_misses, row.accuracy) == (5, 5, 0.0)


def test_clients_see_the_same_requests_whatever_the_policy():
    """A client asks again when its deadline is over, independent of when it was answered."""

    class Early(AdaptivePolicy):
        def goes_on(self, view, machine):
            return False

    net = network(4 * MS, 4 * MS, exits=(0, 1))
    made = scenario(task(net, 40 * MS, deadline_low_ns=20 * MS, hard=False), horizon_ns=2000 * MS)
    rows = [evaluate("x", kind(made)) for kind in (AdaptivePolicy, Early)]
    assert rows[0].jobs == rows[1].jobs
    assert (rows[0].mean_depth, rows[1].mean_depth) == (2.0, 1.0)


def test_a_switch_of_the_board_is_paid_once():
    """The whole board changes its point: one switch, one delay, idle power of the new point."""

    class Slow(AdaptivePolicy):
        def point(self, machine):
            return 1 if machine.now_ns >= 10 * MS else 0

    slow = board(points=2, switch_ns=MS, switch_pj=5 * 10**9)
    made = scenario(
        task(network(2 * MS, trace=False, count=1), 10 * MS), board=slow, horizon_ns=20 * MS
    )
    row = evaluate("slow", Slow(made))
    assert row.switches == 1
    busy = 2 * 1000 + (2.5 + 1) * 640  # the second job waits out the switch at 1.25 x its time
    assert row.energy_mj == pytest.approx((busy + 10 * 400 + 10 * 380) / 1e3 + 5)


def test_a_policy_runs_once_and_unknown_executions_are_refused():
    """A policy keeps books, so it runs once; unknown executions are refused."""
    made = scenario(task(network(2 * MS), 10 * MS), horizon_ns=50 * MS)
    policy = AdaptivePolicy(made)
    evaluate("edf", policy)
    with pytest.raises(InputError, match="has run already"):
        evaluate("edf", policy)
    with pytest.raises(InputError, match="execution"):
        evaluate("edf", AdaptivePolicy(replace(made, execution="median")))


def test_a_deadline_beyond_the_period_is_refused():
    """Jobs of a task do not overlap."""
    with pytest.raises(InputError, match="beyond the period"):
        task(network(2 * MS), 10 * MS, 11 * MS)
