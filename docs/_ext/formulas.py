"""Plain text with formulas typeset: shapes, symbols and equations, as docstrings write them."""

import html
import re
from collections.abc import Callable

# A symbol: a letter, or a gradient such as dW; with an index, a transpose or a square.
_NAME = r"(?:dL/d\w+|e\^-x|(?:alpha|(?!do\b)d?[B-HJ-Zb-z]0?)(?:_\w+)?(?:\^T|\^2)?)"
_BRACKET = rf"d?<{_NAME}, {_NAME}>|\|{_NAME}\|(?:\^2)?"
_FLAT = rf"-?(?:{_BRACKET}|(?:sum )?{_NAME}|\d+(?:\.\d+)?)"
_INNER = rf"{_FLAT}(?:(?: ?[-+/] ?| ){_FLAT})*"
_GROUP = rf"(?:(?:sigmoid|log|d)?\({_INNER}\)(?:\^2)?|{_FLAT})"
_FACTOR = rf"-?(?:\[{_GROUP}(?:(?: ?[-+/] ?| ){_GROUP})*\]|{_GROUP})"
_RUN = rf"{_FACTOR}(?:(?: ?[-+/=] ?| ){_FACTOR})*"
_SIZE = r"(?:[A-Za-z_]\w*(?: \+ T| [A-Z])?|\d)"
_SHAPE = rf"\({_SIZE},(?: {_SIZE}(?:, {_SIZE})*)?\)"
_FORMULA = re.compile(rf"(?<![\w`.\"'\\])(?:{_SHAPE}|{_RUN})(?![\w`(\[]|\.\w|=\")")
_CODE = re.compile(r"\w+\[[^\]]*\](?: \+?= [\w.]+)?|\w+(?:\.\w+)+(?:\(\))?|\w+=\"\w+\"")
_KEPT = re.compile(r":\w+:`[^`]*`|``[^`]*``|`[^`]*`_?|\[\d+\]_?|^\s*\d\. |\.\. .*", re.M)


def tex(text: str) -> str:
    """Return a formula that is written plainly in TeX."""
    text = re.sub(r"(?<=[\w)\]]) (?=[\w(\[])", "~", text)  # a product: TeX drops a space
    text = re.sub(r"dL/d(\w+)", r"∂L / ∂\1", text)
    text = re.sub(
        r"(?<![A-Za-z_])(?!alpha|sigmoid\(|log\(|sum~)([A-Za-z]{3,}\w*|in)\b", _word, text
    )
    text = re.sub(r"(?<![\w\\])(∂?d?[a-z])0\b", r"\1_0", text)
    text = re.sub(r"(?<!\\)_([a-z]{2,})", r"_{\1}", text)
    for plain, made in _TEX.items():
        text = text.replace(plain, made)
    return re.sub(r"<([^<>]*)>", r"\\langle \1 \\rangle", text)


_TEX = {
    "∂": r"\partial ",
    "^T": r"^\top",
    "e^-x": "e^{-x}",
    "alpha": r"\alpha",
    "sigmoid(": r"\sigma(",
    "log(": r"\log(",
    "sum~": r"\sum ",
    "~": r"\,",
}


def _word(match: re.Match) -> str:
    name = match[0].replace("_", r"\_")
    return rf"\mathit{{{name}}}"


def _is_formula(text: str) -> bool:
    return re.search(r"[A-Za-z]", text) is not None


def _typeset(text: str, math: Callable[[str], str], rest: Callable[[str], str]) -> str:
    parts, end = [], 0
    for match in _FORMULA.finditer(text):
        if _is_formula(match[0]):
            parts += [rest(text[end : match.start()]), math(tex(match[0]))]
            end = match.end()
    return "".join([*parts, rest(text[end:])])


def in_rst(text: str) -> str:
    """Typeset the formulas of a docstring; its roles and literals stay as they are."""
    parts, end = [], 0
    for kept in _KEPT.finditer(text):
        parts += [_plain_rst(text[end : kept.start()]), kept[0]]
        end = kept.end()
    return "".join([*parts, _plain_rst(text[end:])])


def _plain_rst(text: str) -> str:
    return _typeset(
        text, lambda formula: f":math:`{formula}`", lambda text: text.replace("->", "→")
    )


def in_html(text: str) -> str:
    """Return plain text as HTML, its formulas typeset and its code marked."""
    parts, end = [], 0
    for code in _CODE.finditer(text):
        parts += [_plain_html(text[end : code.start()]), f"<code>{html.escape(code[0])}</code>"]
        end = code.end()
    return "".join([*parts, _plain_html(text[end:])])


def _plain_html(text: str) -> str:
    return _typeset(text, math_html, html.escape)


def math_html(formula: str) -> str:
    """Return a formula for MathJax."""
    return f'<span class="math notranslate nohighlight">\\({html.escape(formula)}\\)</span>'
