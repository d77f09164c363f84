"""Measures which path and block size suit a convolution on the machine at hand.

Results are kept by processor and numpy version in the user's cache folder and used from then on.
What is not measured, as the time is up or the layer small, takes the first path of
`heterolith.sw.fast.conv_spec.paths_for`. Choices take turns, so that other programs disturb all of
them alike. Before each run caches are made cold and the input is written, as a network leaves them:
kernels far away, what was computed last at hand. All choices compute the same layer; rounding is
that of the path.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from time import perf_counter, perf_counter_ns

import numpy as np

from heterolith.sw.fast.conv_spec import ConvSpec, paths_for
from heterolith.sw.fast.products import cut_small
from heterolith.sw.fast.program import Choice, compile_program
from heterolith.sw.network import Activation, Layer, Network, TensorType
from heterolith.sw.numerics import prepared_numpy

_VERSION = 4  # of the paths: measured choices of another version are not used
_LEAST_MACS = 2_000_000
_BLOCKS = (1 << 17, 1 << 18, 1 << 19, 1 << 20, 1 << 21)
_REPETITIONS = 9
_FINALISTS = 2  # paths that are tried with every size of blocks
_COLD_BYTES = 1 << 23


def processor() -> str:
    """Return the name of this machine's processor as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{platform.machine()} {names[0] if names else platform.processor()}"


def cache_file() -> Path:
    """Return where choices for this processor are kept: under ``XDG_CACHE_HOME``."""
    folder = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    name = f"{_VERSION} {processor()} numpy {np.__version__}"
    return Path(folder) / "heterolith" / f"cpu-{sha256(name.encode()).hexdigest()[:12]}.json"


def _layer_network(spec: ConvSpec) -> Network:
    """Return a network of one convolution with random constants."""
    rng = np.random.default_rng(0)
    shape = (spec.kernels, spec.channels // spec.group, *spec.kernel)
    constants = {
        "w": rng.standard_normal(shape, np.float32),
        "b": rng.standard_normal(spec.kernels, np.float32),
    }
    attributes = {
        "group": spec.group,
        "strides": spec.strides,
        "dilations": spec.dilations,
        "pads": spec.pads,
    }
    layer = Layer(
        name="conv",
        op="Conv",
        inputs=("x", "w", "b"),
        outputs=("y",),
        attributes=attributes,
        activation=Activation(),
    )
    tensors = {
        "x": TensorType((spec.n, spec.channels, *spec.size)),
        "y": TensorType((spec.n, spec.kernels, *spec.out)),
    }
    return Network(
        name="tune",
        inputs=("x",),
        outputs=("y",),
        layers=(layer,),
        tensors=tensors,
        constants=constants,
    )


def _always(choice: Choice, spec: ConvSpec, given: bool) -> Choice:
    return choice


def measure_ns(spec: ConvSpec, choices: Sequence[Choice]) -> list[int]:
    """Return the shortest of a few cold runs of each choice on one worker, in nanoseconds."""
    network = _layer_network(spec)
    programs = []
    for choice in choices:
        program = compile_program(network, partial(_always, choice))
        first, *rest = (list(phase[0]) for phase in program.phases)
        programs.append((first, [step for steps in rest for step in steps]))
    cold = np.zeros(_COLD_BYTES, np.uint8)
    times: list[list[int]] = [[] for _ in choices]
    with prepared_numpy():
        for _ in range(_REPETITIONS):
            for (given, steps), found in zip(programs, times, strict=True):
                np.add(cold, 1, out=cold)
                for step in given:
                    step()
                start = perf_counter_ns()
                for step in steps:
                    step()
                found.append(perf_counter_ns() - start)
    return [min(found) for found in times]


def usual_choice(spec: ConvSpec, path: str) -> Choice:
    """Return how a path is taken where nothing was measured."""
    rows, length = spec.product(path)
    return Choice(path, small=cut_small(length, rows))


class Tuner:
    """Chooses paths, from what was measured before or by measuring now.

    Parameters
    ----------
    budget_s
        Seconds that measuring may take in all; 0 neither measures nor reads measurements.
    winograd
        Whether paths that round more than a sum of products may be chosen.
    """

    def __init__(self, budget_s: float, *, winograd: bool = True) -> None:
        self._winograd, self._budget_s = winograd, budget_s
        self._spent_s, self._changed = 0.0, False
        self._file = cache_file()
        self._known = self._read() if budget_s > 0 else {}

    def choose(self, spec: ConvSpec, given: bool) -> Choice:
        """Return the choice for a convolution; ``given``: it reads a network input."""
        paths = paths_for(spec, from_input=given, winograd=self._winograd)
        usual = usual_choice(spec, paths[0])
        if self._budget_s <= 0 or spec.macs < _LEAST_MACS or paths[0] == "depthwise":
            return usual
        key = f"{spec.key}{'' if self._winograd else '_exact'}"
        known = self._known.get(key)
        if known is not None and known.path in paths:
            return known
        if self._spent_s >= self._budget_s:
            return usual
        start = perf_counter()
        self._progress(key)
        ways = [Choice(path, small=cut) for path in paths for cut in (True, False)]
        best = _ranked(spec, ways)[:_FINALISTS]
        sized = [replace(way, block_bytes=size) for way in best for size in _BLOCKS]
        self._known[key] = _ranked(spec, sized)[0]
        self._changed = True
        self._spent_s += perf_counter() - start
        return self._known[key]

    def fastest(self, key: str, times_ns: dict[str, int]) -> str:
        """Return the name of the shortest time and remember it under a key."""
        name = min(times_ns, key=lambda name: times_ns[name])
        self._known[key] = Choice(name, 0)
        self._changed = True
        return name

    def known(self, key: str) -> str | None:
        """Return what was found for a key, or ``None``."""
        found = self._known.get(key)
        return found.path if found else None

    def save(self) -> None:
        """Write new measurements; a folder that cannot be written is no error."""
        if not self._changed:
            return
        content = {key: asdict(choice) for key, choice in {**self._read(), **self._known}.items()}
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._file.parent, suffix=".tmp")
            with os.fdopen(handle, "w") as file:
                json.dump({"processor": processor(), "choices": content}, file, indent=1)
            Path(name).replace(self._file)
            self._changed = False
        except OSError:
            return
        finally:
            self._progress("")

    def _read(self) -> dict[str, Choice]:
        try:
            stored = json.loads(self._file.read_text())["choices"]
            return {
                str(key): Choice(str(row["path"]), int(row["block_bytes"]), bool(row["small"]))
                for key, row in stored.items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def _progress(self, key: str) -> None:
        if sys.stderr.isatty():
            text = f"measuring {key} ({self._spent_s:.0f} of {self._budget_s:.0f} s)" if key else ""
            sys.stderr.write(f"\r{text[:78]:78}\r")
            sys.stderr.flush()


def _ranked(spec: ConvSpec, choices: Sequence[Choice]) -> list[Choice]:
    """Return choices by time, the shortest first."""
    times_ns = measure_ns(spec, choices)
    return [choice for _, choice in sorted(zip(times_ns, choices, strict=True), key=_time_ns)]


def _time_ns(row: tuple[int, Choice]) -> int:
    return row[0]
