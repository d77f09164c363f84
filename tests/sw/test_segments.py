"""Segments: how a placed network is cut, and that one command stream computes what layers do."""

import csv
import os
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith import boards, hw
from heterolith.errors import InputError
from heterolith.hw.device.protocol import DeviceError
from heterolith.sw import CpuWorker, FpgaWorker, load_onnx, quantize
from heterolith.sw.offload import support
from heterolith.sw.segments import (
    Compiled,
    SegmentOptions,
    Totals,
    compile_segment,
    save_segment,
    site_of,
    totals,
    units,
)
from heterolith.sw.segments.forms import moves

from .drafts import Draft, grow
from .nets import random_inputs

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from networks import paths, randomize
from residual_networks import residual_network

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
LARGE = tuple(paths()) if os.environ.get("HETEROLITH_SOAK") else ("squeezenet", "shufflenet")
CONFIGS = {name: hw.config(name) for name in ("ultra96", "arty-a7-35t", "kv260")}


def carry_out(network, place, quantized, workers):
    """Return the network's outputs, units run in the order in which `units` gives them."""
    lanes = {name: w.lanes for name, w in workers.items() if getattr(w, "lanes", 0)}
    values = random_inputs(network, np.random.default_rng(1))
    for unit in units(network, place, lanes):
        worker = workers[unit.device]
        inputs = {x: values[x] for x in unit.inputs}
        if worker.number_format == "int8":
            inputs = {
                x: v if v.dtype == np.int8 else quantized.encode(x, v) for x, v in inputs.items()
            }
            worker.load_unit(network, unit)
            values |= {x: worker.run_unit(unit, inputs)[x] for x in unit.outputs}
            continue
        inputs = {x: quantized.decode(x, v) if v.dtype == np.int8 else v for x, v in inputs.items()}
        (layer,) = unit.layers
        worker.load(network, layer)
        values |= zip(layer.outputs, worker.run(layer, inputs), strict=True)
    return {x: values[x] for x in network.outputs}


def on_device(network, place, config, device="functional", **options):
    """Return outputs of a golden run and of a run on a device, and the device's worker."""
    quantized = quantize(network)
    cpu = CpuWorker(1)
    golden = FpgaWorker(quantized, config)
    expected = carry_out(network, place, quantized, {"cpu": cpu, "fpga": golden})
    worker = FpgaWorker(quantized, config, device, options=SegmentOptions(**options))
    found = carry_out(network, place, quantized, {"cpu": cpu, "fpga": worker})
    cpu.close()
    return expected, found, worker


def all_on_fpga(network):
    """Return a placement with every layer on the FPGA that it computes."""
    return {x.name: "cpu" if support(network, x) else "fpga" for x in network.layers}


@settings(deadline=None, max_examples=60)
@given(
    st.randoms(use_true_random=False),
    st.sampled_from(sorted(CONFIGS)),
    st.sampled_from([(1, 3, 8, 8), (1, 16, 6, 6), (2, 16, 5, 4), (2, 8, 4, 4)]),
    st.booleans(),
)
def test_segments_compute_what_layers_compute(random, name, shape, mixed):
    """Random networks, placed at random, give the golden model's outputs bit for bit."""
    draft = Draft(np.random.default_rng(random.randrange(2**32)), shape)
    grow(draft, random.randrange, 8)
    network = draft.network()
    place = all_on_fpga(network)
    if mixed:
        place = {x: random.choice((where, where, "cpu")) for x, where in place.items()}
    expected, found, worker = on_device(network, place, CONFIGS[name], verify=True)
    for output, value in expected.items():
        np.testing.assert_array_equal(found[output], value)
    assert all(report.wrong_codes == 0 for report in worker.reports())
    worker.close()


@settings(deadline=None, max_examples=60)
@given(st.randoms(use_true_random=False))
def test_units_can_run_in_their_order(random):
    """Every layer is in one unit, and each unit reads only what earlier ones made."""
    draft = Draft(np.random.default_rng(0), (1, 16, 8, 8))
    grow(draft, random.randrange, 14)
    network = draft.network()
    place = {
        layer: random.choice(("fpga", "other", "cpu")) if where == "fpga" else "cpu"
        for layer, where in all_on_fpga(network).items()
    }
    found = units(network, place, {"fpga": 16, "other": 16})
    assert sorted(x.name for u in found for x in u.layers) == sorted(place)
    there = set(network.inputs)
    for unit in found:
        assert {place[layer.name] for layer in unit.layers} == {unit.device}
        assert set(unit.inputs) <= there
        assert len(unit.layers) == 1 or unit.device != "cpu"
        there |= set(unit.outputs)
    assert set(network.outputs) <= there


def job_of(network, name="ultra96"):
    """Return the segments of a network that is all on the FPGA."""
    quantized, config = quantize(network), CONFIGS[name]
    known = Compiled()
    return [
        compile_segment(network, unit, lambda layer: known.operation(quantized, layer), config)
        for unit in units(network, all_on_fpga(network), {"fpga": config.lanes})
    ]


def test_branches_are_written_into_their_concatenation():
    """Joins of whole blocks, one inside the other, cost no command: as many as without them."""
    draft = Draft(np.random.default_rng(0), (1, 16, 8, 8))
    left, right = draft.conv("x0", 32), draft.conv("x0", 16, 1)
    inner = draft.concat(left, right)
    outer = draft.concat(inner, draft.conv(inner, 24))
    draft.conv(outer, 16)
    (segment,) = job_of(draft.network())
    assert len(segment.job.layer_names) == 4
    assert not any("concat" in name for name in segment.job.layer_names)


def test_an_operand_of_two_concatenations_is_copied_by_the_accelerator():
    """A tensor lies in one place; the second join of it is a copy in the same command stream."""
    draft = Draft(np.random.default_rng(0), (1, 16, 8, 8))
    x, y = draft.conv("x0", 16), draft.conv("x0", 16)
    draft.concat(x, y)
    draft.concat(y, x)
    network = draft.network()
    (segment,) = job_of(network)
    assert sum("concat" in name for name in segment.job.layer_names) == 2
    expected, found, _ = on_device(network, all_on_fpga(network), CONFIGS["ultra96"])
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)


def test_a_join_inside_a_block_goes_through_the_host():
    """Channels that do not fill a block cannot be joined by addresses."""
    draft = Draft(np.random.default_rng(0), (1, 16, 8, 8))
    draft.conv(draft.concat(draft.conv("x0", 12), draft.conv("x0", 16)), 16)
    network = draft.network()
    found = units(network, all_on_fpga(network), {"fpga": 16})
    assert [[layer.op for layer in unit.layers] for unit in found] == [
        ["Conv"],
        ["Conv"],
        ["Concat"],
        ["Conv"],
    ]
    assert [layer.name for layer in found[2].layers if moves(layer)] == ["concat2"]


def test_activations_share_memory():
    """A long chain of large layers takes the memory of the few tensors that live together."""
    draft = Draft(np.random.default_rng(0), (1, 64, 64, 64))
    x = "x0"
    for _ in range(8):
        x = draft.conv(x, 64, stride=1)
        draft.add("Relu", [x], draft.shape(x))
    (segment,) = job_of(draft.network(x))
    one = 64 * 64 * 64
    weights = 8 * 64 * 64 * 9
    # the input and eight outputs of Relu are the host's, the tensors between share two places
    assert segment.job.memory.size < weights + 9 * one + 2 * one + 8 * one // 2


def test_units_do_not_wait_for_each_other():
    """A segment that needs the CPU's second layer runs before the CPU's first, which needs it."""
    draft = Draft(np.random.default_rng(0), (1, 16, 8, 8))
    first = draft.conv("x0", 16)
    late = draft.add("Sigmoid", [first], (1, 16, 8, 8))
    early = draft.add("Sigmoid", ["x0"], (1, 16, 8, 8))
    draft.add("Add", [first, early], (1, 16, 8, 8))
    network = draft.network()
    found = units(network, all_on_fpga(network), {"fpga": 16})
    assert [unit.name for unit in found] == ["sigmoid2", "conv0..add3", "sigmoid1"]
    assert found[1].outputs == (first, "add3.y")
    assert found[2].inputs == (first,)
    assert late in network.outputs


def test_a_saved_segment_is_restored_from_its_commands():
    """Commands and parameters give the same window again; another layout is refused."""
    draft = Draft(np.random.default_rng(0), (1, 3, 8, 8))
    draft.gemm(draft.reshape(draft.conv("x0", 16), 1, 1024), 10)
    network = draft.network()
    quantized, config = quantize(network), CONFIGS["ultra96"]
    (unit,) = units(network, all_on_fpga(network), {"fpga": config.lanes})
    plain = Compiled()
    segment = compile_segment(
        network, unit, lambda layer: plain.operation(quantized, layer), config
    )
    saved = save_segment(segment, 7)
    again = Compiled(segments={unit.name: saved}).segment(quantized, unit, config)
    assert again.job.commands == segment.job.commands
    np.testing.assert_array_equal(again.job.memory, segment.job.memory)
    other = Compiled(segments={unit.name: replace(saved, digest="0" * 64)})
    with pytest.raises(InputError, match="another version of this program compiled it"):
        other.segment(quantized, unit, config)


def test_a_segment_must_be_loaded_and_takes_codes():
    """A unit that was not loaded, and inputs that are no codes of the right shape, are refused."""
    draft = Draft(np.random.default_rng(0), (1, 16, 8, 8))
    draft.conv("x0", 16)
    network = draft.network()
    (unit,) = units(network, all_on_fpga(network), {"fpga": 16})
    worker = FpgaWorker(quantize(network), CONFIGS["ultra96"], "functional")
    codes = np.zeros((1, 16, 8, 8), np.int8)
    with pytest.raises(InputError, match="load it first"):
        worker.run_unit(unit, {"x0": codes})
    worker.load_unit(network, unit)
    with pytest.raises(InputError, match="expects int8"):
        worker.run_unit(unit, {"x0": codes.astype(np.float32)})
    with pytest.raises(InputError, match="expects int8"):
        worker.run_unit(unit, {"x0": codes[:, :8]})
    worker.close()


def test_an_unknown_device_is_refused_with_the_known_ones():
    """The message names what there is."""
    draft = Draft(np.random.default_rng(0), (1, 16, 8, 8))
    draft.conv("x0", 16)
    with pytest.raises(InputError, match="did you mean rtl"):
        FpgaWorker(quantize(draft.network()), CONFIGS["ultra96"], "rtll")


def test_a_difference_to_the_golden_model_is_counted(monkeypatch):
    """Verification is not idle: codes that a device gets wrong show in the report."""
    draft = Draft(np.random.default_rng(0), (1, 16, 8, 8))
    draft.conv("x0", 16)
    network = draft.network()
    run = hw.FunctionalDevice.run_job

    def wrong(self, job, memory):
        counters = run(self, job, memory)
        memory[:4096] ^= 1
        return counters

    monkeypatch.setattr(hw.FunctionalDevice, "run_job", wrong)
    _, _, worker = on_device(network, all_on_fpga(network), CONFIGS["ultra96"], verify=True)
    (report,) = worker.reports()
    assert report.wrong_codes > 0
    site = site_of(boards.load("ultra96-v2"), "fpga")
    assert totals([report], {"fpga": site}).bit_exact is False


def test_time_is_cycles_and_driver():
    """A segment takes its cycles at the board's clock, one launch, and a call per tensor."""
    site = site_of(boards.load("ultra96-v2"), "fpga")
    assert site.config.clock_mhz == pytest.approx(299.997)
    bare = site.latency_ns(300_000, ())
    assert bare == pytest.approx(1_000_010 + 10_000, abs=10)
    assert site.latency_ns(300_000, (2133, 2133)) == pytest.approx(
        bare + 2 * (10_000 + 1000), abs=2
    )
    assert totals([], {}) == Totals()


def test_a_failing_command_names_its_layer():
    """A job that the device refuses raises with the layer's name; the next run is right."""
    draft = Draft(np.random.default_rng(0), (1, 16, 8, 8))
    draft.conv("x0", 16)
    network = draft.network()
    (unit,) = units(network, all_on_fpga(network), {"fpga": 16})
    quantized = quantize(network)
    worker = FpgaWorker(quantized, CONFIGS["ultra96"], "functional")
    worker.load_unit(network, unit)
    codes = {"x0": np.ones((1, 16, 8, 8), np.int8)}
    expected = worker.run_unit(unit, codes)
    placed = worker._runner._placed[unit.name]._placed
    offset = placed.job.command_offset
    saved = placed.memory[offset].copy()
    placed.memory[offset] = 15
    with pytest.raises(DeviceError, match="layer 'conv0'"):
        worker.run_unit(unit, codes)
    placed.memory[offset] = saved
    found = worker.run_unit(unit, codes)
    np.testing.assert_array_equal(found["conv0.y"], expected["conv0.y"])
    worker.close()


@pytest.mark.parametrize("name", LARGE)
def test_large_networks_equal_the_golden_model(name, tmp_path):
    """All layers that the accelerator takes, in its command streams; all nine nets in the soak."""
    path = tmp_path / "net.onnx"
    onnx.save(randomize(paths()[name], 0), path)
    network = load_onnx(path)
    path.unlink()
    expected, found, worker = on_device(network, all_on_fpga(network), CONFIGS["ultra96"])
    for output, value in expected.items():
        np.testing.assert_array_equal(found[output], value)
    worker.close()


def test_rtl_computes_a_residual_network_in_the_predicted_cycles(tmp_path):
    """ResNet-8 in one command stream: the golden model's codes, cycles within 3 %."""
    path = tmp_path / "net.onnx"
    onnx.save(residual_network("resnet8"), path)
    network = load_onnx(path)
    options = {"device": "rtl", "verify": True, "predict": True}
    expected, found, worker = on_device(
        network, all_on_fpga(network), CONFIGS["ultra96"], **options
    )
    for output, value in expected.items():
        np.testing.assert_array_equal(found[output], value)
    (report,) = worker.reports()
    assert report.layers == len(network.layers) - 1
    assert report.wrong_codes == 0
    assert report.predicted_cycles == pytest.approx(report.cycles, rel=0.03)
    worker.close()


def test_committed_predictions_are_near_the_simulated_cycles():
    """What benchmarks/segments.py wrote: bit-exact, latency within 3 % of RTL and driver model."""
    with (BENCHMARKS / "results" / "segments.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["network"]: row for row in csv.DictReader(file)}
    assert {"digits", "resnet8", "squeezenet", "resnet18"} <= rows.keys()
    for row in rows.values():
        assert row["bit_exact"] == "True"
        found, true = float(row["predicted_latency_us"]), float(row["latency_us"])
        assert abs(found / true - 1) < 0.03


def test_closing_waits_for_a_run_of_another_thread():
    """An interrupted caller closes while a job computes; the job ends before its memory goes."""
    draft = Draft(np.random.default_rng(0), (1, 128, 32, 32))
    draft.conv(draft.conv("x0", 256), 256)
    network = draft.network()
    (unit,) = units(network, all_on_fpga(network), {"fpga": 16})
    worker = FpgaWorker(quantize(network), CONFIGS["ultra96"], "functional")
    worker.load_unit(network, unit)
    codes = {"x0": np.ones((1, 128, 32, 32), np.int8)}
    expected, found = worker.run_unit(unit, codes), []
    started = Event()
    worker._runner._options = SegmentOptions(watch=lambda *_: started.set() or nullcontext())
    thread = Thread(target=lambda: found.append(worker.run_unit(unit, codes)))
    thread.start()
    assert started.wait(10)
    worker.close()
    thread.join(10)
    np.testing.assert_array_equal(found[0]["conv1.y"], expected["conv1.y"])
