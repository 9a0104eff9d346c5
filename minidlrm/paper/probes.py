"""Probes: what the interaction of a model does to its vectors, asked by moving them.

The explicit part of a model is a function f of F vectors of size D. Four questions to it decide
what interacts, and up to which order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidlrm.layers import CIN, CrossNetwork, DotInteraction, FMInteraction

_F, _D, _SAMPLES = 5, 4, 3
_MOST = 8  # the highest order that is looked for
_SMALL = 1e-9  # rounding, in float64
Explicit = Callable[[np.ndarray], np.ndarray]  # (B, F, D) -> (B, outputs)


@dataclass(frozen=True)
class Probe:
    """What was found of one explicit part.

    Parameters
    ----------
    order : int
        Its degree as a polynomial in all vectors together.
    rotated : float
        The largest change, as a share of the largest output, when one rotation turns all vectors.
        0: only whole vectors meet, by their dot products.
    reordered : float
        The same, when the entries of all vectors are put into another order. 0: entries meet
        their like, or the whole vectors do.
    within : float
        The largest term that two entries of one vector make together, as such a share.
    pairs : float
        The share of the pairs of vectors that make a term together.

    Examples
    --------
    >>> from minidlrm.paper.probes import probes
    >>> found = probes()
    >>> found["DLRM"].order, found["DCN"].order
    (2, 4)
    """

    order: int
    rotated: float
    reordered: float
    within: float
    pairs: float


def probes() -> dict[str, Probe]:
    """Probe the explicit parts in the sizes of the comparison: three cross layers, a CIN of two."""
    return {name: probe(part) for name, part in explicit_parts().items()}


def explicit_parts(cross_layers: int = 3, cin_layers: int = 2) -> dict[str, Explicit]:
    """Return the explicit part of each model, by the model's title."""
    rng = np.random.default_rng(0)
    fm, dot = FMInteraction(_F, _D), DotInteraction(_F, _D)
    options: dict[str, Any] = {"rng": rng, "dtype": np.float64}
    cross = CrossNetwork(_F * _D, cross_layers, "vector", **options)
    cin = CIN(_F, _D, (4,) * cin_layers, **options)
    for part in (cross, cin):
        for parameter in part.parameters():  # biases begin at 0
            parameter.value[...] = rng.normal(0, 0.5, parameter.value.shape)

    def crossed(z: np.ndarray) -> np.ndarray:
        y = cross.forward(z.reshape(len(z), -1))
        return y.reshape(z.shape).sum(axis=2)  # (B, F): the entries of a vector, in any order

    return {
        "DeepFM": lambda z: fm.forward(z)[:, None],
        "DCN": crossed,
        "xDeepFM": cin.forward,
        "DLRM": dot.forward,
    }


def probe(f: Explicit, seed: int = 0) -> Probe:
    """Ask the four questions."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(_SAMPLES, _F, _D))
    size = np.abs(f(z)).max()
    rotation = np.linalg.qr(rng.normal(size=(_D, _D)))[0]
    rotated = np.abs(f(z @ rotation) - f(z)).max() / size
    reordered = np.abs(f(z[:, :, np.roll(np.arange(_D), 1)]) - f(z)).max() / size
    within = np.abs(_mixed(f, z, (0, 0), (0, 1))).max() / size
    pairs = [(i, j) for i in range(_F) for j in range(i)]
    met = [np.abs(_mixed(f, z, (i,), (j,))).max() / size > _SMALL for i, j in pairs]
    return Probe(order(f, z), float(rotated), float(reordered), float(within), float(np.mean(met)))


def order(f: Explicit, z: np.ndarray) -> int:
    """Return the degree of f(t z) in t: the highest difference that is not rounding."""
    values = np.array([f(t * z) for t in np.linspace(-1, 1, _MOST + 2)])
    size, degree = np.abs(values).max(), 0
    for k in range(1, _MOST + 2):
        values = np.diff(values, axis=0)
        if np.abs(values).max() > _SMALL * size:
            degree = k
    return degree


def _mixed(
    f: Explicit, z: np.ndarray, first: tuple[int, ...], second: tuple[int, ...]
) -> np.ndarray:
    """Return the term that two vectors, or two entries, make together: a mixed difference."""

    def moved(*places: tuple[int, ...]) -> np.ndarray:
        other = z.copy()
        for place in places:
            key: Any = (slice(None), *place)
            other[key] += 1.0
        return f(other)

    return moved(first, second) - moved(first) - moved(second) + f(z)
