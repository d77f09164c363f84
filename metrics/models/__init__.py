"""Cost models: samples in, fitted model out, with its error and its intervals."""

from heterolith.metrics.models.costmodel import CostModel, Prediction, refuse_outside
from heterolith.metrics.models.crossval import Errors
from heterolith.metrics.models.evaluate import Evaluation, evaluate
from heterolith.metrics.models.features import layer_row, layer_rows, network_samples
from heterolith.metrics.models.physics import Form
from heterolith.metrics.models.read import data_hash, read
from heterolith.metrics.models.samples import Samples, join, make_samples
from heterolith.metrics.models.store import Stored, load, to_json

__all__ = [
    "CostModel",
    "Errors",
    "Evaluation",
    "Form",
    "Prediction",
    "Samples",
    "Stored",
    "data_hash",
    "evaluate",
    "join",
    "layer_row",
    "layer_rows",
    "load",
    "make_samples",
    "network_samples",
    "read",
    "refuse_outside",
    "to_json",
]
