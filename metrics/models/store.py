"""Model files: JSON with units, ranges, the hash of the data, and versions; never a pickle.

The file carries a hash over its own content. A file that was changed by hand, or written by a newer
version, is refused.
"""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from heterolith.errors import InputError
from heterolith.metrics.models.costmodel import CostModel
from heterolith.metrics.models.crossval import Errors
from heterolith.metrics.models.intervals import Spread
from heterolith.metrics.models.physics import Form, Physics
from heterolith.metrics.models.residual import Residual
from heterolith.metrics.models.samples import TARGETS
from heterolith.metrics.models.terms import Term

FORMAT = "heterolith cost model"
SCHEMA = 4
LARGEST_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A model with what its file says about it.

    Attributes
    ----------
    model
        Fitted.
    device
        What the samples were taken on.
    source
        ``measured`` or ``simulated``: how.
    data_sha256
        Hash of the samples.
    rows
        Number of samples.
    """

    model: CostModel
    device: str
    source: str
    data_sha256: str
    rows: int


def to_json(stored: Stored) -> dict[str, Any]:
    """Return the content of a model file."""
    model = stored.model
    fitted = model.physics_
    content: dict[str, Any] = {
        "format": FORMAT,
        "schema": SCHEMA,
        "metric": model.metric,
        "unit": TARGETS[model.metric],
        "device": stored.device,
        "source": stored.source,
        "rows": stored.rows,
        "data_sha256": stored.data_sha256,
        "software": {
            "heterolith": version("heterolith"),
            "numpy": np.__version__,
            "scipy": version("scipy"),
            "python": platform.python_version(),
        },
        "form": asdict(fitted.form),
        "reference_clocks": dict(fitted.reference),
        "reference_ns": model.reference_ns_,
        "terms": [
            {**term.to_json(), "name": term.name, "coefficient": value, "unit": _unit(model, term)}
            for term, value in zip(fitted.terms, fitted.coefficients, strict=True)
        ],
        "residual": _residual_json(fitted.residual),
        "interval": asdict(model.spread_),
        "ranges": {name: list(pair) for name, pair in model.ranges_.items()},
        "labels": {name: list(values) for name, values in model.labels_.items()},
        "errors": [asdict(errors) for errors in model.errors_],
        "tried": [{**asdict(form), "mape": error} for form, error in model.tried_.items()],
        "warnings": list(model.warnings_),
    }
    content = _plain(content)
    content["sha256"] = _hash(content)
    return content


def _unit(model: CostModel, term: Term) -> str:
    if model.metric == "power":
        return "W" if term.kind == "overhead" else f"W per ({term.name} per ns)"
    return f"{TARGETS[model.metric]} per {term.name}"


def _plain(data: Any) -> Any:  # noqa: ANN401
    """Return JSON types; infinity and NaN become null."""
    if isinstance(data, Mapping):
        return {str(key): _plain(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_plain(value) for value in data]
    if isinstance(data, float) and not math.isfinite(data):
        return None
    return data


def _hash(content: Mapping[str, Any]) -> str:
    text = json.dumps({k: v for k, v in content.items() if k != "sha256"}, sort_keys=True)
    return sha256(text.encode()).hexdigest()


def _residual_json(residual: Residual | None) -> dict[str, Any] | None:
    if residual is None:
        return None
    return {
        "names": list(residual.names),
        "lengths": dict(residual.lengths),
        "anchors": residual.anchors.tolist(),
        "families": residual.families.tolist(),
        "weights": residual.weights.tolist(),
    }


def load(path: Path) -> Stored:
    """Read a model file.

    Raises
    ------
    InputError
        If it is missing, no model file, from a newer version, or its hash does not fit.
    """
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise InputError(
                f"{path} has {path.stat().st_size} bytes, a cost model has at most {LARGEST_BYTES};"
                " is it a file of samples? fit it first: heterolith fit"
            )
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(
            f"{path} is no cost model: {error}; write one with: heterolith fit"
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"{path} is no cost model; write one with: heterolith fit --out")
    if content.get("schema") != SCHEMA:
        raise InputError(
            f"{path} has schema {content.get('schema')}, this version reads {SCHEMA}; update "
            "heterolith, or fit again"
        )
    if content.get("sha256") != _hash(content):
        raise InputError(
            f"{path} was changed after it was written: its sha256 does not fit; fit again"
        )
    try:
        return _stored(content)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is no complete cost model: {error}; fit again") from error


def _stored(content: Mapping[str, Any]) -> Stored:
    form = Form(**content["form"])
    model = CostModel(metric=content["metric"], level=content["interval"]["level"], form=form)
    names = set(Term.__dataclass_fields__)
    residual = content["residual"]
    model.physics_ = Physics(
        metric=content["metric"],
        form=form,
        terms=tuple(Term(**{k: row[k] for k in names}) for row in content["terms"]),
        coefficients=tuple(float(row["coefficient"]) for row in content["terms"]),
        reference=content["reference_clocks"],
        residual=None
        if residual is None
        else Residual(
            names=tuple(residual["names"]),
            lengths=residual["lengths"],
            anchors=np.array(residual["anchors"]),
            families=np.array(residual["families"], dtype=np.str_),
            weights=np.array(residual["weights"]),
        ),
    )
    spread = Spread(**content["interval"])
    model.spread_ = spread if spread.quantile is not None else replace(spread, quantile=math.inf)
    model.ranges_ = {name: (pair[0], pair[1]) for name, pair in content["ranges"].items()}
    model.labels_ = {name: tuple(values) for name, values in content["labels"].items()}
    pace = content.get("reference_ns")  # unknown to files of earlier versions
    model.reference_ns_ = math.nan if pace is None else float(pace)
    model.errors_ = tuple(
        Errors(**{**row, "worst": tuple(row["worst"])}) for row in content["errors"]
    )
    model.tried_ = {
        Form(**{k: row[k] for k in Form.__dataclass_fields__ if k in row}): row["mape"]
        for row in content["tried"]
    }
    model.warnings_ = tuple(content["warnings"])
    return Stored(
        model=model,
        device=content["device"],
        source=content["source"],
        data_sha256=content["data_sha256"],
        rows=content["rows"],
    )
