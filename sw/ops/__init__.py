"""Numpy operators by ONNX name. Door: `compute`, `check` and `OPERATORS`.

Semantics are those of ONNX operator set 18 with explicit pads; ``Softmax`` and ``LogSoftmax`` take
``flatten=1`` for the two-dimensional form they had before set 13. Every operator is one pure
function: positional parameters are inputs, keywords are attributes. Results may be views.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from heterolith.errors import InputError, unknown_name
from heterolith.sw.network import Array
from heterolith.sw.ops import (
    activation,
    attention,
    conv,
    detection,
    elementwise,
    index,
    integer,
    linear,
    loss,
    normalize,
    pool,
    quantize,
    recurrent,
    reduce,
    resize,
    sample,
    shape,
    signal,
)
from heterolith.sw.ops.limits import check_values
from heterolith.sw.ops.window import GEOMETRY

__all__ = ["OPERATORS", "check", "compute", "fitting"]

_Function = Callable[..., Array | tuple[Array, ...]]

_ONE_OUTPUT: dict[str, _Function] = {
    "Abs": np.abs,
    "Acos": np.arccos,
    "Acosh": np.arccosh,
    "Add": np.add,
    "AffineGrid": sample.affine_grid,
    "And": np.logical_and,
    "ArgMax": reduce.argmax,
    "ArgMin": reduce.argmin,
    "Asin": np.arcsin,
    "Asinh": np.arcsinh,
    "Atan": np.arctan,
    "Atanh": np.arctanh,
    "Attention": attention.attention,
    "AveragePool": pool.average_pool,
    "BatchNormalization": normalize.batch_normalization,
    "BitCast": shape.bit_cast,
    "BitShift": elementwise.bit_shift,
    "BitwiseAnd": np.bitwise_and,
    "BitwiseNot": np.invert,
    "BitwiseOr": np.bitwise_or,
    "BitwiseXor": np.bitwise_xor,
    "BlackmanWindow": signal.blackman_window,
    "Cast": shape.cast,
    "CausalConvWithState": attention.causal_conv_with_state,
    "Ceil": np.ceil,
    "Celu": activation.celu,
    "CenterCropPad": sample.center_crop_pad,
    "Clip": elementwise.clip,
    "Col2Im": sample.col2im,
    "Compress": index.compress,
    "Concat": shape.concat,
    "ConstantOfShape": shape.constant_of_shape,
    "Conv": conv.conv,
    "ConvInteger": integer.conv_integer,
    "ConvTranspose": conv.conv_transpose,
    "Cos": np.cos,
    "Cosh": np.cosh,
    "CumProd": elementwise.cumulative_product,
    "CumSum": elementwise.cumulative_sum,
    "DFT": signal.dft,
    "DeformConv": sample.deform_conv,
    "DepthToSpace": shape.depth_to_space,
    "DequantizeLinear": quantize.dequantize_linear,
    "Det": linear.determinant,
    "Div": elementwise.divide,
    "DynamicQuantizeLinear": quantize.dynamic_quantize_linear,
    "Einsum": linear.einsum,
    "Elu": activation.elu,
    "Equal": np.equal,
    "Erf": elementwise.erf,
    "Exp": np.exp,
    "Expand": shape.expand,
    "EyeLike": index.eye_like,
    "Flatten": shape.flatten,
    "Floor": np.floor,
    "GRU": recurrent.gru,
    "Gather": index.gather,
    "GatherElements": index.gather_elements,
    "GatherND": index.gather_nd,
    "Gelu": activation.gelu,
    "Gemm": linear.gemm,
    "GlobalAveragePool": pool.global_average_pool,
    "GlobalLpPool": pool.global_lp_pool,
    "GlobalMaxPool": pool.global_max_pool,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "GridSample": sample.grid_sample,
    "GroupNormalization": normalize.group_normalization,
    "HammingWindow": signal.hamming_window,
    "HannWindow": signal.hann_window,
    "HardSigmoid": activation.hard_sigmoid,
    "HardSwish": activation.hard_swish,
    "Hardmax": normalize.hardmax,
    "Identity": shape.identity,
    "InstanceNormalization": normalize.instance_normalization,
    "IsInf": elementwise.is_inf,
    "IsNaN": np.isnan,
    "LRN": normalize.local_response_normalization,
    "LSTM": recurrent.lstm,
    "LayerNormalization": normalize.layer_normalization,
    "LeakyRelu": activation.leaky_relu,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "LinearAttention": attention.linear_attention,
    "Log": np.log,
    "LogSoftmax": normalize.log_softmax,
    "LpNormalization": normalize.lp_normalization,
    "LpPool": pool.lp_pool,
    "MatMul": linear.matmul,
    "MatMulInteger": integer.matmul_integer,
    "Max": elementwise.maximum,
    "MaxPool": pool.max_pool,
    "MaxRoiPool": detection.max_roi_pool,
    "MaxUnpool": sample.max_unpool,
    "Mean": elementwise.mean,
    "MeanVarianceNormalization": normalize.mean_variance_normalization,
    "MelWeightMatrix": signal.mel_weight_matrix,
    "Min": elementwise.minimum,
    "Mish": activation.mish,
    "Mod": elementwise.modulo,
    "Mul": np.multiply,
    "Neg": np.negative,
    "NegativeLogLikelihoodLoss": loss.negative_log_likelihood_loss,
    "NonMaxSuppression": detection.non_max_suppression,
    "NonZero": index.non_zero,
    "Not": np.logical_not,
    "OneHot": index.one_hot,
    "Or": np.logical_or,
    "PRelu": activation.prelu,
    "Pad": shape.pad,
    "Pow": elementwise.power,
    "QGemm": integer.qgemm,
    "QLinearAdd": integer.qlinear_add,
    "QLinearConv": integer.qlinear_conv,
    "QLinearGlobalAveragePool": integer.qlinear_global_average_pool,
    "QLinearMatMul": integer.qlinear_matmul,
    "QLinearMul": integer.qlinear_mul,
    "QuantizeLinear": quantize.quantize_linear,
    "RMSNormalization": normalize.rms_normalization,
    "RNN": recurrent.rnn,
    "Range": shape.range_,
    "Reciprocal": elementwise.reciprocal,
    "ReduceL1": reduce.reduce_l1,
    "ReduceL2": reduce.reduce_l2,
    "ReduceLogSum": reduce.reduce_log_sum,
    "ReduceLogSumExp": reduce.reduce_log_sum_exp,
    "ReduceMax": reduce.reduce_max,
    "ReduceMean": reduce.reduce_mean,
    "ReduceMin": reduce.reduce_min,
    "ReduceProd": reduce.reduce_prod,
    "ReduceSum": reduce.reduce_sum,
    "ReduceSumSquare": reduce.reduce_sum_square,
    "Relu": activation.relu,
    "Reshape": shape.reshape,
    "Resize": resize.resize,
    "ReverseSequence": index.reverse_sequence,
    "RoiAlign": detection.roi_align,
    "RotaryEmbedding": attention.rotary_embedding,
    "Round": np.rint,
    "STFT": signal.stft,
    "ScatterElements": index.scatter_elements,
    "ScatterND": index.scatter_nd,
    "Selu": activation.selu,
    "Shape": shape.shape,
    "Shrink": activation.shrink,
    "Sigmoid": activation.sigmoid,
    "Sign": np.sign,
    "Sin": np.sin,
    "Sinh": np.sinh,
    "Size": shape.size,
    "Slice": shape.slice_,
    "Softmax": normalize.softmax,
    "SoftmaxCrossEntropyLoss": loss.softmax_cross_entropy_loss,
    "Softplus": activation.softplus,
    "Softsign": activation.softsign,
    "SpaceToDepth": shape.space_to_depth,
    "Split": shape.split,
    "Sqrt": np.sqrt,
    "Squeeze": shape.squeeze,
    "Sub": np.subtract,
    "Sum": elementwise.sum_,
    "SwiGLU": activation.swiglu,
    "Swish": activation.swish,
    "Tan": np.tan,
    "Tanh": np.tanh,
    "TensorScatter": index.tensor_scatter,
    "ThresholdedRelu": activation.thresholded_relu,
    "Tile": shape.tile,
    "TopK": index.top_k,
    "Transpose": shape.transpose,
    "Trilu": index.trilu,
    "Unique": index.unique,
    "Unsqueeze": shape.unsqueeze,
    "Where": shape.where,
    "Xor": np.logical_xor,
}
# What computes an operator when more than its first output is wanted.
_MORE_OUTPUTS: dict[str, _Function] = {"MaxPool": pool.max_pool_with_indices}
_CONVOLUTION = GEOMETRY - {"ceil_mode"}
# Attributes of the functions that take any keyword.
_KEYWORDS = {
    "Attention": attention.ATTENTION,
    "AveragePool": GEOMETRY,
    "Conv": _CONVOLUTION,
    "ConvInteger": _CONVOLUTION,
    "ConvTranspose": _CONVOLUTION | {"output_padding", "output_shape"},
    "DeformConv": _CONVOLUTION,
    "GRU": recurrent.ATTRIBUTES | {"linear_before_reset"},
    "LSTM": recurrent.ATTRIBUTES | {"input_forget"},
    "LpPool": GEOMETRY,
    "MaxPool": GEOMETRY,
    "QLinearConv": _CONVOLUTION,
    "RNN": recurrent.ATTRIBUTES,
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


def check(op: str, attributes: Mapping[str, Any]) -> None:
    """Check that operator and attributes are known, and that their values have a meaning.

    Raises
    ------
    InputError
        If they are not; the message names near ones, or the bound of a value.
    """
    if op not in OPERATORS:
        raise unknown_name("operator", op, OPERATORS)
    strange = sorted(set(attributes) - _ATTRIBUTES[op])
    if strange:
        raise unknown_name(f"attribute of {op}", strange[0], _ATTRIBUTES[op])
    check_values(op, attributes)


UNFIT = (ValueError, TypeError, LookupError, ArithmeticError)
"""What numpy raises where inputs do not fit an operator."""


@contextmanager
def fitting(op: str, inputs: Sequence[Array | None]) -> Iterator[None]:
    """Name operator and inputs in an `InputError` if numpy finds that they do not fit."""
    try:
        with np.errstate(all="ignore"):
            yield
    except InputError:
        raise
    except UNFIT as error:
        raise unfit(op, inputs, error) from error


def unfit(op: str, inputs: Sequence[Array | None], error: Exception) -> InputError:
    """Return an error that names operator and inputs."""
    types = ", ".join("-" if x is None else f"{x.dtype}{x.shape}" for x in inputs)
    return InputError(f"{op} does not fit inputs {types}: {error}")


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
    with fitting(op, inputs):
        return checked(op, attributes, n_outputs)(inputs)


def checked(
    op: str, attributes: Mapping[str, Any], n_outputs: int = 1
) -> Callable[[Sequence[Array | None]], tuple[Array, ...]]:
    """Return what computes an operator whose attributes were checked; see `compute`."""
    function = _ONE_OUTPUT[op] if n_outputs == 1 else _MORE_OUTPUTS.get(op, _ONE_OUTPUT[op])

    def run(inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        result = function(*inputs, **attributes)
        results = result if isinstance(result, tuple) else (result,)
        if len(results) < n_outputs:
            raise InputError(f"{op} gives {len(results)} outputs here, {n_outputs} were asked for")
        return tuple(np.asarray(value) for value in results[:n_outputs])

    return run
