"""Variants by name, and a network with a variant per layer.

``fp32`` is the layer itself, ``fp16`` and ``int8`` a precision, ``lowrank:S`` the largest rank that
needs at most the share S of its multiply-accumulates; ``int8+lowrank:S`` is both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from heterolith.errors import InputError, unknown_name
from heterolith.sw.network import Array, Layer, Network
from heterolith.sw.offload import VIEWS, support
from heterolith.sw.quantize import QuantizedNetwork, quantize
from heterolith.sw.variants.factors import Moments
from heterolith.sw.variants.half import half
from heterolith.sw.variants.lowrank import FIRST, SECOND, lowrank, lowrank_shapes, rank_for, refusal
from heterolith.sw.variants.patches import moments_of

EXACT = "fp32"
PRECISIONS = (EXACT, "fp16", "int8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A precision and a share of the multiply-accumulates, 1 for full rank."""

    precision: str = EXACT
    share: float = 1.0

    @property
    def name(self) -> str:
        """The variant's name, e.g. ``int8+lowrank:0.5``."""
        parts = [self.precision] if self.precision != EXACT else []
        parts += [f"lowrank:{self.share:g}"] if self.share != 1.0 else []
        return "+".join(parts) or EXACT

    @property
    def parts(self) -> tuple[Variant, ...]:
        """The variants that it joins: its precision and its share, where they are not the layer's.

        Empty for the layer itself.
        """
        each = (Variant(precision=self.precision), Variant(share=self.share))
        return tuple(part for part in each if part != Variant())


def parse_variant(text: str) -> Variant:
    """Read a variant's name; raises `InputError` if it is none."""
    precision, share = EXACT, 1.0
    for part in text.split("+"):
        kind, colon, value = part.strip().partition(":")
        if kind == "lowrank":
            share = _share(text, value if colon else "0.5")
        elif kind in PRECISIONS and not colon:
            precision = kind
        else:
            raise unknown_name("variant", text, (*PRECISIONS, "lowrank:0.5"))
    return Variant(precision=precision, share=share)


def _share(text: str, value: str) -> float:
    try:
        share = float(value)
    except ValueError:
        share = 0.0
    if not 0.0 < share < 1.0:
        raise InputError(
            f"variant {text!r}: a low rank keeps a share of the work above 0 and below 1, e.g. "
            "lowrank:0.5"
        )
    return share


def why_not(network: Network, layer: Layer, variant: Variant) -> str:
    """Return ``""`` if a variant of a layer is offered, else the reason.

    A variant is offered if it differs from the layer: views and layers without work have none.
    """
    if variant == Variant():
        return "it is the layer itself"
    if variant.precision == "int8":
        reason = "a view moves nothing" if layer.op in VIEWS else support(network, layer)
        if reason:
            return reason
    if variant.precision == "fp16" and not layer.macs:
        return "it multiplies nothing"
    if variant.share != 1.0:
        if refusal(network, layer):
            return refusal(network, layer)
        if not rank_for(network, layer, variant.share):
            return f"no rank keeps {variant.share:g} or less of its multiply-accumulates"
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Realized:
    """A network with variants in it: rewritten, with the layers that are to run in int8.

    Attributes
    ----------
    origin
        Layer of the rewritten network -> layer of the original it stands for.
    quantized
        Scales of the rewritten network, ``None`` without int8 layers.
    """

    network: Network
    int8: frozenset[str]
    origin: Mapping[str, str]
    quantized: QuantizedNetwork | None = None


def rewrite(
    network: Network,
    variants: Mapping[str, Variant],
    moments: Mapping[str, tuple[Moments, ...]] | None = None,
) -> Realized:
    """Return a network with some layers in a variant, without scales for those in int8.

    Parameters
    ----------
    variants
        Layer name -> variant; the others stay as they are.
    moments
        What `heterolith.sw.variants.moments_of` returned: by what low ranks are near.

    Raises
    ------
    InputError
        If a layer is unknown or a variant is not offered.
    """
    return _rewritten(
        network, variants, lambda ranks: lowrank(network, ranks, moments=moments or {})
    )


def shapes(network: Network, variants: Mapping[str, Variant]) -> Realized:
    """Return what `rewrite` returns with zeros for low-rank weights: for what variants cost.

    Raises
    ------
    InputError
        As `rewrite`.
    """
    return _rewritten(network, variants, lambda ranks: lowrank_shapes(network, ranks))


def _rewritten(
    network: Network,
    variants: Mapping[str, Variant],
    cut: Callable[[Mapping[str, int]], Network],
) -> Realized:
    """Return a network with some layers in a variant; ``cut`` makes low ranks."""
    layers = {layer.name: layer for layer in network.layers}
    for name, variant in variants.items():
        if name not in layers:
            raise unknown_name("layer", name, layers)
        reason = why_not(network, layers[name], variant)
        if reason and variant != Variant():
            raise InputError(f"layer {name!r} has no variant {variant.name}: {reason}")
    ranks = {
        name: rank_for(network, layers[name], variant.share)
        for name, variant in variants.items()
        if variant.share != 1.0
    }
    made = cut(ranks) if ranks else network
    origin = dict(_origins(network, ranks))
    chosen = {new: variants.get(old, Variant()).precision for new, old in origin.items()}
    halves = [name for name, precision in chosen.items() if precision == "fp16"]
    return Realized(
        network=half(made, halves) if halves else made,
        int8=frozenset(name for name, precision in chosen.items() if precision == "int8"),
        origin=origin,
    )


class Rewriter:
    """Rewrites one network with variants; what samples say of it is computed once.

    Parameters
    ----------
    samples
        Calibration inputs: ranges of int8 codes, and by what low ranks are near.
    """

    def __init__(self, network: Network, samples: Sequence[Mapping[str, Array]]) -> None:
        self.network, self.samples = network, tuple(samples)
        self._moments: Mapping[str, tuple[Moments, ...]] | None = None
        self._quantized: QuantizedNetwork | None = None

    def realize(self, variants: Mapping[str, Variant]) -> Realized:
        """Return the network with some layers in a variant, ready to run; see `rewrite`."""
        cut = any(variant.share != 1.0 for variant in variants.values())
        made = rewrite(self.network, variants, self.moments if cut else None)
        if not made.int8:
            return made
        return replace(made, quantized=self._scales(made.network))

    @property
    def moments(self) -> Mapping[str, tuple[Moments, ...]]:
        """Moments of every layer that can be factored."""
        if self._moments is None:
            names = [x.name for x in self.network.layers if not refusal(self.network, x)]
            self._moments = moments_of(self.network, names, self.samples)
        return self._moments

    def _scales(self, network: Network) -> QuantizedNetwork:
        """Return scales of a rewritten network; those of the network itself are computed once."""
        if network is not self.network:
            return quantize(network, self.samples)
        if self._quantized is None:
            self._quantized = quantize(network, self.samples)
        return self._quantized


def _origins(network: Network, ranks: Mapping[str, int]) -> list[tuple[str, str]]:
    return [
        (f"{layer.name}{end}", layer.name)
        for layer in network.layers
        for end in ((FIRST, SECOND) if layer.name in ranks else ("",))
    ]
