"""trace: one step, watched from outside; its equations with numbers, its page, its what-ifs."""

from minidlrm.tracing.operations import Operation
from minidlrm.tracing.record import Trace, trace
from minidlrm.tracing.what_if import WhatIf

__all__ = ["Operation", "Trace", "WhatIf", "trace"]
