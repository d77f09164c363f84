"""Layer times measured on the machine at hand.

Each layer runs on the inputs it gets in a real inference; the row holds the median and, as
interval, the 5th and 95th percentile over the repetitions. Energy is not measured here and stays
unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from time import perf_counter_ns

import numpy as np

from heterolith.metrics.profile import Cost
from heterolith.metrics.work import moved_bytes
from heterolith.sw.network import Array, Layer, Network
from heterolith.sw.worker import Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How often each layer runs: warm-ups that are thrown away, then timed repetitions."""

    warmup: int = 2
    repetitions: int = 10


def _time_layer(
    worker: Worker, layer: Layer, inputs: Mapping[str, Array], protocol: Protocol
) -> tuple[tuple[Array, ...], Array]:
    for _ in range(protocol.warmup):
        worker.run(layer, inputs)
    times_ns = np.empty(protocol.repetitions)
    outputs: tuple[Array, ...] = ()
    for index in range(protocol.repetitions):
        begin = perf_counter_ns()
        outputs = tuple(worker.run(layer, inputs))
        times_ns[index] = perf_counter_ns() - begin
    return outputs, times_ns


def measure(
    network: Network,
    worker: Worker,
    inputs: Mapping[str, Array],
    protocol: Protocol | None = None,
) -> Iterator[Cost]:
    """Time every layer of a network on a float32 worker, one after the other.

    Parameters
    ----------
    inputs
        Network inputs by name, float32.

    Yields
    ------
    Cost
        The next layer's row, with source ``measured`` and the worker's kind as device.
    """
    protocol = protocol or Protocol()
    values: dict[str, Array] = dict(inputs)
    for layer in network.layers:
        worker.load(network, layer)
        outputs, times_ns = _time_layer(worker, layer, values, protocol)
        values.update(zip(layer.outputs, outputs, strict=True))
        low, median, high = np.percentile(times_ns, [5, 50, 95])
        yield Cost(
            layer=layer.name,
            op=layer.op,
            device=worker.kind,
            point="host",
            variant="fp32",
            latency_ns=round(median),
            energy_pj=None,
            peak_bytes=moved_bytes(network, layer),
            weight_bytes=network.weight_bytes(layer),
            source="measured",
            latency_low_ns=float(low),
            latency_high_ns=float(high),
        )
