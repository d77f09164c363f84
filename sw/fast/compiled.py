"""A network compiled for this machine's cores, to be run many times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from threading import Lock
from time import perf_counter_ns

import numpy as np

from heterolith.errors import InputError, unknown_name
from heterolith.sw.execute import check_inputs, execute
from heterolith.sw.fast.crew import Alone, Crew, Processes, Threads, can_fork
from heterolith.sw.fast.program import Choice, Program, compile_program
from heterolith.sw.fast.tune import Tuner
from heterolith.sw.network import Array, Network
from heterolith.sw.numerics import prepared_numpy
from heterolith.sw.workers.team import available_cores, blas_is_known, hold_blas

WORKERS = ("auto", "threads", "processes")
_TRIALS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a network is compiled.

    Attributes
    ----------
    threads
        Workers, by default one per core that this process may use.
    workers
        ``threads``, forked ``processes``, or ``auto``: whichever is measured to be faster, threads
        where nothing may be measured.
    cores
        Core of each worker, empty to let the system decide.
    winograd
        Whether 3x3 and 5x5 layers may use Winograd's filtering, whose results differ from a sum of
        products by up to about 1e-4 of the largest; see `heterolith.sw.fast.winograd`.
    tune_s
        Seconds that measuring paths may take, 0 to take fixed ones.
    """

    threads: int | None = None
    workers: str = "auto"
    cores: tuple[int, ...] = ()
    winograd: bool = True
    tune_s: float = 10.0


class CompiledNetwork:
    """Runs a network; several threads may call it, one after the other is served.

    Memory for all activations is allocated once. Results are copies, the caller's to keep.

    Parameters
    ----------
    network
        What to run.
    options
        By default all cores and measured paths.

    Raises
    ------
    InputError
        If an option is out of range, or the network holds what no worker computes.
    """

    def __init__(self, network: Network, options: Options | None = None) -> None:
        self.options = options or Options()
        self.threads = _checked(self.options)
        self._network, self._lock = network, Lock()
        tuner = Tuner(self.options.tune_s, winograd=self.options.winograd)
        with hold_blas(), prepared_numpy():
            self.workers = self._kind(tuner)
            self._program, self._crew = self._built(self.workers, tuner)
        tuner.save()

    @property
    def choices(self) -> Mapping[str, Choice]:
        """Layer name -> path and block size of every convolution."""
        return self._program.choices

    @property
    def bytes(self) -> int:
        """Memory for activations and intermediate values, constants not counted."""
        return self._program.bytes

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run the network once.

        Parameters
        ----------
        inputs
            Arrays by name, of the shapes and dtypes of ``network.tensors``.

        Returns
        -------
        dict
            Network outputs by name.

        Raises
        ------
        InputError
            If the inputs do not fit the network.
        HeterolithError
            If a worker process was ended from outside.
        """
        check_inputs(self._network, inputs)
        program = self._program
        with self._lock, hold_blas(), prepared_numpy():
            for name, place in program.inputs.items():
                np.copyto(place, inputs[name])
            program.flag[0] = 0
            self._crew.run()
            if not program.flag[0]:
                constants = self._network.constants
                return {
                    name: np.array(program.outputs.get(name, constants.get(name)), order="C")
                    for name in self._network.outputs
                }
        return execute(self._network, inputs, threads=self.threads)

    def close(self) -> None:
        """End the workers; the network cannot be run any more."""
        self._crew.close()

    def _kind(self, tuner: Tuner) -> str:
        kind = self.options.workers
        if self.threads == 1 or not can_fork():
            return "threads"
        if kind != "auto" or self.options.tune_s <= 0:
            return "threads" if kind == "auto" else kind
        names = [(layer.op, layer.outputs) for layer in self._network.layers]
        digest = sha256(repr((names, sorted(self._network.tensors.items()))).encode()).hexdigest()
        key = f"workers_{self.threads}_{digest[:16]}"
        return tuner.known(key) or tuner.fastest(
            key, {kind: self._timed(kind, tuner) for kind in ("threads", "processes")}
        )

    def _timed(self, kind: str, tuner: Tuner) -> int:
        """Return the shortest of a few runs on zeros, in nanoseconds."""
        _, crew = self._built(kind, tuner)
        times = []
        for _ in range(_TRIALS):
            start = perf_counter_ns()
            crew.run()
            times.append(perf_counter_ns() - start)
        crew.close()
        return min(times)

    def _built(self, kind: str, tuner: Tuner) -> tuple[Program, Crew]:
        shared = kind == "processes" and self.threads > 1
        program = compile_program(self._network, tuner.choose, self.threads, shared=shared)
        if self.threads == 1:
            return program, Alone([phase[0] for phase in program.phases])
        maker = Processes if shared else Threads
        return program, maker(program.phases, self.options.cores)


def _checked(options: Options) -> int:
    """Return the number of workers."""
    threads = available_cores() if options.threads is None else options.threads
    if threads < 1:
        raise InputError(f"{threads} threads cannot compute anything; give 1 or more")
    if options.workers not in WORKERS:
        raise unknown_name("kind of workers", options.workers, WORKERS)
    if options.cores and len(options.cores) != threads:
        raise InputError(f"{len(options.cores)} cores for {threads} threads; give one core each")
    if options.tune_s < 0:
        raise InputError(f"{options.tune_s} s for measuring; give 0 to measure nothing")
    # A BLAS that cannot be held to one thread would fight with workers: its own threads work then.
    return threads if blas_is_known() else 1
