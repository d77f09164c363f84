"""The RTL under faults: code, index, interrupt, no hang, and a correct job afterwards."""

import numpy as np
import pytest

from heterolith.hw.commands import ErrorCode
from heterolith.hw.compiler.single import layer_job
from heterolith.hw.device.functional import DeviceError
from heterolith.hw.device.verilated import BUSY, DECERR, DONE, ERROR, RESET, SLVERR, START
from heterolith.hw.program import Load, Store, encode
from heterolith.hw.regmap import REGISTERS, Access
from heterolith.hw.shapes import ConvShape

from .accel_cases import SMALL, device, linear
from .rtl_cases import STEADY, UNEVEN, machine
from .test_functional import FAULTS, OK, WINDOW

SHAPE = ConvShape(in_channels=20, out_channels=24, height=9, width=9, kernel=(3, 3), pads=(1,) * 4)


def layer():
    """Return (job, memory before, memory after) of a layer that the small buffers split."""
    p, arrays = linear(np.random.default_rng(11), SHAPE, False, True)
    job = layer_job(SMALL, SHAPE, p)
    memory = job.memory(*arrays)
    expected = memory.copy()
    device("small").run_job(job.job, expected)
    return job.job, memory, expected


def recovered(core):
    """Check that the core is idle and runs a layer to the last bit."""
    assert core.settle()
    job, memory, expected = layer()
    core.run_job(job, memory)
    assert np.array_equal(memory, expected)
    assert core.read("STATUS") == DONE
    return core


def fails(core, memory, offset, count):
    """Run a job that must fail; returns (code, index)."""
    before = core.violations
    with pytest.raises(DeviceError) as caught:
        core.run(memory, offset, count)
    assert core.read("STATUS") & ERROR
    assert core.violations == before
    return caught.value.code, caught.value.index


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_faults_equal_those_of_the_functional_device(fault):
    """Each illegal command ends the job with its code and index; the core is idle then."""
    command, code = FAULTS[fault]
    core = machine("ultra96")
    memory = np.full(WINDOW, 0x5A, np.uint8)
    program = encode([OK, command])
    memory[: program.size] = program
    before = memory.copy()
    assert fails(core, memory, 0, 2) == (code, 1)
    assert core.read("STATUS") == ERROR
    if not isinstance(command, Store):
        assert np.array_equal(memory, before)


def test_bad_opcodes_and_stray_bits_are_refused():
    """Cleared memory, unknown opcodes and bits outside fields are no commands."""
    core = machine("small")
    memory = np.zeros(WINDOW, np.uint8)
    for word, value, code in ((0, 0, "OPCODE"), (0, 15, "OPCODE"), (15, 1 << 31, "FIELD")):
        memory[:64] = encode([OK])
        memory[:64].view("<u4")[word] = value
        assert fails(core, memory, 0, 1) == (ErrorCode[code], 0)
    recovered(core)


def test_program_must_lie_in_the_window():
    """A job's commands are part of the window, aligned to 64 bytes."""
    for offset, count in ((32, 1), (WINDOW - 64, 2), (2**32 - 64, 1), (0, 2**32 - 1)):
        memory = np.zeros(WINDOW, np.uint8)
        assert fails(machine("small"), memory, offset, count) == (ErrorCode.ADDRESS, 0)


def test_a_store_writes_up_to_the_end_of_the_window_and_no_further():
    """Bursts inside the window may be written, the one that leaves it is not."""
    memory = np.full(WINDOW, 0x5A, np.uint8)
    program = encode([Store(offset=WINDOW - 512, cols=512 // 8 + 1)])
    memory[: program.size] = program
    assert fails(machine("small"), memory, 0, 1) == (ErrorCode.ADDRESS, 0)
    assert (memory[program.size : WINDOW - 512] == 0x5A).all()


@pytest.mark.parametrize("dram", [STEADY, UNEVEN])
@pytest.mark.parametrize("response", [SLVERR, DECERR])
@pytest.mark.parametrize("channel", ["read", "write"])
def test_bus_errors_end_the_job(channel, response, dram):
    """An error response on any burst names a command of the right kind; the next job is right."""
    core = machine("small", dram)
    job, memory, _ = layer()
    name = f"{channel.upper()}_{'SLVERR' if response == SLVERR else 'DECERR'}"
    for after in (0, 1, 2, 7):
        core.inject(channel, after, response)
        code, index = fails(core, memory.copy(), job.command_offset, len(job.commands))
        assert code == ErrorCode[name]
        if channel == "write":
            assert isinstance(job.commands[index], Store)
        elif after == 0:
            assert index == 0  # the first burst fetches the first commands
    recovered(core)


def test_a_silent_bus_ends_in_the_watchdog():
    """Without any beat the job fails after WATCHDOG cycles, names a command, and recovers."""
    core = machine("small")
    job, memory, _ = layer()
    for cycles in (0, 150, 400, 1200):
        core.start(memory.copy(), job.command_offset, len(job.commands), watchdog=2000)
        core.clock(cycles)
        core.hang(True)
        with pytest.raises(DeviceError) as caught:
            core.finish()
        assert caught.value.code == ErrorCode.WATCHDOG
        assert caught.value.index < len(job.commands)
        assert core.read("STATUS") == BUSY | ERROR  # bursts are still open
        core.write("CONTROL", START)  # ignored while busy
        core.hang(False)
        recovered(core)


@pytest.mark.parametrize("dram", [STEADY, UNEVEN])
def test_soft_reset_at_any_cycle(dram):
    """A reset in mid-command drops the job, keeps bus rules, and leaves a core that works."""
    core = machine("small", dram)
    job, memory, expected = layer()
    core.run_job(job, memory.copy())
    total = core.counter("CYCLES")
    before = core.violations
    for cycles in np.random.default_rng(5).integers(1, total, 25):
        dropped = memory.copy()
        core.start(dropped, job.command_offset, len(job.commands))
        core.clock(int(cycles))
        core.write("CONTROL", RESET)
        assert core.settle()
        assert ((dropped == memory) | (dropped == expected)).all()
        assert core.read("STATUS") in (0, DONE)
        core.write("INTERRUPT_STATUS", 3)
        again = memory.copy()
        core.run_job(job, again)
        assert np.array_equal(again, expected)
    assert core.violations == before


def test_registers_keep_their_values_while_busy():
    """A running job cannot be disturbed; read-only and unknown registers ignore writes."""
    core = machine("small")
    job, memory, expected = layer()
    core.start(memory, job.command_offset, len(job.commands))
    for register in REGISTERS:
        if register.name != "CONTROL":
            kept = core.read(register.name) if register.access is Access.RW else None
            core.write(register.name, 0xFFFFFFFF)
            assert kept is None or core.read(register.name) == kept
    core.write("CONTROL", START)
    core.finish()
    assert np.array_equal(memory, expected)


def test_an_error_in_a_later_command_stops_the_job():
    """What stands behind the failing command is not executed."""
    memory = np.full(WINDOW, 0x5A, np.uint8)
    program = encode([OK, Load(offset=4), Store(offset=4096, cols=4)])
    memory[: program.size] = program
    assert fails(machine("small"), memory, 0, 3) == (ErrorCode.ALIGNMENT, 1)
    assert (memory[4096:] == 0x5A).all()
    assert machine("small").read("STORES_DONE") == 0
    recovered(machine("small"))
