"""Sample files (CSV), checked cell by cell: nothing wrong gets as far as a fit.

A file is read line by line and refused at its first wrong one, so that a large file of anything
else costs no memory. The header names the unit of a target: ``latency_ms`` is converted,
``latency_ms`` beside ``latency_ns`` is refused.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import IO

import numpy as np

from heterolith.errors import InputError, unknown_name
from heterolith.metrics.models.samples import (
    BITS,
    CLOCKS,
    LABELS,
    STATES,
    UNITS,
    WORK,
    Floats,
    Samples,
    column_of,
    from_columns,
    join,
)
from heterolith.metrics.models.terms import STEPWISE

LONGEST_LINE = 65_536
MOST_ROWS = 2_000_000
KEY = ("network", "layer", "device", "point", "variant")


def read(paths: Sequence[Path], metric: str) -> tuple[Samples, str]:
    """Read sample files.

    Returns
    -------
    samples, sha256
        All rows, and the hash over the files' bytes in order.

    Raises
    ------
    InputError
        If a file is missing, empty, no CSV, lacks a column, or has a cell that is no number, not
        finite, negative or in another unit, or a row twice; the message names file, line, column.
    """
    column_of(metric)
    digest, parts = sha256(), []
    for path in paths:
        try:
            with path.open("rb") as file:
                parts.append(_read_one(file, path, metric, digest))
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}") from error
    samples = join(parts)
    _refuse_duplicates(samples)
    return samples, digest.hexdigest()


def _lines(file: IO[bytes], path: Path, digest: object) -> Iterator[str]:
    number = 0
    while raw := file.readline(LONGEST_LINE):
        number += 1
        if len(raw) == LONGEST_LINE:
            raise InputError(
                f"{path}, line {number} is longer than {LONGEST_LINE} bytes: this is no CSV of "
                "samples; write one with: heterolith profile --out FILE.csv"
            )
        digest.update(raw)  # type: ignore[attr-defined]
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            raise InputError(
                f"{path}, line {number} is not text: this is no CSV of samples; write one with: "
                "heterolith profile --out FILE.csv"
            )
        if number > MOST_ROWS:
            raise InputError(f"{path} has more than {MOST_ROWS} rows; fit on a part of it")
        yield text


def _read_one(file: IO[bytes], path: Path, metric: str, digest: object) -> Samples:
    reader = csv.reader(_lines(file, path, digest))
    header = [name.strip() for name in next(reader, [])]
    if not any(header):
        raise InputError(f"{path} is empty; write it with: heterolith profile --out FILE.csv")
    scales = _check_header(header, path, metric)
    cells: list[list[str]] = [[] for _ in header]
    lines: list[int] = []
    for row in reader:
        if not row:
            continue
        if len(row) != len(header):
            raise InputError(
                f"{path}, line {reader.line_num} has {len(row)} cells, the header has "
                f"{len(header)}; a cell is missing or holds a bare comma"
            )
        for column, cell in zip(cells, row, strict=True):
            column.append(cell)
        lines.append(reader.line_num)
    if not lines:
        raise InputError(f"{path} has a header and no rows; profile at least one network into it")
    columns: dict[str, object] = {}
    for name, texts in zip(header, cells, strict=True):
        if name in LABELS:
            columns[name] = texts
        elif name in scales:
            columns[column_of(name.rpartition("_")[0])] = (
                _numbers(texts, name, path, lines) * scales[name]
            )
        elif name in (*CLOCKS, *STATES) or name.partition(".")[0] in WORK:
            columns[name] = _numbers(texts, name, path, lines)
    samples = from_columns(columns, path.name, np.array(lines, dtype=np.int64))
    return _without_views(samples, metric)


def _check_header(header: Sequence[str], path: Path, metric: str) -> dict[str, float]:
    """Return target column -> factor to the unit inside; refuse what a fit cannot use."""
    twice = [name for name in header if header.count(name) > 1]
    if twice:
        raise InputError(f"{path}, line 1: column {twice[0]!r} stands twice; keep one")
    scales: dict[str, float] = {}
    for of, units in UNITS.items():
        names = [name for name in header if name in {f"{of}_{unit}" for unit in units}]
        if len(names) > 1:
            raise InputError(
                f"{path}, line 1: columns {names[0]} and {names[1]} both give {of}, in different "
                "units; keep one"
            )
        if names:
            scales[names[0]] = units[names[0].rpartition("_")[2]]
    if not any(name.startswith(f"{metric}_") for name in scales):
        raise InputError(
            f"{path}, line 1: no column {column_of(metric)}; the header has "
            f"{', '.join(header[:8])}{', ...' if len(header) > 8 else ''}; name the unit in the "
            f"column: {', '.join(f'{metric}_{unit}' for unit in UNITS[metric])}"
        )
    work = [name for name in header if name.partition(".")[0] in WORK]
    if not work:
        raise InputError(
            f"{path}, line 1: no column says how much work a row is ({', '.join(WORK)}); profile "
            "again with this version, or add them"
        )
    # steps of a layer are told apart in another way by every version that knows more of them
    absent = [name for name in STEPWISE if name not in header]
    if "array_calls" in header and absent:
        raise InputError(
            f"{path}, line 1: array_calls without {absent[0]}, as an earlier version counted; "
            "profile again with this version"
        )
    if any("." not in name and name not in ("images", "input_elements") for name in work) and (
        "family" not in header
    ):
        raise InputError(
            f"{path}, line 1: no column family; add it (conv, depthwise, fc, ...) or name the "
            f"family in the column, e.g. {work[0]}.conv"
        )
    return scales


def _numbers(texts: Sequence[str], name: str, path: Path, lines: Sequence[int]) -> Floats:
    """Return a column as numbers; an empty clock or other target is NaN, empty work is 0."""
    missing = 0.0 if name.partition(".")[0] in WORK else math.nan
    try:
        values = np.array([float(text) if text else missing for text in texts])
    except ValueError:
        values = np.array(
            [missing if not text else float(text) if _parses(text) else np.inf for text in texts]
        )
    wrong = ~np.isfinite(values) & np.array([bool(text) for text in texts]) | (values < 0)
    if not wrong.any():
        return values
    row = int(np.argmax(wrong))
    text, what = texts[row], "is not finite"
    if values[row] < 0:
        what = "is negative"
    elif not _parses(text):
        what = "is no number"
        if text.strip()[:1].isdigit():
            what += "; write it alone, its unit is in the column's name"
    raise InputError(
        f"{path}, line {lines[row]}, column {name}: {text!r} {what}; correct or remove the row"
    )


def _parses(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _without_views(samples: Samples, metric: str) -> Samples:
    """Drop rows that do no work (views); refuse other rows without a positive target."""
    idle = np.ones(len(samples), dtype=bool)
    for key, column in samples.work.items():
        if not key.startswith(("calls", "images")):
            idle &= column == 0
    keep = samples.take(~idle)
    target = keep.targets[metric]
    wrong = ~(target > 0)
    if wrong.any():
        row = int(np.argmax(wrong))
        value = "empty" if np.isnan(target[row]) else "0"
        raise InputError(
            f"{keep.where(row)}, column {column_of(metric)} is {value} for a row that does work; "
            "measure it again or remove the row"
        )
    variants = keep.labels["variant"]
    strange = [name for name in dict.fromkeys(variants.tolist()) if name and name not in BITS]
    if strange:
        row = int(np.argmax(variants == strange[0]))
        raise InputError(f"{keep.where(row)}: {unknown_name('variant', strange[0], BITS)}")
    return keep


def _refuse_duplicates(samples: Samples) -> None:
    images = samples.work.get("images", np.zeros(len(samples)))
    clocks = np.stack([*samples.clocks.values(), images], axis=1)
    seen: dict[tuple[object, ...], int] = {}
    columns = [samples.labels[name].tolist() for name in KEY]
    for row, key in enumerate(zip(*columns, map(bytes, clocks), strict=True)):
        first = seen.setdefault(key, row)
        if first != row:
            raise InputError(
                f"{samples.where(row)} repeats {samples.where(first)}: same "
                f"{', '.join(KEY)}; keep one, or their median"
            )


def data_hash(samples: Samples) -> str:
    """Return a hash over every figure of samples that were not read from files."""
    digest = sha256()
    for table in (
        samples.labels,
        samples.work,
        samples.clocks,
        samples.targets,
        samples.states,
    ):
        for name, column in table.items():
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()
