"""The equation of an operation with this step's numbers put in, for one sample."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from minidlrm.languages import Message, joined, say
from minidlrm.tracing.operations import Operation

_TERMS = 3  # of a sum that are written out
_SYMBOLS = {
    r"\langle": "⟨",
    r"\rangle": "⟩",
    r"\sum": "Σ",
    r"\top": "T",
    r"\max": "max",
    r"\odot": "⊙",
    r"\frac12": "½",
    r"\log": "log",
    r"\sigma": "σ",
    r"\ell": "ℓ",
    r"\in": "∈",
    r"\alpha": "α",
    r"\mu": "μ",
    r"\geq": "≥",
    r"\quad": " ",
    r"\dots": "…",
    r"\circ": "∘",
    r"\phi": "φ",
    r"\,": " ",
    r"\ ": " ",
    r"\{": "{",
    r"\}": "}",
}


def readable(equation: str) -> str:
    r"""Turn one of the library's equations from LaTeX into HTML that needs no script.

    Parameters
    ----------
    equation : str
        LaTeX, as a layer's `equation`.

    Examples
    --------
    >>> from minidlrm.tracing.worked import readable
    >>> readable(r"y_{ij} = \langle z_i, z_j \rangle")
    'y<sub>ij</sub> = ⟨ z<sub>i</sub>, z<sub>j</sub> ⟩'
    """
    text = equation.replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"\\hat\{(\w)\}", "\\1\u0302", text)
    text = re.sub(r"\\mathrm\{(\w+)\}", r"\1", text)
    for name in sorted(_SYMBOLS, key=len, reverse=True):
        text = text.replace(name, _SYMBOLS[name])
    for mark, tag in (("_", "sub"), ("^", "sup")):
        text = re.sub(rf"\{mark}\{{([^{{}}]*)\}}", rf"<{tag}>\1</{tag}>", text)
        text = re.sub(rf"\{mark}([^\s{{}}<])", rf"<{tag}>\1</{tag}>", text)
    return text


def worked(op: Operation, sample: int = 0, lang: str | None = None) -> str:
    """Write one output of an operation as its sum, with the numbers of one sample.

    Parameters
    ----------
    op : Operation
        One operation of a trace.
    sample : int
        The row of the batch that the equation shows.
    lang : str, optional
        Such as "ko"; by default the user's language.

    Returns
    -------
    str
        One line. Where a layer has no form of its own, its first numbers.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> from minidlrm.tracing.worked import worked
    >>> clicks = md.data.synthetic_clicks(rows=1000, seed=0)
    >>> steps = md.trace(md.DLRM(13, clicks.table_sizes, 2, (2,), (2,)), clicks.train[:2])
    >>> worked(steps.operations[3]).split(" = ")[:2]
    ['y[0, pair (1, 0)]', '<z_1, z_0>']
    """
    form = _FORMS.get((op.phase, op.layer), _first_numbers)
    return say(form(op, sample), lang)


def _number(x: Any) -> str:
    return f"{float(x):.3g}"


def _sum(a: np.ndarray, b: np.ndarray, more: str = "") -> str:
    """Write sum a_k b_k: its largest terms, in their order."""
    chosen = np.sort(np.argsort(-np.abs(a * b), kind="stable")[:_TERMS])
    terms = [f"{_number(a[k])} × {_number(b[k])}" for k in chosen]
    return " + ".join(terms) + (" + …" if len(a) > _TERMS else "") + more


def _row(a: np.ndarray) -> str:
    return "(" + ", ".join(map(_number, a[:4])) + (", …)" if len(a) > 4 else ")")


def _first_numbers(op: Operation, b: int) -> str:
    parts = []
    for name, a in op.outputs.items():
        if a.dtype.kind == "f" and a.ndim:
            inside = name.startswith("dw") or name.startswith("db") or "." in name
            row = np.atleast_1d(a if inside or len(a) <= b else a[b]).ravel()
            parts.append(f"{name}{'' if inside else f'[{b}]'} = {_row(row)}")
        elif a.dtype.kind == "f":
            parts.append(f"{name} = {_number(a)}")
    return joined(parts, "; ")


def _linear(op: Operation, b: int) -> str:
    x, y, w = op.inputs["x"][b], op.outputs["y"][b], op.parameters["weight"]
    k = int(np.argmax(y != 0))  # an output that the ReLU lets through
    bias = f" + {_number(op.parameters['bias'][k])}" if "bias" in op.parameters else ""
    body = _sum(x, w[k], bias)
    relu = op.options.get("activation") == "relu"
    body = f"max(0, {body})" if relu else body
    return f"y[{b}, {k}] = Σ_i x[{b}, i] W[{k}, i] + b[{k}] = {body} = {_number(y[k])}"


def _linear_back(op: Operation, b: int) -> str:
    dz, w, x = op.inputs["dy"], op.parameters["weight"], op.answered.inputs["x"]
    if op.options.get("activation") == "relu":
        dz = np.where(op.answered.outputs["y"] == 0, 0, dz)  # (B, out)
    dx, dw = op.outputs["dx"][b], op.outputs["dweight"]
    i = int(np.argmax(np.abs(dx)))
    o, j = map(int, np.unravel_index(np.argmax(np.abs(dw)), dw.shape))
    return (
        f"dx[{b}, {i}] = Σ_o dy[{b}, o] W[o, {i}] = {_sum(dz[b], w[:, i])} = {_number(dx[i])}; "
        f"dW[{o}, {j}] = Σ_b dy[b, {o}] x[b, {j}] = {_sum(dz[:, o], x[:, j])} "
        f"= {_number(dw[o, j])}"
    )


def _embedding(op: Operation, b: int) -> str:
    y = op.outputs["y"]
    vector = y[b, 0] if y.ndim == 3 else y[b]
    if "sparse" in op.inputs:
        return Message(
            "y[{b}, 0] = W[row {row} of table 0] = {vector}",
            b=b,
            row=op.inputs["sparse"][b, 0],
            vector=_row(vector),
        )
    return Message("y[{b}, 0] = sum of the rows of the bag = {vector}", b=b, vector=_row(vector))


def _embedding_back(op: Operation, b: int) -> str:
    rows, values = op.outputs["dweight.rows"], op.outputs["dweight.values"]
    return Message(
        "{count} rows were looked up and get a gradient, all others 0; dW[row {row}] = sum of its "
        "uses' dy = {vector}",
        count=f"{len(rows):,}",
        row=rows[0],
        vector=_row(values[0]),
    )


def _pair(op: Operation) -> tuple[int, int]:
    return (0, 0) if op.options.get("self_interaction") else (1, 0)


def _dot(op: Operation, b: int) -> str:
    (i, j), z = _pair(op), op.inputs["z"][b]
    y = _number(op.outputs["y"][b, 0])
    return Message(
        "y[{b}, pair ({i}, {j})] = <z_{i}, z_{j}> = {terms} = {y}",
        b=b,
        i=i,
        j=j,
        terms=_sum(z[i], z[j]),
        y=y,
    )


def _dot_back(op: Operation, b: int) -> str:
    f, d = op.answered.inputs["z"].shape[1:]
    return Message(
        "dz[{b}, 0, 0] = Σ_j (dy of the pairs of 0 and j) z_j[0], over {f} vectors of {d} = {dz}",
        b=b,
        f=f,
        d=d,
        dz=_number(op.outputs["dz"][b, 0, 0]),
    )


def _fm(op: Operation, b: int) -> str:
    z = op.inputs["z"][b]
    s = z.sum(axis=0)
    y = op.outputs["y"][b]
    value = float(np.sum(y))
    return (
        f"½ (|Σ z|² - Σ |z|²) = ½ ({_number(s @ s)} - {_number(np.sum(z * z))}) = {_number(value)}"
    )


def _fm_back(op: Operation, b: int) -> str:
    z, dz = op.answered.inputs["z"][b], op.outputs["dz"][b, 0, 0]
    dy = np.atleast_1d(op.inputs["dy"][b])[0]
    s = z.sum(axis=0)[0]
    return (
        f"dz[{b}, 0, 0] = dy (s - z_0) = {_number(dy)} × ({_number(s)} - {_number(z[0, 0])}) "
        f"= {_number(dz)}"
    )


def _product(op: Operation, b: int) -> str:
    u, v, y = op.inputs["u"][b, 0], op.inputs["v"][b, 0], op.outputs["y"][b, 0]
    return f"y[{b}, 0] = u[{b}, 0] v[{b}, 0] = {_number(u)} × {_number(v)} = {_number(y)}"


def _product_back(op: Operation, b: int) -> str:
    dy, v, du = op.inputs["dy"][b, 0], op.answered.inputs["v"][b, 0], op.outputs["du"][b, 0]
    return f"du[{b}, 0] = dy[{b}, 0] v[{b}, 0] = {_number(dy)} × {_number(v)} = {_number(du)}"


def _bce(op: Operation, b: int) -> str:
    x, label = float(op.inputs["logits"][b]), float(op.inputs["label"][b])
    term = np.logaddexp(0, -x) + (1 - label) * x
    return Message(
        "ℓ[{b}] = -log({p}) with x = {x}, σ(x) = {s}: {term}; the mean of {count} is {mean}",
        b=b,
        p="σ(x)" if label else "1 - σ(x)",
        x=_number(x),
        s=_number(1 / (1 + np.exp(-x))),
        term=_number(term),
        count=len(op.inputs["logits"]),
        mean=_number(op.outputs["y"]),
    )


def _bce_back(op: Operation, b: int) -> str:
    x, label = float(op.answered.inputs["logits"][b]), float(op.answered.inputs["label"][b])
    count, rate = len(op.answered.inputs["logits"]), 1 / (1 + np.exp(-x))
    dx = _number(op.outputs["dlogits"][b])
    return f"dx[{b}] = (σ(x) - y) / B = ({_number(rate)} - {_number(label)}) / {count} = {dx}"


def _mse(op: Operation, b: int) -> str:
    x, target = float(op.inputs["prediction"][b]), float(op.inputs["label"][b])
    return Message(
        "ℓ[{b}] = (x - y)² = ({x} - {y})² = {term}; the mean of {count} is {mean}",
        b=b,
        x=_number(x),
        y=_number(target),
        term=_number((x - target) ** 2),
        count=len(op.inputs["label"]),
        mean=_number(op.outputs["y"]),
    )


def _mse_back(op: Operation, b: int) -> str:
    x, target = op.answered.inputs["prediction"][b], op.answered.inputs["label"][b]
    count, dx = len(op.answered.inputs["label"]), op.outputs["dprediction"][b]
    return (
        f"dx[{b}] = 2 (x - y) / B = 2 ({_number(x)} - {_number(target)}) / {count} = {_number(dx)}"
    )


_FORMS = {
    ("forward", "Linear"): _linear,
    ("backward", "Linear"): _linear_back,
    ("forward", "EmbeddingBagCollection"): _embedding,
    ("backward", "EmbeddingBagCollection"): _embedding_back,
    ("forward", "DotInteraction"): _dot,
    ("backward", "DotInteraction"): _dot_back,
    ("forward", "FMInteraction"): _fm,
    ("backward", "FMInteraction"): _fm_back,
    ("forward", "BiInteraction"): _fm,
    ("forward", "ElementwiseProduct"): _product,
    ("backward", "ElementwiseProduct"): _product_back,
    ("forward", "BCEWithLogits"): _bce,
    ("backward", "BCEWithLogits"): _bce_back,
    ("forward", "MSE"): _mse,
    ("backward", "MSE"): _mse_back,
}
