"""The bug museum: correct layers with one classic mistake each.

The gradient checker is measured on them, the tutorials show them, and the grader plants them
under a student's tests. Those that arithmetic cannot tell apart serve as fingerprints.
"""

from minidlrm.checking.bugs import embedding, interactions, linear, losses, models, optimizers
from minidlrm.checking.bugs.record import Bug

CORPUS: tuple[Bug, ...] = (
    *linear.BUGS,
    *losses.BUGS,
    *embedding.BUGS,
    *interactions.BUGS,
    *models.BUGS,
)
OPTIMIZERS: tuple[Bug, ...] = optimizers.BUGS

__all__ = ["CORPUS", "OPTIMIZERS", "Bug"]
