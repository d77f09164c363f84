"""Power of known workloads over operating points."""

import numpy as np

from heterolith.metrics.models import activity, make_samples


def test_a_workload_measured_at_one_clock_is_known_at_the_others() -> None:
    """P = 2 + f + a f^3 is found from other workloads; one reading gives a new one's a."""
    clocks = (500.0, 800.0, 1000.0)

    def rows(names: dict[str, float]) -> list[dict[str, object]]:
        return [
            {
                "network": name,
                "variant": "fp32",
                "images": 1,
                "core_mhz": mhz,
                "power_w": 2 + mhz / 1000 + a * (mhz / 1000) ** 3,
            }
            for name, a in names.items()
            for mhz in clocks
        ]

    model = activity.fit(make_samples(rows({f"n{i}": 1.0 + i for i in range(6)})))
    new = make_samples(rows({"new": 3.3}))
    known = float(model.activity(new)[0])
    found = model.predict(np.full(3, known), new)
    np.testing.assert_allclose(found, new.targets["power"], rtol=0.02)
