"""The page on which a human reads all derivations of a class, and fills in the points."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

from minidlrm.grading import marking
from minidlrm.grading.assignment import NAME, Assignment, Task
from minidlrm.grading.reading import StudentError, cells_of, plain
from minidlrm.grading.reports import page
from minidlrm.languages import code_of, say, say_if_message, words_of

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
        return words_of(error)
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
    lang: str | None = None,
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
    lang : str, optional
        The language of the page; by default the user's.
    """
    titles = assignment.titles(code_of(lang))
    how = say(
        "Read, fill in, save: put {file} into this folder, and run {command} again. What was there "
        "already is filled in.",
        lang,
        file="<code>hand.csv</code>",
        command="<code>minidlrm grade run</code>",
    )
    body = f"<p>{how}</p>"
    for task in assignment.by_hand:
        worth = say("({points} points)", lang, points=f"{task.points:g}")
        body += f"<h2>{task.name} {html.escape(titles[task.name])} {worth}</h2>"
        body += "".join(_form(s, task, files[s][task.name], known, lang) for s in files)
    script = _SCRIPT.replace("COLUMNS", json.dumps(list(marking.HAND)))
    save = say("Save {file}", lang, file="hand.csv")
    body += f'<p><button id="save">{save}</button></p><script>{script}</script>'
    title = say(
        "{title}: derivations", lang, title=f"{assignment.name} · {titles[assignment.name]}"
    )
    return page(title, body, lang)


def _form(
    student: str,
    task: Task,
    text: str,
    known: dict[tuple[str, str], tuple[float | None, str]],
    lang: str | None,
) -> str:
    points, comment = known.get((student, task.name), (None, ""))
    name, value = html.escape(student), "" if points is None else f"{points:g}"
    nothing = f"<p><em>{say('nothing is written', lang)}</em></p>"
    shown = f"<pre>{html.escape(say_if_message(text, lang))}</pre>" if text else nothing
    most = f"{task.points:g}"
    return (
        f'<section data-student="{name}" data-task="{task.name}"><h3>{name}</h3>{shown}'
        f'<label>{say("points of {most}", lang, most=most)} <input type="number" min="0" '
        f'max="{most}" step="0.5" value="{value}"></label> '
        f'<label>{say("comment", lang)} <textarea rows="1" cols="50">'
        f"{html.escape(comment)}</textarea></label></section>"
    )


def read(assignment: Assignment, file: Path, released: str) -> dict[str, str]:
    """Return what a student wrote for each task of a human."""
    return {task.name: derivation(file, task.name, released) for task in assignment.by_hand}
