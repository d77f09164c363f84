from dataclasses import replace
from itertools import product

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from heterolith import api, boards
from heterolith.errors import InputError
from heterolith.metrics.trace import Block, BlockDegree, RecordedTrace
from heterolith.scheduler.adaptive.model import AdaptiveTask, Scenario
from heterolith.scheduler.adaptive.neuos import MaxFrequency, NeuOS
from heterolith.scheduler.adaptive.pricing import BATCH, known_blocks, price
from heterolith.scheduler.adaptive.run import evaluate
from heterolith.scheduler.adaptive.sharing import Sharing

TX2 = boards.load("jetson-tx2")
WIDTH, SIDE = 32, 32


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Return a network of two convolutions, a block each, and an invented trace of it."""
    rng = np.random.default_rng(0)
    weights = [rng.normal(0, 0.1, (WIDTH, WIDTH, 3, 3)).astype(np.float32) for _ in range(2)]
    shape = [1, WIDTH, SIDE, SIDE]
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w0"], ["h"], name="first", pads=[1] * 4),
            helper.make_node("Conv", ["h", "w1"], ["y"], name="second", pads=[1] * 4),
        ],
        "two",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(w, f"w{i}") for i, w in enumerate(weights)],
    )
    path = tmp_path_factory.mktemp("pricing") / "two.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    network = api.load(path)
    names = ("fp32", "fp16", "int8", "lowrank:0.5")
    blocks = tuple(
        Block(
            name=layer.name,
            layers=(layer.name,),
            degrees=tuple(
                BlockDegree(name=name, changed=(layer.name,) if at else (), macs=1, loss=0.01 * at)
                for at, name in enumerate(names)
            ),
        )
        for layer in network.layers
    )
    choices = len(list(product(names, names)))
    trace = RecordedTrace(
        network=network.name,
        fingerprint=network.fingerprint(),
        data="invented, for tests",
        blocks=blocks,
        exits=(1,),
        confidence=np.full((choices, 8, 1), 0.5, np.float32),
        correct=np.ones((choices, 8, 1), bool),
    )
    return network, trace


@pytest.fixture(scope="module")
def cpu(recorded):
    """Return it on the TX2's CPU cluster."""
    return price(TX2, "cpu", {"two": recorded})


def test_times_at_the_reference_are_those_of_the_estimate(cpu, recorded):
    """Times at the reference are those of the estimate."""
    profile = api.metrics.estimate(recorded[0], TX2)
    for block, layer in zip(cpu.networks["two"].layers, recorded[0].layers, strict=True):
        rows = [c for c in profile.costs if (c.layer, c.device) == (layer.name, "cpu")]
        assert block.degrees[0].wcet_ns == pytest.approx(rows[0].latency_ns, abs=1)


def test_only_formats_that_the_device_has_a_rate_for_are_offered(cpu, recorded):
    """Only formats that the device has a rate for are offered."""
    gpu = price(TX2, "gpu", {"two": recorded})
    assert [d.name for d in cpu.networks["two"].layers[0].degrees] == ["fp32", "lowrank:0.5"]
    assert "fp16" in [d.name for d in gpu.networks["two"].layers[0].degrees]


def test_a_low_rank_that_is_slower_is_not_offered(recorded):
    """A low rank that is slower is not offered."""
    gpu = price(TX2, "gpu", {"two": recorded})  # starts two kernels instead of one
    for layer in gpu.networks["two"].layers:
        assert "lowrank:0.5" not in [degree.name for degree in layer.degrees]


def test_the_first_point_has_all_at_maximum_and_no_other_is_faster(cpu):
    """The first point has all at maximum and no other is faster."""
    points = cpu.board.points
    assert points[0].idle_mw == max(point.idle_mw for point in points)
    assert min(s for point in points for s in point.slowdown_ppm) == 1_000_000
    assert 5 < len(points) < 100


def test_every_point_but_the_first_is_on_the_front_of_some_block(cpu):
    """Every point but the first is on the front of some block."""
    points = cpu.board.points[1:]
    for point in points:
        assert any(
            all(
                other.slowdown_ppm[kind] > point.slowdown_ppm[kind]
                or other.idle_mw + other.active_mw[kind] >= point.idle_mw + point.active_mw[kind]
                for other in points
            )
            for kind in range(len(cpu.board.kinds))
        )


def test_no_batch_takes_longer_than_priced(cpu, recorded):
    """No batch takes longer than priced."""
    layer, sharing = cpu.networks["two"].layers[0], Sharing(once_ppm=cpu.batches)
    device, macs = TX2.device("cpu"), recorded[0].layers[0].macs
    for count in range(1, BATCH + 1):
        computing = count * macs / device.fp32_gmacs
        assert sharing.batch_ns("two", layer, 0, count) >= computing + device.launch_us * 1e3


def test_a_priced_network_runs_under_a_policy(cpu):
    """A priced network runs under a policy."""
    net = cpu.networks["two"]
    tasks = (AdaptiveTask(name="t", network=net, period_ns=10**7, deadline_ns=10**7),)
    made = Scenario(name="s", board=cpu.board, tasks=tasks, horizon_ns=10**9 + 1)
    slow, quick = (evaluate("p", p) for p in (NeuOS(made, "min-energy"), MaxFrequency(made)))
    assert slow.misses == quick.misses == 0
    assert slow.accuracy == 1.0
    assert slow.energy_mj < quick.energy_mj


@pytest.mark.parametrize(
    ("device", "best", "text"),
    [("npu", 0.7, "device 'npu'"), ("cpu", 0.0, r"BCET share 0\.0"), ("cpu", 1.1, "at most 1")],
)
def test_unknown_devices_and_shares_are_refused(recorded, device, best, text):
    """Unknown devices and shares are refused."""
    with pytest.raises(InputError, match=text):
        price(TX2, device, {"two": recorded}, best)


def test_a_trace_of_another_network_is_refused(recorded):
    """A trace of another network is refused."""
    network, trace = recorded
    other = RecordedTrace(
        network="other",
        fingerprint="0" * 16,
        data=trace.data,
        blocks=trace.blocks,
        exits=trace.exits,
        confidence=trace.confidence,
        correct=trace.correct,
    )
    with pytest.raises(InputError, match="recorded on other"):
        price(TX2, "cpu", {"two": (network, other)})


def test_losses_are_those_of_the_held_out_images_and_at_least_one_of_them(recorded):
    """A block's loss is counted on the first fifth; what loses nothing there loses one image."""
    trace = recorded[1]
    correct = np.ones((len(trace.choices), 50, 1), bool)
    correct[trace.choices.index((2, 0)), :3] = False  # of ten held-out images
    correct[:, 10:] = False
    many = replace(trace, correct=correct, confidence=np.full(correct.shape, 0.5, np.float32))
    first, second = known_blocks(many)
    assert [degree.loss for degree in first.degrees] == pytest.approx([0.0, 0.1, 0.3, 0.1])
    assert [degree.loss for degree in second.degrees] == pytest.approx([0.0, 0.1, 0.1, 0.1])
