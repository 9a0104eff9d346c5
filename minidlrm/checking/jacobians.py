"""Hypotheses about which output's dy reaches which entry: backward, asked output by output.

`ours` and `theirs` are the two Jacobians (outputs, entries): of backward, and of forward.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minidlrm.checking.catalogue import make_cause
from minidlrm.checking.evidence import Evidence, Whole
from minidlrm.checking.report import Cause


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
        text = (
            f"The entry {k} of dy goes where output {partner[k]} belongs; {len(moved)} are moved."
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
    text = "Where the gradient needs a matrix, its transpose is used: the derivatives of output "
    text += "i by input j and of output j by input i are exchanged"
    if evidence.same(ours, theirs.T):
        yield make_cause("transpose", w.name, f"{text}.", 0.955)
    elif _are_transposed_but_for_slopes(evidence, ours, theirs.T):
        text += ", but for a factor of each output, as the slope of an activation."
        yield make_cause("transpose", w.name, text, 0.95)


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
        text = "A matrix between the samples is transposed: the derivatives of sample b by sample "
        yield make_cause("transpose", w.name, text + "c and of c by b are exchanged.", 0.95)


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
    share = missing.sum() / there.sum()
    text = f"Of the derivatives of the outputs by {w.name}, {share:.0%} are 0 and should not be; "
    if len(ours) == 1:
        text = f"{share:.0%} of the gradient of {w.name} is 0 and should not be; "
    where, plain = _which(evidence, w, missing, there)
    yield make_cause("part_missing", w.name, text + "all others are right." + where, plain)


def _right_zero_there(evidence, ours, theirs):
    size = np.abs(theirs).max(initial=0) * evidence.tol
    return np.abs(ours - theirs) <= size, np.abs(ours) <= size, np.abs(theirs) > size


def _which(evidence, w, missing, there) -> tuple[str, float]:
    """Say in words which derivatives are missing, and how plain that is."""
    if len(missing) == 1:
        place = tuple(map(int, np.argwhere(missing.reshape(w.numeric.shape))[0]))
        return f" The first that is missing is at {place}.", 0.86
    if w.numeric.shape == evidence.r.shape:
        own = np.eye(len(missing), dtype=bool)
        if (missing == (there & ~own)).all():
            text = " Each entry gets the dy of its own output only: the others depend on it, too."
            return text, 0.93
        if (missing == (there & own)).all():
            return " Each entry lacks the dy of its own output.", 0.93
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
        text = f"The gradient of {w.name} is right where the output depends on {w.name}, and goes "
        text += f"on where it does not: there it must be 0 ({int(more.any(axis=0).sum())} entries)."
        yield make_cause("mask_forgotten", w.name, text + _limits(w, flat), 0.955)
    else:
        text = f"All that belongs to the gradient of {w.name} is right; {int(more.sum())} "
        text += "derivatives are there that must be 0."
        yield make_cause("extra_term", w.name, text, 0.85)


def _limits(w: Whole, flat: np.ndarray) -> str:
    """Say beyond which value an array does not matter, if it is so."""
    x = w.here.ravel()
    for sign, word in ((1, "above"), (-1, "below")):
        live = (sign * x)[~flat].max()
        if (sign * x)[flat].min() > live:
            limit = sign * (live + (sign * x)[flat].min()) / 2
            return f" The output does not depend on {w.name} {word} about {limit:.3g}."
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
    text = f"Right minus yours is {rest[there][0]:.4g} times dy itself, at {int(there.sum())} of "
    text += f"the {w.numeric.size} entries of {w.name}."
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
        for side, factor in (("the result", 1.0), ("dy", -1.0)):
            if evidence.same(ours, theirs * (k[None, :] / k[:, None]) ** factor):
                other = "dy" if side == "the result" else "the result"
                text = f"The factor {name} multiplies {side}; it belongs to {other}."
                yield make_cause("local_factor", w.name, text, 0.965)
                return


def wrong_axis(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Ours joins entries along an axis along which the function does not."""
    both = evidence.jacobians(w)
    axes = _shared_axes(evidence, w)
    if both is None or not axes or len(both[0]) < 2:
        return
    ours, theirs = (_joined(jac, evidence, w, axes) for jac in both)
    more, less = sorted(ours - theirs), sorted(theirs - ours)
    if not more:
        return
    if less:
        text = f"In the function the entries of {w.name} meet along axis {less[0]}; in the "
        text += f"gradient they meet along axis {more[0]}: the sum runs over the wrong axis."
        yield make_cause("axis", w.name, text, 0.94)
        return
    text = f"The gradient at index i of axis {more[0]} of {w.name} depends on dy at other indices "
    text += "of that axis, where the function does not: check the axis of each sum, and keepdims."
    yield make_cause("axis", w.name, text, 0.92)


def do_not_meet(evidence: Evidence, w: Whole) -> str:
    """Say along which axis the entries meet in the function and not in the gradient; "" if none.

    Parameters
    ----------
    evidence : Evidence
    w : Whole
    """
    both, axes = evidence.jacobians(w), _shared_axes(evidence, w)
    if both is None or len(both[0]) < 2:
        return ""
    ours, theirs = (_joined(jac, evidence, w, axes) for jac in both)
    if not theirs - ours:
        return ""
    axis = min(theirs - ours)
    return (
        f"In the function an output depends on the entries of {w.name} at other indices of axis "
        f"{axis}; in the gradient it does not."
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
    here, right = (tuple(map(int, each)) for each in first)
    text = f"What each output sends back to {w.name} are the right numbers, and for "
    text += f"{int(off.sum())} of {len(off)} outputs they go to wrong places: the dy of output "
    text += f"{place} goes to {w.name}{list(here)}, where it belongs to {w.name}{list(right)}."
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
    text = f"Each output depends on one entry of {w.name}, and its dy goes to {counts[0]} of them"
    text += ", in equal parts." if whole else ", whole or in part."
    yield make_cause("extra_term", w.name, text, 0.88)


def _shared_axes(evidence: Evidence, w: Whole) -> list[int]:
    """Return the axes that output and array share: all leading ones of one length."""
    if w.rows is not None:
        return []
    axes = []
    for axis, (m, n) in enumerate(zip(evidence.r.shape, w.numeric.shape, strict=False)):
        if m != n or m < 2:
            break
        axes.append(axis)
    return axes


def _joined(jac, evidence, w, axes) -> set[int]:
    """Return the axes along which an output depends on entries of another index."""
    out, into = np.nonzero(np.abs(jac) > evidence.tol * np.abs(jac).max(initial=0))
    outs = np.unravel_index(out, evidence.r.shape)
    ins = np.unravel_index(into, w.numeric.shape)
    return {axis for axis in axes if (outs[axis] != ins[axis]).any()}


def statistic(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """What is missing goes through one or two numbers that come from many entries."""
    both = evidence.jacobians(w)
    if both is None or w.numeric.shape != evidence.r.shape or w.numeric.size < 3:
        return
    axes = _shared_axes(evidence, w)
    theirs = _joined(both[1], evidence, w, axes)
    if not theirs or _joined(both[0], evidence, w, axes) - theirs:
        return
    mine, right, values = (_blocks(a, evidence, theirs) for a in (*both, w.here))
    rest = right - mine  # (groups, n, n)
    rank = _rank(rest, evidence.tol * np.abs(right).max())
    filled = np.mean(np.abs(rest) > evidence.tol * np.abs(rest).max())
    n = rest.shape[1]
    if not 1 <= rank <= min(2, n - 2):
        return
    name = _name(rest, values)
    if filled < 0.3 and "entry" not in name:
        return
    along = f"along axis {min(theirs)}" if len(theirs) < w.numeric.ndim else "over the whole array"
    constant = not (np.abs(mine) * ~np.eye(n, dtype=bool) > evidence.tol * np.abs(mine).max()).any()
    if rank == 1:
        formula = _rank_one(evidence, rest, theirs)
        if formula:
            yield make_cause("term", w.name, f"Right minus yours is, {along}, {formula}.", 0.915)
            return
    text = f"What is wrong goes through {name or 'a number'} taken {along}: "
    text += f"it depends on every entry of {w.name} there, "
    text += "and is treated as a constant." if constant else "and its path is missing, or scaled."
    yield make_cause("statistic", w.name, text, 0.91 if name else 0.78)


def _rank_one(evidence: Evidence, rest: np.ndarray, axes: set[int]) -> str:
    """Write u v^T of each group as a known form times the sum of dy times another."""
    u, v = [], []
    for block in rest:
        left, sizes, right = np.linalg.svd(block)
        k = int(np.argmax(np.abs(right[0])))
        u.append(left[:, 0] * sizes[0] * right[0][k])
        v.append(right[0] / right[0][k])
    found = []
    for vectors in (np.array(u), np.array(v)):
        names = (_form_of(vectors, _blocks(t, evidence, axes), n) for n, t in _same(evidence))
        found.append(next((name for name in names if name), ""))
    if not all(found) or not any("1 - " in name for name in found):
        return ""
    return f"({found[1]}) times the sum of dy ({found[0]})"


def _same(evidence: Evidence) -> Iterator[tuple[str, np.ndarray]]:
    for name, value in evidence.known.items():
        if value.shape == evidence.r.shape:
            yield name, value


def _form_of(vectors: np.ndarray, t: np.ndarray, name: str) -> str:
    """Name a form of t that each group's vector is a multiple of."""
    for form, value in (("¤", t), ("1 - ¤", 1 - t), ("¤ (1 - ¤)", t * (1 - t)), ("¤^2", t * t)):
        c = (vectors * value).sum(axis=1) / np.maximum((value * value).sum(axis=1), 1e-300)
        if np.abs(vectors - c[:, None] * value).max() <= 1e-6 * np.abs(vectors).max():
            return form.replace("¤", name)
    return ""


def _blocks(a: np.ndarray, evidence: Evidence, axes: set[int]) -> np.ndarray:
    """Cut into groups whose entries meet along the axes: (groups, n) or (groups, n, n)."""
    shape = evidence.r.shape
    last = sorted(axes)
    first = [k for k in range(len(shape)) if k not in axes]
    n = int(np.prod([shape[k] for k in last]))
    if a.size == evidence.r.size:
        return a.reshape(shape).transpose(first + last).reshape(-1, n)
    full = a.reshape(*shape, *shape)
    order = first + last
    full = full.transpose(order + [k + len(shape) for k in order])
    groups = evidence.r.size // n
    full = full.reshape(groups, n, groups, n)
    return full[np.arange(groups), :, np.arange(groups)]


def _rank(blocks: np.ndarray, size: float) -> int:
    return max(int((np.linalg.svd(block, compute_uv=False) > 10 * size).sum()) for block in blocks)


def _name(rest: np.ndarray, values: np.ndarray) -> str:
    """Name the numbers of the entries by their own derivative: ones, x, or x less its mean."""
    names = {
        "a mean or sum": np.ones_like(values),
        "a variance": values - values.mean(axis=1, keepdims=True),
        "a norm or a sum of squares": values,
        "the largest entry": values == values.max(axis=1, keepdims=True),
        "the smallest entry": values == values.min(axis=1, keepdims=True),
    }
    found = [name for name, rows in names.items() if _spans(rest, rows.astype(float))]
    return " and ".join(found[:2])


def _spans(rest: np.ndarray, rows: np.ndarray) -> bool:
    """Whether each row lies in the space that its block's rows span."""
    for block, row in zip(rest, rows, strict=True):
        _, sizes, right = np.linalg.svd(block)
        basis = right[sizes > 1e-6 * sizes.max()]
        if np.abs(row - (row @ basis.T) @ basis).max() > 1e-4 * max(np.abs(row).max(), 1e-300):
            return False
    return True


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
    statistic,
)
