"""Ctrl-C and SIGKILL while several networks are planned beside a process that raises the bound."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "placement.py"
START = """
import runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells ignore it in the background
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
    except OSError:
        return []
    return [int(word) for word in text.split()]


def started() -> tuple[subprocess.Popen[str], list[int]]:
    """Plan four networks in a process of its own; return it and its children, once it has some."""
    asked = ["--instance", "four-nets", "--time-limit", "600", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-c", START, str(SCRIPT), *asked],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    helpers: list[int] = []
    while not helpers and process.poll() is None:
        time.sleep(0.05)
        helpers = children(process.pid)
    assert helpers
    return process, helpers


def left(helpers: list[int]) -> list[int]:
    """Return which processes still run; one that nobody waits for stays listed as a zombie."""

    def state(helper: int) -> str:
        try:
            text = Path(f"/proc/{helper}/stat").read_text(encoding="utf-8")
        except OSError:
            return "Z"
        return text.rpartition(")")[2].split()[0]

    return [helper for helper in helpers if state(helper) != "Z"]


def test_ctrl_c_beside_a_second_process_gives_the_best_plan_so_far() -> None:
    """As from a terminal, to both: exit code 0, plan and bound, no process left behind."""
    process, helpers = started()
    with process:
        os.killpg(process.pid, signal.SIGINT)
        out, error = process.communicate()
    assert process.returncode == 0, error
    assert error == ""
    row = json.loads(out)
    assert row["method"].startswith("interrupted")
    assert 0 < row["lower_bound"] <= row["objective"]
    assert row["runtime_s"] < 600
    assert not left(helpers)


def test_a_killed_planner_leaves_no_process_behind() -> None:
    """The second process notices that the first is gone."""
    process, helpers = started()
    with process:
        process.kill()
        process.communicate()
    until_s = time.monotonic() + 60
    while left(helpers) and time.monotonic() < until_s:
        time.sleep(0.1)
    assert not left(helpers)
