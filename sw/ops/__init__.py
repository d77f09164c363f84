"""Numpy operators by ONNX name. Door: `compute`, `check` and `OPERATORS`.

Semantics are those of ONNX operator set 18 with explicit pads; ``Softmax`` and ``LogSoftmax`` take
``flatten=1`` for the two-dimensional form they had before set 13. Every operator is one pure
function: positional parameters are inputs, keywords are attributes. Results may be views.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from heterolith.errors import InputError, unknown_name
from heterolith.sw.network import Array
from heterolith.sw.ops import (
    activation,
    conv,
    elementwise,
    linear,
    normalize,
    pool,
    quantize,
    reduce,
    resize,
    shape,
)
from heterolith.sw.ops.window import GEOMETRY

__all__ = ["OPERATORS", "check", "compute"]

_Function = Callable[..., Array | tuple[Array, ...]]

_ONE_OUTPUT: dict[str, _Function] = {
    "Abs": np.abs,
    "Add": np.add,
    "And": np.logical_and,
    "ArgMax": reduce.argmax,
    "ArgMin": reduce.argmin,
    "AveragePool": pool.average_pool,
    "BatchNormalization": normalize.batch_normalization,
    "Cast": shape.cast,
    "Ceil": np.ceil,
    "Clip": elementwise.clip,
    "Concat": shape.concat,
    "ConstantOfShape": shape.constant_of_shape,
    "Conv": conv.conv,
    "ConvTranspose": conv.conv_transpose,
    "CumSum": elementwise.cumulative_sum,
    "DepthToSpace": shape.depth_to_space,
    "DequantizeLinear": quantize.dequantize_linear,
    "Div": elementwise.divide,
    "Elu": activation.elu,
    "Equal": np.equal,
    "Erf": elementwise.erf,
    "Exp": np.exp,
    "Expand": shape.expand,
    "Flatten": shape.flatten,
    "Floor": np.floor,
    "Gather": shape.gather,
    "Gelu": activation.gelu,
    "Gemm": linear.gemm,
    "GlobalAveragePool": pool.global_average_pool,
    "GlobalMaxPool": pool.global_max_pool,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "HardSigmoid": activation.hard_sigmoid,
    "HardSwish": activation.hard_swish,
    "Identity": shape.identity,
    "InstanceNormalization": normalize.instance_normalization,
    "LRN": normalize.local_response_normalization,
    "LayerNormalization": normalize.layer_normalization,
    "LeakyRelu": activation.leaky_relu,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Log": np.log,
    "LogSoftmax": normalize.log_softmax,
    "MatMul": linear.matmul,
    "Max": elementwise.maximum,
    "MaxPool": pool.max_pool,
    "Mean": elementwise.mean,
    "Min": elementwise.minimum,
    "Mish": activation.mish,
    "Mod": elementwise.modulo,
    "Mul": np.multiply,
    "Neg": np.negative,
    "Not": np.logical_not,
    "Or": np.logical_or,
    "PRelu": activation.prelu,
    "Pad": shape.pad,
    "Pow": elementwise.power,
    "QuantizeLinear": quantize.quantize_linear,
    "Range": shape.range_,
    "Reciprocal": elementwise.reciprocal,
    "ReduceL1": reduce.reduce_l1,
    "ReduceL2": reduce.reduce_l2,
    "ReduceMax": reduce.reduce_max,
    "ReduceMean": reduce.reduce_mean,
    "ReduceMin": reduce.reduce_min,
    "ReduceProd": reduce.reduce_prod,
    "ReduceSum": reduce.reduce_sum,
    "ReduceSumSquare": reduce.reduce_sum_square,
    "Relu": activation.relu,
    "Reshape": shape.reshape,
    "Resize": resize.resize,
    "Round": np.rint,
    "Selu": activation.selu,
    "Shape": shape.shape,
    "Sigmoid": activation.sigmoid,
    "Sign": np.sign,
    "Size": shape.size,
    "Slice": shape.slice_,
    "Softmax": normalize.softmax,
    "Softplus": activation.softplus,
    "Softsign": activation.softsign,
    "SpaceToDepth": shape.space_to_depth,
    "Split": shape.split,
    "Sqrt": np.sqrt,
    "Squeeze": shape.squeeze,
    "Sub": np.subtract,
    "Sum": elementwise.sum_,
    "Tanh": np.tanh,
    "Tile": shape.tile,
    "Transpose": shape.transpose,
    "Unsqueeze": shape.unsqueeze,
    "Where": shape.where,
    "Xor": np.logical_xor,
}
# What computes an operator when more than its first output is wanted.
_MORE_OUTPUTS: dict[str, _Function] = {"MaxPool": pool.max_pool_with_indices}
# Attributes of the functions that take any keyword.
_KEYWORDS = {
    "AveragePool": GEOMETRY,
    "Conv": GEOMETRY,
    "ConvTranspose": GEOMETRY | {"output_padding", "output_shape"},
    "MaxPool": GEOMETRY,
    "Resize": resize.ATTRIBUTES,
}

OPERATORS: frozenset[str] = frozenset(_ONE_OUTPUT)


def _attribute_names(function: _Function) -> frozenset[str]:
    if isinstance(function, np.ufunc):
        return frozenset()
    parameters = inspect.signature(function).parameters.values()
    return frozenset(entry.name for entry in parameters if entry.kind is entry.KEYWORD_ONLY)


_ATTRIBUTES = {
    op: _attribute_names(function) | _KEYWORDS.get(op, frozenset())
    for op, function in _ONE_OUTPUT.items()
}


def check(op: str, attributes: Iterable[str]) -> None:
    """Check that operator and attributes are known.

    Raises
    ------
    InputError
        If they are not; the message names near ones.
    """
    if op not in OPERATORS:
        raise unknown_name("operator", op, OPERATORS)
    strange = sorted(set(attributes) - _ATTRIBUTES[op])
    if strange:
        raise unknown_name(f"attribute of {op}", strange[0], _ATTRIBUTES[op])


def compute(
    op: str,
    attributes: Mapping[str, Any],
    inputs: Sequence[Array | None],
    n_outputs: int = 1,
) -> tuple[Array, ...]:
    """Compute one operator.

    Parameters
    ----------
    op
        ONNX operator type, one of `OPERATORS`.
    attributes
        Attributes by ONNX name; absent ones take ONNX's defaults.
    inputs
        Arrays in the operator's ONNX order, ``None`` for an absent optional input.
    n_outputs
        Number of leading outputs that are wanted.

    Returns
    -------
    tuple of arrays
        ``n_outputs`` results; they may share memory with the inputs.

    Raises
    ------
    InputError
        If operator or attribute is not known, or the inputs do not fit the operator.
    """
    check(op, attributes)
    function = _ONE_OUTPUT[op] if n_outputs == 1 else _MORE_OUTPUTS.get(op, _ONE_OUTPUT[op])
    try:
        with np.errstate(all="ignore"):
            result = function(*inputs, **attributes)
    except InputError:
        raise
    except (ValueError, TypeError, LookupError, ArithmeticError) as error:
        types = ", ".join("-" if x is None else f"{x.dtype}{x.shape}" for x in inputs)
        raise InputError(f"{op} does not fit inputs {types}: {error}") from error
    results = result if isinstance(result, tuple) else (result,)
    if len(results) < n_outputs:
        raise InputError(f"{op} gives {len(results)} outputs here, {n_outputs} were asked for")
    return tuple(np.asarray(value) for value in results[:n_outputs])
