"""Map the top-level folders into one import namespace: hw/ is heterolith.hw, and so on."""

from setuptools import find_packages, setup

TOPS = ("boards", "bitstreams", "hw", "sw", "metrics", "scheduler", "notebooks")
setup(
    package_dir={"heterolith": "src/heterolith", **{f"heterolith.{top}": top for top in TOPS}},
    packages=["heterolith", "heterolith.cli"]
    + [f"heterolith.{top}" for top in TOPS]
    + [f"heterolith.{top}.{sub}" for top in TOPS for sub in find_packages(top)],
)
