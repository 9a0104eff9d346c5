"""The operations of a step as a page: previous, next, a slider; no kernel, no network.

The page is one text: the style (page.css), a few lines of script (page.js), the model's figure
as SVG, and a section for each operation. A screen reader gets each step announced in words.
"""

from __future__ import annotations

import hashlib
import html
import io
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minidlrm.figure import diagram
from minidlrm.languages import Message, code_of, say
from minidlrm.tracing.operations import Operation, Step
from minidlrm.tracing.worked import readable, worked
from minidlrm.writing import write_text

_ROWS, _COLUMNS = 8, 8  # of an array that is shown
_PHASES = {"forward": Message("forward"), "backward": Message("backward")}
_WORDS = {
    "forward": Message("forward"),
    "backward": Message("backward: gradients go the other way"),
}


@dataclass(frozen=True)
class Parts:
    """What a page and a widget are made of: HTML, under an id that no other trace has."""

    name: str
    style: str
    figure: str
    sections: tuple[str, ...]


def parts_of(step: Step, sample: int, lang: str | None = None) -> Parts:
    """Return the style, the figure, and a section for each operation."""
    if not 0 <= sample < len(step.batch):
        raise IndexError(f"sample {sample} out of range [0, {len(step.batch)})")
    sections = tuple(_section(op, sample, lang) for op in step.operations)
    digest = hashlib.sha256("".join(sections).encode()).hexdigest()[:8]
    name = f"trace-{digest}"  # two traces on one page differ
    return Parts(name, f"<style>{_file('css', name)}</style>", _figure(step, name, lang), sections)


def html_page(step: Step, sample: int = 0, lang: str | None = None) -> str:
    """Return a step as HTML that loads nothing; `sample` is the row that the equations show.

    Examples
    --------
    >>> import minidlrm as md
    >>> from minidlrm.tracing.page import html_page
    >>> clicks = md.data.synthetic_clicks(rows=1000, seed=0)
    >>> step = md.trace(md.DLRM(13, clicks.table_sizes, 2, (2,), (2,)), clicks.train[:2])
    >>> html_page(step).count("<section")
    14
    """
    parts = parts_of(step, sample, lang)
    first, *others = parts.sections
    hidden = (text.replace("<section ", "<section hidden ", 1) for text in others)
    title = say("One step of training, operation by operation", lang)
    said = say("step {k} of {count}: {operation}", lang)  # page.js puts these in
    previous, following = say("Previous", lang), say("Next", lang)
    slider = say("operation", lang)
    end = say(
        "loss {loss}; the numbers are those of sample {sample}.",
        lang,
        loss=f"{step.loss:.6f}",
        sample=sample,
    )
    return (
        f'{parts.style}<div class="{parts.name}" id="{parts.name}" tabindex="0" role="group" '
        f'aria-label="{title}" data-said="{said}">'
        f'<div class="bar"><button type="button" class="previous">{previous}</button>'
        f'<button type="button" class="next">{following}</button>'
        f'<input type="range" min="0" max="{len(others)}" value="0" aria-label="{slider}">'
        '<span aria-live="polite"></span></div>'
        f"{both(parts.figure, ''.join([first, *hidden]))}<p>{end}</p></div>"
        f"<script>{_file('js', parts.name)}</script>"
    )


def both(figure: str, sections: str) -> str:
    """Return the figure and the sections side by side."""
    return (
        f'<div class="both"><div class="figure">{figure}</div>'
        f'<div class="steps">{sections}</div></div>'
    )


def write(path: str | os.PathLike, text: str, lang: str | None = None) -> None:
    """Write a page to a file of its own."""
    title = say("One step of training", lang)
    whole = (
        f'<!doctype html><html lang="{code_of(lang)}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title></head><body>{text}</body></html>"
    )
    write_text(path, whole)


def box_of(op: Operation) -> str:
    """Return the name of the box in the figure that an operation belongs to."""
    return "output" if op.name == "loss" else op.name.split(".")[0]


def _file(suffix: str, name: str) -> str:
    """Return page.css or page.js, for the element with this id."""
    text = Path(__file__).with_name(f"page.{suffix}").read_text(encoding="utf-8")
    return text.replace("trace-id", name)


def _figure(step: Step, name: str, lang: str | None) -> str:
    """Return the model's figure as SVG, its boxes named so that a script can light them."""
    import matplotlib
    from matplotlib.figure import Figure

    drawn = diagram(step.model, step.batch).figure
    assert isinstance(drawn, Figure)  # no part of a larger one
    stream = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        drawn.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r' xmlns:xlink="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r' xmlns="[^"]*"', "", text)  # inside HTML it needs none
    text = text.replace('id="box-', f'id="{name}-')
    label = say("{model}: its parts", lang, model=type(step.model).__name__)
    title = f'role="img" aria-label="{html.escape(label)}" '
    return text.replace("<svg ", f"<svg {title}", 1)


def _section(op: Operation, sample: int, lang: str | None) -> str:
    """Return one operation: its equation, its numbers, its arrays."""
    label = html.escape(f"{say(_PHASES[op.phase], lang)}, {op.name}, {op.layer}")
    box, words = html.escape(box_of(op)), say(_WORDS[op.phase], lang)
    named = [(say("in: {name}", lang, name=n), a) for n, a in op.inputs.items()]
    named += [(say("out: {name}", lang, name=n), a) for n, a in op.outputs.items()]
    arrays = "".join(_array(name, a, sample, lang) for name, a in named)
    costs = {"flops": f"{op.flops:,}", "bytes": f"{op.bytes:,}"}
    cost = say(" · {flops} FLOPs · {bytes} bytes", lang, **costs) if op.phase == "forward" else ""
    return (
        f'<section class="{op.phase}" data-phase="{op.phase}" data-box="{box}" '
        f'aria-label="{label}">'
        f"<h3>{html.escape(op.name)} <small>({op.layer}, {words})</small></h3>"
        f"<p>{readable(op.equation)}{cost}</p>"
        f'<p class="worked">{html.escape(worked(op, sample, lang))}</p>{arrays}</section>'
    )


def _array(name: str, array: np.ndarray, sample: int, lang: str | None) -> str:
    """Return an array as coloured cells; of one sample, where it has a part for each."""
    shape = "×".join(map(str, array.shape)) or say("one number", lang)
    part, note = array, ""
    if array.ndim > 2 and sample < len(array):
        part, note = array[sample], say(", sample {k}", lang, k=sample)
    part = np.atleast_2d(part)
    if part.ndim > 2:
        part = part.reshape(part.shape[0], -1)
    cut = part[:_ROWS, :_COLUMNS]
    if cut.size < part.size:
        rows, columns = cut.shape
        note += say(", the first {rows}×{columns}", lang, rows=rows, columns=columns)
    limit = float(np.max(np.abs(cut), initial=0)) if array.dtype.kind == "f" else 0.0
    cells = ("".join(_cell(value, limit) for value in row) for row in cut)
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    caption = f"{html.escape(name)} {shape} {array.dtype}{note}"
    table = f'<table aria-label="{caption}">{body}</table>'
    return f'<div class="scroll"><div>{caption}</div>{table}</div>'


def _cell(value: np.generic, limit: float) -> str:
    """Return a number on blue (positive) or orange (negative), pale enough to be read."""
    number = float(value)
    if limit == 0:
        return f"<td>{value:g}</td>"
    share = 0.75 * abs(number) / limit
    full = (86, 180, 233) if number > 0 else (230, 159, 0)
    colour = ",".join(str(round(255 + share * (c - 255))) for c in full)
    return f'<td style="background:rgb({colour})">{number:.3g}</td>'
