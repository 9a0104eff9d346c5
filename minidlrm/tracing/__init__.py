"""trace: one step, watched from outside; its equations with numbers, its page, its what-ifs."""

from minidlrm.tracing.record import Operation, Trace, trace

__all__ = ["Operation", "Trace", "trace"]
