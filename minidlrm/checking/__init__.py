"""Gradient checks: the analytic gradient against differences of the function itself."""

from minidlrm.checking.gradcheck import gradcheck
from minidlrm.checking.report import ArrayCheck, GradCheckReport

__all__ = ["ArrayCheck", "GradCheckReport", "gradcheck"]
