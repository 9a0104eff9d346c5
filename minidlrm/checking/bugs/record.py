"""What is known of a planted bug."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Bug:
    """A layer, loss, model or optimizer with one mistake.

    Parameters
    ----------
    cls : type
        The class. Its docstring says what is wrong; its base is the correct one.
    cause : str
        The mistake, in `minidlrm.checking.catalogue`.
    make : callable
        ``make(cls, rng) -> (target, *inputs)``: how it is checked. Called with `correct`, it
        makes the check that must pass.
    fingerprint : bool
        Whether the numbers alone do not tell this mistake, so that its formula is compared.
    """

    cls: type
    cause: str
    make: Callable[[type, np.random.Generator], tuple[Any, ...]]
    fingerprint: bool = False

    @property
    def name(self) -> str:
        """Its name, such as "Linear: SignLost"."""
        return f"{self.correct.__name__}: {self.cls.__name__}"

    @property
    def correct(self) -> type:
        """The class without the mistake."""
        return self.cls.__mro__[1]

    @property
    def story(self) -> str:
        """What is wrong, in words."""
        return " ".join((self.cls.__doc__ or "").split())

    def __repr__(self) -> str:
        return f"Bug({self.name})"
