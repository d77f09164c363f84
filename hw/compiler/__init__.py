"""From layers to a command stream. Door: `JobBuilder` for chains of layers, `layer_job` for one."""

from heterolith.hw.compiler.job import Activation, Job, JobBuilder
from heterolith.hw.compiler.single import layer_job

__all__ = ["Activation", "Job", "JobBuilder", "layer_job"]
