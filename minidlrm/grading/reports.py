"""The pages that are read after grading: one for each student, and one for the class."""

from __future__ import annotations

import base64
import html
import io
from collections import Counter
from pathlib import Path
from urllib.parse import quote

import numpy as np

from minidlrm.grading.runner import Grade, file_name

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem;
  color: #1b1b1b; background: #fff; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; vertical-align: top;
  padding: .4rem .6rem; border-bottom: 1px solid #ccc; }
td:first-child { white-space: nowrap; } .part { background: #fff3d6; } .none { background: #fde4e1; }
pre { white-space: pre-wrap; margin: .3rem 0 0; font-size: .85rem; } img { max-width: 100%; }
"""


def page(title: str, body: str) -> str:
    """Wrap a body into a page that needs nothing else."""
    head = '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    head += '<meta name="viewport" content="width=device-width">'
    title = html.escape(title)
    return f"{head}<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1>{body}</body></html>"


def student_page(assignment: str, title: str, grade: Grade) -> str:
    """Return the page of one student: points, and for each loss what to look at."""
    rows = []
    for r in grade.results:
        whole = r["points"] == r["max_points"]
        shade = "" if whole else ' class="part"' if r["points"] else ' class="none"'
        mark = "" if whole else f"<pre>{html.escape(r['feedback'])}</pre>"
        rows.append(
            f"<tr{shade}><td>{r['points']:g} of {r['max_points']:g}</td><td>{html.escape(r['task'])}</td>"
            f"<td>{html.escape(r['title'])}{mark}</td></tr>"
        )
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in grade.notes)
    body = f"<p>{html.escape(grade.student)}: <strong>{grade.points:g} of {grade.max_points:g}</strong> "
    body += "points by machine. The derivation is read by a human.</p>"
    if grade.problem:
        body += f"<p><strong>{html.escape(grade.problem)}</strong></p>"
    body += "<table><thead><tr><th>points</th><th>task</th><th>what was asked</th></tr></thead>"
    body += f"<tbody>{''.join(rows)}</tbody></table>"
    if notes:
        body += f"<h2>Cells that failed</h2><ul>{notes}</ul>"
    return page(f"{assignment} · {title}", body)


def mistakes(grades: list[Grade]) -> list[tuple[str, str, int]]:
    """Return (task, mistake, students), the most common first."""
    counts = Counter(
        pair
        for g in grades
        for pair in {(r["task"], r["mistake"]) for r in g.results if r["mistake"]}
    )
    return [(*pair, n) for pair, n in sorted(counts.items(), key=lambda each: (-each[1], each[0]))]


def class_page(assignment: str, title: str, grades: list[Grade]) -> str:
    """Return the summary of a class: histogram, tasks, and the most common mistakes."""
    points = np.array([g.points for g in grades])
    most = max(g.max_points for g in grades)
    body = f"<p>{len(grades)} submissions, mean {points.mean():.1f}, median {np.median(points):g} "
    body += f"of {most:g} points by machine.</p>"
    image = base64.b64encode(_histogram(points, most)).decode()
    alt = f"Histogram of points: {points.min():g} to {points.max():g}, mean {points.mean():.1f}"
    body += f'<img alt="{alt}" src="data:image/png;base64,{image}">'
    body += "<h2>Tasks</h2><table><tr><th>task</th><th>mean share</th></tr>"
    for task in dict.fromkeys(task for g in grades for task in g.by_task()):
        share = np.mean([np.divide(*g.by_task().get(task, (0.0, 1.0))) for g in grades])
        body += f"<tr><td>{task}</td><td>{share:.0%}</td></tr>"
    body += "</table><h2>Most common mistakes</h2>"
    body += "<table><tr><th>students</th><th>task</th><th>mistake</th></tr>"
    for task, mistake, count in mistakes(grades)[:20]:
        body += f"<tr><td>{count}</td><td>{task}</td><td>{html.escape(mistake)}</td></tr>"
    body += "</table><h2>Students</h2><table><tr><th>points</th><th>student</th></tr>"
    for g in grades:
        page_of = quote(file_name(g.student, ".html"))
        link = f'<a href="{page_of}">{html.escape(g.student)}</a>'
        body += f"<tr><td>{g.points:g}</td><td>{link} {html.escape(g.problem)}</td></tr>"
    return page(f"{assignment} · {title}: the class", body + "</table>")


def _histogram(points: np.ndarray, most: float) -> bytes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3), layout="constrained")
    ax = figure.subplots()
    ax.hist(points, bins=np.arange(-0.5, most + 1.5).tolist(), color="0.6", edgecolor="0.2")
    ax.set(xlabel="points by machine", ylabel="students", xlim=(-0.5, most + 0.5))
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=100)
    return picture.getvalue()


def write(assignment: str, title: str, grades: list[Grade], out: Path) -> Path:
    """Write all pages into a folder; return the one of the class."""
    out.mkdir(parents=True, exist_ok=True)
    for g in grades:
        text = student_page(assignment, title, g)
        (out / file_name(g.student, ".html")).write_text(text, encoding="utf-8")
    index = out / "index.html"
    index.write_text(class_page(assignment, title, grades), encoding="utf-8")
    return index
