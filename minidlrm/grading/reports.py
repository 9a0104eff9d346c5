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
from minidlrm.languages import Message, code_of, say

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem;
  color: #1b1b1b; background: #fff; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; vertical-align: top;
  padding: .4rem .6rem; border-bottom: 1px solid #ccc; }
td:first-child { white-space: nowrap; } td.names { white-space: normal; max-width: 14rem; } .part { background: #fff3d6; } .none { background: #fde4e1; }
pre { white-space: pre-wrap; margin: .3rem 0 0; font-size: .85rem; } img { max-width: 100%; }
section { border-bottom: 1px solid #ccc; padding-bottom: 1rem; } textarea { vertical-align: middle; max-width: 100%; }
"""


def page(title: str, body: str, lang: str | None = None) -> str:
    """Wrap a body into a page that needs nothing else."""
    head = f'<!doctype html>\n<html lang="{code_of(lang)}"><head><meta charset="utf-8">'
    head += '<meta name="viewport" content="width=device-width">'
    title = html.escape(title)
    return f"{head}<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1>{body}</body></html>"


def _said(text: str, lang: str | None, **values: Any) -> str:
    """Say a message on a page."""
    return html.escape(say(text, lang, **values))


def _share(points: float, most: float, lang: str | None) -> str:
    return say("{points} of {most}", lang, points=f"{points:g}", most=f"{most:g}")


def _head(*titles: str) -> str:
    return f"<tr>{''.join(f'<th>{title}</th>' for title in titles)}</tr>"


def student_page(assignment: Assignment, total: Total, lang: str | None = None) -> str:
    """Return the page of one student: points, and for each loss what to look at."""
    grade, titles = total.grade, assignment.titles(code_of(lang))
    rows = [_row(r, lang) for r in grade.results]
    rows += [_read_row(total, task, titles[task.name], lang) for task in assignment.by_hand]
    share = f"<strong>{_share(total.points, assignment.most, lang)}</strong>"
    words = say(
        "{student}: {points} points", lang, student=html.escape(grade.student), points=share
    )
    if total.not_marked:
        tasks = ", ".join(total.not_marked)
        words = say("{points}; {tasks} is not read yet", lang, points=words, tasks=tasks)
    body = f"<p>{words}.</p>"
    for each in _decisions(total):
        body += f"<p><strong>{_said(each, lang)}</strong></p>"
    head = _head(say("points", lang), say("task", lang), say("what was asked", lang))
    body += f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"
    if grade.notes:
        notes = "".join(f"<li>{_said(note, lang)}</li>" for note in grade.notes)
        body += f"<h2>{say('Cells that failed', lang)}</h2><ul>{notes}</ul>"
    return page(f"{assignment.name} · {titles[assignment.name]}", body, lang)


def _decisions(total: Total) -> list[str]:
    """Return what changes the points beside the tasks."""
    words = [total.grade.problem] * bool(total.grade.problem)
    if total.late_days:
        late = {"days": total.late_days, "points": f"{total.late_points:g}"}
        words.append(Message("{days} days late: {points} points less.", **late))
    return words + [
        Message(
            "{task}: {points} points, decided by the teacher: {reason}",
            task=task,
            points=f"{points:g}",
            reason=reason,
        )
        for task, points, reason in total.overrides
    ]


def _row(r: dict[str, Any], lang: str | None) -> str:
    whole = r["points"] == r["max_points"]
    shade = "" if whole else ' class="part"' if r["points"] else ' class="none"'
    words = r.get("note", "") if whole else r["feedback"]
    mark = f"<pre>{_said(words, lang)}</pre>" if words else ""
    share = _share(r["points"], r["max_points"], lang)
    return (
        f"<tr{shade}><td>{share}</td><td>{html.escape(r['task'])}</td>"
        f"<td>{_said(r['title'], lang)}{mark}</td></tr>"
    )


def _read_row(total: Total, task: Task, title: str, lang: str | None) -> str:
    points, comment = total.tasks[task.name], total.comments.get(task.name, "")
    shown = say("not read yet", lang) if points is None else _share(points, task.points, lang)
    mark = f"<pre>{html.escape(comment)}</pre>" if comment else ""
    return (
        f"<tr><td>{shown}</td><td>{html.escape(task.name)}</td>"
        f"<td>{html.escape(title)}{mark}</td></tr>"
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


def class_page(assignment: Assignment, totals: list[Total], lang: str | None = None) -> str:
    """Return the summary of a class: histogram, tasks, and the most common mistakes."""
    points = np.array([total.points for total in totals])
    titles = assignment.titles(code_of(lang))
    body = _summary(assignment, totals, points, lang)
    image = base64.b64encode(_histogram(points, assignment.most)).decode()
    alt = say(
        "Histogram of points: {least} to {most}, mean {mean}",
        lang,
        least=f"{points.min():g}",
        most=f"{points.max():g}",
        mean=f"{points.mean():.1f}",
    )
    body += f'<img alt="{alt}" src="data:image/png;base64,{image}">'
    head = _head(say("task", lang), say("mean share", lang))
    body += f"<h2>{say('Tasks', lang)}</h2><table>{head}"
    for task in assignment.tasks:
        known = [t.tasks[task.name] for t in totals if t.tasks[task.name] is not None]
        share = f"{np.mean(np.array(known, float)) / task.points:.0%}" if known else ""
        name, share = html.escape(titles[task.name]), share or say("not read yet", lang)
        body += f"<tr><td>{task.name} {name}</td><td>{share}</td></tr>"
    body += f"</table><h2>{say('Most common mistakes', lang)}</h2><table>"
    body += _head(say("students", lang), say("task", lang), say("mistake", lang))
    for name, mistake, students in mistakes(totals)[:20]:
        links = f"{len(students)}: {', '.join(map(_link, students))}"
        body += (
            f"<tr><td class='names'>{links}</td><td>{name}</td><td>{_said(mistake, lang)}</td></tr>"
        )
    body += f"</table><h2>{say('Students', lang)}</h2><table>"
    body += _head(say("points", lang), say("student", lang))
    for total in totals:
        remarks = filter(None, [total.grade.problem, *total.grade.remarks, *total.remarks])
        words = "; ".join(_said(each, lang) for each in remarks)
        body += f"<tr><td>{total.points:g}</td><td>{_link(total.student)} {words}</td></tr>"
    title = say("{title}: the class", lang, title=f"{assignment.name} · {titles[assignment.name]}")
    return page(title, body + "</table>", lang)


def _summary(
    assignment: Assignment, totals: list[Total], points: np.ndarray, lang: str | None
) -> str:
    """Say in a sentence how a class did; link to its derivations."""
    words = say(
        "{number} submissions, mean {mean}, median {median} of {most} points",
        lang,
        number=len(totals),
        mean=f"{points.mean():.1f}",
        median=f"{np.median(points):g}",
        most=f"{assignment.most:g}",
    )
    unread = sum(bool(total.not_marked) for total in totals)
    if unread:
        words = say(
            "{points}; of {number} the derivation is not read yet",
            lang,
            points=words,
            number=unread,
        )
    if not assignment.by_hand:
        return f"<p>{words}.</p>"
    link = f'<a href="derivations.html">{say("All derivations", lang)}</a>'
    return f"<p>{words}.</p><p>{link}</p>"


def _histogram(points: np.ndarray, most: float) -> bytes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3), layout="constrained")
    ax = figure.subplots()
    ax.hist(points, bins=np.arange(-0.5, most + 1.5).tolist(), color="0.6", edgecolor="0.2")
    ax.set(xlabel="points", ylabel="students", xlim=(-0.5, most + 0.5))
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=100)
    return picture.getvalue()


def write_all(
    assignment: Assignment, totals: list[Total], out: Path, lang: str | None = None
) -> Path:
    """Write all pages into a folder; return the one of the class."""
    for total in totals:
        write(out / file_name(total.student, ".html"), student_page(assignment, total, lang))
    index = out / "index.html"
    write(index, class_page(assignment, totals, lang))
    return index
