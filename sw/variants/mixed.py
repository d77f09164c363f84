"""A network on this machine's CPU with some layers in int8, the others in float32.

Float layers run compiled (`heterolith.sw.fast`), int8 layers on the accelerator's golden model, so
with its bits. A tensor keeps the format of the layer that made it and is converted where a layer of
the other format reads it, as in a dispatched plan.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from heterolith import hw
from heterolith.errors import InputError, unknown_name
from heterolith.sw.fast import CompiledNetwork, Options
from heterolith.sw.network import Array, Network
from heterolith.sw.offload import support
from heterolith.sw.quantize import QuantizedNetwork
from heterolith.sw.variants.exits import section
from heterolith.sw.workers.fpga import FpgaWorker

COMPILED = Options(threads=1, tune_s=0.0)
"""One thread and fixed paths: results do not depend on what was measured on this machine."""


@dataclass(frozen=True, slots=True)
class _Run:
    """Consecutive layers in one format; ``compiled`` computes them if they are float32."""

    part: Network
    compiled: CompiledNetwork | None


class MixedNetwork:
    """Runs a network layer by layer in two formats; one caller at a time.

    Parameters
    ----------
    network
        What to run.
    int8
        Names of the layers in int8.
    quantized
        Scales of this network, needed if a layer is in int8.

    Raises
    ------
    InputError
        If a layer is unknown, has no int8 form, or scales are missing or of another network.
    """

    def __init__(
        self,
        network: Network,
        int8: Collection[str] = (),
        quantized: QuantizedNetwork | None = None,
    ) -> None:
        self._network, self._quantized = network, quantized
        self._int8_tensors: frozenset[str] = frozenset()
        self._worker: FpgaWorker | None = None
        if int8:
            self._prepare(int8)
        self._runs = tuple(
            _Run(part, None if coded else CompiledNetwork(part, COMPILED))
            for part, coded in _parts(network, int8)
        )

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors that `run` needs."""
        return self._network.inputs

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run once; returns the network's outputs in float32 by name.

        Raises
        ------
        InputError
            If the inputs do not fit the network.
        """
        values = dict(inputs)
        for run in self._runs:
            if run.compiled is not None:
                read = {name: self._as(name, values[name], False) for name in run.part.inputs}
                values |= run.compiled.run(read)
                continue
            assert self._worker is not None
            codes = {name: self._as(name, values[name], True) for name in run.part.inputs}
            for layer in run.part.layers:
                codes[layer.outputs[0]] = self._worker.run(layer, codes)[0]
            values |= {name: codes[name] for name in run.part.outputs}
        outputs = self._network.outputs
        return {name: self._as(name, self._value(values, name), False) for name in outputs}

    def close(self) -> None:
        """Give memory back; the network cannot be run any more."""
        for run in self._runs:
            if run.compiled is not None:
                run.compiled.close()
        if self._worker is not None:
            self._worker.close()

    def _prepare(self, int8: Collection[str]) -> None:
        network, quantized = self._network, self._quantized
        if quantized is None:
            raise InputError("layers in int8 need scales; quantize the network")
        layers = {layer.name: layer for layer in network.layers}
        self._worker = FpgaWorker(quantized, hw.config("ultra96"))
        for name in int8:
            if name not in layers:
                raise unknown_name("layer", name, layers)
            reason = support(network, layers[name])
            if reason:
                raise InputError(f"layer {name!r} has no int8 form: {reason}")
            self._worker.load(network, layers[name])
        self._int8_tensors = frozenset(layers[name].outputs[0] for name in int8)

    def _value(self, values: Mapping[str, Array], name: str) -> Array:
        return values[name] if name in values else self._network.constants[name]

    def _as(self, name: str, value: Array, codes: bool) -> Array:
        """Return a tensor in the format wanted."""
        if (name in self._int8_tensors) == codes:
            return value
        assert self._quantized is not None
        return (self._quantized.encode if codes else self._quantized.decode)(name, value)


def _parts(network: Network, int8: Collection[str]) -> list[tuple[Network, bool]]:
    """Return maximal runs of consecutive layers in one format, and whether it is int8."""
    runs: list[tuple[list[str], bool]] = []
    for layer in network.layers:
        coded = layer.name in int8
        if not runs or runs[-1][1] != coded:
            runs.append(([], coded))
        runs[-1][0].append(layer.name)
    return [(section(network, names), coded) for names, coded in runs]
