"""Measured choices are kept, used again, and can be done without."""

import json

import numpy as np
import pytest

from heterolith.sw.execute import execute
from heterolith.sw.fast import CompiledNetwork, Options
from heterolith.sw.fast import tune as module
from heterolith.sw.fast.conv_spec import conv_spec
from heterolith.sw.fast.program import Choice
from heterolith.sw.fast.tune import Tuner, cache_file, measure_ns

from .fast_nets import SAME, Builder


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """Give a cache folder of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def network():
    """Return a network with two shapes worth measuring and one that is too small."""
    b = Builder((1, 3, 24, 24))
    t = b.conv("x", 16, 3, **SAME)
    t = b.conv(b.conv(t, 32, 3, **SAME), 32, 3, **SAME)
    return b.network(b.conv(t, 2))


def test_a_measurement_is_made_once(cache, monkeypatch):
    """The second compilation reads what the first one wrote."""
    calls = []

    def measure(spec, choices):
        calls.extend((spec.key, choice) for choice in choices)
        return [1 if choice.path == "gather" else 2 for choice in choices]

    monkeypatch.setattr(module, "measure_ns", measure)
    net, inputs = network()
    first = CompiledNetwork(net, Options(threads=1))
    assert {key for key, _ in calls} == {conv_spec(net, layer).key for layer in net.layers[1:3]}
    assert [choice.path for choice in first.choices.values()][1:3] == ["gather", "gather"]
    count = len(calls)
    second = CompiledNetwork(net, Options(threads=1))
    assert len(calls) == count
    assert second.choices == first.choices
    for name, value in execute(net, inputs).items():
        np.testing.assert_allclose(second.run(inputs)[name], value, rtol=1e-4, atol=1e-4)


def test_nothing_is_measured_read_or_written_when_off(cache, monkeypatch):
    """Without measuring, choices are the same everywhere."""
    monkeypatch.setattr(module, "measure_ns", pytest.fail)
    net, _ = network()
    cache_file().parent.mkdir()
    cache_file().write_text("[]")
    choices = CompiledNetwork(net, Options(threads=1, tune_s=0.0)).choices
    assert [choice.path for choice in choices.values()][1:3] == ["winograd2", "winograd2"]
    assert cache_file().read_text() == "[]"


def test_measuring_ends_when_its_time_is_up(cache, monkeypatch):
    """What was not measured takes the usual path."""
    calls = []

    def measure(spec, choices):
        calls.append(spec.key)
        return [1] * len(choices)

    ticks = iter(range(0, 1000, 10))
    monkeypatch.setattr(module, "measure_ns", measure)
    monkeypatch.setattr(module, "perf_counter", lambda: next(ticks))
    net, _ = network()
    CompiledNetwork(net, Options(threads=1, tune_s=5.0))
    assert len(set(calls)) == 1


@pytest.mark.parametrize(
    "content", ["", "{", "[1]", '{"choices": {"k": 1}}', '{"choices": {"k": {}}}']
)
def test_a_broken_cache_is_ignored(cache, content):
    """It is a cache: what cannot be read is measured again."""
    cache_file().parent.mkdir()
    cache_file().write_text(content)
    tuner = Tuner(1.0)
    tuner.fastest("key", {"threads": 2, "processes": 1})
    tuner.save()
    assert Tuner(1.0).known("key") == "processes"
    assert [path.suffix for path in cache_file().parent.iterdir()] == [".json"]


def test_two_writers_keep_each_others_choices(cache):
    """What another process measured in between is not lost."""
    first, second = Tuner(1.0), Tuner(1.0)
    first.fastest("a", {"threads": 1})
    second.fastest("b", {"threads": 1})
    first.save()
    second.save()
    stored = json.loads(cache_file().read_text())
    assert set(stored["choices"]) == {"a", "b"}
    assert stored["processor"] == module.processor()


def test_a_folder_that_cannot_be_written_is_no_error(cache, monkeypatch):
    """Choices then last as long as the process."""
    blocked = cache / "file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    tuner = Tuner(1.0)
    tuner.fastest("a", {"threads": 1})
    tuner.save()
    assert tuner.known("a") == "threads"
    assert blocked.read_text() == ""


def test_an_unknown_path_in_the_cache_is_measured_again(cache, monkeypatch):
    """Choices of another geometry or by hand do no harm."""
    monkeypatch.setattr(module, "measure_ns", lambda spec, choices: [1] * len(choices))
    net, _ = network()
    spec = conv_spec(net, net.layers[1])
    row = {"path": "winograd9", "block_bytes": 1, "small": True}
    cache_file().parent.mkdir()
    cache_file().write_text(json.dumps({"choices": {spec.key: row}}))
    assert Tuner(1.0).choose(spec, False).path == "winograd2"


def test_measuring_runs_the_layer():
    """Times are positive, and every path of a shape can be measured."""
    net, _ = network()
    spec = conv_spec(net, net.layers[1])
    choices = [Choice(path) for path in ("gather", "winograd2", "winograd4")]
    assert min(measure_ns(spec, choices)) > 0


def test_workers_are_measured_and_remembered(cache):
    """Threads or processes: whichever was faster is taken again."""
    net, inputs = network()
    first = CompiledNetwork(net, Options(threads=2))
    second = CompiledNetwork(net, Options(threads=2))
    assert first.workers == second.workers
    for compiled in (first, second):
        compiled.run(inputs)
        compiled.close()
