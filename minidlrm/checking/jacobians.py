"""Hypotheses about which output's dy reaches which entry: backward, asked output by output.

`ours` and `theirs` are the two Jacobians (outputs, entries): of backward, and of forward.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minidlrm.checking.catalogue import make_cause
from minidlrm.checking.evidence import Evidence, Whole
from minidlrm.checking.report import Cause
from minidlrm.checking.words import in_words
from minidlrm.languages import Message


def paired(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Outputs matched to each other: backward(e_k) is the derivative of another output."""
    both = evidence.jacobians(w)
    if both is None or len(both[0]) < 2:
        return
    ours, theirs = both
    same = evidence.same
    partner = [next((j for j, row in enumerate(theirs) if same(mine, row)), -1) for mine in ours]
    moved = [k for k, j in enumerate(partner) if j not in (-1, k)]
    if -1 not in partner and moved and len(set(partner)) == len(partner):
        k = moved[0]
        text = Message(
            "The entry {k} of dy goes where output {other} belongs; {count} are moved.",
            k=k,
            other=partner[k],
            count=len(moved),
        )
        yield make_cause("pairing", w.name, text, 0.95)


def matrix_transposed(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """The Jacobian, of each sample or of all, is the transpose of the right one."""
    both, shape = evidence.jacobians(w), evidence.r.shape
    if both is None or w.numeric.shape != shape or evidence.r.size < 2:
        return
    ours, theirs = both
    if evidence.same(ours, theirs):
        return
    text = Message(
        "Where the gradient needs a matrix, its transpose is used: the derivatives of output i by "
        "input j and of output j by input i are exchanged"
    )
    if evidence.same(ours, theirs.T):
        yield make_cause("transpose", w.name, text + ".", 0.955)
    elif _are_transposed_but_for_slopes(evidence, ours, theirs.T):
        more = Message(", but for a factor of each output, as the slope of an activation.")
        yield make_cause("transpose", w.name, text + more, 0.95)


def _are_transposed_but_for_slopes(evidence: Evidence, a: np.ndarray, b: np.ndarray) -> bool:
    """Whether a[i, j] = b[i, j] s[i] / s[j] with one s for many entries."""
    there, too = (np.abs(jac) > evidence.tol * np.abs(jac).max(initial=0) for jac in (a, b))
    if (there != too).any():
        return False
    i, j = np.nonzero(there & ~np.eye(len(a), dtype=bool))
    if not len(i) or (a[i, j] / b[i, j] <= 0).any() or evidence.same(a[i, j], b[j, i]):
        return False
    logs = np.log(a[i, j] / b[i, j])
    differences = np.zeros((len(i), len(a)))
    differences[np.arange(len(i)), i] = 1
    differences[np.arange(len(i)), j] = -1
    if len(i) < 2 * np.linalg.matrix_rank(differences):
        return False  # some s always fits
    s = np.linalg.lstsq(differences, logs, rcond=None)[0]
    return bool(np.abs(differences @ s - logs).max() <= 1e-5)


def sample_axis_transposed(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """A matrix between the samples is transposed: (c, b) is used for (b, c)."""
    both, shape = evidence.jacobians(w), evidence.r.shape
    if both is None or w.numeric.shape != shape or len(shape) != 2 or shape[0] < 2:
        return
    ours, theirs = (j.reshape(*shape, *shape) for j in both)
    if evidence.same(ours, theirs.transpose(2, 1, 0, 3)) and not evidence.same(ours, theirs):
        text = Message(
            "A matrix between the samples is transposed: the derivatives of sample b by sample c "
            "and of c by b are exchanged."
        )
        yield make_cause("transpose", w.name, text, 0.95)


def part_missing(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """In the derivative of each output some entries are right, and the others are 0."""
    both = evidence.jacobians(w)
    if both is None:
        return
    ours, theirs = both
    right, zero, there = _right_zero_there(evidence, ours, theirs)
    if not ((right | zero).all() and (right & there).sum() > 1 and (zero & there).any()):
        return
    missing = zero & there
    share = f"{missing.sum() / there.sum():.0%}"
    text = Message(
        "Of the derivatives of the outputs by {name}, {share} are 0 and should not be; all others "
        "are right.",
        name=w.name,
        share=share,
    )
    if len(ours) == 1:
        text = Message(
            "{share} of the gradient of {name} is 0 and should not be; all others are right.",
            name=w.name,
            share=share,
        )
    where, plain = _which(evidence, w, missing, there)
    yield make_cause("part_missing", w.name, text + where, plain)


def _right_zero_there(evidence, ours, theirs):
    size = np.abs(theirs).max(initial=0) * evidence.tol
    return np.abs(ours - theirs) <= size, np.abs(ours) <= size, np.abs(theirs) > size


def _which(evidence, w, missing, there) -> tuple[str, float]:
    """Say in words which derivatives are missing, and how plain that is."""
    if len(missing) == 1:
        place = tuple(map(int, np.argwhere(missing.reshape(w.numeric.shape))[0]))
        return Message(" The first that is missing is at {place}.", place=place), 0.86
    if w.numeric.shape == evidence.r.shape:
        own = np.eye(len(missing), dtype=bool)
        if (missing == (there & ~own)).all():
            text = Message(
                " Each entry gets the dy of its own output only: the others depend on it, too."
            )
            return text, 0.93
        if (missing == (there & own)).all():
            return Message(" Each entry lacks the dy of its own output."), 0.93
    return "", 0.8


def extra(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """All that belongs is right, and there is more: where the function is flat, or beside it."""
    both = evidence.jacobians(w)
    if both is None:
        return
    ours, theirs = both
    right, zero, there = _right_zero_there(evidence, ours, theirs)
    more = ~there & ~zero
    if not right[there].all() or there.sum() < 2 or not more.any():
        return
    flat = ~there.any(axis=0)
    if (more.any(axis=0) <= flat).all():
        text = Message(
            "The gradient of {name} is right where the output depends on {name}, and goes on where "
            "it does not: there it must be 0 ({count} entries).",
            name=w.name,
            count=int(more.any(axis=0).sum()),
        )
        yield make_cause("mask_forgotten", w.name, text + _limits(w, flat), 0.955)
    else:
        text = Message(
            "All that belongs to the gradient of {name} is right; {count} derivatives are there "
            "that must be 0.",
            name=w.name,
            count=int(more.sum()),
        )
        yield make_cause("extra_term", w.name, text, 0.85)


def _limits(w: Whole, flat: np.ndarray) -> str:
    """Say beyond which value an array does not matter, if it is so."""
    x = w.here.ravel()
    for sign, word in ((1, Message("above")), (-1, Message("below"))):
        live = (sign * x)[~flat].max()
        if (sign * x)[flat].min() > live:
            limit = sign * (live + (sign * x)[flat].min()) / 2
            return Message(
                " The output does not depend on {name} {side} about {limit}.",
                name=w.name,
                side=word,
                limit=f"{limit:.3g}",
            )
    return ""


def dy_of_another_output(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Right minus ours is c times the dy of one output for each entry."""
    both = evidence.jacobians(w)
    if both is None or len(both[0]) < 2 or not w.analytic.any():
        return
    rest = both[1] - both[0]
    there = np.abs(rest) > evidence.tol * np.abs(both[1]).max(initial=0)
    if there.sum() < 4 or (there.sum(axis=0) > 1).any() or (there.sum(axis=1) > 1).any():
        return
    if np.ptp(rest[there]) > evidence.tol * np.abs(rest).max():
        return
    text = Message(
        "Right minus yours is {c} times dy itself, at {some} of the {count} entries of {name}.",
        c=f"{rest[there][0]:.4g}",
        some=int(there.sum()),
        count=w.numeric.size,
        name=w.name,
    )
    yield make_cause("term", w.name, text, 0.79)


def factor_on_the_other_side(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Ours is theirs with k_i / k_o in front: a factor multiplies the result, and not dy."""
    both = evidence.jacobians(w)
    if both is None or len(both[0]) < 4 or w.numeric.shape != evidence.r.shape:
        return
    ours, theirs = both
    for name, value in evidence.known.items():
        if value.ndim > w.numeric.ndim or name in (w.name, "y"):
            continue
        try:
            k = np.broadcast_to(value, w.numeric.shape).ravel()
        except ValueError:
            continue
        if np.ptp(k) == 0 or not k.all() or evidence.same(ours, theirs):
            continue
        result = Message("the result")
        for side, other, factor in ((result, "dy", 1.0), ("dy", result, -1.0)):
            if evidence.same(ours, theirs * (k[None, :] / k[:, None]) ** factor):
                text = Message(
                    "The factor {name} multiplies {side}; it belongs to {other}.",
                    name=in_words(name),
                    side=side,
                    other=other,
                )
                yield make_cause("local_factor", w.name, text, 0.965)
                return


def wrong_axis(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Ours joins entries along an axis along which the function does not."""
    both = evidence.jacobians(w)
    axes = shared_axes(evidence, w)
    if both is None or not axes or len(both[0]) < 2:
        return
    ours, theirs = (joined_axes(jac, evidence, w, axes) for jac in both)
    more, less = sorted(ours - theirs), sorted(theirs - ours)
    if not more:
        return
    if less:
        text = Message(
            "In the function the entries of {name} meet along axis {right}; in the gradient they "
            "meet along axis {ours}: the sum runs over the wrong axis.",
            name=w.name,
            right=less[0],
            ours=more[0],
        )
        yield make_cause("axis", w.name, text, 0.94)
        return
    text = Message(
        "The gradient at index i of axis {axis} of {name} depends on dy at other indices of that "
        "axis, where the function does not: check the axis of each sum, and keepdims.",
        axis=more[0],
        name=w.name,
    )
    yield make_cause("axis", w.name, text, 0.92)


def do_not_meet(evidence: Evidence, w: Whole) -> str:
    """Say along which axis the entries meet in the function and not in the gradient; "" if none.

    Parameters
    ----------
    evidence : Evidence
    w : Whole
    """
    both, axes = evidence.jacobians(w), shared_axes(evidence, w)
    if both is None or len(both[0]) < 2:
        return ""
    ours, theirs = (joined_axes(jac, evidence, w, axes) for jac in both)
    if not theirs - ours:
        return ""
    return Message(
        "In the function an output depends on the entries of {name} at other indices of axis "
        "{axis}; in the gradient it does not.",
        name=w.name,
        axis=min(theirs - ours),
    )


def misplaced(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """The derivatives of each output are the right numbers, at other entries."""
    both = evidence.jacobians(w)
    if both is None or len(both[0]) < 2 or w.numeric.size < 4:
        return
    ours, theirs = both
    size = evidence.tol * np.abs(theirs).max(initial=0)
    off = (np.abs(ours - theirs) > size).any(axis=1)
    if off.sum() < 2 or not evidence.same(np.sort(ours, axis=1), np.sort(theirs, axis=1)):
        return
    k = int(np.flatnonzero(off)[0])
    there = [np.flatnonzero(np.abs(jac[k]) > size) for jac in (ours, theirs)]
    apart = next(((a, b) for a, b in zip(*there, strict=False) if a != b), None)
    if apart is None:
        return
    first = [np.unravel_index(place, w.numeric.shape) for place in apart]
    place = tuple(map(int, np.unravel_index(k, evidence.r.shape)))
    here, right = (f"{w.name}{list(map(int, each))}" for each in first)
    text = Message(
        "What each output sends back to {name} are the right numbers, and for {some} of {count} "
        "outputs they go to wrong places: the dy of output {place} goes to {here}, where it "
        "belongs to {right}.",
        name=w.name,
        some=int(off.sum()),
        count=len(off),
        place=place,
        here=here,
        right=right,
    )
    yield make_cause("shifted", w.name, text, 0.9)


def spread(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """The dy of each output is divided among several entries, and belongs to one of them."""
    both = evidence.jacobians(w)
    if both is None or len(both[0]) < 2:
        return
    ours, theirs = both
    mine, right = (np.abs(jac) > evidence.tol * np.abs(jac).max(initial=0) for jac in both)
    counts = mine.sum(axis=1)
    if not (right <= mine).all() or (right.sum(axis=1) != 1).any() or (counts < 2).any():
        return
    each = ours.max(axis=1, keepdims=True)
    if not evidence.same(ours, each * mine) or not each.any():
        return
    whole = evidence.same(ours.sum(axis=1), theirs.sum(axis=1))
    text = Message(
        "Each output depends on one entry of {name}, and its dy goes to {count} of them",
        name=w.name,
        count=counts[0],
    )
    text += Message(", in equal parts.") if whole else Message(", whole or in part.")
    yield make_cause("extra_term", w.name, text, 0.88)


def shared_axes(evidence: Evidence, w: Whole) -> list[int]:
    """Return the axes that output and array share: all leading ones of one length."""
    if w.rows is not None:
        return []
    axes = []
    for axis, (m, n) in enumerate(zip(evidence.r.shape, w.numeric.shape, strict=False)):
        if m != n or m < 2:
            break
        axes.append(axis)
    return axes


def joined_axes(jac, evidence, w, axes) -> set[int]:
    """Return the axes along which an output depends on entries of another index."""
    out, into = np.nonzero(np.abs(jac) > evidence.tol * np.abs(jac).max(initial=0))
    outs = np.unravel_index(out, evidence.r.shape)
    ins = np.unravel_index(into, w.numeric.shape)
    return {axis for axis in axes if (outs[axis] != ins[axis]).any()}


TESTS = (
    factor_on_the_other_side,
    dy_of_another_output,
    paired,
    matrix_transposed,
    sample_axis_transposed,
    part_missing,
    extra,
    misplaced,
    spread,
    wrong_axis,
)
