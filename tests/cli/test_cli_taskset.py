"""`heterolith taskset` and `sweep` from the command line."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from heterolith.cli import main


@pytest.fixture
def tasks(cnn_path, tmp_path, capsys):
    """Return a generated task set file."""
    path = tmp_path / "tasks.toml"
    options = ["--tasks", "3", "--utilization", "0.5", "--best", "0.5", "--out", str(path)]
    board = "ultra96-v2+jetson-tx2"
    assert main(["taskset", "generate", str(cnn_path), "--platform", board, *options]) == 0
    capsys.readouterr()
    return path


def test_the_way_from_models_to_a_guarantee_and_a_picture(tasks, tmp_path, capsys):
    """Generate, allocate, analyze, simulate: bounds hold, the picture is drawn."""
    out, png = tmp_path / "allocated.toml", tmp_path / "g.png"
    assert main(["taskset", "allocate", str(tasks), "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["schedulable"] is True
    assert main(["taskset", "analyze", str(out), "--json"]) == 0
    analysed = json.loads(capsys.readouterr().out)
    bounds = {t["task"]: t["bound_ns"] for t in analysed["tasks"]}
    options = ["--execution", "extremes", "--horizon", "500ms", "--gantt", str(png), "--json"]
    assert main(["taskset", "simulate", str(out), *options]) == 0
    report = json.loads(capsys.readouterr().out)
    assert sum(t["misses"] for t in report["tasks"]) == 0
    for task in report["tasks"]:
        assert 0 < task["response_max_ns"] <= bounds[task["name"]] == task["bound_ns"]
    assert png.read_bytes().startswith(b"\x89PNG")


def test_a_late_set_ends_with_exit_code_2(tasks, capsys):
    """A late set ends with exit code 2 and the reason."""
    text = tasks.read_text()
    period = text.split('period = "')[1].split('"')[0]
    tasks.write_text(text.replace(period, "2000ns"))
    assert main(["taskset", "analyze", str(tasks)]) == 2
    assert "over its capacity of 1" in " ".join(capsys.readouterr().out.split())


def test_contention_stretches_every_bound(tasks, tmp_path, capsys):
    """Shared DRAM makes bounds longer; the file that is written keeps the times without it."""
    bounds, allocated = [], tmp_path / "allocated.toml"
    assert main(["taskset", "allocate", str(tasks), "--out", str(allocated)]) == 0
    for extra in ([], ["--contention", "fpga+cpu"]):
        capsys.readouterr()
        main(["taskset", "analyze", str(allocated), *extra, "--json"])
        answers = json.loads(capsys.readouterr().out)["tasks"]
        bounds.append([t["bound_ns"] or 2**62 for t in answers])
    assert all(a < b for a, b in zip(*bounds, strict=True))
    out = tmp_path / "stretched.toml"
    main(["taskset", "allocate", str(tasks), "--out", str(out), *extra])
    before, after = (
        [line for line in path.read_text().splitlines() if " = [" in line and "on =" not in line]
        for path in (tasks, out)
    )
    assert before == after


def test_a_sweep_writes_its_result_and_leaves_no_side_file(tasks, tmp_path, capsys):
    """A sweep writes CSV and Parquet with the same rows and leaves no side file."""
    from pyarrow import parquet

    rows = {}
    for suffix in (".csv", ".parquet"):
        out = tmp_path / f"s{suffix}"
        arguments = ["sweep", str(tasks), "--out", str(out), "--sets", "3", "--counts", "2",
                     "--utilizations", "0.5:1.5:0.5", "--reference", "cpu", "--json"]  # fmt: skip
        assert main(arguments) == 0
        rows[suffix] = json.loads(capsys.readouterr().out)["rows"]
        assert not out.with_name(f"{out.name}.part").exists()
    assert (
        rows[".csv"] == rows[".parquet"] == parquet.read_table(tmp_path / "s.parquet").to_pylist()
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["taskset", "analyze", "nothing.toml"], "cannot be read"),
        (["taskset", "simulate", "FILE", "--policy", "rm"], "unknown policy"),
        (["taskset", "simulate", "FILE", "--arrival", "periodical"], "did you mean periodic"),
        (["taskset", "simulate", "FILE", "--horizon", "10"], "no known unit"),
        (["taskset", "analyze", "FILE", "--contention", "cpu"], "two or more"),
        (["taskset", "analyze", "FILE", "--contention", "cpu+gpx"], "did you mean gpu"),
        (["sweep", "FILE", "--out", "s.txt"], ".csv or .parquet"),
        (["sweep", "FILE", "--out", "s.csv", "--utilizations", "1"], "LOW:HIGH:STEP"),
        (["sweep", "FILE", "--out", "s.csv", "--counts", "a"], "whole numbers"),
        (["sweep", "FILE", "--out", "s.csv", "--policy", "cut:cpu>gpx"], "did you mean gpu"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_1(tasks, tmp_path, arguments, words):
    """Wrong input is one line and exit code 1; nothing is written."""
    named = [str(tasks) if a == "FILE" else a for a in arguments]
    done = subprocess.run(
        [sys.executable, "-m", "heterolith", *named],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "s.csv").exists()


def test_ctrl_c_loses_no_finished_block(tasks, tmp_path):
    """Ctrl-C leaves finished blocks in the side file, and the same command goes on from there."""
    out = tmp_path / "s.csv"
    arguments = ["sweep", str(tasks), "--out", str(out), "--sets", "40", "--counts", "2,3",
                 "--utilizations", "0.5:2:0.1", "--reference", "cpu",
                 "--policy", "task-level"]  # fmt: skip
    side = tmp_path / "s.csv.part"
    with subprocess.Popen(
        [sys.executable, "-m", "heterolith", *arguments],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path,
    ) as process:  # fmt: skip
        while not (side.exists() and side.read_text().count("\n") > 3) and process.poll() is None:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGINT)
    if process.returncode:
        kept = side.read_text().count("\n")
        assert kept > 3
        assert not out.exists()
        assert main(arguments) == 0
    assert out.read_text().count("\n") == 1 + 2 * 16
