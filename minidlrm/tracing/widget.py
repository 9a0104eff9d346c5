"""The operations of a step as a widget, for Jupyter; the parts are those of the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from minidlrm.languages import say
from minidlrm.tracing.operations import Step
from minidlrm.tracing.page import both, box_of, parts_of

if TYPE_CHECKING:
    from ipywidgets import VBox


def stepper(step: Step, sample: int = 0, lang: str | None = None) -> VBox:
    """Return an ipywidgets box with previous, next, a slider, and the operation."""
    try:
        import ipywidgets
    except ImportError:
        raise ImportError(
            'the stepper needs ipywidgets: pip install "minidlrm[notebooks]"; '
            "or use trace.to_html()"
        ) from None
    parts = parts_of(step, sample, lang)
    last = len(step.operations) - 1
    slider = ipywidgets.IntSlider(0, 0, last, description=say("operation", lang))
    shown = ipywidgets.HTML()

    def draw(_: Any = None) -> None:
        op = step.operations[slider.value]
        box = f'id="{parts.name}-{box_of(op)}"'
        lit = parts.figure.replace(box, f'{box} class="lit-{op.phase}"')
        body = both(lit, parts.sections[slider.value])
        shown.value = f'{parts.style}<div class="{parts.name}">{body}</div>'

    def move(by: int) -> Callable[[Any], None]:
        return lambda _: setattr(slider, "value", slider.value + by)

    titles = say("Previous", lang), say("Next", lang)
    previous, following = (ipywidgets.Button(description=title) for title in titles)
    previous.on_click(move(-1))
    following.on_click(move(1))
    slider.observe(draw, names="value")
    draw()
    return ipywidgets.VBox([ipywidgets.HBox([previous, following, slider]), shown])
