"""Run a network in float32 on numpy: the oracle that needs no other engine.

`apply` computes one layer with everything fused into it; `execute` runs all layers in order and
drops each tensor after its last reader. Invariant: inputs and constants are never written to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from heterolith.errors import InputError, unknown_name
from heterolith.sw.network import Array, Layer, Network
from heterolith.sw.numerics import within
from heterolith.sw.ops import UNFIT, check, checked, fitting, maps, products, unfit
from heterolith.sw.ops.tiling import BUFFER, BUFFERS, Crew, Job, Run
from heterolith.sw.scores import score_layers, widen
from heterolith.sw.workers.team import Team

TILED: Mapping[str, Callable[[Job, Crew], Run]] = {
    "AveragePool": maps.average_pool,
    "Concat": maps.concat,
    "Conv": products.conv,
    "Gemm": products.gemm,
    "LRN": maps.lrn,
    "MaxPool": maps.max_pool,
    "Transpose": maps.transpose,
}
"""Operators that are prepared, cut into parts and given pooled memory, if of one output."""


def check_inputs(network: Network, inputs: Mapping[str, Array]) -> None:
    """Check arrays against the network's inputs.

    Raises
    ------
    InputError
        If a name is missing or unknown, or a shape or dtype is not the network's.
    """
    for name in inputs:
        if name not in network.inputs:
            raise unknown_name("network input", name, network.inputs)
    for name in network.inputs:
        _check_array(name, inputs, network)


def check_activations(network: Network, layer: Layer, inputs: Mapping[str, Array]) -> None:
    """Check arrays against what a layer reads besides constants; others are not looked at.

    Raises
    ------
    InputError
        If one is missing, or its shape or dtype is not the network's.
    """
    for name in network.activations(layer):
        _check_array(name, inputs, network)


def _check_array(name: str, inputs: Mapping[str, Array], network: Network) -> None:
    expected = network.tensors[name]
    needs = f"{network.name} needs {expected.dtype} of shape {expected.shape}"
    if name not in inputs:
        raise InputError(f"input {name!r} is missing; {needs}")
    value = inputs[name]
    if not isinstance(value, np.ndarray):
        raise InputError(f"input {name!r} is a {type(value).__name__}, no numpy array; {needs}")
    if (value.shape, value.dtype.name) != (expected.shape, expected.dtype):
        raise InputError(f"input {name!r} is {value.dtype.name} of shape {value.shape}; {needs}")


def check_results(network: Network, layer: Layer, results: Sequence[Array]) -> None:
    """Check what a layer gave against what the network says that it gives.

    Raises
    ------
    InputError
        If a shape or dtype differs: operands of mixed types, or a network put together wrongly.
    """
    for name, value in zip(layer.outputs, results, strict=True):
        kind = network.tensors.get(name)
        if kind is not None and (value.shape, value.dtype.name) != (kind.shape, kind.dtype):
            raise InputError(
                f"result {name!r} is {value.dtype.name} of shape {value.shape}, but {network.name} "
                f"says {kind.dtype} of shape {kind.shape}"
            )


Results = tuple[Array, ...]
Prepared = Callable[[Mapping[str, Array]], Results]
"""A layer ready to run: its inputs and its residual by name, to its outputs."""


def apply(layer: Layer, arrays: Mapping[str, Array], team: Team | None = None) -> Results:
    """Compute a layer: its operator, plus the residual, clamped by the activation.

    Parameters
    ----------
    arrays
        Every input of the layer and its residual, constants included, by name.
    team
        Threads to use; the caller's alone by default.

    Returns
    -------
    tuple of arrays
        One per output; they may share memory with the inputs, as a reshape does.

    Raises
    ------
    InputError
        If the operator is not known or the arrays do not fit it.
    """
    return prepare(layer, arrays, team or Team(1))(arrays)


def prepare(
    layer: Layer, arrays: Mapping[str, Array], team: Team, *, scored: bool = False
) -> Prepared:
    """Return a layer ready to run, often and by several threads, on arrays of the same types.

    Parameters
    ----------
    arrays
        As for `apply`: shapes and dtypes count.
    team
        Threads to use.
    scored
        Guard scores (`heterolith.sw.scores`).

    Raises
    ------
    InputError
        As `apply`.
    """
    check(layer.op, layer.attributes)
    inputs = [arrays[name] if name else None for name in layer.inputs]
    tiled = TILED.get(layer.op)
    if tiled is None or len(layer.outputs) > 1 or len({x.dtype for x in _present(inputs)}) != 1:
        compute = _whole(layer)
    else:
        residual = arrays[layer.residual].shape if layer.residual else None
        shapes = [None if x is None else x.shape for x in inputs]
        (dtype,) = {x.dtype for x in _present(inputs)}
        with fitting(layer.op, inputs):
            run = tiled(Job(layer.attributes, shapes, dtype, residual, layer.activation), team)

        def compute(inputs: Sequence[Array | None], residual: Array | None) -> Results:
            return (run(inputs, residual),)

    call = within(BUFFERS.get(layer.op, BUFFER))

    def plain(arrays: Mapping[str, Array]) -> Results:
        inputs = [arrays[name] if name else None for name in layer.inputs]
        residual = arrays[layer.residual] if layer.residual else None
        try:  # as `fitting`, which costs a context manager more
            results: Results = call(compute, inputs, residual)
        except InputError:
            raise
        except UNFIT as error:
            raise unfit(layer.op, inputs, error) from error
        return results

    def guarded(arrays: Mapping[str, Array]) -> Results:
        held = {name: arrays[name] for name in (*layer.inputs, layer.residual) if name}
        # what was prepared takes float32, not the wide arrays that scores may need
        return widen(
            lambda given: plain(given) if given is held else apply(layer, given, team), held
        )

    return guarded if scored else plain


def _present(inputs: Sequence[Array | None]) -> list[Array]:
    return [x for x in inputs if x is not None]


def _whole(layer: Layer) -> Callable[[Sequence[Array | None], Array | None], Results]:
    """Return what computes an operator at once, then what is fused behind it."""
    run = checked(layer.op, layer.attributes, len(layer.outputs))

    def compute(inputs: Sequence[Array | None], residual: Array | None) -> Results:
        results = run(inputs)
        if residual is None and layer.activation is None:
            return results
        first = results[0]
        added = None if residual is None else residual.shape
        finish = Job({}, (), first.dtype, added, layer.activation).finish(first.shape)
        if not first.flags.writeable or any(
            np.may_share_memory(first, value) for value in _present(inputs)
        ):
            first = first.copy()
        finish.apply(first, residual, (slice(None),) * first.ndim)
        return (first, *results[1:])

    return compute


def execute(
    network: Network, inputs: Mapping[str, Array], *, keep: bool = False, threads: int = 1
) -> dict[str, Array]:
    """Run a network.

    Parameters
    ----------
    inputs
        Arrays by name, of the shapes and dtypes of ``network.tensors``.
    keep
        Return every activation instead of the outputs alone; nothing is dropped then.
    threads
        Threads to use; BLAS works with one meanwhile.

    Returns
    -------
    dict
        Network outputs by name, with ``keep`` all activations, inputs included.

    Raises
    ------
    InputError
        If the inputs do not fit the network; a layer that fails is named.
    """
    check_inputs(network, inputs)
    team = Team(threads)
    arrays: dict[str, Array] = {**network.constants, **inputs}
    scores = score_layers(network)
    last_readers = {} if keep else _last_readers(network)
    try:
        with team.at_work():
            for layer in network.layers:
                with naming(layer):
                    run = prepare(layer, arrays, team, scored=layer.name in scores)
                    results = run(arrays)
                    check_results(network, layer, results)
                arrays.update(zip(layer.outputs, results, strict=True))
                for name in last_readers.get(layer.name, ()):
                    del arrays[name]
    finally:
        team.close()
    wanted = network.tensors if keep else network.outputs
    return {name: arrays[name] for name in wanted if name in arrays}


@contextmanager
def naming(layer: Layer) -> Iterator[None]:
    """Name the layer in an `InputError` that comes out of it."""
    try:
        yield
    except InputError as error:
        raise named(layer, error) from error


def named(layer: Layer, error: InputError) -> InputError:
    """Return an error that names the layer too."""
    return InputError(f"layer {layer.name!r} ({layer.op}): {error}")


def _last_readers(network: Network) -> dict[str, list[str]]:
    """Return layer name -> activations that nothing reads after it, unread outputs among them."""
    last = {name: layer.name for layer in network.layers for name in layer.outputs}
    for layer in network.layers:
        last.update(dict.fromkeys(network.activations(layer), layer.name))
    dropped: dict[str, list[str]] = {}
    for name, reader in last.items():
        if name not in network.outputs:
            dropped.setdefault(reader, []).append(name)
    return dropped
