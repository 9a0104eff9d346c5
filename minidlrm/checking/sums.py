"""Hypotheses about a slope that is a sum of two terms, one of which is wrong.

(u v)' = u' v + u v', and where one of the two is derived wrong, neither the difference nor the
ratio is a simple product. So the right slope is written as a sum of two products of simple
functions, c p + d q; and where yours is c p plus another product, the second term is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minidlrm.checking.catalogue import make_cause
from minidlrm.checking.evidence import Evidence, Whole
from minidlrm.checking.factors import times
from minidlrm.checking.products import LEAST_OF_TWO, Products, products_of
from minidlrm.checking.report import Cause
from minidlrm.checking.slopes import slopes_of
from minidlrm.checking.words import in_words
from minidlrm.languages import Message

_MOST_SUMS = 12  # ways to write the right slope


def one_of_two_terms(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Write the right slope as c p + d q, and yours as c p + another product."""
    s = slopes_of(evidence, w)
    if s is None or len(s.ours) < LEAST_OF_TWO or not s.ours.any():
        return
    products = products_of(evidence, w)
    ours, theirs = (slope[: products.entries] for slope in (s.ours, s.theirs))
    for terms in _sums(products, theirs, evidence.tol):
        for (p, c), (q, d) in (terms, terms[::-1]):
            rest = ours - c * products.values[p]
            found = products.multiple(rest, evidence.tol)
            if found is None:
                continue
            kept, right = times(c, products.names[p]), times(d, products.names[q])
            text = Message(
                "Right is dy times the sum of {kept} and {right}; yours has {ours} in the place of "
                "{right}.",
                kept=in_words(kept),
                right=in_words(right),
                ours=in_words(times(found[1], products.names[found[0]])),
            )
            yield make_cause("term", w.name, text, 0.9)
            return


Term = tuple[int, float]


def _sums(products: Products, k: np.ndarray, tol: float) -> Iterator[tuple[Term, Term]]:
    """Yield pairs of products of which k is a sum, with plain factors."""
    P = products.values / np.sqrt((products.values**2).sum(axis=1, keepdims=True))
    rest = k - (P @ k)[:, None] * P  # (products, entries): what p leaves of k
    found = 0
    for p in range(len(P)):
        left = P - (P @ P[p])[:, None] * P[p]
        size = (left * left).sum(axis=1)
        along = left @ rest[p]
        near = size * (rest[p] @ rest[p]) - along * along <= 1e-9 * size * (k @ k)
        for q in np.flatnonzero(near & (size > 1e-6))[:4].tolist():
            factors = _factors(products, k, (p, q), tol) if p < q else None
            if factors is not None:
                found += 1
                yield (p, factors[0]), (q, factors[1])
            if found == _MOST_SUMS:
                return


def _factors(products: Products, k: np.ndarray, pair: tuple[int, int], tol: float):
    basis = products.values[list(pair)].T
    factors = np.linalg.lstsq(basis, k, rcond=None)[0]
    off = np.abs(basis @ factors - k).max()
    plain = all(products.is_plain(float(c)) for c in factors)
    return factors.tolist() if off <= tol * np.abs(k).max() and plain else None


TESTS = (one_of_two_terms,)
