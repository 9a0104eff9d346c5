"""The page on which a human reads all derivations of a class, and fills in the points."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

from minidlrm.grading import marking
from minidlrm.grading.assignment import NAME, Assignment
from minidlrm.grading.reading import StudentError, cells_of, plain
from minidlrm.grading.reports import page

_HEAD = re.compile(rf"^#* *({NAME}\.\d+)\b")
_LONGEST = 20_000  # characters of a derivation

_SCRIPT = """
document.querySelector("#save").onclick = () => {
  const cell = v => '"' + String(v).replace(/"/g, '""').replace(/[;\\t\\r\\n]/g, " ")
    .replace(/^(?=\\s*[=+\\-@\\uff1d\\uff0b\\uff0d\\uff20])/, "'") + '"';
  const rows = [COLUMNS];
  for (const form of document.querySelectorAll("[data-student]"))
    rows.push([form.dataset.student, form.dataset.task, form.querySelector("input").value,
      form.querySelector("input").max, form.querySelector("textarea").value]);
  const text = "\\ufeff" + rows.map(r => r.map(cell).join(",")).join("\\r\\n") + "\\r\\n";
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], {type: "text/csv"}));
  link.download = "hand.csv"; link.click();
};
"""


def derivation(file: Path, task: str, released: str) -> str:
    """Return what a student wrote below the heading of a task; "" when it is nothing."""
    given = {line.removeprefix("#").strip() for line in released.splitlines()}
    try:
        cells = cells_of(file, markdown=True)
    except StudentError as error:
        return str(error)
    kept, inside = [], False
    for line in "\n".join(cells).splitlines():
        head = _HEAD.match(line)
        if head and line.startswith("#"):
            inside = head[1] == task
        elif inside and (not line.strip() or line.strip() not in given):
            kept.append(line)
    return plain("\n".join(kept).strip(), _LONGEST)


def derivations_page(
    assignment: Assignment,
    files: dict[str, dict[str, str]],
    known: dict[tuple[str, str], tuple[float | None, str]],
) -> str:
    """Return the page: task by task, student by student, with a form.

    Parameters
    ----------
    assignment : Assignment
        Its tasks for a human.
    files : dict
        What each student wrote, by student and task.
    known : dict
        Points and comments that are given already.
    """
    body = "<p>Read, fill in, save: put <code>hand.csv</code> into this folder, and run "
    body += "<code>minidlrm grade run</code> again. What was there already is filled in.</p>"
    for task in assignment.by_hand:
        body += f"<h2>{task.name} {html.escape(task.title)} ({task.points:g} points)</h2>"
        body += "".join(_form(s, task.name, task.points, files[s][task.name], known) for s in files)
    script = _SCRIPT.replace("COLUMNS", json.dumps(list(marking.HAND)))
    body += f'<p><button id="save">Save hand.csv</button></p><script>{script}</script>'
    return page(f"{assignment.name} · {assignment.title}: derivations", body)


def _form(
    student: str,
    task: str,
    most: float,
    text: str,
    known: dict[tuple[str, str], tuple[float | None, str]],
) -> str:
    points, comment = known.get((student, task), (None, ""))
    name, value = html.escape(student), "" if points is None else f"{points:g}"
    shown = f"<pre>{html.escape(text)}</pre>" if text else "<p><em>nothing is written</em></p>"
    return (
        f'<section data-student="{name}" data-task="{task}"><h3>{name}</h3>{shown}'
        f'<label>points of {most:g} <input type="number" min="0" max="{most:g}" step="0.5" '
        f'value="{value}"></label> <label>comment <textarea rows="1" cols="50">'
        f"{html.escape(comment)}</textarea></label></section>"
    )


def read(assignment: Assignment, file: Path, released: str) -> dict[str, str]:
    """Return what a student wrote for each task of a human."""
    return {task.name: derivation(file, task.name, released) for task in assignment.by_hand}
