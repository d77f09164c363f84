"""The functional device: the HLS C++ compiled by the host's compiler, called through ctypes.

The library is built on first use, once per configuration, source text and compiler, into the cache
folder (``HETEROLITH_CACHE``, else ``XDG_CACHE_HOME/heterolith``, else ``~/.cache/heterolith``).
Invariant: a job changes nothing outside the memory it is given; an illegal one ends with an error
code and the index of the failing command.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from hashlib import sha256
from pathlib import Path

from heterolith.errors import InputError
from heterolith.hw.commands import ErrorCode
from heterolith.hw.compiler.job import Job
from heterolith.hw.config import ArrayConfig
from heterolith.hw.device.protocol import (
    Counters,
    DeviceError,
    HostPlaced,
    check_job,
    check_window,
    named,
)
from heterolith.hw.fixed import Array
from heterolith.hw.geometry import COMMAND_BYTES, rtl_parameters

SOURCES = ("accelerator.cpp", "check.cpp", "compute.cpp", "transfer.cpp", "capi.cpp")
HEADERS = ("accelerator.hpp", "accel_params.hpp")
FLAGS = ("-std=c++14", "-O3", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas")
TUNING = ("-march=native",)
_DEFINES = {
    "NPe": "ACCEL_N_PE",
    "Pixels": "ACCEL_PIXELS",
    "Lanes": "ACCEL_LANES",
    "ActivationWords": "ACCEL_ACTIVATION_WORDS",
    "WeightWords": "ACCEL_WEIGHT_WORDS",
    "AccumulatorWords": "ACCEL_ACCUMULATOR_WORDS",
}


class _Result(ctypes.Structure):
    _fields_ = (
        ("error", ctypes.c_uint32),
        ("error_index", ctypes.c_uint32),
        ("loads", ctypes.c_uint32),
        ("computes", ctypes.c_uint32),
        ("stores", ctypes.c_uint32),
        ("array_steps", ctypes.c_uint64),
        ("read_beats", ctypes.c_uint64),
        ("write_beats", ctypes.c_uint64),
    )


def source_folder() -> Path:
    """Return the folder of the C++ sources."""
    return Path(__file__).parents[1] / "hls"


def cache_folder() -> Path:
    """Return where built libraries are kept."""
    named = os.environ.get("HETEROLITH_CACHE")
    if named:
        return Path(named)
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "heterolith"


def compiler() -> str:
    """Return the path of a C++ compiler: ``CXX``, else c++, g++ or clang++.

    Raises
    ------
    InputError
        If there is none.
    """
    for name in (os.environ.get("CXX"), "c++", "g++", "clang++"):
        path = shutil.which(name) if name else None
        if path:
            return path
    raise InputError(
        "the functional device needs a C++ compiler and none is on PATH; "
        "install one (apt-get install g++) or set CXX"
    )


def defines(config: ArrayConfig) -> list[str]:
    """Return the compiler's ``-D`` flags of a configuration."""
    sizes = rtl_parameters(config)
    return [f"-D{macro}={sizes[name]}" for name, macro in _DEFINES.items()]


def _compile(cxx: str, flags: list[str], target: Path) -> None:
    """Compile into a temporary name and rename, so that parallel builds do not meet."""
    sources = [str(source_folder() / name) for name in SOURCES]
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        built = Path(folder) / target.name
        command = [cxx, *flags, "-fPIC", "-shared", *sources, "-o", str(built)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise InputError(f"{' '.join(command)} failed:\n{done.stderr.strip()}")
        built.replace(target)


def build(config: ArrayConfig) -> Path:
    """Return the library of a configuration, compiled unless the cache has it.

    Raises
    ------
    InputError
        If there is no compiler or it refuses the sources; its message is included.
    """
    cxx, flags = compiler(), [*FLAGS, *defines(config)]
    version = subprocess.run([cxx, "--version"], capture_output=True, text=True, check=False)
    digest = sha256(repr((version.stdout, flags, os.uname())).encode())
    for name in (*SOURCES, *HEADERS):
        digest.update((source_folder() / name).read_bytes())
    target = cache_folder() / f"accelerator-{digest.hexdigest()[:16]}.so"
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            _compile(cxx, [*flags, *TUNING], target)
        except InputError:
            # Some compilers know no -march=native.
            _compile(cxx, flags, target)
    return target


class FunctionalDevice:
    """One accelerator that runs jobs bit for bit, without a notion of time."""

    def __init__(self, config: ArrayConfig) -> None:
        self.config = config
        self._library = ctypes.CDLL(str(build(config)))
        self._library.accel_open.restype = ctypes.c_void_p
        self._library.accel_close.argtypes = (ctypes.c_void_p,)
        self._library.accel_run.argtypes = (
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_uint64,
            ctypes.c_uint32,
            ctypes.c_uint32,
            ctypes.POINTER(_Result),
        )
        self._library.accel_run.restype = ctypes.c_uint32
        self._handle = self._library.accel_open()
        if not self._handle:
            raise InputError("the functional device could not allocate its buffers")

    def run(self, memory: Array, command_offset: int, count: int) -> Counters:
        """Run a job in a memory window, in place.

        Parameters
        ----------
        memory
            Contiguous, writable uint8 array: the window.
        command_offset
            First command, bytes from the window's start.
        count
            Number of commands.

        Raises
        ------
        InputError
            If the arguments are no window.
        DeviceError
            If a command fails.
        """
        check_window(memory)
        if not 0 <= command_offset < 2**32 or not 0 <= count < 2**32 // COMMAND_BYTES:
            raise InputError(f"{count} commands at {command_offset} are outside 32 bits")
        if not self._handle:
            raise InputError("the device is closed")
        result = _Result()
        self._library.accel_run(
            self._handle,
            memory.ctypes.data,
            memory.size,
            command_offset,
            count,
            ctypes.byref(result),
        )
        if result.error:
            raise DeviceError(ErrorCode(result.error), result.error_index)
        return Counters(
            loads=result.loads,
            computes=result.computes,
            stores=result.stores,
            array_steps=result.array_steps,
            read_beats=result.read_beats,
            write_beats=result.write_beats,
        )

    def run_job(self, job: Job, memory: Array) -> Counters:
        """Run a job in ``memory``; see `heterolith.hw.device.protocol.Device.run_job`."""
        try:
            return self.run(memory, job.command_offset, len(job.commands))
        except DeviceError as error:
            raise named(error, job) from None

    def place(self, job: Job) -> HostPlaced:
        """Copy a job's window; see `heterolith.hw.device.protocol.Device.place`."""
        check_job(job, self.config)
        return HostPlaced(job, self.run_job)

    def close(self) -> None:
        """Give the buffers back; later runs are refused."""
        if self._handle:
            self._library.accel_close(self._handle)
            self._handle = None
