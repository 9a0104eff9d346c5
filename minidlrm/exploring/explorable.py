"""explore: a DLRM and a batch as a page in which both are alive.

The page is one text: a style (page.css), the scripts of the folder `page` put into one, and the
numbers of the model. The scripts compute forward, backward, finite differences and steps of SGD in
float64, by hand; a test holds them to the layers of this package.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minidlrm.checking.catalogue import CATALOGUE
from minidlrm.data.batch import Batch
from minidlrm.data.schema import Schema
from minidlrm.exploring.packing import packed
from minidlrm.languages import Message, code_of, joined, say
from minidlrm.models.dlrm import DLRM
from minidlrm.writing import write_text

_FOLDER = Path(__file__).parent / "page"
_SCRIPTS = (  # each is read after those that it imports
    *("words", "arithmetic", "checking", "packed", "dom", "grid", "blocks", "stages"),
    *("picture", "tools", "page"),
)
_MISTAKES = {  # key in the catalogue: what the switch says
    "duplicates": Message("Lose repeats"),
    "triangle": Message("Forget one triangle"),
    "second_path": Message("Forget the dense vector's second path"),
    "batch_twice": Message("Divide by B twice"),
}
_LR = 0.5  # at which a step of a small batch is seen
_TEXT = r'"(?:[^"\\]|\\.)*"'
_TOLD = re.compile(rf"\btell\(\s*({_TEXT}(?:\s*\+\s*{_TEXT})*)")  # a sentence of the scripts


@dataclass(frozen=True, eq=False)
class Explorable:
    """A DLRM and a batch that can be touched; in Jupyter it shows itself.

    Parameters
    ----------
    content : dict
        The numbers and the names of the page, as JSON can hold them.

    Examples
    --------
    >>> import minidlrm as md
    >>> clicks = md.data.synthetic_clicks(rows=1000, seed=0, num_dense=2, num_tables=3)
    >>> model = md.DLRM.for_data(clicks, embedding_dim=4, bottom_mlp=(4,), top_mlp=(4,))
    >>> page = md.explore(model, clicks.train[:4])
    >>> page
    Explorable(3 tables, 4 examples)
    >>> "http" in page.to_html().replace("http://www.w3.org/2000/svg", "")
    False
    """

    content: dict[str, Any] = field(repr=False)

    def to_html(self, path: str | os.PathLike | None = None, lang: str | None = None) -> str:
        """Return HTML that computes by itself, and loads nothing.

        Parameters
        ----------
        path : path, optional
            A file to write it to as well, as a page of its own.
        lang : str, optional
            Language of its words, such as "ko"; by default the user's.

        Returns
        -------
        str
            HTML to put into a page.

        Raises
        ------
        ValueError
            When there is no catalogue for `lang`.
        """
        text = _fragment(self.content, lang)
        if path is not None:
            write_text(path, _whole(text, lang))
        return text

    def _repr_html_(self) -> str:
        return self.to_html()

    def __repr__(self) -> str:
        shape = self.content["batch"]["dense"]["shape"]
        return f"Explorable({len(self.content['columns'])} tables, {shape[0]} examples)"


def explore(model: DLRM, batch: Batch, schema: Schema | None = None) -> Explorable:
    """Make a page in which a DLRM is alive: it needs no kernel and no network.

    The reader chooses ids by name, moves dense features and single weights, and sees every number
    on the way to the probability, and every gradient on the way back. Steps of SGD can be taken,
    mistakes put in, and slopes compared with what the gradient promised.

    Parameters
    ----------
    model : DLRM
        With one row a table or bags of them, and the interaction "dot" or "cat".
    batch : Batch
        A few labelled rows, 64 at most. Of tables with more than 400 numbers the page holds the
        rows that the batch looks up.
    schema : Schema, optional
        What the columns and ids are called; see `minidlrm.load_with_schema`.

    Returns
    -------
    Explorable
        Shows itself in Jupyter; `to_html` writes a file.

    Raises
    ------
    TypeError
        When an argument is not what it should be.
    ValueError
        When the model has a part that the page does not know, the batch has no labels or too many
        rows, or the schema belongs to another model.
    IndexError
        When an id is out of its table's range.

    Examples
    --------
    >>> import minidlrm as md
    >>> clicks = md.data.synthetic_clicks(rows=1000, seed=0, num_dense=2, num_tables=3)
    >>> model = md.DLRM.for_data(clicks, embedding_dim=4, bottom_mlp=(4,), top_mlp=(4,))
    >>> html = md.explore(model, clicks.train[:4]).to_html()
    """
    content = packed(model, batch, schema)
    cut = [c for c in content["columns"] if len(c["names"]) < c["size"] and c["shared"] is None]
    notes = []
    if cut:
        names = joined(map(_cut, cut), ", ")
        notes.append(
            Message(
                "Of large tables the page holds the rows of these examples only: {names}.",
                names=names,
            )
        )
    return Explorable(content | _words() | {"notes": notes, "truth": None, "lr": _LR})


def _cut(column: dict[str, Any]) -> Message:
    some, size = len(column["names"]), f"{column['size']:,}"
    return Message("{name} ({some} of {all})", name=column["name"], some=some, all=size)


def _words() -> dict[str, Any]:
    return {"mistakes": _MISTAKES, "catalogue": {key: CATALOGUE[key] for key in _MISTAKES}}


def script() -> str:
    """Return the scripts of the page as one: each in a function that returns what it exports."""
    parts = [_wrapped(name) for name in _SCRIPTS]
    return "\n".join(parts)


def _wrapped(name: str) -> str:
    text = (_FOLDER / f"{name}.js").read_text(encoding="utf-8")
    text = re.sub(r'import \{([^}]*)\} from "\./(\w+)\.js";', r"const {\1} = js_\2;", text)
    exported = re.findall(r"^export (?:function|const) (\w+)", text, re.M)
    text = re.sub(r"^export ", "", text, flags=re.M)
    return f"const js_{name} = (() => {{\n{text}return {{ {', '.join(exported)} }};\n}})();"


def sentences() -> list[str]:
    """Return what the scripts say, in English: the first argument of each `tell`."""
    files = [_FOLDER / f"{name}.js" for name in _SCRIPTS]
    told = [found for f in files for found in _TOLD.findall(f.read_text(encoding="utf-8"))]
    return ["".join(json.loads(part) for part in re.findall(_TEXT, text)) for text in told]


def _spoken(content: dict[str, Any], lang: str | None) -> dict[str, Any]:
    """Return the content with its notes in a language, and with what the scripts say in it."""
    catalogued = [text for texts in content["catalogue"].values() for text in texts]
    known = [*sentences(), *content["mistakes"].values(), *catalogued]
    words = {text: say(str(text), lang) for text in known}
    other = {text: said for text, said in words.items() if said != text}
    return content | {"notes": [say(note, lang) for note in content["notes"]], "words": other}


def _fragment(content: dict[str, Any], lang: str | None) -> str:
    spoken = _spoken(content, lang)
    data = json.dumps(spoken, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    style = (_FOLDER / "page.css").read_text(encoding="utf-8")
    name = f"explore-{hashlib.sha256(data.encode()).hexdigest()[:8]}"
    title = say("A DLRM that can be touched", lang)
    needs = say("This page computes in your browser: it needs JavaScript.", lang)
    return (
        f'<style>{style}</style><div class="explore" id="{name}" lang="{code_of(lang)}" '
        f'role="group" aria-label="{title}"><noscript>{needs}</noscript></div>\n'
        f'<script type="application/json" id="{name}-data">{data}</script>\n'
        f'<script>(() => {{\n"use strict";\n{script()}\n'
        f'js_page.start(document.getElementById("{name}"), '
        f'JSON.parse(document.getElementById("{name}-data").textContent));\n}})();</script>'
    )


def _whole(fragment: str, lang: str | None) -> str:
    title = say("A DLRM that can be touched", lang)
    return (
        f'<!doctype html><html lang="{code_of(lang)}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{title}</title>'
        "<style>body { margin: 0; background: light-dark(#ffffff, #14181e) } "
        "main { max-width: 1320px; margin: auto; padding: 16px } "
        "h1 { font: 600 22px system-ui, sans-serif; color: light-dark(#16202b, #e8edf2) }</style>"
        f"</head><body><main><h1>{title}</h1>{fragment}</main></body></html>"
    )
