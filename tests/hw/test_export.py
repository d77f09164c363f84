"""Generated files: current, complete, and refused when stale."""

import re

import pytest

from heterolith.hw import export, geometry, regmap
from heterolith.hw.commands import FIELDS
from heterolith.hw.config import CONFIGS
from heterolith.hw.device.functional import source_folder

ROOT = source_folder().parent


def test_committed_files_are_current():
    """What the repository holds is what the tables render to."""
    assert export.stale(ROOT) == []
    assert export.main(["--check"], ROOT) == 0


def test_check_fails_on_a_changed_or_missing_file(tmp_path, capsys):
    """A stale file is named and the exit code is 1; writing repairs it."""
    assert sorted(export.write(tmp_path)) == sorted(export.FILES)
    assert export.main(["--check"], tmp_path) == 0
    target = tmp_path / "rtl" / "accel_pkg.sv"
    target.write_text(target.read_text() + "\n")
    (tmp_path / "doc" / "commands.md").unlink()
    assert export.main(["--check"], tmp_path) == 1
    out = capsys.readouterr().out
    assert "accel_pkg.sv" in out
    assert "commands.md" in out
    assert export.main([], tmp_path) == 0
    assert export.main(["--check"], tmp_path) == 0
    assert export.main(["--wrong"], tmp_path) == 2


def test_structs_of_the_package_are_512_bits():
    """The packed structs hold every bit of a command, in order."""
    text = export.systemverilog()
    for opcode, fields in FIELDS.items():
        name = f"{opcode.name.lower()}_command_t"
        body = re.search(r"typedef struct packed \{([^}]*)\} " + name, text)
        rows = re.findall(r"logic \[(\d+):0\] (\w+);", body[1])
        assert sum(int(high) + 1 for high, _ in rows) == 512
        lsb, found = 512, {}
        for high, member in rows:
            lsb -= int(high) + 1
            found[member] = lsb
        for field in fields:
            wire = export._wire(field.name)
            assert found[wire] == 32 * field.word + field.lsb


def test_registers_are_aligned_and_known_by_name():
    """Offsets are those of the table; a name without a register is an error."""
    assert regmap.offset("ID") == 0
    assert all(register.offset % 4 == 0 for register in regmap.REGISTERS)
    with pytest.raises(KeyError):
        regmap.offset("NONE")


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_every_named_configuration_has_rtl_parameters(name):
    """Named configurations keep the geometry's rules."""
    sizes = geometry.rtl_parameters(CONFIGS[name])
    assert sizes["NPe"] * sizes["Lanes"] * sizes["WeightWords"] == CONFIGS[name].weight_buffer_bytes
