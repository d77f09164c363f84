"""The driver over the buses of this process: HLS C++ and RTL.

HETEROLITH_SOAK=1 runs 1,000 jobs back to back instead of 60.
"""

import os
import signal
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heterolith.errors import InputError
from heterolith.hw.commands import ErrorCode
from heterolith.hw.config import CONFIGS
from heterolith.hw.device import DeviceError, FunctionalDevice, VerilatedDevice
from heterolith.hw.device.core import DECERR, SLVERR
from heterolith.hw.device.sequence import BUSY
from heterolith.hw.driver import Driver, Fabric, ModelBus, RtlBus
from heterolith.hw.regmap import offset

from .driver_cases import TINY, chain, codes, run, span

CASE = chain(TINY)


def model():
    """Return the HLS model as a bus."""
    return ModelBus(TINY)


def rtl():
    """Return the RTL as a bus."""
    return RtlBus(Fabric(TINY))


@pytest.fixture(params=[model, rtl], ids=["model", "rtl"])
def driver(request):
    """A driver over each bus."""
    made = Driver(request.param(), TINY)
    yield made
    made.close()


@pytest.fixture
def on_rtl():
    """A driver over the RTL."""
    made = Driver(rtl(), TINY)
    yield made
    made.close()


def right(driver, seed=0):
    """Check that a job computes what the golden model does."""
    placed, x = driver.place(CASE.job), codes(CASE, seed)
    assert np.array_equal(run(CASE, placed, x), CASE.golden(x))
    placed.close()


def test_a_job_leaves_the_memory_of_the_devices_without_a_driver(driver):
    """Driver, functional device and RTL device agree to the last byte, RTL to the cycle."""
    memory = CASE.job.memory.copy()
    CASE.source.write(memory, codes(CASE))
    expected, got = memory.copy(), memory.copy()
    reference = VerilatedDevice(TINY).run_job(CASE.job, expected)
    counters = driver.run_job(CASE.job, got)
    assert np.array_equal(got, expected)
    assert (counters.loads, counters.read_beats) == (reference.loads, reference.read_beats)
    assert counters.cycles == (reference.cycles if isinstance(driver.bus, RtlBus) else 0)


def test_a_placed_job_runs_on_new_inputs(driver):
    """Constants stay in the device's memory; only what is named moves."""
    placed = driver.place(CASE.job)
    for seed in range(3):
        x = codes(CASE, seed)
        assert np.array_equal(run(CASE, placed, x), CASE.golden(x))
    placed.close()


def test_a_run_takes_as_many_register_writes_whatever_the_job(driver, monkeypatch):
    """Nine writes start a job of two layers and one of five."""
    writes = []
    write = type(driver.bus).write
    monkeypatch.setattr(
        type(driver.bus), "write", lambda bus, a, v: (writes.append(a), write(bus, a, v))[1]
    )
    counts = []
    for layers in (2, 5):
        case = chain(TINY, layers=layers)
        placed = driver.place(case.job)
        writes.clear()
        placed.run()
        counts.append(len(writes))
        placed.close()
    assert counts == [10, 10]  # nine, and the interrupt is cleared


def test_what_is_not_flushed_does_not_reach_the_accelerator(driver):
    """Host buffers are apart from DRAM: the job sees the input of the run before."""
    placed, old, new = driver.place(CASE.job), codes(CASE, 1), codes(CASE, 2)
    run(CASE, placed, old)
    CASE.source.write(placed.memory, new)
    placed.run(written=[], read=[span(CASE.target)])
    assert np.array_equal(CASE.target.read(placed.memory), CASE.golden(old))


def test_what_is_not_invalidated_does_not_reach_the_host(driver):
    """The host keeps the output of the run before."""
    placed, old, new = driver.place(CASE.job), codes(CASE, 1), codes(CASE, 2)
    run(CASE, placed, old)
    CASE.source.write(placed.memory, new)
    placed.run(written=[span(CASE.source)], read=[])
    assert np.array_equal(CASE.target.read(placed.memory), CASE.golden(old))


@pytest.mark.parametrize("bus", [model, rtl])
def test_another_configuration_is_refused_with_both_hashes(bus):
    """The message says how to get the right bitstream."""
    made = bus()
    with pytest.raises(InputError) as error:
        Driver(made, CONFIGS["ultra96"])
    made.close()
    for word in (TINY.fingerprint(), CONFIGS["ultra96"].fingerprint(), "bitstream build"):
        assert word in str(error.value)


@pytest.mark.parametrize(("name", "remedy"), [("ID", "overlay"), ("VERSION", "bitstream build")])
def test_what_is_no_accelerator_of_this_program_is_refused(name, remedy):
    """Magic number and version of the command set are compared first."""
    bus = model()
    bus._values[offset(name)] ^= 1
    with pytest.raises(InputError, match=remedy):
        Driver(bus, TINY)


def test_a_job_of_another_configuration_is_refused(driver):
    """It was compiled for buffers that are not there."""
    with pytest.raises(InputError, match="compiled for"):
        driver.place(chain(CONFIGS["ultra96"]).job)


def test_a_window_that_does_not_fit_is_refused(driver):
    """The largest gap is named, and nothing is lost."""
    job = replace(CASE.job, memory=np.zeros(1 << 30, np.uint8))
    with pytest.raises(InputError, match="largest gap"):
        driver.place(job)
    right(driver)


@pytest.mark.parametrize("response", [SLVERR, DECERR])
@pytest.mark.parametrize(("channel", "after", "layer"), [("write", 0, 0), ("write", 80, 1)])
def test_a_bus_error_names_the_layer_and_the_next_job_is_right(
    on_rtl, channel, after, layer, response
):
    """Early and late write bursts belong to the first and to the second layer."""
    on_rtl.bus.fabric.core.inject(channel, after, response)
    with pytest.raises(DeviceError, match=f"layer 'conv{layer}'") as caught:
        on_rtl.run_job(CASE.job, CASE.job.memory.copy())
    assert caught.value.layer == f"conv{layer}"
    assert caught.value.code.name == f"WRITE_{'SLVERR' if response == SLVERR else 'DECERR'}"
    right(on_rtl)


def test_a_chain_names_all_its_layers():
    """A command of fused layers belongs to each of them."""
    fused = chain(CONFIGS["ultra96"], layers=3, fuse=True).job
    ends = {fused.layer_of(index) for index in range(len(fused.commands))}
    assert ends <= {"conv0+conv1+conv2", "conv0+conv1", "conv1+conv2", "conv0", "conv1", "conv2"}
    assert fused.layer_of(len(fused.commands)) == ""


def test_an_illegal_command_is_refused_by_every_bus(driver):
    """Code and index come from the device; the next job is right."""
    memory = CASE.job.memory.copy()
    memory[CASE.job.command_offset] = 0
    with pytest.raises(DeviceError) as caught:
        driver.run_job(CASE.job, memory)
    assert (caught.value.code, caught.value.index) == (ErrorCode.OPCODE, 0)
    right(driver)


def test_ctrl_c_in_mid_job_leaves_the_device_usable(on_rtl):
    """The job is dropped, its open bursts end, and the next job is right."""
    case = chain(TINY, layers=12, channels=48, side=16)
    placed = on_rtl.place(case.job)

    def interrupt(*_):
        assert on_rtl.registers.read("STATUS") & BUSY
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(KeyboardInterrupt):
            placed.run()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not on_rtl.registers.read("STATUS") & BUSY
    assert on_rtl.registers.read("INTERRUPT_STATUS") == 0
    x = codes(case)
    assert np.array_equal(run(case, placed, x), case.golden(x))


def test_a_job_that_does_not_end_is_given_up(on_rtl):
    """The memory answers nothing; the driver says so, and works again when it does."""
    core = on_rtl.bus.fabric.core
    on_rtl.timeout_s = 0.05
    core.hang(True)
    threading.Timer(0.3, core.hang, [False]).start()
    with pytest.raises(InputError, match="no interrupt within"):
        on_rtl.run_job(CASE.job, CASE.job.memory.copy())
    on_rtl.timeout_s = 60.0
    right(on_rtl)


def test_registers_answer_while_a_job_runs(on_rtl, monkeypatch):
    """The host reads STATUS and counters of a job that it waits for."""
    case = chain(TINY, layers=12, channels=48, side=16)
    placed, seen, wait = on_rtl.place(case.job), [], RtlBus.wait

    def look(bus, timeout_s):
        seen.extend(on_rtl.registers.read(name) for name in ("STATUS", "CYCLES_LOW"))
        return wait(bus, timeout_s)

    monkeypatch.setattr(RtlBus, "wait", look)
    counters = placed.run()
    assert seen[0] & BUSY
    assert seen[1] < counters.cycles


def resources():
    """Return threads and open files of this process."""
    return threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))


def test_jobs_back_to_back_leak_nothing(driver):
    """Buffers, threads and files are as many afterwards as before."""
    dram = driver.bus.fabric.dram if isinstance(driver.bus, RtlBus) else driver.bus.dram
    right(driver)
    before = resources()
    for seed in range(1000 if os.environ.get("HETEROLITH_SOAK") else 60):
        right(driver, seed)
        if seed % 7 == 0:
            with pytest.raises(DeviceError):
                driver.run_job(CASE.job, np.zeros_like(CASE.job.memory))
    assert resources() == before
    assert dram.buffers == 0


def test_closing_twice_is_harmless_and_use_after_it_is_refused():
    """Model and RTL alike."""
    for bus in (model(), rtl()):
        made = Driver(bus, TINY)
        made.close()
        made.close()
    with pytest.raises(InputError, match="closed"):
        made.registers.read("ID")


def test_the_functional_device_places_jobs_too():
    """Every device keeps one Protocol: place, run, close."""
    device = FunctionalDevice(TINY)
    right(device)
    device.close()
