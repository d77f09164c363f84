"""Ctrl-C while several networks are planned, as a terminal sends it: to every process at once."""

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


def test_ctrl_c_beside_a_second_process_gives_the_best_plan_so_far() -> None:
    """Exit code 0, the plan with its bound, nothing on standard error, no process left behind."""
    asked = ["--instance", "four-nets", "--time-limit", "600", "--json"]
    with subprocess.Popen(
        [sys.executable, "-c", START, str(SCRIPT), *asked],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        helpers: list[int] = []
        while not helpers and process.poll() is None:
            time.sleep(0.05)
            helpers = children(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        out, error = process.communicate()
    assert helpers
    assert process.returncode == 0, error
    assert error == ""
    row = json.loads(out)
    assert row["method"].startswith("interrupted")
    assert 0 < row["lower_bound"] <= row["objective"]
    assert row["runtime_s"] < 600
    assert not any(Path(f"/proc/{helper}").exists() for helper in helpers)
