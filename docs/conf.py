"""The site: Sphinx with MyST-NB, numpydoc and the PyData theme. CONTRIBUTING.md has the command.

Nothing on it is loaded from elsewhere: MathJax is copied from `node_modules`.
"""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

import site_pages

import minidlrm

MATHJAX = HERE / "node_modules" / "mathjax" / "es5" / "tex-svg.js"
if not MATHJAX.exists():
    sys.exit("docs/node_modules is not there: run  npm install --prefix docs --no-package-lock")

project = "minidlrm"
author = copyright = "The minidlrm developers"
version = release = minidlrm.__version__
language = "en"
exclude_patterns = ["_build", "node_modules", "_ext", "_generated", "measured"]
extensions = [
    "myst_nb",
    "numpydoc",
    "checker_tables",
    "paper_page",
    "rank_pictures",
    "site_pages",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.linkcode",
    "sphinx.ext.mathjax",
    "sphinx_design",
]
nitpicky = False
default_role = "autolink"
templates_path = ["_templates"]
suppress_warnings = ["myst.header"]  # a notebook's section may begin below a cell

myst_enable_extensions = ["colon_fence", "dollarmath", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_timeout = 600
nb_execution_excludepatterns = os.environ.get("MINIDLRM_NOT_EXECUTED", "").split()
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_output_stderr = "warn"

autodoc_preserve_defaults = True
autodoc_typehints = "none"  # numpydoc says it in words
autodoc_member_order = "bysource"
autosummary_generate = True
numpydoc_show_class_members = False
linkcode_resolve = site_pages.code_page

mathjax_path = MATHJAX.name  # MathJax 3: version 4 clips glyphs without network
html_extra_path = ["_generated/alone"]  # the page that can be touched, without the site around it
html_static_path = ["_static", "_generated/scripts", str(MATHJAX)]
html_css_files = ["site.css", "derivations.css"]
html_js_files = ["site.js", "derivations.js"]
html_theme = "pydata_sphinx_theme"
html_title = "minidlrm"
html_favicon = "_static/favicon.svg"
html_show_sourcelink = True
with_pages_below = ("tutorials", "api")
html_sidebars = {f"{name}/**": ["sidebar-nav-bs"] for name in with_pages_below}
html_sidebars |= {name: [] for name in ("*", "code/**", "derivations/*", "ko/*")}
html_context = {"default_mode": "auto"}
html_theme_options = {
    "logo": {"text": "minidlrm"},
    "show_prev_next": True,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 5,
    "navbar_align": "left",
    "navbar_end": ["language", "theme-switcher", "navbar-icon-links"],
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "secondary_sidebar_items": ["page-toc", "sourcelink"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
