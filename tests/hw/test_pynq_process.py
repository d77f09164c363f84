"""Unmodified PYNQ scripts in processes of their own: environment, exclusion, Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from heterolith.hw.pynq_sim import environment

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("pynq", reason="pynq is not installed: make notebooks")

BUILD_S = 600
"""The first process of all may have to build the Verilated core."""

PLAIN = """
from pynq import Clocks, Overlay, allocate
overlay = Overlay("heterolith.bit")
print(hex(int(overlay.accelerator.register_map.ID)))
Clocks.fclk0_mhz = 150
buffer = allocate(16, "u1")
buffer[:] = 1
buffer.flush()
print(round(Clocks.fclk0_mhz), int(buffer.sum()))
"""
"""Nothing in it knows of a simulation."""

LONG = """
import sys
import numpy as np
import pynq
from heterolith.hw import config
sys.path.insert(0, {tests!r})
from driver_cases import chain, codes, run
accelerator = pynq.Overlay("heterolith.bit").accelerator
driver = accelerator.open()
"""

HOLD = (
    LONG
    + """
print("open", flush=True)
sys.stdin.readline()
"""
)

INTERRUPTED = (
    LONG
    + """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells ignore it in the background
long, short = (chain(driver.config, layers=3, channels=64, side=side) for side in (64, 6))
placed = driver.place(long.job)
try:
    print("running", flush=True)
    placed.run()
except KeyboardInterrupt:
    print("interrupted", accelerator.read("STATUS") & 1, flush=True)
placed.close()
placed, x = driver.place(short.job), codes(short)
print(np.array_equal(run(short, placed, x), short.golden(x)))
"""
)


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Start a program on the simulated board; it is killed in the end."""
    monkeypatch.setenv("HETEROLITH_LOCKS", str(tmp_path))
    running = []

    def begin(program, env=None):
        process = subprocess.Popen(
            [sys.executable, "-c", program.format(tests=str(Path(__file__).parent))],
            env=env or environment("ultra96-v2"),
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def test_an_environment_variable_runs_an_unmodified_script(start):
    """Two variables, no word in the script; what `heterolith simulate` sets."""
    out, error = start(PLAIN).communicate(timeout=BUILD_S)
    assert out.split() == ["0x48544c31", "150", "16"], error


def test_one_import_does_the_same(start):
    """Without any variable."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HETEROLITH_SIM", "PYTHON"))}
    out, error = start("import heterolith.hw.pynq_sim.auto\n" + PLAIN, env).communicate(
        timeout=BUILD_S
    )
    assert out.split() == ["0x48544c31", "150", "16"], error


def test_the_command_line_sets_them(start):
    """`heterolith simulate` runs a command, options of its own included."""
    command = f"""
import sys
from heterolith.cli import main
sys.exit(main(["simulate", "ultra96-v2", {sys.executable!r}, "-c", {PLAIN!r}]))
"""
    process = start(command.replace("{", "{{").replace("}", "}}"), dict(os.environ))
    out, error = process.communicate(timeout=BUILD_S)
    assert out.split() == ["0x48544c31", "150", "16"], error


def test_a_program_without_pynq_does_not_notice(start, tmp_path):
    """The hook waits for pynq's import, and lets another sitecustomize run."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "sitecustomize.py").write_text("print('other')")
    env = environment("ultra96-v2")
    env["PYTHONPATH"] += os.pathsep + str(tmp_path / "other")
    program = "import sys; print('pynq' in sys.modules, 'heterolith' in sys.modules)"
    out, error = start(program, env).communicate(timeout=BUILD_S)
    assert out.split() == ["other", "False", "False"], error


def test_pynq_s_command_line_knows_the_package(tmp_path):
    """`pynq get-notebooks` delivers, `pynq heterolith` runs the command line."""
    scripts = Path(sys.executable).parent
    env = environment("ultra96-v2")
    env["PATH"] = f"{scripts}{os.pathsep}{env['PATH']}"
    for command in (["get-notebooks", "heterolith", "-p", "here"], ["heterolith", "boards"]):
        done = subprocess.run(
            [scripts / "pynq", *command], env=env, cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "here" / "heterolith" / "01_accelerator.ipynb").is_file()
    assert "ultra96-v2" in done.stdout


def test_two_processes_exclude_each_other(start):
    """The second is told who holds the device; a killed holder holds it no longer."""
    first = start(HOLD)
    assert first.stdout.readline() == "open\n"
    out, error = start(HOLD).communicate("\n", timeout=BUILD_S)
    assert out == ""
    assert f"ultra96-v2 is in use by process {first.pid}" in error.splitlines()[-1]
    first.kill()
    first.wait()
    out, error = start(HOLD).communicate("\n", timeout=BUILD_S)
    assert out == "open\n", error


def test_ctrl_c_in_mid_job_leaves_the_device_usable(start):
    """SIGINT drops the job; the same process then runs another to the last bit."""
    process = start(INTERRUPTED)
    assert process.stdout.readline() == "running\n"
    time.sleep(0.3)  # the job takes seconds
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=BUILD_S)
    assert out.split() == ["interrupted", "0", "True"], error
