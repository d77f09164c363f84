"""Commands: bytes and back, ranges, the rules between fields."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heterolith.errors import InputError
from heterolith.hw.commands import FIELDS, Memory, Opcode
from heterolith.hw.config import CONFIGS
from heterolith.hw.geometry import geometry
from heterolith.hw.program import CLASSES, Compute, Load, Store, decode, encode, rule_broken

ULTRA96 = geometry(CONFIGS["ultra96"])


@st.composite
def commands(draw):
    """Draw a command with any values its fields can hold."""
    opcode = draw(st.sampled_from(list(Opcode)))
    values = {
        field.name: draw(st.integers(field.low, field.high))
        for field in FIELDS[opcode]
        if field.name != "opcode"
    }
    return CLASSES[opcode](**values)


@given(st.lists(commands(), max_size=5))
def test_decode_inverts_encode(program):
    """Every command survives its 64 bytes."""
    code = encode(program)
    assert code.dtype == np.uint8
    assert code.size == 64 * len(program)
    assert decode(code) == program


def test_first_words_of_a_load_by_hand():
    """The bits stand where the documented table puts them."""
    load = Load(
        wait_load=0x010203, wait_compute=4, wait_store=5, memory=2, pad_value=-1, offset=0x80
    )
    words = encode([load]).view("<u4")
    assert words[:4].tolist() == [0x01020301, 0x402, 0x5FF, 0x80]


@pytest.mark.parametrize("opcode", list(Opcode))
def test_every_bit_of_a_command_is_a_field_or_refused(opcode):
    """A set bit either changes exactly one field, or decoding names it."""
    base = encode([CLASSES[opcode]()])
    plain = decode(base)[0]
    for bit in range(4, 512):
        code = base.copy()
        code[bit // 8] ^= 1 << bit % 8
        try:
            changed = decode(code)[0]
        except InputError:
            continue
        assert sum(getattr(changed, f.name) != getattr(plain, f.name) for f in fields(plain)) == 1


def test_values_outside_their_range_are_refused():
    """The message names the field, the value and the range."""
    with pytest.raises(InputError, match=r"Compute.window is 6; it must be 1\.\.5"):
        encode([Compute(window=6)])
    with pytest.raises(InputError, match=r"Load\.cols is 0"):
        encode([Load(cols=0)])
    with pytest.raises(InputError, match="opcode 0"):
        decode(np.zeros(64, np.uint8))
    with pytest.raises(InputError, match="63 uint8"):
        decode(np.zeros(63, np.uint8))


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (Load(memory=Memory.WEIGHT, cols=15), "multiple of 16"),
        (Load(memory=Memory.PARAMETER, cols=8, top=1), "no padding"),
        (Load(memory=Memory.IMAGE, blocks=2), "1 block"),
        (Load(memory=Memory.IMAGE, fill=1), "activation buffer"),
        (Compute(low=1, high=0), "above"),
        (Compute(partial=1, residual=1), "partial"),
        (Compute(k_cols=255, k_rows=255, k_blocks=2), "steps"),
        (Compute(window=3), "per-channel"),
        (Compute(window=3, per_channel=1, k_cols=2), "k_cols"),
        (Compute(window=3, per_channel=1, cols=2), "col_step"),
    ],
)
def test_rules_between_fields(command, reason):
    """Each rule of the command set names what it refuses; the plain command passes."""
    assert reason in rule_broken(command, ULTRA96)
    assert rule_broken(replace(Store(), cols=3), ULTRA96) == ""
