"""The simulated board under the real pynq package, in this process.

`make notebooks` runs this where pynq is installed. HETEROLITH_SOAK=1 runs 1,000 jobs.
"""

import asyncio
import os
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from heterolith import bitstreams, boards
from heterolith.errors import InputError
from heterolith.hw import DeviceError, VerilatedDevice, config
from heterolith.hw.device.core import SLVERR
from heterolith.hw.driver.board import open_board
from heterolith.hw.overlay.handoff import ACCELERATOR_BASE, VLNV
from heterolith.hw.pynq_sim import enable
from heterolith.hw.regmap import MAGIC, REGISTERS

from .driver_cases import chain, codes, run, span

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pynq = pytest.importorskip("pynq", reason="pynq is not installed: make notebooks")

CASE = chain(config("ultra96"), layers=3, channels=32, side=8)


@pytest.fixture(scope="module")
def overlay(tmp_path_factory):
    """The overlay, loaded as a script loads it."""
    os.environ["HETEROLITH_LOCKS"] = str(tmp_path_factory.mktemp("locks"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pynq's own imports
        enable("ultra96-v2")
        loaded = pynq.Overlay("heterolith.bit")
    yield loaded
    del os.environ["HETEROLITH_LOCKS"]


@pytest.fixture
def driver(overlay):
    """The driver, closed afterwards."""
    yield overlay.accelerator.open()
    overlay.accelerator.close()


@pytest.fixture
def fabric(overlay):
    """The simulated logic, for faults."""
    return overlay.device.fabric


def right(driver, seed=0):
    """Check that a job computes what the golden model does."""
    placed, x = driver.place(CASE.job), codes(CASE, seed)
    assert np.array_equal(run(CASE, placed, x), CASE.golden(x))
    placed.close()


def test_the_overlay_binds_the_driver_by_its_name(overlay):
    """PYNQ found it through its entry point; nothing was imported for that."""
    assert type(overlay.accelerator).__module__ == "heterolith.hw.driver.accelerator"
    entry = overlay.ip_dict["accelerator"]
    assert (entry["type"], entry["phys_addr"]) == (VLNV, ACCELERATOR_BASE)


def test_the_register_map_has_every_register(overlay):
    """Names, offsets and bits are those of hw/regmap.py."""
    registers = overlay.accelerator.register_map
    assert int(registers.ID) == MAGIC
    assert registers.STATUS.BUSY == 0
    registers.INTERRUPT_ENABLE.ERROR = 1
    assert overlay.accelerator.read("INTERRUPT_ENABLE") == 2
    for register in REGISTERS:
        assert getattr(registers, register.name).address == register.offset


def test_a_job_equals_golden_model_and_rtl(driver):
    """Codes of the golden model; counters of the RTL without PYNQ, up to the DRAM's figures."""
    right(driver)
    memory = CASE.job.memory.copy()
    CASE.source.write(memory, codes(CASE))
    expected = memory.copy()
    reference = VerilatedDevice(driver.config).run_job(CASE.job, expected)
    counters = driver.run_job(CASE.job, memory)
    assert np.array_equal(memory, expected)
    assert counters.read_beats == reference.read_beats
    assert counters.array_steps == reference.array_steps


def test_buffers_are_apart_from_dram(driver):
    """A forgotten flush runs the old input; a forgotten invalidate shows the old output."""
    placed, old, new = driver.place(CASE.job), codes(CASE, 1), codes(CASE, 2)
    run(CASE, placed, old)
    CASE.source.write(placed.memory, new)
    placed.run(written=[], read=[span(CASE.target)])
    assert np.array_equal(CASE.target.read(placed.memory), CASE.golden(old))
    placed.run(written=[span(CASE.source)], read=[])
    assert np.array_equal(CASE.target.read(placed.memory), CASE.golden(old))
    placed.close()


def test_allocate_is_pynq_s(overlay):
    """Shapes, types, views and addresses; memory goes back when the buffer is gone."""
    before = overlay.device.dram.buffers
    with pynq.allocate(shape=(3, 5), dtype="i2") as buffer:
        buffer[:] = 7
        buffer[1:].flush()
        buffer[:] = 0
        buffer.invalidate()
        assert buffer[1:].sum() == 70
        assert buffer[0].sum() != 35
        assert buffer[1].device_address == buffer.device_address + 10
        assert buffer.device_address % 4096 == 0
    with pynq.allocate(4) as other:
        assert overlay.device.dram.buffers == before + 1
        del other
    del buffer
    assert overlay.device.dram.buffers == before


def test_the_interrupt_can_be_awaited(overlay, driver):
    """Registers by hand, then `await accelerator.irq.wait()`, as PYNQ scripts do."""
    placed, x = driver.place(CASE.job), codes(CASE, 3)
    CASE.source.write(placed.memory, x)
    placed.buffer.flush(slice(None))
    registers = overlay.accelerator.register_map
    registers.INTERRUPT_STATUS, registers.INTERRUPT_ENABLE = 3, 3
    registers.WINDOW_BASE_LOW, registers.WINDOW_BASE_HIGH = placed.buffer.address, 0
    registers.WINDOW_BYTES = CASE.job.memory.size
    registers.COMMAND_OFFSET = CASE.job.command_offset
    registers.COMMAND_COUNT = len(CASE.job.commands)

    async def job():
        registers.CONTROL.START = 1
        # As PYNQ's own drivers do: the controller may hold an interrupt of before.
        while not registers.INTERRUPT_STATUS.DONE:
            await asyncio.wait_for(overlay.accelerator.irq.wait(), 60)
        return registers.STATUS.DONE, registers.INTERRUPT_STATUS.DONE

    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(job()) == (1, 1)
    loop.close()
    placed.buffer.invalidate(slice(None))
    assert np.array_equal(CASE.target.read(placed.memory), CASE.golden(x))
    registers.INTERRUPT_STATUS = 3
    placed.close()
    right(driver)


def test_a_job_runs_inside_a_running_loop(driver):
    """Notebooks have one."""

    async def cell():
        right(driver)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(cell())
    loop.close()


def test_jobs_run_in_any_thread(driver):
    """A dispatcher has one per device and run."""
    done = []
    for seed in range(3):
        thread = threading.Thread(target=lambda seed=seed: done.append(right(driver, seed)))
        thread.start()
        thread.join()
    assert len(done) == 3
    right(driver)


def test_clocks_take_the_steps_of_the_board(overlay, driver):
    """Real `pynq.Clocks` on simulated divisors; the DRAM gets slower in cycles, not in time."""
    device = boards.load("ultra96-v2").device("fpga")
    assert pynq.Clocks.fclk0_mhz == pytest.approx(device.mhz, abs=1e-3)
    assert pynq.Clocks.cpu_mhz == pytest.approx(1200, rel=1e-3)
    cycles = {}
    for mhz in device.clocks_mhz:
        pynq.Clocks.fclk0_mhz = mhz
        assert pynq.Clocks.fclk0_mhz == pytest.approx(mhz, abs=1.5e-3)
        assert overlay.device.clocks.mhz == pytest.approx(mhz, abs=1.5e-3)
    for mhz in (99.999, 299.997):
        pynq.Clocks.fclk0_mhz = mhz
        cycles[mhz] = driver.run_job(CASE.job, CASE.job.memory.copy()).cycles
    assert cycles[99.999] < cycles[299.997]


def test_rails_show_the_load_of_a_job(overlay, driver):
    """`get_rails` and `DataRecorder` are PYNQ's; the rail of the logic rises while a job runs."""
    pytest.importorskip("pandas")
    platform = boards.load("ultra96-v2")
    rails = pynq.get_rails()
    assert {name: rail.power.value for name, rail in rails.items()} == {
        rail.name: rail.idle_w for rail in platform.rails
    }
    placed = driver.place(chain(driver.config, layers=3, channels=64, side=20).job)
    with pynq.DataRecorder(rails["INT"].power, rails["PSDDR"].power).record(0.01) as recorder:
        for _ in range(3):
            placed.run()
    placed.close()
    frame = recorder.frame
    idle_w = {rail.name: rail.idle_w for rail in platform.rails}
    busy_w = platform.device("fpga").active_w * pynq.Clocks.fclk0_mhz / platform.device("fpga").mhz
    assert frame["INT_power"].max() == pytest.approx(idle_w["INT"] + busy_w, rel=1e-5)
    assert set(frame["PSDDR_power"]) == {idle_w["PSDDR"]}
    end = time.monotonic() + 60  # the thread that clocks the core may see the end of a job late
    while rails["INT"].power.value != idle_w["INT"]:
        assert time.monotonic() < end


def test_a_bus_error_names_the_layer_and_the_next_job_is_right(driver, fabric):
    """The first write burst belongs to the first layer."""
    fabric.core.inject("write", 0, SLVERR)
    with pytest.raises(DeviceError, match="layer 'conv0'"):
        driver.run_job(CASE.job, CASE.job.memory.copy())
    right(driver)


def test_jobs_back_to_back_leak_nothing(overlay, driver):
    """Buffers, threads and files are as many afterwards as before."""

    def resources():
        return threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))

    right(driver)
    before, buffers = resources(), overlay.device.dram.buffers
    for seed in range(1000 if os.environ.get("HETEROLITH_SOAK") else 20):
        right(driver, seed)
    assert (resources(), overlay.device.dram.buffers) == (before, buffers)


def test_open_twice_gives_one_driver_and_close_lets_go(overlay):
    """The lock is held from open to close."""
    accelerator = overlay.accelerator
    first = accelerator.open()
    assert accelerator.open() is first
    accelerator.close()
    accelerator.close()
    second = accelerator.open()
    right(second)
    second.close()
    assert accelerator.open() is not second
    accelerator.close()


def test_a_bitstream_of_another_program_is_refused_with_both_hashes(overlay, tmp_path):
    """Configuration and command set alike, whatever the registers say."""
    accelerator, manifest = overlay.accelerator, bitstreams.find("ultra96-v2")
    name = overlay.device.bitfile_name
    for key, word in (("config_hash", "configuration"), ("command_set", "command set")):
        path = tmp_path / f"{key}.bit"
        values = {**{f: getattr(manifest, f) for f in manifest.__slots__}, key: "0" * 16}
        path.write_text(bitstreams.Manifest(**values).text())
        overlay.device.bitfile_name = str(path)
        with pytest.raises(InputError, match=f"{word} 0000000000000000.*bitstream build") as error:
            accelerator.open()
        assert getattr(manifest, key) in str(error.value)
    overlay.device.bitfile_name = name
    right(accelerator.open())
    accelerator.close()


def test_another_configuration_is_refused(overlay):
    """What the caller wants is compared with what the registers hold."""
    with pytest.raises(InputError, match="bitstream build"):
        overlay.accelerator.open(config("zcu104"))
    right(overlay.accelerator.open(config("ultra96")))
    with pytest.raises(InputError, match="bitstream build"):
        overlay.accelerator.open(config("zcu104"))
    overlay.accelerator.close()


def test_a_bitstream_that_says_nothing_is_refused(overlay, tmp_path):
    """A foreign file cannot be simulated."""
    path = tmp_path / "foreign.bit"
    path.write_bytes(b"\x00\x09\x0f\xf0")
    with pytest.raises(InputError, match=r"no manifest\.json beside it"):
        pynq.Overlay(str(path))
    assert overlay.is_loaded()


def test_a_missing_bitstream_is_refused(overlay):
    """Nothing is shipped for boards: the message says how to get one."""
    with pytest.raises(InputError, match="bitstream build"):
        open_board(bitstream="other.bit")


def test_the_board_of_a_worker_is_found_and_let_go(overlay):
    """What `--device board` opens; the last test, since it loads the overlay again."""
    board = open_board(config("ultra96"))
    right(board)
    board.close()
    right(open_board())
