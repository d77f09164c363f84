"""``heterolith accuracy``: what variants lose on images, measured through the workers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Optional

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from heterolith import boards
from heterolith.cli import render
from heterolith.cli.files import check_writable, write_atomic
from heterolith.cli.options import AsJson, Model, Shape, Threads, load_network
from heterolith.cli.partial import Partial
from heterolith.errors import InputError, unknown_name
from heterolith.metrics import accuracy as measure
from heterolith.metrics import to_csv
from heterolith.metrics.answers import CHUNK, Answer, Question, Subject, ask, chunks
from heterolith.metrics.images import Images, check_fit, load_images
from heterolith.metrics.trace import Block, RecordedTrace, write_trace
from heterolith.metrics.variants import variant_costs
from heterolith.sw import Network
from heterolith.sw.variants import exits
from heterolith.sw.workers.team import available_cores

LOWRANK = ("lowrank:0.75", "lowrank:0.5", "lowrank:0.3")
"""What ``lowrank`` without a share stands for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """What is asked about, by how many processes, and where answers are kept while they come."""

    subject: Subject
    name: str
    threads: int
    partial: Partial
    resume: bool
    quiet: bool


def accuracy(
    model: Model,
    data: Annotated[
        Path, typer.Option(help="CIFAR-10 folder, .npz with images and labels, or class folders")
    ],
    variants: Annotated[
        str, typer.Option(help="of layers, e.g. int8,fp16,lowrank:0.5; joined: int8+lowrank:0.5")
    ] = "int8,lowrank",
    images: Annotated[int, typer.Option(min=0, help="first images of the data, 0 for all")] = 0,
    split: Annotated[str, typer.Option(help="part of the data: test or train")] = "test",
    mean: Annotated[str, typer.Option(help="per channel of 0..1, e.g. 0.49,0.48,0.45")] = "",
    std: Annotated[str, typer.Option(help="per channel of 0..1, e.g. 0.25,0.24,0.26")] = "",
    calibration: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="images for ranges and ranks; default: the train split, else the data"),
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="calibration images")] = 200,
    keep: Annotated[
        str, typer.Option(help="layers that keep full rank, patterns joined by commas")
    ] = "",
    only: Annotated[
        str, typer.Option(help="all: each variant everywhere; layer: in one layer at a time")
    ] = "",
    mixes: Annotated[int, typer.Option(min=0, help="random mixes to check sums of losses by")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="seed of the mixes")] = 0,
    platform: Annotated[str, typer.Option(help="board whose rows --out writes")] = "",
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="write the table (FILE.json), or rows for plan --profile (FILE.csv)"),
    ] = None,
    record: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="record every mix of variants of blocks instead (.npz)"),
    ] = None,
    blocks: Annotated[
        str, typer.Option(help="of --record: patterns joined by , and blocks by ;, default: exits")
    ] = "",
    threads: Threads = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="go on where an interrupted run with --out ended")
    ] = False,
    shape: Shape = None,
    as_json: AsJson = False,
) -> None:
    """Measure the top-1 accuracy of every layer's variants, combine them, or record a trace.

    Ctrl-C keeps the answers so far in FILE.partial; --resume goes on.
    """
    check_writable(out, record)
    target = record or out
    if resume and target is None:
        raise InputError("--resume needs --out or --record, the file of the interrupted run")
    table = out is not None and out.suffix == ".json"
    if out is not None and not table and record is None and not platform:
        raise InputError("--out writes rows of a board; name it, e.g. --platform ultra96-v2")
    if only not in ("", "all", "layer"):
        raise unknown_name("kind of measurement", only, ("all", "layer"))
    board = boards.load(platform) if platform else None
    network = load_network(model, shape)
    source = _Data(data, split, images, calibration, samples)
    given, subject = _subject(network, source, (_numbers(mean, "mean"), _numbers(std, "std")))
    work = _Work(
        subject=subject,
        name=given.name,
        threads=threads or available_cores(),
        partial=Partial(target),
        resume=resume,
        quiet=as_json,
    )
    names, full = _names(variants), _parts(keep, ",")
    if record is not None:
        patterns = [_parts(block, ",") for block in _parts(blocks, ";")]
        planned = measure.plan_blocks(network, patterns, names, full)
        trace = _recorded(work, planned)
        write_atomic(record, write_trace(trace))
        _show_trace(trace, record, as_json)
    else:
        asked = measure.candidates(network, names, mixes, seed, full)
        found = _measured(work, [x for x in asked if not only or x.kind in ("float", only)])
        report = _report(found, work)
        if out is not None and table:
            write_atomic(out, (json.dumps(report, indent=1) + "\n").encode())
        elif out is not None and board is not None:
            rows = variant_costs(network, board, names, measure.losses(found))
            write_atomic(out, to_csv(rows).encode())
        _show(report, as_json)
    work.partial.remove()


def _parts(text: str, mark: str) -> list[str]:
    return [part.strip() for part in text.split(mark) if part.strip()]


def _names(text: str) -> list[str]:
    """Return the names of variants, ``lowrank`` as several."""
    return [
        name for part in _parts(text, ",") for name in (LOWRANK if part == "lowrank" else (part,))
    ]


def _recorded(work: _Work, planned: Sequence[Block]) -> RecordedTrace:
    """Run every mix and put the answers together."""
    network = work.subject.network
    answers = _answers(work, measure.every_mix(planned, measure.ends(network, planned)))
    return measure.recorded(network, work.name, planned, answers)


def _measured(work: _Work, asked: Sequence[measure.Candidate]) -> tuple[measure.Measured, ...]:
    """Run every candidate and count."""
    answers = _answers(work, measure.question(asked))
    return measure.measured(asked, answers, len(work.subject.labels), len(work.subject.exits))


@dataclass(frozen=True, slots=True)
class _Data:
    """Where images come from."""

    path: Path
    split: str
    images: int
    calibration: Path | None
    samples: int


def _subject(
    network: Network, data: _Data, normal: tuple[list[float], list[float]]
) -> tuple[Images, Subject]:
    """Return the images, and network, images and calibration together."""
    if data.split not in ("test", "train"):
        raise InputError(f"split {data.split!r} is neither test nor train")
    names = exits(network)
    classes = min(network.tensors[name].shape[1] for name in names)
    given = load_images(data.path, data.split)
    given = given.first(data.images) if data.images else given
    check_fit(network, given, classes)
    known = _calibration(data, given)
    check_fit(network, known, classes)
    return given, Subject(
        network=network,
        exits=names,
        images=given.inputs(*normal),
        labels=given.labels,
        calibration=known.inputs(*normal),
    )


def _calibration(data: _Data, given: Images) -> Images:
    """Return calibration images: those named, else the train split, else the data itself."""
    known = given
    if data.calibration is not None:
        known = load_images(data.calibration, "train")
    elif data.path.is_dir():
        with suppress(InputError):
            known = load_images(data.path, "train")
    return known.first(min(data.samples, len(known)))


def _numbers(text: str, what: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")] if text else []
    except ValueError:
        raise InputError(f"{what} {text!r} is no list of numbers, e.g. 0.49,0.48,0.45") from None


def _key(subject: Subject, question: Question) -> str:
    """Return what an interrupted run must share with the one that goes on."""
    digest = sha256(subject.network.fingerprint().encode())
    for array in (subject.images, subject.labels, subject.calibration):
        digest.update(np.ascontiguousarray(array).data)
    digest.update(f"{CHUNK} {question!r}".encode())
    return digest.hexdigest()


def _answers(work: _Work, question: Question) -> list[Answer]:
    """Ask what is not known yet, keep each answer as it comes; return those of all chunks."""
    key = _key(work.subject, question) if work.partial.path is not None else ""
    wanted = range(len(chunks(len(work.subject.labels))))
    answers: dict[int, Answer] = {}
    if work.resume:
        answers = dict(work.partial.resume(key, "model, data or variants"))
    else:
        work.partial.start(key)
    left = [chunk for chunk in wanted if chunk not in answers]
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn(f"x {CHUNK} images"))
    console = Console(stderr=True)
    hidden = work.quiet or not console.is_terminal
    with Progress(
        *columns, TimeRemainingColumn(), console=console, transient=True, disable=hidden
    ) as progress:
        bar = progress.add_task("", total=len(wanted), completed=len(answers))
        for chunk, answer in ask(work.subject, question, left, work.threads):
            answers[chunk] = answer
            work.partial.append([chunk, answer])
            progress.advance(bar)
    return [answers[chunk] for chunk in wanted]


def _report(found: Sequence[measure.Measured], work: _Work) -> dict[str, Any]:
    """Return what each candidate reaches, and how far sums of losses are off."""
    sums = {id(each.measured): each for each in measure.combinations(found)}
    rows = [
        {
            "name": each.candidate.name,
            "kind": each.candidate.kind,
            "variants": {layer: v.name for layer, v in each.candidate.variants.items()},
            "accuracy": list(each.accuracy),
            "loss": each.loss,
            "loss_error": each.loss_error,
            "predicted_loss": sums[id(each)].predicted_loss if id(each) in sums else None,
            "prediction_error": sums[id(each)].error if id(each) in sums else None,
        }
        for each in found
    ]
    images, names = len(work.subject.labels), list(work.subject.exits)
    report = {"data": work.name, "images": images, "exits": names}
    return {**report, "source": "measured", "rows": rows}


def _show(report: dict[str, Any], as_json: bool) -> None:
    """Print what `_report` says, as JSON or a table."""
    if as_json:
        render.print_json(report)
        return
    cells = (
        (
            row["name"],
            " ".join(f"{100 * value:.2f}" for value in row["accuracy"]),
            f"{100 * row['loss']:.2f} +- {100 * row['loss_error']:.2f}",
            "" if row["predicted_loss"] is None else f"{100 * row['predicted_loss']:.2f}",
        )
        for row in report["rows"]
    )
    columns = ("layer, variant", ">top-1 % per exit", ">loss, points", ">sum of parts")
    out = render.console()
    out.print(render.table("", columns, cells))
    out.print(f"measured on {report['images']} images: {report['data']}")


def _show_trace(trace: RecordedTrace, path: Path, as_json: bool) -> None:
    degrees: list[dict[str, Any]] = [
        {"block": block.name, "degree": d.name, "macs": d.macs, "loss": d.loss, "layers": d.changed}
        for block in trace.blocks
        for d in block.degrees
    ]
    accuracy_of = [float(value) for value in trace.accuracy[0]]
    if as_json:
        render.print_json(
            {
                "data": trace.data,
                "images": trace.correct.shape[1],
                "mixes": len(trace.choices),
                "accuracy": accuracy_of,
                "source": "measured",
                "degrees": degrees,
            }
        )
        return
    cells = ((d["block"], d["degree"], d["macs"], f"{100 * d['loss']:.2f}") for d in degrees)
    out = render.console()
    out.print(render.table("", ("block", "degree", ">MACs", ">loss, points"), cells))
    shown = " ".join(f"{100 * value:.2f}" for value in accuracy_of)
    out.print(
        f"{path}: {len(trace.choices)} mixes on {trace.correct.shape[1]} images, measured; exact "
        f"top-1 per exit {shown} %"
    )
