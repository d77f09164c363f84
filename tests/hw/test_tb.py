"""The cocotb testbenches of ``hw/tb`` in Verilator; models are built once per block and sources."""

import shutil
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import pytest
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

from heterolith.hw.device.functional import cache_folder
from heterolith.hw.device.verilated import design
from heterolith.hw.device.verilator import environment

from .accel_cases import SMALL

BENCHES = Path(__file__).parents[2] / "hw" / "tb"
BLOCKS = {
    "fifo": {"Width": 9, "Depth": 4},
    "requantizer": {},
    "dram_walker": {"BeatBytes": 8},
    "axi_ports": {"BeatBytes": 8},
    "accel_top": design(SMALL).parameters,
}
"""Top module of each testbench with its parameters."""


def run(top, bench, monkeypatch, tmp_path):
    """Build the model unless it is there, run the testbench; returns (tests, failures)."""
    runner = get_runner("verilator")
    monkeypatch.syspath_prepend(BENCHES)  # the runner hands sys.path on
    for name in ("PATH", "GNUMAKEFLAGS"):
        monkeypatch.setenv(name, environment()[name])
    monkeypatch.delenv("VERILATOR_ROOT", raising=False)
    waivers, *sources = (*design(SMALL).sources, *BENCHES.glob(f"{top}.sv"))
    digest = sha256(repr((top, sorted(BLOCKS[top].items()))).encode())
    for path in (waivers, *sources):
        digest.update(path.read_bytes())
    folder = cache_folder() / f"tb-{top}-{digest.hexdigest()[:16]}"
    built = folder / top
    if not built.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        runner.build(
            sources=sources,
            hdl_toplevel=top,
            parameters=BLOCKS[top],
            build_dir=folder,
            build_args=["-O3", "--x-assign", "fast", "--x-initial", "fast", str(waivers)],
            timescale=("1ns", "1ps"),
            log_file=tmp_path / "build.log",
        )
    config = {key: value for key, value in asdict(SMALL).items() if key != "name"}
    report = runner.test(
        hdl_toplevel=top,
        hdl_toplevel_lang="verilog",
        test_module=bench,
        build_dir=folder,
        test_dir=tmp_path,
        log_file=tmp_path / "run.log",
        timescale=("1ns", "1ps"),
        extra_env={
            "COCOTB_LOG_LEVEL": "WARNING",
            "TB_CONFIG": repr({"name": "small", **config}),
        },
    )
    return get_results(report)


@pytest.mark.parametrize("top", sorted(BLOCKS))
def test_testbench_passes(top, monkeypatch, tmp_path):
    """Every test of the block's bench ran and none failed."""
    bench = f"tb_{top.replace('accel_top', 'core')}"
    tests, failures = run(top, bench, monkeypatch, tmp_path)
    assert tests >= 2
    assert failures == 0, (tmp_path / "run.log").read_text()
