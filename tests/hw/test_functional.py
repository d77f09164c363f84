"""The functional device: errors, bounds, counters, the sanitizer build."""

import subprocess
import time
from dataclasses import replace

import numpy as np
import pytest

from heterolith.errors import InputError
from heterolith.hw.commands import ErrorCode, Memory
from heterolith.hw.compiler.single import layer_job
from heterolith.hw.device import functional
from heterolith.hw.device.functional import DeviceError, FunctionalDevice
from heterolith.hw.program import Compute, Load, Store, encode
from heterolith.hw.shapes import ConvShape, PoolShape

from .accel_cases import SMALL, TESTED, device, linear

WINDOW = 8192


def run(*commands, name="ultra96", size=WINDOW, offset=0):
    """Run commands placed at the window's start; the bytes behind the window must not change."""
    guarded = np.full(size + 4096, 0x5A, np.uint8)
    code = encode(commands)
    guarded[offset : offset + code.size] = code
    try:
        return device(name).run(guarded[:size], offset, len(commands))
    finally:
        assert (guarded[size:] == 0x5A).all()


OK = Load(offset=0, cols=4)

FAULTS = {
    "fill weights": (Load(fill=1, memory=Memory.WEIGHT), ErrorCode.FIELD),
    "part of a weight word": (Load(memory=Memory.WEIGHT, cols=3), ErrorCode.FIELD),
    "low above high": (Compute(low=5, high=4), ErrorCode.FIELD),
    "dense window": (Compute(window=2), ErrorCode.FIELD),
    "wait for a later LOAD": (Store(wait_load=2), ErrorCode.TOKEN),
    "wait for a COMPUTE that is not there": (Load(wait_compute=1), ErrorCode.TOKEN),
    "offset between beats": (Load(offset=8), ErrorCode.ALIGNMENT),
    "STORE between beats": (Store(offset=4), ErrorCode.ALIGNMENT),
    "LOAD behind the window": (Load(offset=WINDOW), ErrorCode.ADDRESS),
    "LOAD across the end": (Load(offset=WINDOW - 16, cols=2), ErrorCode.ADDRESS),
    "row beyond the end": (Load(rows=3, row_pitch=WINDOW // 32), ErrorCode.ADDRESS),
    "block far beyond": (Load(blocks=65535, block_pitch=2**32 - 1), ErrorCode.ADDRESS),
    "STORE across the end": (Store(offset=WINDOW - 16, cols=2), ErrorCode.ADDRESS),
    "LOAD beyond activations": (Load(buffer=8191, cols=2), ErrorCode.BUFFER),
    "padding beyond activations": (Load(buffer=8190, left=2), ErrorCode.BUFFER),
    "fill beyond activations": (Load(fill=1, rows=65535, buffer_row_pitch=1), ErrorCode.BUFFER),
    "LOAD beyond weights": (
        Load(memory=Memory.WEIGHT, buffer=1023, cols=32, row_pitch=32),
        ErrorCode.BUFFER,
    ),
    "LOAD beyond parameters": (
        Load(memory=Memory.PARAMETER, buffer=63, cols=16),
        ErrorCode.BUFFER,
    ),
    "image beyond activations": (Load(memory=Memory.IMAGE, buffer=8191, cols=2), ErrorCode.BUFFER),
    "STORE beyond results": (Store(buffer=2047, cols=2), ErrorCode.BUFFER),
    "source beyond activations": (Compute(source=8191, cols=2, col_step=1), ErrorCode.BUFFER),
    "window beyond activations": (
        Compute(source=8190, per_channel=1, window=3),
        ErrorCode.BUFFER,
    ),
    "weights beyond the buffer": (Compute(weight=1023, k_blocks=2), ErrorCode.BUFFER),
    "parameters beyond the buffer": (Compute(parameter=63, blocks=2), ErrorCode.BUFFER),
    "sums beyond the buffer": (Compute(partial=1, accumulator=511, rows=3), ErrorCode.BUFFER),
    "results beyond the buffer": (Compute(target=2047, cols=2), ErrorCode.BUFFER),
    "results beyond activations": (
        Compute(to_activation=1, target=8191, cols=2),
        ErrorCode.BUFFER,
    ),
    "residual beyond activations": (Compute(residual=1, addend=8191, cols=2), ErrorCode.BUFFER),
}


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_faults_name_the_command(fault):
    """Each kind of fault ends the job with its code and the index of the command."""
    command, code = FAULTS[fault]
    with pytest.raises(DeviceError) as caught:
        run(OK, command)
    assert (caught.value.code, caught.value.index) == (code, 1)


def test_bad_opcodes_and_stray_bits_are_refused():
    """Cleared memory, unknown opcodes and bits outside fields are no commands."""
    memory = np.zeros(WINDOW, np.uint8)
    for word, bit, code in ((0, 0, "OPCODE"), (0, 15, "OPCODE"), (15, 31, "FIELD")):
        memory[:64] = encode([OK])
        words = memory[:64].view("<u4")
        words[word] = bit if word == 0 else np.uint32(1) << bit
        with pytest.raises(DeviceError) as caught:
            device("ultra96").run(memory, 0, 1)
        assert caught.value.code.name == code


def test_program_must_lie_in_the_window():
    """A job's commands are part of the window, aligned to 64 bytes."""
    for offset, count in ((32, 1), (WINDOW - 64, 2), (2**32 - 64, 1)):
        with pytest.raises(DeviceError) as caught:
            device("ultra96").run(np.zeros(WINDOW, np.uint8), offset, count)
        assert (caught.value.code, caught.value.index) == (ErrorCode.ADDRESS, 0)


def test_an_error_leaves_later_commands_undone():
    """Commands behind the failing one do not run, and the next job starts clean."""
    store = Store(offset=4096, cols=4)
    with pytest.raises(DeviceError):
        run(OK, Load(offset=8), store)
    assert run(OK).loads == 1


def test_arguments_that_are_no_window_are_refused():
    """Wrong dtype, read-only memory and a closed device are told apart."""
    with pytest.raises(InputError, match="uint8"):
        device("small").run(np.zeros(64, np.int8), 0, 0)
    frozen = np.zeros(64, np.uint8)
    frozen.flags.writeable = False
    with pytest.raises(InputError, match="writable"):
        device("small").run(frozen, 0, 0)
    with pytest.raises(InputError, match="32 bits"):
        device("small").run(np.zeros(64, np.uint8), -64, 0)
    closed = FunctionalDevice(SMALL)
    closed.close()
    closed.close()
    with pytest.raises(InputError, match="closed"):
        closed.run(np.zeros(64, np.uint8), 0, 0)


def test_counters_count_what_was_moved():
    """Beats and steps are those of the commands, the fetch of commands included."""
    counters = run(
        OK, Load(fill=1, cols=9), Compute(cols=5, k_blocks=3), Store(offset=4096, cols=5)
    )
    assert (counters.loads, counters.computes, counters.stores) == (2, 1, 1)
    assert counters.read_beats == 4 * 4 + 4
    assert counters.write_beats == 5
    assert counters.array_steps == 3 * 3


def test_a_missing_compiler_is_named(monkeypatch, tmp_path):
    """Without a C++ compiler the error tells what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(InputError, match=r"C\+\+ compiler"):
        functional.build(SMALL)


def test_a_compiler_that_fails_is_quoted(monkeypatch, tmp_path):
    """The compiler's own message is part of the error."""
    broken = tmp_path / "broken-c++"
    broken.write_text("#!/bin/sh\necho 'no such flag' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    monkeypatch.setenv("HETEROLITH_CACHE", str(tmp_path / "cache"))
    with pytest.raises(InputError, match="no such flag"):
        functional.build(SMALL)
    assert not list((tmp_path / "cache").glob("*.so"))


def test_speed_is_half_a_giga_mac_per_second():
    """A 3 x 3 layer of 231 million MACs takes less than 0.46 s of CPU time."""
    shape = ConvShape(
        in_channels=128, out_channels=128, height=40, width=40, kernel=(3, 3), pads=(1, 1, 1, 1)
    )
    p, arrays = linear(np.random.default_rng(0), shape, False, False)
    job = layer_job(TESTED["ultra96"], shape, p)
    memory = job.memory(*arrays)
    begin = time.process_time()
    device("ultra96").run_job(job.job, memory)
    assert shape.macs / (time.process_time() - begin) > 0.5e9


def _testbench(folder, config):
    """Build the C++ testbench with address and undefined-behaviour sanitizers."""
    source = functional.source_folder()
    names = ("accelerator", "check", "compute", "transfer", "accelerator_tb")
    target = folder / "accelerator_tb"
    flags = ["-std=c++14", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"]
    flags += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    files = [str(source / f"{name}.cpp") for name in names]
    command = [functional.compiler(), *flags, *functional.defines(config), *files]
    subprocess.run([*command, "-o", str(target)], check=True)
    return target


def test_sanitizers_find_nothing(tmp_path):
    """Jobs of three kinds, and thousands of damaged ones, touch nothing outside their memory."""
    bench = _testbench(tmp_path, SMALL)
    rng = np.random.default_rng(5)
    image = ConvShape(in_channels=3, out_channels=12, height=12, width=14, kernel=(3, 5))
    deep = ConvShape(in_channels=40, out_channels=24, height=9, width=9, kernel=(3, 3))
    pool = PoolShape(kind="max", channels=20, height=9, width=9, kernel=(3, 3), pads=(1, 1, 0, 0))
    depthwise = replace(deep, in_channels=24, groups=24)
    for shape in (image, deep, pool, depthwise):
        if isinstance(shape, PoolShape):
            p, arrays = None, (np.zeros(shape.input_shape, np.int8),)
        else:
            p, arrays = linear(rng, shape, False, residual=shape is deep)
        job = layer_job(SMALL, shape, p)
        window = job.memory(*arrays)
        path = tmp_path / "window.bin"
        window.tofile(path)
        numbers = [str(job.job.command_offset), str(len(job.job.commands)), "2000", "7"]
        done = subprocess.run(
            [str(bench), str(path), *numbers], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        first, second = done.stdout.splitlines()
        device("small").run_job(job.job, window)
        assert first.split()[0] == "0"
        assert int(first.split()[2], 16) == _hash(window)
        ran, errors = map(int, second.split())
        assert ran > 1000
        assert errors > ran // 4


def _hash(window):
    value = 0xCBF29CE484222325
    for byte in window.tobytes():
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value
