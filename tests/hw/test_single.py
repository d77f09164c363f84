"""One layer at a time: golden model and functional device agree to the last bit.

`make soak` sets HETEROLITH_SOAK=1: 10,000 layers instead of 300.
"""

import os

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith.hw.compiler.single import layer_job

from .accel_cases import TESTED, case, device, layers


@settings(deadline=None, max_examples=10_000 if os.environ.get("HETEROLITH_SOAK") else 300)
@given(layers(), st.sampled_from(sorted(TESTED)))
def test_device_equals_golden_model(layer, name):
    """Any layer, any configuration: the codes are those of the golden model."""
    shape, parameters, arrays, expected = case(layer)
    job = layer_job(TESTED[name], shape, parameters)
    assert np.array_equal(job.run(device(name), *arrays).reshape(expected.shape), expected)
