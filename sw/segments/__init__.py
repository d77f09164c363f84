"""From layers of a plan to command streams: a segment runs on the accelerator without the host.

Door: `units` cuts a placed network, `compile_segment` makes a job of a unit, `PlacedSegment` runs
it, `Site` says how long that takes on a board. `stretched` joins what a CPU runs as a whole.
"""

from heterolith.sw.segments.compile import Port
from heterolith.sw.segments.latency import Site, Totals, site_of, totals
from heterolith.sw.segments.partition import Unit, units
from heterolith.sw.segments.runner import SegmentOptions, SegmentReport, SegmentRunner
from heterolith.sw.segments.saved import Compiled, SavedSegment, save_segment
from heterolith.sw.segments.segment import PlacedSegment, Segment, compile_segment
from heterolith.sw.segments.stretch import stretched

__all__ = [
    "Compiled",
    "PlacedSegment",
    "Port",
    "SavedSegment",
    "Segment",
    "SegmentOptions",
    "SegmentReport",
    "SegmentRunner",
    "Site",
    "Totals",
    "Unit",
    "compile_segment",
    "save_segment",
    "site_of",
    "stretched",
    "totals",
    "units",
]
