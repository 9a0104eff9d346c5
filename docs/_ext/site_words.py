"""The site's own words on a page of another language: the theme's, the header's, the search's.

Sphinx has one language for a whole site. Here each page has its own: the templates of a page find
another `gettext` in its context. Its words are Sphinx's, where there is a translation, and those
of the table below.
"""

import gettext
import html
import json
import re
from collections.abc import Callable
from pathlib import Path

import sphinx
from sphinx import addnodes
from writing import put

LOCALES = Path(sphinx.__file__).parent / "locale"
FORMULA = re.compile(r'(<span class="math[^>]*>\\\([^<]*\\\)</span>[가-힣]+)')
KEPT = re.compile(
    r"(<pre\b.*?</pre>|<code\b.*?</code>|<script\b.*?</script>|<style\b.*?</style>|<[^>]*>)", re.S
)
IN_BODIES = (  # attributes that Sphinx and MyST-NB write
    *(f"Link to this {thing}" for thing in ("heading", "image", "table")),
    "Toggle hidden content",
)
SHOWN = 5  # links in the header; the others are in a menu
WORDS = {
    "ko": {
        "Announcement": "알림",
        "Back to top": "맨 위로",
        "Breadcrumb": "현재 위치",
        "Collapse Sidebar": "옆 메뉴 접기",
        "Color mode": "색 모드",
        "Dark": "어두운 색",
        "Expand Sidebar": "옆 메뉴 펼치기",
        "Hide code cell {type}": "코드 접기",
        "Home": "첫 페이지",
        "Light": "밝은 색",
        "Link to this heading": "이 제목으로 가는 링크",
        "Link to this image": "이 그림으로 가는 링크",
        "Link to this table": "이 표로 가는 링크",
        "More": "더 보기",
        "On this page": "이 페이지의 내용",
        "Pages below {name}": "{name}의 하위 페이지",
        "Please activate JavaScript to enable the search functionality.": (
            "검색하려면 JavaScript를 켜 주세요."
        ),
        "Search finished, found one page matching the search query.": (
            "검색을 마쳤습니다. ${resultCount}페이지를 찾았습니다."
        ),
        "Search the docs ...": "검색",
        "Section Navigation": "이 절의 페이지",
        "Show code cell {type}": "접힌 코드 보기",
        "Site navigation": "사이트 메뉴",
        "Skip to main content": "본문으로 건너뛰기",
        "System Settings": "시스템 설정",
        "Toggle hidden content": "접힌 내용 펼치기",
        "Version warning": "판에 대한 주의",
        "next page": "다음 페이지",
        "previous page": "이전 페이지",
        "© Copyright %(copyright)s.": "© %(copyright)s.",
    }
}


def teller(lang: str) -> Callable[[str], str]:
    """Return what says a word of the theme, or of our templates, in a language.

    Parameters
    ----------
    lang : str
        Such as "ko"; "en" says a word as it is.
    """
    if lang == "en":
        return str
    own, known = WORDS[lang], gettext.translation("sphinx", LOCALES, [lang])
    return lambda text: own.get(text) or known.gettext(text)


def speak(app, name: str, context: dict, lang: str, tell: Callable[[str], str]) -> None:
    """Let all words around a page be in its language.

    Parameters
    ----------
    app : Sphinx
        The application; its environment knows the pages.
    name : str
        The page.
    context : dict
        What its template sees.
    lang : str
        The folder of the language's pages, and its code.
    tell : callable
        Says an English word in it.
    """
    context["language"] = lang  # of the html element: how a screen reader speaks
    context["root_doc"] = f"{lang}/index"  # where the logo leads
    if name == context["root_doc"]:
        context["prev"] = None  # the last page of the site's own language
    context["gettext"] = tell
    context["ngettext"] = lambda one, many, count: tell(one if count == 1 else many)
    context["theme_search_bar_text"] = tell("Search the docs ...")
    pathto, own = context["pathto"], {"search": f"{lang}/search"}
    context["pathto"] = lambda other, *more: pathto(own.get(other, other), *more)
    context["generate_header_nav_html"] = lambda **_: header(app, name, pathto, lang, tell)
    body = kept_together(context.get("body", ""))
    for words in IN_BODIES:
        body = body.replace(f'"{words}"', f'"{tell(words)}"')
    context["body"] = body
    app.add_js_file(f"{lang}.js")


def kept_together(body: str) -> str:
    """Let no line of Korean break at a bracket, or between a formula and its particle.

    A browser that breaks between words only still does both. It puts a word joiner at a bracket,
    and a formula and its particle in a span that does not wrap. Code, scripts and tags stay.

    Examples
    --------
    >>> kept_together("<p>층(layer)을 <code>층(layer)을</code></p>").count("\u2060")
    2
    """
    body = FORMULA.sub(r'<span class="kept">\1</span>', body)
    parts = KEPT.split(body)
    parts[::2] = [
        re.sub(r"(?<=[가-힣])(?=\([A-Za-z])|(?<=[A-Za-z]\))(?=[가-힣])", "\u2060", text)
        for text in parts[::2]
    ]
    return "".join(parts)


def header(app, name: str, pathto: Callable, lang: str, tell: Callable[[str], str]) -> str:
    """Return the links of the header: to the pages that the language's first page lists."""
    trees = app.env.tocs[f"{lang}/index"].findall(addnodes.toctree)
    pages = [page for tree in trees for _, page in tree["entries"]]
    links = [_link(app, page, name, pathto) for page in pages]
    shown = "".join(f'<li class="nav-item{css}">{link}</li>' for css, link in links[:SHOWN])
    if len(links) <= SHOWN:
        return shown
    hidden = "".join(
        f'<li class="{css.strip()}">{link.replace("nav-link", "nav-link dropdown-item")}</li>'
        for css, link in links[SHOWN:]
    )
    return (
        f'{shown}<li class="nav-item dropdown"><button class="btn dropdown-toggle nav-item" '
        'type="button" data-bs-toggle="dropdown" aria-expanded="false" '
        f'aria-controls="more-links">{tell("More")}</button>'
        f'<ul id="more-links" class="dropdown-menu">{hidden}</ul></li>'
    )


def _link(app, page: str, name: str, pathto: Callable) -> tuple[str, str]:
    title = html.escape(app.env.titles[page].astext())
    inside = name == page or (page.endswith("/index") and name.startswith(page[: -len("index")]))
    at = ' aria-current="page"' if name == page else ""
    css = " current active" if inside else ""
    return css, f'<a class="nav-link nav-internal" href="{pathto(page)}"{at}>{title}</a>'


def search_pages(app) -> list[tuple[str, dict, str]]:
    """Return a page of the search for each language: Sphinx makes that of the site's own."""
    return [
        (f"{lang}/search", {"title": teller(lang)("Search")}, "search_in.html") for lang in WORDS
    ]


def write_scripts(docs: Path) -> None:
    """Write what Sphinx's scripts, and our own, say in each language."""
    for lang, words in WORDS.items():
        theirs = (LOCALES / lang / "LC_MESSAGES" / "sphinx.js").read_text(encoding="utf-8")
        found = {text: [said] if "${" in said else said for text, said in words.items()}
        catalogue = {"messages": found, "plural_expr": "0", "locale": lang}
        own = json.dumps(catalogue, ensure_ascii=False)
        text = f"{theirs.strip()}\nDocumentation.addTranslations({own});\n"
        put(docs / "_generated" / "scripts" / f"{lang}.js", text)
