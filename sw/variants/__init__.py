"""Variants of networks: lower ranks, other precisions, exits. Door: `Rewriter`, `lowrank`, `exits`.

Each is an exact rewrite of the `Network` (`lowrank`, `half`, `exits`) that every worker runs, or a
choice of format that the int8 workers keep (`mixed`).
"""

from heterolith.sw.variants.exits import after_exit, exits, section, stages, up_to_exit
from heterolith.sw.variants.factors import Moments
from heterolith.sw.variants.half import half
from heterolith.sw.variants.lowrank import full_rank, lowrank, lowrank_macs, offered_ranks, rank_for
from heterolith.sw.variants.mixed import MixedNetwork
from heterolith.sw.variants.patches import moments_of
from heterolith.sw.variants.variant import (
    Realized,
    Rewriter,
    Variant,
    parse_variant,
    rewrite,
    shapes,
    why_not,
)

__all__ = [
    "MixedNetwork",
    "Moments",
    "Realized",
    "Rewriter",
    "Variant",
    "after_exit",
    "exits",
    "full_rank",
    "half",
    "lowrank",
    "lowrank_macs",
    "moments_of",
    "offered_ranks",
    "parse_variant",
    "rank_for",
    "rewrite",
    "section",
    "shapes",
    "stages",
    "up_to_exit",
    "why_not",
]
