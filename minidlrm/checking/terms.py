"""Hypotheses about a term that is missing, and about the formula that was computed instead."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations_with_replacement

import numpy as np

from minidlrm.checking.catalogue import make_cause
from minidlrm.checking.evidence import Evidence, Whole, derived_arrays
from minidlrm.checking.report import Cause
from minidlrm.checking.words import in_words
from minidlrm.languages import Message


def regularized(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Test n - a = c x: a penalty c x^2 / 2 of the array itself has no gradient, or a wrong one."""
    rest, x = (w.numeric - w.analytic).ravel(), w.here.ravel()
    if x.size < 2 or not x.any() or not w.analytic.any():
        return
    c = float(rest @ x) / float(x @ x)
    loss = evidence.r.ndim == 0
    missing = c / float(evidence.r) if loss else c
    if not evidence.same(rest, c * x):
        yield from _beside_the_penalty(evidence, w)
        return
    full = _penalty(evidence, w)
    times = _times_itself(w.name, loss)
    factor = 1 - missing / full if full else 0.0  # of the penalty's part in ours
    if full and abs(factor) > 1e-4 and (missing < 0 or evidence.is_usual(factor)):
        text = Message(
            "Right minus yours is {missing}{times} The penalty's own part is {full}{times} So that "
            "is there, with a wrong factor: {factor} of the right one.",
            missing=f"{missing:.6g}",
            full=f"{full:.6g}",
            times=times,
            factor=f"{factor:.4g}",
        )
        yield make_cause("term", w.name, text, 0.95)
    elif missing > 0:
        text = Message(
            "What is missing from the gradient of {name} is {missing}{times}",
            name=w.name,
            missing=f"{missing:.6g}",
            times=times,
        )
        yield make_cause("regularization", w.name, text, 0.94)
    elif not full:
        text = Message(
            "Yours is too much by {more}{times} The function has no such term.",
            more=f"{-missing:.6g}",
            times=times,
        )
        yield make_cause("penalty", w.name, text, 0.94)


def _times_itself(name: str, loss: bool) -> Message:
    if loss:
        return Message(" times {name} itself, times dy.", name=name)
    return Message(" times {name} itself.", name=name)


def _beside_the_penalty(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """The part of the penalty is right, and the rest has a constant factor."""
    if evidence.r.ndim or w.value.size < 3:
        return
    penalty = _penalty(evidence, w) * float(evidence.r) * w.here
    rest = w.numeric - penalty
    if not penalty.any() or not rest.any():
        return
    c = float(((w.analytic - penalty) * rest).sum() / (rest * rest).sum())
    if c and evidence.same(w.analytic - penalty, c * rest):
        text = Message(
            "The part that is a multiple of {name} itself (the penalty's) is right, and all the "
            "rest is {c} times the right one.",
            name=w.name,
            c=f"{c:.6g}",
        )
        yield make_cause("term", w.name, text, 0.95)


def _penalty(evidence: Evidence, w: Whole) -> float:
    """Return the c of a gradient c x that is left when the other inputs are 0; 0 if none."""
    others = [name for name in evidence.subject.input_names if name != w.name]
    for name in others:
        found = evidence.right_where(w, {name: np.zeros_like(evidence.subject.arrays[name])})
        if found is None:
            continue
        x = w.here.ravel()
        c = float(found.ravel() @ x) / float(x @ x)
        if evidence.same(found.ravel(), c * x):
            return c / float(evidence.r) if evidence.r.ndim == 0 else c
    return 0.0


def of_one_number(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Of an array of one entry, ask at other values: is what is wrong a multiple of it?"""
    if w.rows is not None or w.numeric.size != 1 or not evidence.is_linear:
        return
    values = [w.value * factor for factor in (1.0, 0.3, -0.7, 1.9)]
    pairs = [evidence.both_where(w, {w.name: value}) for value in values]
    rest = [float((pair[1] - pair[0]).item()) for pair in pairs if pair is not None]
    x = np.array([value.item() for value in values])
    if len(rest) < len(values) or not x.all():
        return
    c = float(np.array(rest) @ x / (x @ x))
    if evidence.same(np.array(rest), c * x):
        loss = evidence.r.ndim == 0
        c = c / float(evidence.r) if loss else c
        key = "term" if not loss else "penalty" if c < 0 else "regularization"
        text = Message(
            "At four values of {name} right minus yours is {c}{times}",
            name=w.name,
            c=f"{c:.6g}",
            times=_times_itself(w.name, loss),
        )
        yield make_cause(key, w.name, text, 0.94)


def with_itself(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Test n - a = -dy_b x_b: each sample's vector times dy is too much in the gradient."""
    r, n = evidence.r, w.numeric
    if r.ndim != 1 or n.ndim < 2 or len(n) != len(r) or w.rows is not None:
        return
    excess = (w.analytic - n).reshape(len(r), -1)
    if evidence.same(excess, r[:, None] * w.here.reshape(len(r), -1)):
        text = Message(
            "What is too much in the gradient of {name} is dy times {name} itself.", name=w.name
        )
        yield make_cause("self_term", w.name, text, 0.95)


def straight_path(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Test n - a = dy: y = f(x) + x, and the second x has no gradient."""
    r = evidence.r
    same_shape = r.ndim and r.shape == w.numeric.shape
    if same_shape and w.analytic.any() and evidence.same(w.numeric - w.analytic, r):
        text = Message(
            "What is missing from the gradient of {name} is dy itself: the part of a term with "
            "slope 1, such as {name} added to the output as it is.",
            name=w.name,
        )
        yield make_cause("second_path", w.name, text, 0.95)


def along_a_row(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """In each sample, what is missing is a number times x, or times another input's row."""
    n = w.numeric
    rest = n - w.analytic
    if n.ndim < 2 or w.rows is not None or not w.analytic.any():
        return
    rows = rest.reshape(len(rest), -1)
    live = np.abs(rows).max(axis=1) > evidence.tol * np.abs(n).max()
    if live.sum() < 2 or rows.shape[1] < 2 or live.sum() * (rows.shape[1] - 1) < 4:
        return  # each row has a number of its own
    for name, value in evidence.known.items():
        if value.shape != n.shape:
            continue
        t = value.reshape(rows.shape)[live]
        size = (t * t).sum(axis=1)
        c = (rows[live] * t).sum(axis=1) / np.maximum(size, 1e-300)
        if not evidence.same(rows[live], c[:, None] * t):
            continue
        text = Message(
            "Right minus yours is, in each row, a number times {what}: {numbers}.",
            what=in_words(name),
            numbers=", ".join(f"{v:.4g}" for v in c[:4]),
        )
        if name not in (w.name, "y"):
            yield make_cause("term", w.name, text, 0.88)
            return
        if not _is_scale_free(evidence, w) or _is_of_dy_alone(evidence, w, live, c):
            text += Message(
                " So a multiple of {name} itself is missing there, or is too much.", name=w.name
            )
            yield make_cause("term", w.name, text, 0.9)
            return
        text += Message(
            " It is what a path through a sum or a norm of the row gives: it is left out, or has a "
            "wrong number in it."
        )
        yield make_cause("statistic", w.name, text, 0.9)
        return


def _is_scale_free(evidence: Evidence, w: Whole) -> bool:
    """Whether a norm of the row may be in it: each row has its output, or is only a direction."""
    n = w.numeric.reshape(len(w.numeric), -1)
    along = np.abs((n * w.here.reshape(n.shape)).sum(axis=1))
    sizes = np.sqrt((n * n).sum(axis=1) * (w.here.reshape(n.shape) ** 2).sum(axis=1))
    return w.numeric.shape == evidence.r.shape or bool((along <= 1e-2 * sizes.max()).all())


def _is_of_dy_alone(evidence: Evidence, w: Whole, live: np.ndarray, c: np.ndarray) -> bool:
    """Whether the number of each row is one and the same sum of its dy."""
    r = evidence.r
    if r.ndim < 1 or len(r) != len(live):
        return False
    total = r.reshape(len(r), -1)[live].sum(axis=1)
    k = float(c @ total / max(total @ total, 1e-300))
    return evidence.same(c, k * total)


def along_a_vector(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Each row of what is wrong is a number times one known vector: a product with it."""
    rest = w.numeric - w.analytic
    if rest.ndim < 2 or rest.shape[-1] < 2 or w.rows is not None or not w.analytic.any():
        return
    rows = rest.reshape(-1, rest.shape[-1])
    if np.linalg.matrix_rank(w.numeric.reshape(rows.shape)) < 2 or len(rows) < 3:
        return
    for name, v in evidence.known.items():
        if v.shape != rest.shape[-1:] or name == w.name or not v.any():
            continue
        c = rows @ v / (v @ v)
        if evidence.same(rows, np.outer(c, v)) and np.ptp(c) > 0:
            lost = _rank_of_samples(w.analytic) < _rank_of_samples(w.numeric)
            text = Message(
                "Right minus yours is, in each row of {name}, a number times {other}: what comes "
                "back through the product with {other} is {what}.",
                name=w.name,
                other=in_words(name),
                what=Message("left out") if lost else Message("left out, or wrong"),
            )
            yield make_cause("second_path" if lost else "term", w.name, text, 0.89)
            return


def _rank_of_samples(grad: np.ndarray) -> int:
    """Return the largest rank of a sample's matrix."""
    matrices = grad.reshape(-1, *grad.shape[-2:])
    return int(np.linalg.matrix_rank(matrices, tol=1e-6 * np.abs(grad).max()).max())


def constant_of_a_row(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """In each row, or column, right minus yours is one number."""
    n = w.numeric
    rest = n - w.analytic
    if n.ndim != 2 or w.rows is not None or not w.analytic.any():
        return
    for axis in (1, 0):
        if n.shape[axis] < 3:
            continue
        one = rest.take([0], axis)
        if evidence.same(rest, np.broadcast_to(one, n.shape)) and np.ptp(one) > 0:
            text = Message(
                "Right minus yours is the same number all along axis {axis} of {name}: {numbers}. "
                "It is what a path through a mean or a sum along that axis gives.",
                axis=axis,
                name=w.name,
                numbers=", ".join(f"{v:.4g}" for v in one.ravel()[:4]),
            )
            yield make_cause("statistic", w.name, text, 0.9)
            return


# A term of the difference


def term(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Test n - a = c k for a simple k."""
    rest = w.numeric - w.analytic
    if rest.size < 3 or w.rows is not None:
        return
    for name, k in _terms(evidence, w):
        if k.shape != rest.shape or not k.any() or not w.analytic.any():
            continue
        c = float((rest * k).sum() / (k * k).sum())
        if c and evidence.same(rest, c * k) and not evidence.same(w.numeric, w.analytic):
            what = "" if abs(c - 1) < 1e-6 else "minus " if abs(c + 1) < 1e-6 else f"{c:.4g} times "
            text = Message(
                "Right minus yours is {what}: that term is missing, or has a wrong factor.",
                what=in_words(what + name),
            )
            yield make_cause("term", w.name, text, 0.91)
            return
    yield from _label_terms(evidence, w, rest)


def _terms(evidence: Evidence, w: Whole) -> Iterator[tuple[str, np.ndarray]]:
    r, shape = evidence.r, w.numeric.shape
    bare = dict(evidence.known)
    if r.ndim == 0:
        for name, value in bare.items():
            if value.shape == shape and name != w.name:
                yield f"dy times {name}", value * r
        yield "dy", np.full(shape, r)
        if len(shape) == 2 and shape[0] == shape[1]:
            yield "dy times the identity", r * np.eye(shape[0])
        return
    upstream = _aligned(r, shape)
    for name, value in bare.items():
        fitted = _aligned(value, shape)
        if fitted is not None and upstream is not None:
            yield f"dy times {name}", upstream * fitted
            yield f"dy times {name}^2", upstream * fitted**2
            if (value > 0).all() and (value < 1).all():
                yield f"dy times (1 - {name})", upstream * (1 - fitted)
        if value.shape == shape and name != w.name:
            yield name, value
        if value.shape == shape and upstream is not None:
            for axis in range(r.ndim, value.ndim):
                mean = value.mean(axis=axis, keepdims=True)
                text = f"dy times the mean of {name} along axis {axis}"
                yield text, upstream * np.broadcast_to(mean, shape)
    if upstream is not None:
        yield "dy", upstream
    if r.shape == shape:
        parts = {**bare, **{n: t for n, t in derived_arrays(evidence) if n[-1] == ")"}}
        parts = {n: t for n, t in parts.items() if t.shape == shape and np.isfinite(t).all()}
        for (m, u), (n, v) in combinations_with_replacement(parts.items(), 2):
            yield f"dy times {m} times {n}", r * u * v
    if r.shape == shape and r.ndim == 2:
        for name, value in bare.items():
            if value.shape == shape:
                for axis in (0, 1):
                    total = (r * value).sum(axis=axis, keepdims=True)
                    yield f"the sum of dy {name} along axis {axis}", np.broadcast_to(total, shape)
                    yield f"{name} times the sum of dy {name} along axis {axis}", total * value


def _aligned(value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    """Spread over the axes behind, as dy[:, None] is; None where it does not fit."""
    if value.ndim > len(shape):
        return None
    form = value.reshape(value.shape + (1,) * (len(shape) - value.ndim))
    try:
        return np.broadcast_to(form, shape)
    except ValueError:
        return None


def _label_terms(evidence: Evidence, w: Whole, rest: np.ndarray) -> Iterator[Cause]:
    """Of a loss with integer labels: one-hot rows, and the labels themselves, spread out."""
    if rest.ndim != 2 or evidence.r.ndim > 1:
        return
    for name, ids in evidence.integers.items():
        if ids.shape != (len(rest),) or ids.min(initial=0) < 0 or ids.max(initial=0) >= len(rest.T):
            continue
        hot = np.zeros_like(rest)
        hot[np.arange(len(ids)), ids] = 1
        taken = np.zeros_like(rest)
        taken[:, ids] = 1
        k = rest / (evidence.r if evidence.r.ndim == 0 else evidence.r[:, None])
        yield from _found_label_terms(evidence, w, name, ids, k, hot, taken)


def _found_label_terms(evidence, w, name, ids, k, hot, taken) -> Iterator[Cause]:
    c = float((k * hot).sum() / hot.sum())
    if evidence.same(k, c * hot):
        text = Message(
            "Right minus yours is {c} at the column of each row's own {name}, and 0 elsewhere: the "
            "term of the label is missing, or has a wrong factor.",
            c=f"{c:.4g}",
            name=name,
        )
        yield make_cause("term", w.name, text, 0.93)
        return
    here = np.abs(k) > evidence.tol * np.abs(w.numeric).max() / max(
        np.abs(evidence.r).max(), 1e-300
    )
    if (here <= (hot > 0)).all() and here.sum() > 2 and c:
        text = Message(
            "It is right but at the column of each row's own {name}: the term of the label has "
            "another number in each row.",
            name=name,
        )
        yield make_cause("term", w.name, text, 0.93)
        return
    beside = taken - hot
    c = float((k * beside).sum() / max(beside.sum(), 1))
    if beside.any() and evidence.same(k, c * beside):
        text = Message(
            "Yours is off by {c} in all columns that occur in {name}, in every row, but not in the "
            "row's own: [:, labels] takes these columns of all rows.",
            c=f"{-c:.4g}",
            name=name,
        )
        yield make_cause("fancy_index", w.name, text, 0.95)
        return
    basis = np.stack([hot.ravel(), np.ones(hot.size)], axis=1)
    (c, d), *_ = np.linalg.lstsq(basis, k.ravel(), rcond=None)
    if evidence.same(k.ravel(), basis @ (c, d)):
        text = Message(
            "Right minus yours is {c} at the column of each row's own {name}, and {d} everywhere: "
            "the labels are weighted (smoothed) in forward, and not in backward.",
            c=f"{c:.4g}",
            d=f"{d:.4g}",
            name=name,
        )
        yield make_cause("term", w.name, text, 0.93)
        return
    spread = [np.broadcast_to(ids[:, None], k.shape)]
    if len(ids) == k.shape[1]:
        spread.append(np.broadcast_to(ids[None, :], k.shape))
    for each in spread:
        basis = np.stack([hot.ravel(), each.ravel().astype(float)], axis=1)
        (c, d), *_ = np.linalg.lstsq(basis, k.ravel(), rcond=None)
        if evidence.same(k.ravel(), basis @ (c, d)):
            text = Message(
                "Right minus yours is {c} times the one-hot {name}, and {d} times {name} as "
                "numbers: the labels are used as they are, and not as one-hot rows.",
                c=f"{c:.4g}",
                d=f"{d:.4g}",
                name=name,
            )
            yield make_cause("term", w.name, text, 0.94)
            return


TESTS = (
    regularized,
    of_one_number,
    with_itself,
    straight_path,
    along_a_row,
    along_a_vector,
    constant_of_a_row,
    term,
)
