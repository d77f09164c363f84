"""Teams do every part once, pass errors on and hold BLAS back."""

import gc
import sys
import threading

import numpy as np
import pytest

from heterolith.errors import InputError
from heterolith.sw.execute import prepare
from heterolith.sw.network import Layer
from heterolith.sw.numerics import prepared_numpy, within
from heterolith.sw.workers import team as module
from heterolith.sw.workers.team import Team, available_cores


def blas_threads():
    """Return the numbers of threads of the BLAS libraries that teams know."""
    return [library.get_num_threads() for library in module._BLAS._find()]


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_part_is_done_once(threads):
    """Parts are neither lost nor repeated, for one caller and for several."""
    team = Team(threads)
    done = []

    def call():
        for _ in range(20):
            team.run(done.append, range(13))

    callers = [threading.Thread(target=call) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    team.close()
    assert sorted(done) == sorted(list(range(13)) * 60)


def test_no_parts_are_done_at_once():
    """A layer without elements has no parts."""
    team = Team(2)
    team.run(print, [])
    team.close()


def test_an_error_in_a_part_reaches_the_caller():
    """The caller gets the exception, whichever thread met it, and the team lives on."""
    team = Team(3)

    def fail(part):
        if part == 7:
            raise InputError("part 7")

    for _ in range(10):
        with pytest.raises(InputError, match="part 7"):
            team.run(fail, range(9))
    done = []
    team.run(done.append, [1])
    team.close()
    assert done == [1]


def test_threads_compute_with_numpy_as_the_caller_set_it():
    """Run after run, however their own settings were before."""
    team = Team(3)
    for buffer in (256, 4096):
        barrier, found = threading.Barrier(3, timeout=10), []

        def note(_, barrier=barrier, found=found):
            barrier.wait()
            found.append((np.getbufsize(), *np.geterr().values()))

        with prepared_numpy(buffer):
            team.run(note, range(3))
        assert found == [(buffer, *["ignore"] * 4)] * 3
        found.clear()
        within(buffer)(team.run, note, range(3))
        assert found == [(buffer, *["ignore"] * 4)] * 3
    team.close()


def test_threads_end_when_closed_or_forgotten():
    """Neither close nor garbage collection leaves threads behind."""
    for forget in (False, True):
        team = Team(3)
        barrier = threading.Barrier(3, timeout=10)
        team.run(lambda _, barrier=barrier: barrier.wait(), range(3))
        mine = [thread for thread in threading.enumerate() if thread.name == "heterolith-cpu"]
        assert len(mine) >= 2
        if not forget:
            team.close()
            team.close()
        del team
        gc.collect()
        for thread in mine:
            thread.join(10)
            assert not thread.is_alive()


@pytest.mark.parametrize("threads", [1, 3])
def test_a_closed_team_works_again(threads):
    """With as many threads, and memory."""
    team = Team(threads)
    for _ in range(2):
        barrier, done = threading.Barrier(threads, timeout=10), []

        def task(part, barrier=barrier, done=done):
            barrier.wait()
            team.scratch(0, (9,), np.float32).fill(part)
            done.append(part)

        team.run(task, range(threads))
        team.empty((9,), np.float32).fill(1)
        assert sorted(done) == list(range(threads))
        team.close()


@pytest.mark.parametrize("threads", [1, 2])
def test_what_was_prepared_runs_after_its_team_was_closed(many_parts, threads):
    """It takes memory anew, as after the first close of a worker that others still use."""
    rng = np.random.default_rng(0)
    arrays = {"x": rng.standard_normal((2, 3, 9, 9)), "w": rng.standard_normal((4, 3, 3, 3))}
    layer = Layer(
        name="one", op="Conv", inputs=("x", "w"), outputs=("y",), attributes={"pads": (1,) * 4}
    )
    team = Team(threads)
    run = prepare(layer, arrays, team)
    (before,) = run(arrays)
    team.close()
    (after,) = run(arrays)
    team.close()
    assert not np.may_share_memory(before, after)
    np.testing.assert_array_equal(before, after)


def test_blas_has_one_thread_while_a_team_works():
    """The limit nests, ends with the last team, and gives back what was set."""
    before = blas_threads()
    assert before, "numpy has no BLAS that threadpoolctl knows"
    first, second = Team(2), Team(1)
    with first.at_work():
        with second.at_work():
            assert set(blas_threads()) == {1}
        assert set(blas_threads()) == {1}
    assert blas_threads() == before


def test_a_team_works_without_threadpoolctl(monkeypatch):
    """The library is optional: BLAS is then left alone."""
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    monkeypatch.setattr(module, "_BLAS", module._BlasLimit())
    with Team(1).at_work():
        assert blas_threads() == []


def test_a_team_needs_a_thread():
    """Zero threads are refused."""
    with pytest.raises(InputError, match="0 threads"):
        Team(0)
    assert available_cores() >= 1
