"""Gradient checks: the analytic gradient against differences, and what a wrong one looks like.

`CATALOGUE` holds the known mistakes: a dict from a key to a title and what to look at.
"""

from minidlrm.checking.answers import difference
from minidlrm.checking.catalogue import CATALOGUE
from minidlrm.checking.fingerprints import Fingerprint
from minidlrm.checking.gradients import assert_gradients, gradcheck
from minidlrm.checking.optimizers import OptimCheckReport, optimcheck
from minidlrm.checking.report import ArrayCheck, Cause, GradCheckReport

__all__ = [
    "CATALOGUE",
    "ArrayCheck",
    "Cause",
    "Fingerprint",
    "GradCheckReport",
    "OptimCheckReport",
    "assert_gradients",
    "difference",
    "gradcheck",
    "optimcheck",
]
