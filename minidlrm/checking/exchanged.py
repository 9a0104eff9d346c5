"""Hypotheses about an array that stands where another belongs, in a product or in a sum."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minidlrm.checking.catalogue import make_cause
from minidlrm.checking.evidence import Evidence, Whole, derived_arrays
from minidlrm.checking.formulas import is_function
from minidlrm.checking.report import Cause
from minidlrm.checking.words import in_words
from minidlrm.languages import Message


def recovered_matrix(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Where n = M K with a known K: ours is M^T K, or M with another known operand.

    K must have full rank, so that M is the only one; where it is not square, n = M K is a test.
    """
    n, a = w.numeric, w.analytic
    if n.ndim not in (2, 3) or w.rows is not None or not 2 < n.shape[-2] <= n.shape[-1]:
        return
    known = {**evidence.known, "dy": evidence.r}
    fitting = {m: k for m, k in known.items() if k.shape == n.shape}
    for name, k in fitting.items():
        if np.linalg.cond(k).max() > 1e6:
            continue
        theirs = n @ np.linalg.pinv(k)
        if not evidence.same(theirs @ k, n):
            continue
        for other, operand in fitting.items():
            for turned, matrix in (("M", theirs), ("M.T", theirs.swapaxes(-1, -2))):
                if evidence.same(a, matrix @ operand) and not evidence.same(a, n):
                    text = Message(
                        "The right gradient of {name} is {right} with a matrix M; yours is {ours}.",
                        name=w.name,
                        right=in_words(f"M @ {name}"),
                        ours=in_words(f"{turned} @ {other}"),
                    )
                    key = "transpose" if other == name else "operand"
                    yield make_cause(key, w.name, text, 0.95)
                    return


def stands_for(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Test n - a = c (t - u), times dy: u is in a sum where t belongs."""
    rest = w.numeric - w.analytic
    if w.rows is not None or rest.size < 4 or evidence.r.ndim not in (0, 1, rest.ndim):
        return
    r = evidence.r
    if r.ndim and (r.shape != rest.shape[: r.ndim] or not r.all()):
        return
    k = rest / r.reshape(r.shape + (1,) * (rest.ndim - r.ndim))
    arrays = {**evidence.known, **dict(derived_arrays(evidence))}
    arrays = {n: t for n, t in arrays.items() if t.shape == k.shape and np.isfinite(t).all()}
    size = float((k * k).sum())
    for right, t in arrays.items():
        for ours, u in arrays.items():
            d = t - u
            if "less its mean" in right + ours and (right in ours or ours in right):
                continue  # they differ by a mean: a term through a mean says more
            c = float((k * d).sum())
            square = float((d * d).sum())
            if c <= 0 or c * c < (1 - 1e-6) * square * size or not evidence.same(k, c / square * d):
                continue
            text = Message(
                "Right minus yours is {c} ({right} - {ours}), times dy: {ours} stands where "
                "{right} belongs.",
                c=f"{c / square:.4g}",
                right=in_words(right),
                ours=in_words(ours),
            )
            axis = right.split(" along axis")[0] == ours.split(" along axis")[0]
            other = "function_left" if is_function(right, ours) else "operand"
            yield make_cause("axis" if axis else other, w.name, text, 0.93)
            return


TESTS = (recovered_matrix, stands_for)
