from functools import partial

import pytest

from heterolith.errors import InputError
from heterolith.scheduler.realtime.sweep import (
    BLOCK,
    Study,
    cluster,
    local,
    make_tasks,
    sweep,
    to_bytes,
    weighted,
)

from .test_lalarand import network


@pytest.fixture
def study():
    """Return a small study over two networks."""
    from random import Random

    return Study(
        networks=(network(Random(1), 5), network(Random(2), 4)),
        resources=("a", "b"),
        reference="a",
        counts=(2, 3),
        utilizations=(0.8, 1.4),
        policies=("all:a", "task-level", "layer-level", "layer-level:a", "cut:a>b", "preferable"),
        sets=BLOCK + 5,
        evaluations=200,
    )


def result(study, run, side=None):
    """Return the bytes of a whole study."""
    rows = []
    for _, _, found in sweep(study, run, side):
        rows = found
    return to_bytes(rows, ".csv")


def test_two_processes_and_a_dask_cluster_give_the_same_bytes_as_one(study):
    """Two processes and a Dask cluster give the same bytes as one."""
    alone = result(study, partial(local, jobs=1))
    assert alone.count(b"\n") == 1 + 4 * 6
    assert result(study, partial(local, jobs=2)) == alone
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as made:
        assert result(study, partial(cluster, address=made.scheduler_address)) == alone


def test_a_study_that_was_stopped_goes_on_where_it_was(study, tmp_path):
    """A study that was stopped goes on where it was."""
    side, seen = tmp_path / "s.csv.part", []

    def counting(study, pending):
        for item in local(study, pending, 1):
            seen.append(item[0])
            yield item

    run = sweep(study, counting, side)
    for _ in range(4):
        next(run)
    run.close()
    assert result(study, counting, side) == result(study, partial(local, jobs=1))
    assert len(seen) == len(set(seen)) == 8


def test_layer_level_never_accepts_less_than_what_it_starts_from(study):
    """Layer-level never accepts less than what it starts from."""
    *_, (_, _, rows) = sweep(study, partial(local, jobs=1))
    by = {(r.tasks, r.utilization, r.policy): r.schedulable for r in rows}
    for (tasks, utilization, _), count in by.items():
        assert by[tasks, utilization, "layer-level"] >= count
    shares = weighted(rows)
    assert max(shares.values()) == shares["layer-level"]


def test_a_set_depends_on_its_seed_and_number_alone(study):
    """A set depends on its seed and number alone."""
    assert make_tasks(study, 3, 0.8, 4) == make_tasks(study, 3, 0.8, 4)
    assert make_tasks(study, 3, 0.8, 4) != make_tasks(study, 3, 0.8, 5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"policies": ("task-levl",)}, "did you mean task-level"),
        ({"policies": ("all:c",)}, "unknown resource"),
        ({"reference": "c"}, "unknown resource"),
        ({"sets": 0}, "above 0"),
        ({"resources": ("a", "b", "c")}, "has times for 2"),
    ],
)
def test_wrong_studies_are_refused(study, change, words):
    """Wrong studies are refused."""
    from dataclasses import replace

    with pytest.raises(InputError, match=words):
        replace(study, **change)


def test_a_side_file_of_another_study_is_refused(study, tmp_path):
    """A side file of another study is refused."""
    side = tmp_path / "s.part"
    side.write_text('{"study": "abc"}\n')
    with pytest.raises(InputError, match="another study"):
        result(study, partial(local, jobs=1), side)
    side.write_text("garbage\n")
    with pytest.raises(InputError, match="no side file"):
        result(study, partial(local, jobs=1), side)


def test_no_scheduler_at_the_address_is_said(study):
    """No scheduler at the address is said."""
    with pytest.raises(InputError, match="no Dask scheduler"):
        result(study, partial(cluster, address="tcp://127.0.0.1:1"))
