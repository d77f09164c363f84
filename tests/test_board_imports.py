"""What a board imports needs numpy and the standard library alone."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys

ALLOWED = set(sys.stdlib_module_names) | {"numpy", "heterolith"}


class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in ALLOWED and not name.startswith("__editable__"):
            raise ModuleNotFoundError(f"not on a board: {name}")


sys.meta_path.insert(0, Refuse())
__import__(sys.argv[1])
"""


@pytest.mark.parametrize(
    "module",
    [
        "boards",
        "bitstreams",
        "hw",
        "hw.driver",
        "sw",
        "scheduler.plan",
        "scheduler.dispatch",
        "scheduler.bundle_file",
        "cli",
    ],
)
def test_module_imports_without_third_party_packages(module: str) -> None:
    """Floors 0 to 2, plan and dispatch import in an interpreter that has numpy only."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, f"heterolith.{module}"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_stripped_interpreter_really_refuses() -> None:
    """The check above fails for a module that does import a third-party package."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "heterolith.cli.app"], capture_output=True, text=True
    )
    assert "not on a board" in done.stderr
