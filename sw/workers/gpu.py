"""The GPU worker: one ONNX Runtime session per layer, on the first provider that really computes.

TensorRT, CUDA and the CPU provider are tried in this order with a small convolution whose result is
checked: a provider may be listed as available and yet fail for want of a driver or a library. On a
machine without a GPU the CPU provider stands in and ``backend`` says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from time import perf_counter_ns
from types import ModuleType
from typing import Protocol

import numpy as np

from heterolith.errors import InputError, MissingExtraError
from heterolith.sw.execute import check_activations, naming
from heterolith.sw.network import Array, Layer, Network, TensorType
from heterolith.sw.workers.onnx_layer import layer_model
from heterolith.sw.workers.team import available_cores

Providers = Mapping[str, Mapping[str, str]]

# Fastest first. TF32, with 10 of float32's 23 mantissa bits, is off where there is a switch for it.
_TRIALS: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("TensorrtExecutionProvider", {}),
    ("CUDAExecutionProvider", {"use_tf32": "0"}),
    ("CUDAExecutionProvider", {}),
)
_CPU_PROVIDER = "CPUExecutionProvider"


class Session(Protocol):
    """What is used of ``onnxruntime.InferenceSession``."""

    def run(self, outputs: None, inputs: Mapping[str, Array]) -> list[Array]:
        """Return all outputs."""

    def get_providers(self) -> Sequence[str]:
        """Return the names of the providers in use."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    network: Network
    layer: Layer
    session: Session


def _check_results(loaded: _Loaded, results: Sequence[Array]) -> None:
    """Check result shapes: old runtimes count the windows of a rounded-up pool otherwise."""
    for name, value in zip(loaded.layer.outputs, results, strict=True):
        expected = loaded.network.tensors[name]
        if value.shape != expected.shape:
            raise InputError(
                f"ONNX Runtime gives {name!r} the shape {value.shape}, the network "
                f"{expected.shape}; install a newer onnxruntime"
            )


class GpuWorker:
    """A `heterolith.sw.worker.Worker` on ONNX Runtime.

    Parameters
    ----------
    threads
        Threads of the CPU provider, by default one per core that this process may use.

    Attributes
    ----------
    on_gpu
        Whether a GPU computes.

    Raises
    ------
    MissingExtraError
        If onnxruntime is not installed.
    InputError
        If the number of threads is not positive, or no provider computes.
    """

    kind = "gpu"
    number_format = "float32"

    def __init__(self, threads: int | None = None) -> None:
        self._threads = available_cores() if threads is None else threads
        if self._threads < 1:
            raise InputError(f"{threads} threads cannot compute anything; give 1 or more")
        runtime = _runtime()
        self._providers = working_providers()
        name = next(iter(self._providers))
        self.on_gpu = name != _CPU_PROVIDER
        self.backend = f"onnxruntime {runtime.__version__} {name}"
        if not self.on_gpu:
            self.backend += " (no GPU found: runs on this CPU, its time comes from the model)"
        self._loaded: dict[str, _Loaded] = {}
        self._lock = Lock()
        self._counters = {"layers": 0, "macs": 0, "busy_ns": 0, "layers_on_cpu": 0}

    def load(self, network: Network, layer: Layer) -> None:
        """Make a session for a layer.

        Raises
        ------
        InputError
            If ONNX Runtime cannot compute it.
        """
        known = self._loaded.get(layer.name)
        if known is None or known.network is not network or known.layer is not layer:
            with naming(layer):
                model = layer_model(network, layer)
                session = self._session(model)
            self._loaded[layer.name] = _Loaded(network, layer, session)

    def run(self, layer: Layer, inputs: Mapping[str, Array]) -> Sequence[Array]:
        """Compute a loaded layer; see `heterolith.sw.worker.Worker.run`.

        Raises
        ------
        InputError
            If the layer was not loaded, or an activation or a result has another shape or dtype.
        """
        loaded = self._loaded.get(layer.name)
        if loaded is None or loaded.layer is not layer:
            raise InputError(
                f"layer {layer.name!r} is not loaded on this GPU worker; load it first"
            )
        start_ns = perf_counter_ns()
        with naming(layer):
            check_activations(loaded.network, layer, inputs)
            given = {name: inputs[name] for name in loaded.network.activations(layer)}
            results = loaded.session.run(None, given)
            _check_results(loaded, results)
        with self._lock:
            self._counters["layers"] += 1
            self._counters["macs"] += layer.macs
            self._counters["busy_ns"] += perf_counter_ns() - start_ns
        return results

    def counters(self) -> Mapping[str, int]:
        """Return layers run, multiply-accumulates done, nanoseconds spent in `run`.

        ``layers_on_cpu`` counts loaded layers that the GPU's providers refused in part or whole.
        """
        with self._lock:
            return dict(self._counters)

    def close(self) -> None:
        """Give back all sessions."""
        self._loaded.clear()

    def _session(self, model: bytes) -> Session:
        if self.on_gpu:
            try:
                return open_session(model, self._providers, 1)
            except InputError:
                with self._lock:
                    self._counters["layers_on_cpu"] += 1
        return open_session(model, {**self._providers, _CPU_PROVIDER: {}}, self._threads)


def open_session(model: bytes, providers: Providers, threads: int) -> Session:
    """Return a session that computes on these providers and on no others.

    Its threads sleep between runs: spinning ones would take cores from other workers.

    Raises
    ------
    InputError
        If the providers do not start, or refuse a part of the model.
    """
    runtime = _runtime()
    names = list(providers)
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if _CPU_PROVIDER not in providers:
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    try:
        session: Session = runtime.InferenceSession(
            model,
            options,
            providers=names,
            provider_options=[dict(settings) for settings in providers.values()],
            enable_fallback=0,
        )
    except Exception as error:  # onnxruntime raises exceptions of its own without a common base
        detail = str(error).strip().splitlines()[0]
        raise InputError(f"ONNX Runtime on {names[0]} refuses it: {detail}") from error
    if session.get_providers()[0] != names[0]:
        raise InputError(f"ONNX Runtime took {session.get_providers()[0]} instead of {names[0]}")
    return session


@lru_cache(maxsize=1)
def working_providers() -> Providers:
    """Return the GPU providers that compute a convolution right, or else the CPU provider.

    Raises
    ------
    InputError
        If not even the CPU provider does.
    """
    runtime = _runtime()
    runtime.set_default_logger_severity(4)
    available = runtime.get_available_providers()
    found: dict[str, Mapping[str, str]] = {}
    for name, settings in _TRIALS:
        if name in available and name not in found and computes({name: settings}):
            found[name] = settings
    if found:
        return found
    if not computes({_CPU_PROVIDER: {}}):
        raise InputError(f"onnxruntime {runtime.__version__} cannot compute; install it again")
    return {_CPU_PROVIDER: {}}


def computes(providers: Providers) -> bool:
    """Return whether providers give the right sums of 3x3 ones over 4x4 ones."""
    layer = Layer(name="probe", op="Conv", inputs=("x", "w"), outputs=("y",))
    network = Network(
        name="probe",
        inputs=("x",),
        outputs=("y",),
        layers=(layer,),
        tensors={"x": TensorType((1, 1, 4, 4)), "y": TensorType((1, 1, 2, 2))},
        constants={"w": np.ones((1, 1, 3, 3), np.float32)},
    )
    model = layer_model(network, layer)
    try:
        (y,) = open_session(model, providers, 1).run(None, {"x": np.ones((1, 1, 4, 4), np.float32)})
    except Exception:  # whatever a driver or a library raises, this provider does not work
        return False
    return bool(np.all(y == 9.0))


def _runtime() -> ModuleType:
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise MissingExtraError("onnxruntime", "verify") from error
    runtime: ModuleType = onnxruntime
    return runtime
