from dataclasses import replace
from random import Random

import pytest

from heterolith.errors import InputError
from heterolith.scheduler.realtime import Point, Resource, simulate
from heterolith.scheduler.realtime.contention import with_contention
from heterolith.scheduler.realtime.migrate import Migration
from heterolith.scheduler.realtime.taskfile import Workload, contended, read, to_toml

from .test_lalarand import tasks_of

TEXT = """
format = 1
[[resource]]
name = "cpu"
chunk = "1ms"
[[resource]]
name = "gpu"
idle = "0.5W"
active = "4W"
[[network]]
name = "net"
unit = "ms"
best = 0.5
times = { cpu = [4, 6, 0], gpu = [1, 8, 2] }
moves = { "cpu>gpu" = [1, 1], "gpu>cpu" = [2, 2] }
[[task]]
name = "a"
network = "net"
period = "33ms"
on = ["gpu", "cpu", "gpu"]
[[task]]
name = "b"
network = "net"
period = "20ms"
"""


NETWORK = """[[network]]
name = "net"
unit = "ms"
times = { cpu = [1] }
"""


def written(tmp_path, text):
    """Return the path of a file with this text."""
    path = tmp_path / "tasks.toml"
    path.write_text(text)
    return path


def test_a_file_becomes_a_task_set(tmp_path):
    """A file becomes a task set."""
    made = read(written(tmp_path, TEXT))
    assert [t.priority for t in made.tasks] == [1, 0]
    assert made.assignments == ((1, 0, 1), (1, 0, 1))
    times = [(p.resource, p.wcet_ns // 10**6) for p in made.taskset().tasks[0].pieces]
    assert times == [(1, 1), (0, 8), (1, 3)]
    assert made.resources[1].points == (Point(idle_mw=500, active_mw=4000),)
    assert made.taskset().tasks[0].pieces[1].bcet_ns == 4 * 10**6


def test_what_is_written_reads_back_the_same(tmp_path):
    """What is written reads back the same."""
    made = read(written(tmp_path, TEXT))
    assert read(written(tmp_path, to_toml(made))) == made


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("format = 1", "format = 2", "reads 1"),
        ('name = "gpu"', 'nam = "gpu"', "has no name"),
        ("[[task]]", "[[tsak]]", "did you mean task"),
        ('"33ms"', "33", "with its unit"),
        ('"33ms"', '"0ms"', "above 0"),
        ('"33ms"', '"33"', "no known unit"),
        ("[4, 6, 0]", "[4, 6]", "has 3 entries; it needs 2"),
        ("[4, 6, 0]", "[4, 6, -1]", "-1"),
        ("[1, 8, 2]", "[1, 8, 0]", "no resource computes layer 2"),
        ('"gpu", "cpu", "gpu"', '"gpu", "cpu", "gpx"', "did you mean gpu"),
        ('"gpu", "cpu", "gpu"', '"gpu", "cpu", "cpu"', "cannot compute layer 2"),
        ('"gpu", "cpu", "gpu"', '"gpu"', "one per layer"),
        ('"cpu>gpu"', '"cpu-gpu"', "ORIGIN>TARGET"),
        ('name = "b"', 'name = "a"', "named twice"),
        ('name = "b"', 'name = "b"\npriority = 1', "to all or to none"),
        ("format = 1", "format = [", "not valid TOML"),
        ('unit = "ms"', 'unit = "mss"', "did you mean ms"),
        ("best = 0.5", "best = 1.5", "best is 1.5"),
        ("best = 0.5", "best = 0", "best_ppm is 0"),
        ("best = 0.5", 'memory = "half"', "memory is 'half'"),
        ("[[network]]", NETWORK + "[[network]]", "network 'net' is named twice"),
        ('name = "gpu"', 'name = "cpu"', "resource 'cpu' is named twice"),
        ("cpu = [4, 6, 0]", "cpx = [4, 6, 0]", "did you mean cpu"),
        (
            'network = "net"\nperiod = "20ms"',
            'network = "nett"\nperiod = "20ms"',
            "did you mean net",
        ),
        ('period = "33ms"', 'period = "-3ms"', "period of 'a'"),
        ("format = 1", 'format = 1\nlink = "eth"', "unknown resource"),
    ],
)
def test_wrong_files_are_refused_with_the_reason(tmp_path, old, new, words):
    """Wrong files are refused with the reason."""
    with pytest.raises(InputError, match=words):
        read(written(tmp_path, TEXT.replace(old, new)))


def test_migration_takes_over_waiting_layers_and_keeps_jobs_whole():
    """Migration takes over waiting layers and keeps jobs whole."""
    moved = 0
    for seed in range(10):
        tasks = tasks_of(Random(seed), 3, 0.9)
        workload = Workload(
            resources=(Resource(name="a"), Resource(name="b")),
            tasks=tuple(tasks),
            assignments=tuple(task.network.alone(0) for task in tasks),
        )
        policy = Migration(
            {task.name: task for task in tasks},
            {t.name: a for t, a in zip(tasks, workload.assignments, strict=True)},
        )
        result = simulate(workload.taskset(), policy, 200_000)
        moved += policy.moves
        layers = sum(len(t.network.layers) * r.completed for t, r in zip(tasks, result.tasks,
                                                                        strict=True))  # fmt: skip
        assert 0 <= result.pieces - layers <= 3 * 8
        assert (result.resources[1].busy_ns > 0) == (policy.moves > 0)
    assert moved > 0


def test_two_networks_of_one_name_are_not_written(tmp_path):
    """Two different networks of one name are refused instead of one being lost."""
    made = read(written(tmp_path, TEXT))
    other = replace(made.tasks[1], network=replace(made.tasks[1].network, best_ppm=1))
    with pytest.raises(InputError, match="two networks are named 'net'"):
        to_toml(replace(made, tasks=(made.tasks[0], other)))


@pytest.mark.parametrize("link", [None, "bus"])
def test_contention_in_a_workload_is_that_of_its_pieces(tmp_path, link):
    """Stretching layer times before binding equals stretching bound pieces."""
    text = TEXT.replace("best = 0.5", "memory = 0.25").replace('chunk = "1ms"\n', "")
    if link:
        text = text.replace("format = 1", 'format = 1\nlink = "bus"\n[[resource]]\nname = "bus"')
    made = read(written(tmp_path, text))
    alone, masters = made.taskset(), ["cpu", "gpu", *([link] if link else [])]
    memory = {}
    for task, places in zip(made.tasks, made.assignments, strict=True):
        for layer, place in enumerate(places):
            own = task.network.layers[layer][place]
            pieces = next(t for t in alone.tasks if t.name == task.name).pieces
            whole = next(p.wcet_ns for p in pieces if p.name == str(layer))
            memory[f"{task.name}/{layer}"] = own // 4 + whole - own
    pieces = with_contention(alone, masters, memory).tasks[0].pieces
    layers = contended(made, masters).taskset().tasks[0].pieces
    assert [p.wcet_ns for p in layers] == [p.wcet_ns for p in pieces]
    assert all(x.bcet_ns <= y.bcet_ns for x, y in zip(layers, pieces, strict=True))


@pytest.mark.parametrize("masters", [["cpu"], ["cpu", "cpu"], ["cpu", "gpx"]])
def test_contention_needs_two_known_resources(tmp_path, masters):
    """Contention needs two known resources."""
    with pytest.raises(InputError, match=r"two or more|did you mean gpu"):
        contended(read(written(tmp_path, TEXT)), masters)
