"""Whole networks on the CPU, as fast as numpy goes. Door: `CompiledNetwork`.

A network becomes a flat list of numpy calls on views made beforehand (`program`): tensors lie
channels last in memory shared over their lifetimes (`layout`, `spots`), every convolution takes the
path that was measured to be fastest (`tune`, `convolve`, `pointwise`, `winograd`), and workers run
the list phase by phase (`crew`). The oracle is `heterolith.sw.execute`. Quantized convolutions take
the same paths, exactly (`integer`).
"""

from heterolith.sw.fast.compiled import CompiledNetwork, Options
from heterolith.sw.fast.integer import IntegerConv

__all__ = ["CompiledNetwork", "IntegerConv", "Options"]
