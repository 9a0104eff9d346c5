"""The steps of a trace as a page: previous, next, a slider; no kernel, no network.

The page is one text: its style, a few lines of script, the model's figure as SVG, and a
section for each operation. A screen reader gets each step announced in words.
"""

from __future__ import annotations

import hashlib
import html
import io
import re
from typing import Any

import numpy as np

from minidlrm.figure import diagram
from minidlrm.tracing.worked import readable, worked

_ROWS, _COLUMNS = 8, 8  # of an array that is shown
_WORDS = {"forward": "forward", "backward": "backward: gradients go the other way"}

_STYLE = """
.ID{font:14px/1.45 system-ui,sans-serif;color:#111;background:#fff;padding:8px;max-width:1100px}
.ID .bar{display:flex;gap:8px;align-items:center;flex-wrap:wrap;margin-bottom:8px}
.ID button{font:inherit;padding:4px 12px;min-height:32px}
.ID input[type=range]{flex:1;min-width:120px}
.ID .both{display:flex;gap:16px;flex-wrap:wrap;align-items:flex-start}
.ID .figure{flex:0 1 380px;min-width:240px}
.ID .figure svg{width:100%;height:auto;max-height:70vh}
.ID .steps{flex:1 1 380px;min-width:260px}
.ID section[hidden]{display:none}
.ID h3{margin:0 0 4px;padding:3px 8px;border-left:10px solid}
.ID .forward h3{border-color:#0072b2}
.ID .backward h3{border-color:#d55e00}
.ID .worked{font-family:ui-monospace,monospace;background:#f4f4f4;padding:6px;overflow-wrap:anywhere}
.ID table{border-collapse:collapse;margin:2px 0 8px}
.ID td,.ID th{padding:2px 5px;text-align:right;font:12px ui-monospace,monospace;border:1px solid #ddd}
.ID .scroll{overflow-x:auto}
.ID .lit-forward path{fill:#56b4e9!important;stroke-width:3!important}
.ID .lit-backward path{fill:#e69f00!important;stroke-width:3!important}
"""

_SCRIPT = """
(function(){var root=document.getElementById("ID"),all=root.querySelectorAll("section"),
range=root.querySelector("input"),say=root.querySelector("[aria-live]"),now=0;
function show(k){now=Math.max(0,Math.min(all.length-1,k));
for(var i=0;i<all.length;i++)all[i].hidden=i!==now;range.value=now;
var s=all[now],lit=root.querySelectorAll(".lit-forward,.lit-backward");
for(i=0;i<lit.length;i++)lit[i].classList.remove("lit-forward","lit-backward");
var box=root.querySelector('[id="ID-'+s.dataset.box+'"]');
if(box)box.classList.add("lit-"+s.dataset.phase);
say.textContent="step "+(now+1)+" of "+all.length+": "+s.getAttribute("aria-label");}
root.querySelector(".previous").onclick=function(){show(now-1)};
root.querySelector(".next").onclick=function(){show(now+1)};
range.oninput=function(){show(+range.value)};
root.addEventListener("keydown",function(e){if(e.target===range)return;
if(e.key==="ArrowLeft")show(now-1);if(e.key==="ArrowRight")show(now+1)});show(0)})();
"""


def page(trace: Any, sample: int = 0) -> str:
    """Return the steps of a trace as HTML that loads nothing.

    Parameters
    ----------
    trace : Trace
        What `minidlrm.trace` returned.
    sample : int
        Whose numbers are put into the equations.

    Raises
    ------
    IndexError
        When the batch has no such sample.

    Examples
    --------
    >>> import minidlrm.stepper
    >>> import minidlrm as md
    >>> clicks = md.data.synthetic_clicks(rows=1000, seed=0)
    >>> steps = md.trace(md.DLRM(13, clicks.table_sizes, 2, (2,), (2,)), clicks.train[:2])
    >>> minidlrm.stepper.page(steps).count("<section")
    14
    """
    if not 0 <= sample < len(trace.batch):
        raise IndexError(f"sample {sample} out of range [0, {len(trace.batch)})")
    steps = "".join(_section(op, k, sample) for k, op in enumerate(trace.operations))
    digest = hashlib.sha256(steps.encode()).hexdigest()[:8]  # two traces on one page differ
    name = f"trace-{digest}"
    last = len(trace.operations) - 1
    return (
        f"<style>{_STYLE.replace('ID', name)}</style>"
        f'<div class="{name}" id="{name}" tabindex="0" role="group" '
        'aria-label="One step of training, operation by operation">'
        '<div class="bar"><button type="button" class="previous">Previous</button>'
        '<button type="button" class="next">Next</button>'
        f'<input type="range" min="0" max="{last}" value="0" aria-label="operation">'
        '<span aria-live="polite"></span></div>'
        f'<div class="both"><div class="figure">{_figure(trace, name)}</div>'
        f'<div class="steps">{steps}</div></div>'
        f"<p>loss {trace.loss:.6f}; the numbers are those of sample {sample}.</p></div>"
        f"<script>{_SCRIPT.replace('ID', name)}</script>"
    )


def write(path: Any, text: str) -> None:
    """Write a page to a file of its own."""
    from minidlrm.checkpoint import replacing

    whole = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>One step of training</title></head><body>{text}</body></html>"
    )
    with replacing(path) as temporary:
        temporary.write_text(whole, encoding="utf-8")


def widget(trace: Any, sample: int = 0) -> Any:
    """Return the steps as an ipywidgets box, with previous, next and a slider."""
    try:
        import ipywidgets
    except ImportError:
        raise ImportError(
            'the stepper needs ipywidgets: pip install "minidlrm[notebooks]"; '
            "or use trace.to_html()"
        ) from None
    text = page(trace, sample)
    figure = text[text.index("<svg") : text.index("</svg>") + 6]
    style = text[: text.index("</style>") + 8]
    name = re.search(r'id="(trace-\w+)"', text)
    assert name is not None
    slider = ipywidgets.IntSlider(0, 0, len(trace.operations) - 1, description="operation")
    shown = ipywidgets.HTML()

    def draw(_: Any = None) -> None:
        op = trace.operations[slider.value]
        lit = figure.replace(
            f'id="{name[1]}-{_box(op.name)}"',
            f'id="{name[1]}-{_box(op.name)}" class="lit-{op.phase}"',
        )
        section = _section(op, 0, sample)
        shown.value = (
            f'{style}<div class="{name[1]}"><div class="both"><div class="figure">{lit}</div>'
            f'<div class="steps">{section}</div></div></div>'
        )

    def move(by: int) -> Any:
        return lambda _: setattr(slider, "value", slider.value + by)

    previous, following = (ipywidgets.Button(description=t) for t in ("Previous", "Next"))
    previous.on_click(move(-1))
    following.on_click(move(1))
    slider.observe(draw, names="value")
    draw()
    return ipywidgets.VBox([ipywidgets.HBox([previous, following, slider]), shown])


def _figure(trace: Any, name: str) -> str:
    """Return the model's figure as SVG, its boxes named so that a script can light them."""
    import matplotlib

    ax = diagram(trace.model, trace.batch)
    stream = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        ax.figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r' xmlns:xlink="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r' xmlns="[^"]*"', "", text)  # inside HTML it needs none
    text = text.replace('id="box-', f'id="{name}-')
    title = f'role="img" aria-label="{html.escape(type(trace.model).__name__)}: its parts" '
    return text.replace("<svg ", f"<svg {title}", 1)


def _box(name: str) -> str:
    return "output" if name == "loss" else name.split(".")[0]


def _section(op: Any, k: int, sample: int) -> str:
    """Return one operation: its equation, its numbers, its arrays."""
    label = f"{op.phase}, {op.name}, {op.layer}"
    hidden = "" if k == 0 else " hidden"
    arrays = "".join(_array(f"in: {n}", a, sample) for n, a in op.inputs.items())
    arrays += "".join(_array(f"out: {n}", a, sample) for n, a in op.outputs.items())
    cost = f" · {op.flops:,} FLOPs · {op.bytes:,} bytes" if op.phase == "forward" else ""
    return (
        f'<section class="{op.phase}" data-phase="{op.phase}" data-box="{html.escape(_box(op.name))}" '
        f'aria-label="{html.escape(label)}"{hidden}>'
        f"<h3>{html.escape(op.name)} <small>({op.layer}, {_WORDS[op.phase]})</small></h3>"
        f"<p>{readable(op.equation)}{cost}</p>"
        f'<p class="worked">{html.escape(worked(op, sample))}</p>{arrays}</section>'
    )


def _array(name: str, array: np.ndarray, sample: int) -> str:
    """Return an array as coloured cells: of the sample, where it has a row for each."""
    shape = "×".join(map(str, array.shape)) or "one number"
    part, note = array, ""
    if array.ndim > 2 and sample < len(array):
        part, note = array[sample], f", sample {sample}"
    part = np.atleast_2d(part)
    if part.ndim > 2:
        part = part.reshape(part.shape[0], -1)
    cut = part[:_ROWS, :_COLUMNS]
    if cut.size < part.size:
        note += f", the first {cut.shape[0]}×{cut.shape[1]}"
    limit = float(np.max(np.abs(cut), initial=0)) if array.dtype.kind == "f" else 0.0
    rows = "".join("<tr>" + "".join(_cell(value, limit) for value in row) + "</tr>" for row in cut)
    caption = f"{html.escape(name)} {shape} {array.dtype}{note}"
    return f'<div class="scroll"><div>{caption}</div><table aria-label="{caption}">{rows}</table></div>'


def _cell(value: Any, limit: float) -> str:
    """Return a number on blue (positive) or orange (negative), pale enough to be read."""
    if limit == 0:
        return f"<td>{value:g}</td>"
    share = 0.75 * abs(float(value)) / limit
    full = (86, 180, 233) if value > 0 else (230, 159, 0)
    colour = ",".join(str(round(255 + share * (c - 255))) for c in full)
    return f'<td style="background:rgb({colour})">{value:.3g}</td>'
