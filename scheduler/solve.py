"""Find the best placement and prove it: dynamic programming over modules of Pareto sets.

The task order is split where everything is idle (`modules`); each module is enumerated into its
Pareto-optimal ways (`labels`, `search`), and ways are composed over the cuts (`chain`). Nothing but
bounds and dominance prunes unless a table grows wider than its allowance; then the least value that
was dropped bounds the optimum from below. Invariant: the plan's objective, recomputed by
`timeline.evaluate`, equals the tables' to the last integer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from heterolith.errors import HeterolithError, InfeasibleError
from heterolith.scheduler import multipliers
from heterolith.scheduler.bounds import Relaxation, Scores, join, single_scores
from heterolith.scheduler.chain import (
    ChainBounds,
    Composer,
    Composition,
    chain_bounds,
    table_crossing,
)
from heterolith.scheduler.labels import Program, compile_module
from heterolith.scheduler.model import LARGEST, Floats, Model, build_model
from heterolith.scheduler.modules import last_uses, split
from heterolith.scheduler.objective import broken_limits, value
from heterolith.scheduler.problem import Problem
from heterolith.scheduler.search import Guide, ModuleSearch, ModuleTable
from heterolith.scheduler.timeline import Timeline, UnreachableError, evaluate

EASY = 1024
"""A module with at most this many selections is enumerated without bounds."""
NARROW = 64
"""Width of the first tables of other modules, which yield a plan to prune by."""
EFFORT = 400_000
"""Columns over all steps of all other modules."""
WIDEST = 50_000
"""Width of a table at most."""
LABELS = 50_000
"""Labels at a cut at most."""
'''
