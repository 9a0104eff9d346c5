"""The pages that are read after grading: one for each student, and one for the class."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from minidlrm.grading.assignment import Assignment, Task
from minidlrm.grading.marking import Total
from minidlrm.grading.release import write
from minidlrm.grading.runner import file_name

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem;
  color: #1b1b1b; background: #fff; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; vertical-align: top;
  padding: .4rem .6rem; border-bottom: 1px solid #ccc; }
td:first-child { white-space: nowrap; } td.names { white-space: normal; max-width: 14rem; } .part { background: #fff3d6; } .none { background: #fde4e1; }
pre { white-space: pre-wrap; margin: .3rem 0 0; font-size: .85rem; } img { max-width: 100%; }
section { border-bottom: 1px solid #ccc; padding-bottom: 1rem; } textarea { vertical-align: middle; max-width: 100%; }
"""


def page(title: str, body: str) -> str:
    """Wrap a body into a page that needs nothing else."""
    head = '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    head += '<meta name="viewport" content="width=device-width">'
    title = html.escape(title)
    return f"{head}<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1>{body}</body></html>"


def student_page(assignment: Assignment, total: Total) -> str:
    """Return the page of one student: points, and for each loss what to look at."""
    grade = total.grade
    rows = [_row(r) for r in grade.results]
    rows += [_read_row(total, task) for task in assignment.by_hand]
    body = f"<p>{html.escape(grade.student)}: <strong>{total.points:g} of {assignment.most:g}</strong> points"
    body += f"; {', '.join(total.not_marked)} is not read yet.</p>" if total.not_marked else ".</p>"
    for words in _decisions(total):
        body += f"<p><strong>{html.escape(words)}</strong></p>"
    body += "<table><thead><tr><th>points</th><th>task</th><th>what was asked</th></tr></thead>"
    body += f"<tbody>{''.join(rows)}</tbody></table>"
    if grade.notes:
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in grade.notes)
        body += f"<h2>Cells that failed</h2><ul>{notes}</ul>"
    return page(f"{assignment.name} · {assignment.title}", body)


def _decisions(total: Total) -> list[str]:
    """Return what changes the points beside the tasks."""
    words = [total.grade.problem] * bool(total.grade.problem)
    if total.late_days:
        words.append(f"{total.late_days} days late: {total.late_points:g} points less.")
    return words + [
        f"{task}: {points:g} points, decided by the teacher: {reason}"
        for task, points, reason in total.overrides
    ]


def _row(r: dict[str, Any]) -> str:
    whole = r["points"] == r["max_points"]
    shade = "" if whole else ' class="part"' if r["points"] else ' class="none"'
    words = r.get("note", "") if whole else r["feedback"]
    mark = f"<pre>{html.escape(words)}</pre>" if words else ""
    return (
        f"<tr{shade}><td>{r['points']:g} of {r['max_points']:g}</td><td>{html.escape(r['task'])}</td>"
        f"<td>{html.escape(r['title'])}{mark}</td></tr>"
    )


def _read_row(total: Total, task: Task) -> str:
    points, comment = total.tasks[task.name], total.comments.get(task.name, "")
    shown = "not read yet" if points is None else f"{points:g} of {task.points:g}"
    mark = f"<pre>{html.escape(comment)}</pre>" if comment else ""
    return (
        f"<tr><td>{shown}</td><td>{html.escape(task.name)}</td>"
        f"<td>{html.escape(task.title)}{mark}</td></tr>"
    )


def mistakes(totals: list[Total]) -> list[tuple[str, str, list[str]]]:
    """Return (task, mistake, students), the most common first; what is not written is none."""
    found: dict[tuple[str, str], list[str]] = {}
    for total in totals:
        pairs = {(r["task"], r["mistake"]) for r in total.grade.results if r["mistake"]}
        for pair in pairs:
            if pair[1] not in ("not written", "not graded"):
                found.setdefault(pair, []).append(total.student)
    ordered = sorted(found.items(), key=lambda each: (-len(each[1]), each[0]))
    return [(*pair, students) for pair, students in ordered]


def _link(student: str) -> str:
    return f'<a href="{quote(file_name(student, ".html"))}">{html.escape(student)}</a>'


def class_page(assignment: Assignment, totals: list[Total]) -> str:
    """Return the summary of a class: histogram, tasks, and the most common mistakes."""
    points = np.array([total.points for total in totals])
    most = assignment.most
    body = f"<p>{len(totals)} submissions, mean {points.mean():.1f}, median {np.median(points):g} of {most:g} points"
    unread = sum(bool(total.not_marked) for total in totals)
    body += f"; of {unread} the derivation is not read yet.</p>" if unread else ".</p>"
    if assignment.by_hand:
        body += '<p><a href="derivations.html">All derivations</a></p>'
    image = base64.b64encode(_histogram(points, most)).decode()
    alt = f"Histogram of points: {points.min():g} to {points.max():g}, mean {points.mean():.1f}"
    body += f'<img alt="{alt}" src="data:image/png;base64,{image}">'
    body += "<h2>Tasks</h2><table><tr><th>task</th><th>mean share</th></tr>"
    for task in assignment.tasks:
        known = [t.tasks[task.name] for t in totals if t.tasks[task.name] is not None]
        share = f"{np.mean(np.array(known, float)) / task.points:.0%}" if known else "not read yet"
        body += f"<tr><td>{task.name} {html.escape(task.title)}</td><td>{share}</td></tr>"
    body += "</table><h2>Most common mistakes</h2>"
    body += "<table><tr><th>students</th><th>task</th><th>mistake</th></tr>"
    for name, mistake, students in mistakes(totals)[:20]:
        links = f"{len(students)}: {', '.join(map(_link, students))}"
        body += (
            f"<tr><td class='names'>{links}</td><td>{name}</td><td>{html.escape(mistake)}</td></tr>"
        )
    body += "</table><h2>Students</h2><table><tr><th>points</th><th>student</th></tr>"
    for total in totals:
        remarks = [total.grade.problem, *total.grade.remarks, *total.remarks]
        words = html.escape("; ".join(filter(None, remarks)))
        body += f"<tr><td>{total.points:g}</td><td>{_link(total.student)} {words}</td></tr>"
    return page(f"{assignment.name} · {assignment.title}: the class", body + "</table>")


def _histogram(points: np.ndarray, most: float) -> bytes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3), layout="constrained")
    ax = figure.subplots()
    ax.hist(points, bins=np.arange(-0.5, most + 1.5).tolist(), color="0.6", edgecolor="0.2")
    ax.set(xlabel="points", ylabel="students", xlim=(-0.5, most + 0.5))
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=100)
    return picture.getvalue()


def write_all(assignment: Assignment, totals: list[Total], out: Path) -> Path:
    """Write all pages into a folder; return the one of the class."""
    for total in totals:
        write(out / file_name(total.student, ".html"), student_page(assignment, total))
    index = out / "index.html"
    write(index, class_page(assignment, totals))
    return index
