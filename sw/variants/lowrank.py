"""Low-rank variants: a convolution or a product becomes two, which together multiply less.

The second layer keeps result, bias, residual and activation, so that the network around stays as it
is; a grouped convolution is cut group by group. A rank is offered only if it cuts
multiply-accumulates: with a stride the vertical factor works on the full width, and small kernels
gain nothing (`lowrank_macs`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np

from heterolith.errors import InputError, unknown_name
from heterolith.sw.network import Array, Layer, Network, TensorType
from heterolith.sw.variants.factors import Factors, Moments, product_factors, separable_factors
from heterolith.sw.variants.patches import moments_of

FIRST, SECOND = ".v", ".h"
"""What the names of the two layers end in."""


def refusal(network: Network, layer: Layer) -> str:
    """Return ``""`` if a layer can be cut to a lower rank, else the reason."""
    if layer.op not in ("Conv", "Gemm", "MatMul"):
        return f"{layer.op} has no weights to factor; Conv, Gemm and MatMul have"
    if layer.inputs[0] in network.constants or layer.inputs[1] not in network.constants:
        return "only constant weights on a computed input can be factored"
    rank = network.constants[layer.inputs[1]].ndim
    if rank not in ((3, 4) if layer.op == "Conv" else (2,)):
        return f"weights of {rank} axes cannot be factored; convolutions in 1-D and 2-D can"
    if len(layer.outputs) != 1:
        return "it has several results"
    return ""


def kernels(network: Network, layer: Layer) -> Array:
    """Return weights as (N, C / group, kh, kw), products with ``kh = kw = 1``; raises if refused.

    Raises
    ------
    InputError
        If the layer cannot be factored.
    """
    reason = refusal(network, layer)
    if reason:
        raise InputError(f"layer {layer.name!r} ({layer.op}) has no low-rank variant: {reason}")
    weights = network.constants[layer.inputs[1]]
    if layer.op == "Conv":
        return weights[:, :, None, :] if weights.ndim == 3 else weights
    if layer.op == "MatMul" or not layer.attributes.get("transB", 0):
        weights = weights.T
    return weights[:, :, None, None]


def _sizes(network: Network, layer: Layer) -> tuple[int, int, int, int]:
    n, c, kh, kw = kernels(network, layer).shape
    return int(n), int(c), int(kh), int(kw)


def full_rank(network: Network, layer: Layer) -> int:
    """Return the rank (of each group) above which nothing is lost; raises like `kernels`."""
    n, c, kh, kw = _sizes(network, layer)
    return min(c * kh, kw * (n // _groups(layer)))


def lowrank_macs(network: Network, layer: Layer, rank: int) -> int:
    """Return the multiply-accumulates of both factors; raises like `kernels`."""
    n, c, kh, kw = _sizes(network, layer)
    out = network.tensors[layer.outputs[0]].shape
    if layer.op != "Conv":
        return math.prod(out[:-1]) * rank * (n + c)
    groups, width = _groups(layer), network.tensors[layer.inputs[0]].shape[-1]
    rows = out[0] * (out[2] if len(out) == 4 else 1)
    return rows * rank * (width * groups * c * kh + out[-1] * n * kw)


def offered_ranks(network: Network, layer: Layer) -> range:
    """Return the ranks that cut multiply-accumulates, from 1 up; raises like `kernels`."""
    best = rank_for(network, layer, 1.0)
    return range(1, best + 1)


def rank_for(network: Network, layer: Layer, share: float) -> int:
    """Return the largest rank below full with at most a share of the exact multiply-accumulates.

    Parameters
    ----------
    share
        In (0, 1]; at 1 the rank must still save something.

    Returns
    -------
    int
        0 if no rank does, or the layer cannot be factored.

    Raises
    ------
    InputError
        If the share is out of range.
    """
    if not 0.0 < share <= 1.0:
        raise InputError(f"share of work is {share:g}; it must be above 0 and at most 1")
    if refusal(network, layer):
        return 0
    unit = lowrank_macs(network, layer, 1)
    budget = min(math.floor(share * layer.macs), layer.macs - 1)
    return max(0, min(budget // unit, full_rank(network, layer) - 1)) if unit else 0


def lowrank(
    network: Network,
    ranks: Mapping[str, int],
    samples: Iterable[Mapping[str, Array]] | None = None,
    moments: Mapping[str, tuple[Moments, ...]] | None = None,
) -> Network:
    """Return the network with some layers cut to a lower rank.

    Parameters
    ----------
    ranks
        Layer name -> rank of each group.
    samples
        Network inputs, to be near in results rather than in weights.
    moments
        What `heterolith.sw.variants.moments_of` returned for these layers, instead of samples.

    Raises
    ------
    InputError
        If a layer is unknown or cannot be factored, or a rank is 0, above full, or saves nothing.
    """
    known = moments
    if known is None:
        known = moments_of(network, ranks, samples) if samples is not None else {}
    return _rewritten(
        network,
        ranks,
        lambda layer: _factors(network, layer, ranks[layer.name], known.get(layer.name)),
    )


def lowrank_shapes(network: Network, ranks: Mapping[str, int]) -> Network:
    """Return what `lowrank` returns with zeros for weights: for shapes and work, at no cost.

    Raises
    ------
    InputError
        As `lowrank`.
    """

    def zeros(layer: Layer) -> Factors:
        n, c, kh, kw = _sizes(network, layer)
        rank = ranks[layer.name]
        if layer.op != "Conv":
            return Factors(np.zeros((rank, c)), np.zeros((n, rank)), np.zeros(n))
        first = np.zeros((rank * _groups(layer), c, kh, 1))
        return Factors(first, np.zeros((n, rank, 1, kw)), np.zeros(n))

    return _rewritten(network, ranks, zeros)


def _rewritten(
    network: Network, ranks: Mapping[str, int], factors: Callable[[Layer], Factors]
) -> Network:
    """Return the network with layers cut into factors."""
    layers = {layer.name: layer for layer in network.layers}
    for name, rank in ranks.items():
        if name not in layers:
            raise unknown_name("layer", name, layers)
        _check(network, layers[name], rank)
    made, constants, tensors = [], dict(network.constants), dict(network.tensors)
    for layer in network.layers:
        if layer.name not in ranks:
            made.append(layer)
            continue
        pair, values, between = _pair(network, layer, ranks[layer.name], factors(layer))
        made += pair
        constants |= values
        tensors[between[0]] = between[1]
    read = {name for layer in made for name in (*layer.inputs, layer.residual)}
    kept = {k: v for k, v in constants.items() if k in read or k in network.outputs}
    return replace(network, layers=tuple(made), tensors=tensors, constants=kept)


def _groups(layer: Layer) -> int:
    return int(layer.attributes.get("group", 1)) if layer.op == "Conv" else 1


def _check(network: Network, layer: Layer, rank: int) -> None:
    full = full_rank(network, layer)
    if not 1 <= rank <= full:
        raise InputError(f"rank {rank} of layer {layer.name!r} is outside 1..{full}, its full rank")
    most = rank_for(network, layer, 1.0)
    if rank > most:
        macs = lowrank_macs(network, layer, rank)
        remedy = f"give at most {most}" if most else "leave this layer as it is"
        raise InputError(
            f"rank {rank} of layer {layer.name!r} takes {macs} multiply-accumulates instead of "
            f"{layer.macs}; {remedy}"
        )


def _pair(
    network: Network, layer: Layer, rank: int, factors: Factors
) -> tuple[list[Layer], dict[str, Array], tuple[str, TensorType]]:
    """Return the two layers, their constants, and the tensor between them with its type."""
    first, second = (f"{layer.name}{end}.weight" for end in (FIRST, SECOND))
    between, bias = f"{layer.name}{FIRST}", f"{layer.name}{SECOND}.bias"
    values = {first: factors.first.astype(np.float32), second: factors.second.astype(np.float32)}
    inputs = [between, second, *layer.inputs[2:]]
    if factors.shift.any():
        inputs[2:] = [bias]
        values[bias] = _bias(network, layer, factors.shift)
    make = _conv_layers if layer.op == "Conv" else _product_layers
    attributes, shape = make(network, layer, rank, values, (first, second))
    macs = math.prod(shape) * values[first].size // _results(layer, values[first])
    one = Layer(
        name=between,
        op=layer.op,
        inputs=(layer.inputs[0], first),
        outputs=(between,),
        attributes=attributes[0],
        macs=macs,
    )
    other = replace(
        layer,
        name=f"{layer.name}{SECOND}",
        inputs=tuple(inputs),
        attributes=attributes[1],
        macs=lowrank_macs(network, layer, rank) - macs,
    )
    return [one, other], values, (between, TensorType(shape, "float32"))


def _results(layer: Layer, weights: Array) -> int:
    """Return the number of results among the axes of the first factor's weights."""
    return int(weights.shape[1 if layer.op == "MatMul" else 0])


def _factors(
    network: Network, layer: Layer, rank: int, moments: tuple[Moments, ...] | None
) -> Factors:
    """Return the factors of all groups, stacked over results."""
    weights, groups = kernels(network, layer), _groups(layer)
    given = moments or (None,) * groups
    if layer.op == "MatMul" and given[0] is not None:  # no bias to keep the mean by
        mean, covariance = given[0].mean, given[0].covariance
        given = (Moments(mean=0.0 * mean, covariance=covariance + np.outer(mean, mean)),)
    if layer.op != "Conv":
        return product_factors(weights[:, :, 0, 0], rank, given[0])
    parts = [
        separable_factors(part, rank, known)
        for part, known in zip(np.split(weights, groups), given, strict=True)
    ]
    stacked = (np.concatenate([getattr(p, f) for p in parts]) for f in ("first", "second", "shift"))
    return Factors(*stacked)


def _bias(network: Network, layer: Layer, shift: Array) -> Array:
    """Return the bias with the shift added, in the units the operator adds it in."""
    scale = alpha = 1.0
    if layer.op == "Gemm":
        alpha = float(layer.attributes.get("alpha", 1.0))
        scale = float(layer.attributes.get("beta", 1.0))
    name = layer.inputs[2] if len(layer.inputs) > 2 else ""
    before = network.constants[name].astype(np.float64) if name else 0.0
    return np.asarray(before * scale + alpha * shift, dtype=np.float32)


Attributes = tuple[Mapping[str, object], Mapping[str, object]]


def _conv_layers(
    network: Network, layer: Layer, rank: int, values: dict[str, Array], names: tuple[str, str]
) -> tuple[Attributes, tuple[int, ...]]:
    """Return the attributes of both convolutions and the shape between; 1-D loses an axis."""
    source, out = (network.tensors[n].shape for n in (layer.inputs[0], layer.outputs[0]))
    a, channels = layer.attributes, rank * _groups(layer)
    if len(source) == 3:
        for name in names:
            values[name] = values[name][:, :, 0]
        one = {"kernel_shape": (1,), "strides": (1,), "pads": (0, 0), "dilations": (1,)}
        return ({**a, **one}, dict(a)), (source[0], channels, source[2])
    (kh, kw), (sh, sw), (dh, dw) = (a[k] for k in ("kernel_shape", "strides", "dilations"))
    top, left, bottom, right = a["pads"]
    down = {"kernel_shape": (kh, 1), "strides": (sh, 1), "dilations": (dh, 1)}
    across = {"kernel_shape": (1, kw), "strides": (1, sw), "dilations": (1, dw)}
    return (
        {**a, **down, "pads": (top, 0, bottom, 0)},
        {**a, **across, "pads": (0, left, 0, right)},
    ), (source[0], channels, out[2], source[3])


def _product_layers(
    network: Network, layer: Layer, rank: int, values: dict[str, Array], names: tuple[str, str]
) -> tuple[Attributes, tuple[int, ...]]:
    """Return the attributes of both products and the shape between."""
    out = network.tensors[layer.outputs[0]].shape
    shape = (*out[:-1], rank)
    if layer.op == "MatMul":
        for name in names:
            values[name] = np.ascontiguousarray(values[name].T)
        return (dict(layer.attributes), dict(layer.attributes)), shape
    a = layer.attributes
    beta = 1.0 if f"{layer.name}{SECOND}.bias" in values else a.get("beta", 1.0)
    return (
        {**a, "alpha": 1.0, "beta": 1.0, "transB": 1},
        {**a, "transA": 0, "transB": 1, "beta": beta},
    ), shape
