"""Accelerator configurations: limits, resources, fingerprints."""

from dataclasses import replace

import pytest

from heterolith.boards.platform import Fabric
from heterolith.errors import InputError
from heterolith.hw import CONFIGS, config

# DSP slices and 36 Kb block RAMs by Xilinx DS190 (7Z020), DS891 (ZU3EG, ZU7EV), DS987 (K26) and
# DS180 (Artix-7).
PARTS = {
    "pynq-z2": (220, 140),
    "ultra96": (360, 216),
    "zcu104": (1728, 312),
    "kv260": (1248, 144),
    "arty-a7-35t": (90, 50),
    "arty-a7-100t": (240, 135),
}


def fabric(name):
    """Return the part of a board as far as the configs count it."""
    dsp, bram36 = PARTS[name]
    return Fabric(lut=0, ff=0, dsp=dsp, bram36=bram36, part=name)


@pytest.mark.parametrize("name", PARTS)
def test_named_config_fits_its_part(name):
    """Each named configuration needs no more DSP slices and block RAM than its board has."""
    assert config(name).misfit(fabric(name)) == ""
    assert config(name).name == name


def test_every_named_config_is_tested():
    """No named configuration lacks a part to be held against."""
    assert set(CONFIGS) == set(PARTS)


def test_ultra96_array():
    """The Ultra96 array does 512 MACs per cycle on 256 DSP slices."""
    assert config("ultra96").macs_per_cycle == 512
    assert config("ultra96").array_dsp == 256


def test_misfit_names_resource_need_and_bound():
    """The largest configuration does not fit the smallest part; the message has both figures."""
    reason = config("zcu104").misfit(fabric("arty-a7-35t"))
    assert "1072 DSP" in reason
    assert "90" in reason
    small = replace(config("arty-a7-35t"), weight_buffer_bytes=256 * 1024)
    assert "block RAM" in small.misfit(fabric("arty-a7-35t"))


def test_bram_counts_banks_and_depth():
    """A 256 KiB buffer with a 256-byte port is 32 banks of two block RAMs."""
    entry = config("ultra96")
    assert entry.port_bytes()["weight_buffer_bytes"] == 256
    assert entry.bram36 == 64 + 64 + 16


def test_unknown_name_offers_near_matches():
    """A misspelt configuration is refused with the right name in the message."""
    with pytest.raises(InputError, match="ultra96"):
        config("ultra-96")


@pytest.mark.parametrize(
    "change",
    [
        {"n_pe": 0},
        {"n_pe": 2.0},
        {"pixels": 3},  # two pixels share a DSP slice
        {"lanes": 12},  # the adder tree is binary
        {"requantizers": 33},  # more than results
        {"axi_data_bits": 32},
        {"accumulator_bits": 24},
        {"clock_mhz": 0.0},
        {"clock_mhz": float("nan")},
        {"weight_buffer_bytes": 1000},  # no whole words
        {"activation_buffer_bytes": 0},
        {"accumulator_buffer_bytes": -65536},
    ],
)
def test_invalid_field_is_refused_by_name(change):
    """Every field outside its limits is refused and named."""
    with pytest.raises(InputError, match=next(iter(change))):
        replace(config("ultra96"), **change)


def test_fingerprint_follows_the_circuit_alone():
    """Name and clock do not change the hash, every size does."""
    entry = config("ultra96")
    assert replace(entry, name="other", clock_mhz=250.0).fingerprint() == entry.fingerprint()
    assert replace(entry, requantizers=4).fingerprint() != entry.fingerprint()
    assert config("pynq-z2").fingerprint() != entry.fingerprint()
