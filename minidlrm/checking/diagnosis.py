"""Why is a gradient wrong? Hypotheses, tested by arithmetic on the arrays.

Most wrong backward passes are wrong in one of some thirty ways that every teacher has seen.
Each leaves a trace in the numbers: a constant ratio, a transpose, rows that were looked up
twice, outputs paired with the wrong upstream gradient. Where the numbers alone cannot tell,
`fingerprints` hold the wrong formulas themselves, and the learner's gradient is compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from minidlrm.checking.numeric import Differences
from minidlrm.checking.protocol import Fault
from minidlrm.checking.report import ArrayCheck, Cause
from minidlrm.checking.subject import Subject, rows_of
from minidlrm.data.batch import Jagged
from minidlrm.module import Module, SparseGrad

_LIMIT = 1500  # entries of an array that is compared whole
_TOL = 1e-4

# key: (what is wrong, what to look at)
CATALOGUE: dict[str, tuple[str, str]] = {
    "factor": ("a constant factor is wrong", "Follow this factor through the derivation."),
    "sign": ("the sign is wrong", "Look for a minus that was lost, or added."),
    "batch_missing": (
        "the division by the batch size is missing",
        "A mean over B samples gives each of them dL/dx = (1/B) times its own slope.",
    ),
    "batch_twice": (
        "it is divided by the batch size once too often",
        "If the loss is a mean, its backward has divided already; a layer only adds up.",
    ),
    "transpose": (
        "the matrix is transposed",
        "Write the shapes under the formula: each sum runs over the axis that both sides share.",
    ),
    "operand": (
        "it is the gradient of the wrong operand",
        "The derivative by one factor of a product is the other factor.",
    ),
    "not_summed": (
        "the sum over the batch is missing",
        "A parameter serves every sample, so its gradient adds up over all of them.",
    ),
    "one_sample": (
        "only one sample is counted",
        "A parameter serves every sample, so its gradient adds up over all of them.",
    ),
    "broadcast": (
        "one number was spread over the whole array",
        "Check the axis of a sum: axis=0 adds up over the batch, no axis adds up everything.",
    ),
    "slope_forgotten": (
        "the derivative of the activation is forgotten",
        "Multiply dy by the slope of the activation before it goes on.",
    ),
    "slope_place": (
        "the derivative of the activation is evaluated at the wrong place",
        "See whether its formula wants the input or the output of the activation.",
    ),
    "overwritten": (
        "the gradient is overwritten, where it must be added to",
        "A parameter may be used twice, and batches may be split: write grad += ..., or add_grad.",
    ),
    "added_twice": (
        "the gradient is added twice",
        "Look for a second add_grad, or for a gradient that zero_grad did not clear.",
    ),
    "duplicates": (
        "of an id that occurs twice, only one use is counted",
        "grad[ids] += dy keeps the last write only: NumPy buffers the assignment. Use a "
        "scatter-add, such as np.add.at.",
    ),
    "bag_repeat": (
        "a repeat of an id inside one bag is lost",
        "A bag that holds an id twice adds its row twice, so its gradient counts twice.",
    ),
    "first_of_bag": (
        "only the first id of each bag is counted",
        "Every id of a bag gets the gradient of its bag.",
    ),
    "mean_missing": (
        "the 1/n of the mean is missing",
        "The mean of a bag of n ids gives each of them 1/n of the bag's gradient.",
    ),
    "weight_missing": (
        "the weight of each id is missing",
        "y = sum of alpha_i W_i, so the row of id i gets alpha_i dy.",
    ),
    "table_shift": (
        "the rows belong to another table",
        "All tables lie in one array: the rows of table t begin at the sum of the sizes before.",
    ),
    "pairing": (
        "the outputs are paired with the wrong entries of dy",
        "Backward must walk the outputs in the order in which forward wrote them.",
    ),
    "triangle": (
        "one of the two vectors of each pair gets no gradient",
        "y_ij = <z_i, z_j> depends on both: dz = (G + G^T) z.",
    ),
    "diagonal": (
        "the pair of a vector with itself is counted wrong",
        "d<z, z>/dz = 2 z: both factors are the same vector.",
    ),
    "self_term": (
        "a vector's product with itself is not taken out",
        "The sum of the pairs is 1/2 [(sum z)^2 - sum z^2]: its gradient is dy (sum z - z_i).",
    ),
    "second_path": (
        "a vector is used twice, and one of its paths is left out",
        "The gradients of all paths add up; list every place where forward uses the vector.",
    ),
    "sigmoid_twice": (
        "the derivative of the sigmoid is applied once more",
        "BCE with logits has it in already: dL/dx = (sigmoid(x) - y) / B.",
    ),
    "softplus_sign": (
        "the softplus has the wrong sign",
        "-log sigmoid(x) = log(1 + e^-x), and its slope is sigmoid(x) - 1, never positive.",
    ),
    "pos_weight": (
        "the weight of the clicks is missing",
        "With pos_weight p, the term of a click is p times as large, and so is its slope.",
    ),
    "one_minus_p": (
        "a factor 1 - p is there that does not belong",
        "Cancel the terms of the chain rule on paper first.",
    ),
    "regularization": (
        "the regularization term is missing",
        "The derivative of lambda |w|^2 is 2 lambda w: add it to the gradient.",
    ),
    "stale": (
        "backward uses what an earlier forward kept",
        "Keep the inputs of this forward, every time, and nothing else.",
    ),
    "leftover": (
        "something is left from the pass before",
        "Begin each backward with fresh arrays; add to grad once.",
    ),
    "upstream_ignored": (
        "backward ignores the gradient that arrives",
        "Every gradient is dy times something: dL/dx = dL/dy dy/dx.",
    ),
    "not_linear": (
        "backward is not linear in dy",
        "dy may only be multiplied and added up; a mask or a constant must not come from it.",
    ),
    "modified": (
        "an array is changed in place",
        "Work on a copy: the caller, and the check, still need the old numbers.",
    ),
    "dtype": ("the values are right in the wrong dtype", "Make arrays with the dtype of x."),
    "shape": ("the gradient has the wrong shape", "It has the shape of what it belongs to."),
    "transposed_shape": (
        "the matrix is transposed",
        "Write the shapes under the formula: each sum runs over the axis that both sides share.",
    ),
    "missing": (
        "the gradient is not there",
        "backward adds into the grad of each parameter, and returns dL/dx.",
    ),
    "zero": (
        "the gradient is zero everywhere",
        "It was computed and not stored, or multiplied by a mask that is all zero.",
    ),
    "one_part": (
        "only one row or column has its gradient",
        "Look at the slice that is written: it does not cover the array.",
    ),
    "inner": (
        "the mistake lies in a layer inside",
        "Check this layer by itself first.",
    ),
    "joining": (
        "every layer inside is right: the mistake lies in how they are joined",
        "Draw every arrow of forward; each carries a gradient back, and those that meet add up.",
    ),
    "noise": (
        "the function is random",
        "Give it its random numbers as an input, or a generator with a fixed seed.",
    ),
    "not_finite": ("the output is not finite", "Check smaller inputs first."),
    "empty": ("the output is empty", "Give at least one sample."),
    "no_floats": (
        "there is no float input",
        "Integers have no gradient: pass float arrays, such as x.astype(float).",
    ),
    "random": (
        "no simple cause fits",
        "Check smaller parts by themselves, with one sample and sizes that all differ.",
    ),
}


@dataclass(frozen=True)
class Fingerprint:
    """A common wrong formula, as code.

    Parameters
    ----------
    key : str
        The mistake, in `CATALOGUE`; or any other name, with a title and a hint.
    formula : callable
        ``formula(target, dy, *inputs)`` returns the wrong gradients: a dict from the name of
        an array to its gradient. It may fail, or return None, where it does not apply.
    evidence : str
        What the formula is, for the reader.
    title, hint : str, optional
        For a key that is not in the catalogue.
    """

    key: str
    formula: Callable[..., dict[str, np.ndarray] | None]
    evidence: str
    title: str = ""
    hint: str = ""


@dataclass(eq=False)
class Evidence:
    """All that a diagnosis may look at.

    Parameters
    ----------
    subject : Subject
        The target and its inputs, in float64.
    differences : Differences
        Numeric derivatives.
    r : array
        The gradient that arrived.
    grads : dict
        The analytic gradients.
    checks : tuple of ArrayCheck
        What was compared.
    faults : tuple of Fault
        Rules that were broken.
    """

    subject: Subject
    differences: Differences
    r: np.ndarray
    grads: dict[str, Any]
    checks: tuple[ArrayCheck, ...]
    faults: tuple[Fault, ...]

    def __post_init__(self) -> None:
        self.failed = [check.name for check in self.checks if not check.passed]
        self._whole: dict[str, Whole | None] = {}
        self._jacobians: dict[str, np.ndarray] = {}

    def whole(self, name: str) -> Whole | None:
        """Return the array's two gradients, every entry; None when it is too large."""
        if name not in self._whole:
            self._whole[name] = self._compare_whole(name)
        return self._whole[name]

    def _compare_whole(self, name: str) -> Whole | None:
        value, grad = self.subject.arrays[name], self.grads[name]
        rows = None
        shape: tuple[int, ...] = value.shape
        if value.size > _LIMIT:
            rows = self._rows(name)
            if rows is None:
                return None
            shape = (len(rows), *value.shape[1:])
        analytic = _part(grad, rows, value)
        jacobian = np.empty((self.r.size, *shape))
        for index in np.ndindex(shape):
            place = index if rows is None else (int(rows[index[0]]), *index[1:])
            jacobian[(slice(None), *index)] = self.differences.jacobian(name, place).ravel()
        numeric = np.tensordot(self.r.ravel(), jacobian, 1)
        return Whole(name, np.asarray(analytic, float), numeric, jacobian, value, rows)

    def analytic_jacobian(self, w: Whole) -> np.ndarray | None:
        """Return backward(e_k) for each output k (outputs, entries); None when there are many."""
        if not 1 < self.r.size <= 120 or w.name != self.failed[0]:
            return None
        if w.name not in self._jacobians:
            rows = []
            for k in range(self.r.size):
                unit = np.zeros(self.r.size)
                unit[k] = 1.0
                grads, _ = self.subject.gradients(unit.reshape(self.r.shape))
                grad = grads.get(w.name)
                part = None if grad is None else _part(grad, w.rows, w.value)
                if part is None or part.shape != w.analytic.shape:
                    return None
                rows.append(part.ravel())
            self._jacobians[w.name] = np.array(rows)
        return self._jacobians[w.name]

    def _rows(self, name: str) -> np.ndarray | None:
        """Choose the rows of a large table to look at: those that matter here."""
        grad, value = self.grads[name], self.subject.arrays[name]
        check = next(c for c in self.checks if c.name == name)
        if value.ndim != 2 or len(check.indices) == 0:
            return None
        rows = grad.rows if isinstance(grad, SparseGrad) else np.unique(check.indices[:, 0])
        rows = np.union1d(rows, check.indices[:, 0])[: max(1, _LIMIT // value.shape[1])]
        return rows if rows.size * value.shape[1] <= _LIMIT else None

    @cached_property
    def lengths(self) -> dict[float, str]:
        """Numbers that a wrong factor may be, and what they are."""
        found: dict[float, str] = {2.0: "2", 3.0: "3", 4.0: "4"}
        y = self.differences.output
        for name, array in self.subject.arrays.items():
            for axis, n in enumerate(array.shape):
                found.setdefault(float(n), f"the length of axis {axis} of {name}")
        if y.ndim > 1:
            found[float(y.shape[1])] = f"the number of outputs of a sample, {y.shape[1]}"
        if self.batch_size > 1:
            found[float(self.batch_size)] = f"B = {self.batch_size}, the batch size"
        return found

    @cached_property
    def batch_size(self) -> int:
        """The rows of the output; for a loss, of its first input."""
        y = self.differences.output
        if y.ndim:
            return len(y)
        return next((len(a) for a in self.subject.arrays.values() if a.ndim), 1)


@dataclass(frozen=True, eq=False)
class Whole:
    """Both gradients of one array, every entry.

    Parameters
    ----------
    name : str
        Of the array.
    analytic, numeric : array
        What backward says, and what the function does.
    jacobian : array (outputs, *shape)
        The derivative of each output.
    value : array
        The array itself.
    rows : array or None
        Which rows of a large table these are.
    """

    name: str
    analytic: np.ndarray
    numeric: np.ndarray
    jacobian: np.ndarray
    value: np.ndarray
    rows: np.ndarray | None

    @property
    def here(self) -> np.ndarray:
        """The values, in the shape of the gradients."""
        return self.value if self.rows is None else self.value[self.rows]


def _part(grad: Any, rows: np.ndarray | None, value: np.ndarray) -> np.ndarray:
    """Return a gradient as an array: all of it, or the rows of a large table."""
    if isinstance(grad, SparseGrad) or rows is not None:
        return rows_of(grad, np.arange(len(value)) if rows is None else rows)
    return np.asarray(grad)


def diagnose(evidence: Evidence, fingerprints: Sequence[Fingerprint] = ()) -> tuple[Cause, ...]:
    """Rank what may be wrong.

    Parameters
    ----------
    evidence : Evidence
        A failed check.
    fingerprints : sequence of Fingerprint
        Beside those of the known layers.

    Returns
    -------
    tuple of Cause
        The likeliest first; never empty.
    """
    causes = [*from_faults(evidence.faults), *_from_fingerprints(evidence, fingerprints)]
    for name in evidence.failed:
        whole = evidence.whole(name)
        if whole is not None:
            causes += [cause for test in _TESTS for cause in test(evidence, whole)]
    causes += _from_inside(evidence)
    if not causes:
        causes = [_cause("random", evidence.failed[0] if evidence.failed else "", "", 0.1)]
    best: dict[str, Cause] = {}
    for cause in causes:
        if cause.key not in best or cause.score > best[cause.key].score:
            best[cause.key] = cause
    return tuple(sorted(best.values(), key=lambda cause: -cause.score))


def _cause(key: str, array: str, evidence: str, score: float) -> Cause:
    title, hint = CATALOGUE[key]
    return Cause(key, title, array, evidence, hint, score)


_FAULT_SCORES = {"leftover": 0.7, "not_linear": 0.75, "missing": 0.97, "shape": 0.8}


def from_faults(faults: Sequence[Fault]) -> tuple[Cause, ...]:
    """Return a cause for each rule that was broken."""
    causes = []
    for fault in faults:
        text = fault.text[0].upper() + fault.text[1:] + "."
        key = "transpose" if fault.key == "transposed_shape" else fault.key
        causes.append(_cause(key, fault.array, text, _FAULT_SCORES.get(fault.key, 0.98)))
    return tuple(causes)


def close(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two gradients are the same, up to the errors of differences."""
    if np.shape(a) != np.shape(b):
        return False
    size = float(np.max(np.abs(b), initial=0))
    return bool(np.all(np.abs(np.asarray(a) - b) <= _TOL * size)) and size > 0


# Fingerprints


def _from_fingerprints(evidence: Evidence, more: Sequence[Fingerprint]) -> Iterator[Cause]:
    from minidlrm.checking.fingerprints import known

    target = evidence.subject.target
    for fingerprint in (*more, *known(target)):
        try:
            wrong = fingerprint.formula(target, evidence.r, *evidence.subject.inputs)
        except Exception:
            continue  # it does not apply here
        explained = [name for name in evidence.failed if name in (wrong or {})]
        if not explained or not wrong:
            continue
        if all(_equals(evidence, name, wrong[name]) for name in explained):
            title, hint = CATALOGUE.get(fingerprint.key, (fingerprint.title, fingerprint.hint))
            share = len(explained) / len(evidence.failed)
            text = f"The gradient equals the wrong formula: {fingerprint.evidence}."
            where = explained[0] if len(explained) == 1 else ""
            yield Cause(fingerprint.key, title, where, text, hint, 0.9 + 0.06 * share)


def _equals(evidence: Evidence, name: str, wrong: np.ndarray) -> bool:
    grad = evidence.grads[name]
    wrong = np.asarray(wrong)
    if isinstance(grad, SparseGrad):
        rows = np.union1d(grad.rows, np.flatnonzero(wrong.reshape(len(wrong), -1).any(axis=1)))
        return close(rows_of(grad, rows), wrong[rows])
    return close(np.asarray(grad), wrong)


# Arithmetic on one array


def _zero(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    if not w.analytic.any() and w.numeric.any():
        yield _cause("zero", w.name, f"Every entry of the gradient of {w.name} is 0.", 0.93)


def _scale(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Test a = c n, with one c for the whole array."""
    a, n = w.analytic.ravel(), w.numeric.ravel()
    if n.size < 2 and len(evidence.checks) == 1 and evidence.differences.output.ndim:
        return  # two numbers always have a ratio
    c = float(a @ n) / max(float(n @ n), 1e-300)
    if not close(a, c * n) or abs(c - 1) <= _TOL:
        return
    ours = f"The gradient of {w.name} is {_ratio(c)} the right one"
    if abs(c + 1) <= _TOL:
        yield _cause("sign", w.name, f"{ours}.", 0.92)
        return
    sign = "with the wrong sign, " if c < 0 else ""
    size = abs(c)
    length = _named(evidence.lengths, size)
    inverse = _named(evidence.lengths, 1 / size)
    batch = float(evidence.batch_size)
    if abs(size - batch) <= _TOL * size and batch > 1:
        yield _cause("batch_missing", w.name, f"{ours}, {sign}and {length}.", 0.92)
        return
    if abs(1 / size - batch) <= _TOL / size and batch > 1:
        yield _cause("batch_twice", w.name, f"{ours}, {sign}and {inverse}.", 0.92)
        return
    alone = len(evidence.failed) < len(evidence.checks) and w.name in (
        evidence.subject.parameter_names
    )
    if abs(c - 2) <= _TOL:
        yield _cause("added_twice", w.name, f"{ours}.", 0.91 if alone else 0.6)
    note = f", and that is {length}" if length else ""
    note = f", and 1/{1 / size:g} is one over {inverse}" if inverse else note
    yield _cause("factor", w.name, f"{ours}, {sign}with no exception{note}.", 0.9)


def _named(lengths: dict[float, str], size: float) -> str:
    return next((text for n, text in lengths.items() if abs(n - size) <= _TOL * size), "")


def _ratio(c: float) -> str:
    if abs(c) >= 1:
        return f"{c:.6g} times"
    return f"{'-' if c < 0 else ''}1/{1 / abs(c):.6g} of"


def _transposed(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    n = w.numeric
    square = n.ndim == 2 and n.shape[0] == n.shape[1] > 1
    if square and close(w.analytic, n.T) and not close(n, n.T):
        yield _cause("transpose", w.name, "It equals the transpose of the right one.", 0.95)


def _swapped(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """The gradient of one array is that of another."""
    for other in evidence.failed:
        if other != w.name and evidence.subject.arrays[other].shape == w.value.shape:
            whole = evidence.whole(other)
            if whole is not None and close(w.analytic, whole.numeric):
                text = f"The gradient of {w.name} is the right one of {other}."
                yield _cause("operand", w.name, text, 0.95)


def _one_sample(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    batch = evidence.batch_size
    if batch < 2 or evidence.r.ndim == 0 or w.name not in evidence.subject.parameter_names:
        return
    per_sample = evidence.r.reshape(batch, -1)  # (B, outputs of one)
    outputs = w.jacobian.reshape(batch, per_sample.shape[1], -1)
    parts = np.einsum("bo,boi->bi", per_sample, outputs)  # (B, entries)
    flat = w.analytic.ravel()
    for sample in range(batch):
        if parts[sample].any() and close(flat, parts[sample]) and len(flat) > 1:
            text = f"It is the part of sample {sample} alone; there are {batch}."
            yield _cause("one_sample", w.name, text, 0.95)
            return


def _broadcast(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """One number everywhere: the sum of all."""
    flat = w.analytic.ravel()
    if flat.size > 1 and flat.any() and np.ptp(flat) <= _TOL * abs(flat[0]):
        same = abs(flat[0] - w.numeric.sum()) <= _TOL * max(abs(flat[0]), 1e-300)
        what = "the sum of the right ones" if same else f"{flat[0]:.4g}"
        yield _cause("broadcast", w.name, f"Every entry is {what}.", 0.94 if same else 0.5)


def _regularized(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Test n - a = c x: a penalty c x^2 / 2 of the array itself has no gradient."""
    rest, x = (w.numeric - w.analytic).ravel(), w.here.ravel()
    if x.size < 2 or not x.any():
        return
    c = float(rest @ x) / float(x @ x)
    penalty = c / float(evidence.r) if evidence.r.ndim == 0 else c
    if penalty > 0 and close(rest, c * x) and w.analytic.any():
        text = f"What is missing from the gradient of {w.name} is {penalty:.6g} times {w.name}"
        text += " itself" + (", times dy." if evidence.r.ndim == 0 else ".")
        yield _cause("regularization", w.name, text, 0.94)


def _one_part(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Right in one row or column, zero elsewhere."""
    if w.numeric.ndim < 2 or not w.analytic.any():
        return
    for axis in range(w.numeric.ndim):
        others = tuple(k for k in range(w.numeric.ndim) if k != axis)
        alive = np.flatnonzero(np.abs(w.analytic).max(axis=others) > 0)
        wanted = np.flatnonzero(np.abs(w.numeric).max(axis=others) > 0)
        if len(alive) == 1 and len(wanted) > 1:
            right = close(w.analytic.take(alive[0], axis), w.numeric.take(alive[0], axis))
            if right:
                text = f"Index {alive[0]} of axis {axis} is right, and all others are 0."
                yield _cause("one_part", w.name, text, 0.93)


def _lost_uses(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Wrong rows against rows looked up twice, or twice within one bag."""
    uses = _uses(evidence.subject)
    if uses is None or w.numeric.ndim != 2 or evidence.subject.arrays[w.name].ndim != 2:
        return
    rows = np.arange(len(w.numeric)) if w.rows is None else w.rows
    size = np.max(np.abs(w.numeric), initial=0)
    off = np.abs(w.analytic - w.numeric).max(axis=1) > _TOL * size
    wrong = set(rows[off].tolist())
    twice = {row for row, bags in uses.items() if len(bags) > 1}
    inside = {row for row, bags in uses.items() if len(bags) > len(set(bags))}
    if not wrong or not wrong <= twice:
        return
    if len(twice) == len(uses) and not _is_one_use(evidence, w, np.flatnonzero(off)):
        return  # no row is used once, so that nothing can be told apart
    first = min(wrong)
    text = f"{len(wrong)} rows are wrong, and each of them is looked up more than once "
    if len(wrong) == 1:
        text = "One row is wrong, and it is looked up more than once "
    if wrong <= inside and twice - inside:
        text += f"within one bag (row {first}); rows that are repeated across bags are right."
        yield _cause("bag_repeat", w.name, text, 0.95)
    else:
        text += f"(row {first}: {len(uses[first])} times); rows that are used once are right."
        yield _cause("duplicates", w.name, text, 0.94)


def _is_one_use(evidence: Evidence, w: Whole, rows: np.ndarray) -> bool:
    """Whether each of these rows has the gradient of one sample that uses it, alone."""
    if evidence.r.ndim == 0:
        return False
    samples = len(evidence.r)
    per_sample = evidence.r.reshape(samples, -1)
    outputs = w.jacobian.reshape(samples, per_sample.shape[1], *w.numeric.shape)
    parts = np.einsum("bo,bond->bnd", per_sample, outputs)  # (B, rows, D)
    return all(any(close(w.analytic[k], part) for part in parts[:, k]) for k in rows)


def _uses(subject: Subject) -> dict[int, list[int]] | None:
    """Return the bags in which each row is looked up; None when no input holds ids."""
    starts = (
        next((m.starts for _, m in subject.target.named_modules() if hasattr(m, "starts")), None)
        if isinstance(subject.target, Module)
        else None
    )
    values = [getattr(value, "sparse", value) for value in subject.inputs]
    for k, value in enumerate(values):
        found = _row_and_bag(value, starts, values[k + 1 :])
        if found is not None:
            uses: dict[int, list[int]] = {}
            for row, bag in zip(*(part.tolist() for part in found), strict=True):
                uses.setdefault(row, []).append(bag)
            return uses
    return None


def _row_and_bag(value: Any, starts: Any, rest: list[Any]) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the row and the bag of each id of one input."""
    if isinstance(value, Jagged):
        bag = np.repeat(np.arange(len(value.offsets) - 1), np.diff(value.offsets))
        num_tables = 1 if starts is None else len(starts) - 1
        per_table = max(1, (len(value.offsets) - 1) // num_tables)
        shift = 0 if starts is None else np.asarray(starts)[bag // per_table]
        return value.values + shift, bag
    if not (isinstance(value, np.ndarray) and value.dtype.kind in "iu" and value.size):
        return None
    if value.ndim == 2 and starts is not None and len(starts) - 1 == value.shape[1]:
        return (value + np.asarray(starts)[:-1]).ravel(), np.arange(value.size)
    if value.ndim == 2:
        return value.ravel(), np.repeat(np.arange(len(value)), value.shape[1])
    offsets = next((v for v in rest if isinstance(v, np.ndarray) and v.dtype.kind in "iu"), None)
    if offsets is None:
        return value, np.arange(len(value))
    return value, np.searchsorted(offsets, np.arange(len(value)), side="right")


def _paired(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """Outputs matched to each other: backward(e_k) is the derivative of another output."""
    ours = evidence.analytic_jacobian(w)
    if ours is None:
        return
    theirs = w.jacobian.reshape(len(ours), -1)
    partner = [next((j for j, row in enumerate(theirs) if close(mine, row)), -1) for mine in ours]
    moved = [k for k, j in enumerate(partner) if j not in (-1, k)]
    if -1 not in partner and moved and len(set(partner)) == len(partner):
        k = moved[0]
        text = (
            f"The entry {k} of dy goes where output {partner[k]} belongs; {len(moved)} are moved."
        )
        yield _cause("pairing", w.name, text, 0.95)


def _matrix_transposed(evidence: Evidence, w: Whole) -> Iterator[Cause]:
    """For each sample, the analytic Jacobian is the transpose of the right one."""
    ours, shape = evidence.analytic_jacobian(w), evidence.r.shape
    if ours is None or len(shape) != 2 or w.numeric.shape != shape or shape[1] < 2:
        return
    (batch, n), sample = shape, np.arange(shape[0])
    blocks = (batch, n, batch, n)
    mine, right = (j.reshape(blocks)[sample, :, sample] for j in (ours, w.jacobian))  # (B, n, n)
    if close(mine, right.transpose(0, 2, 1)) and not close(mine, right):
        text = "Where the gradient needs a matrix, its transpose is used: for each sample the "
        text += "derivatives of output i by input j and of output j by input i are exchanged."
        yield _cause("transpose", w.name, text, 0.95)


_TESTS = (
    _zero,
    _scale,
    _transposed,
    _swapped,
    _one_sample,
    _broadcast,
    _regularized,
    _one_part,
    _lost_uses,
    _matrix_transposed,
    _paired,
)


# Layers inside


def _from_inside(evidence: Evidence) -> Iterator[Cause]:
    """Check every layer inside by itself, on what it was given."""
    target = evidence.subject.target
    if not isinstance(target, Module) or not evidence.failed:
        return
    if not any(target.named_children()):
        return
    wrong, first = _wrong_inside(evidence.subject)
    if wrong:
        text = f"By itself, {wrong[0]} fails: {first}"
        yield _cause("inner", wrong[0], text, 0.55)
    else:
        text = "Each layer passes by itself, on the same inputs."
        yield _cause("joining", "", text, 0.5)


def _wrong_inside(subject: Subject) -> tuple[list[str], str]:
    """Return the names of the direct children that fail by themselves, and what is said."""
    from minidlrm.checking.gradcheck import gradcheck

    target = subject.target
    children = list(target.named_children())
    seen: dict[str, tuple[Any, ...]] = {}

    def watch(name: str, child: Module) -> None:
        call = child.forward

        def recorded(*inputs):
            seen[name] = inputs
            return call(*inputs)

        child.forward = recorded  # type: ignore[method-assign]

    for name, child in children:
        watch(name, child)
    try:
        subject.output()
    finally:
        for _, child in children:
            vars(child).pop("forward", None)
    wrong, first = [], ""
    for name, child in children:
        if name not in seen:
            continue
        try:
            report = gradcheck(child, *seen[name], verbose=False, max_checks=40)
        except Exception:
            continue
        if not report.passed:
            wrong.append(name)
            first = first or (str(report.diagnosis[0]) if report.diagnosis else "")
    return wrong, first
