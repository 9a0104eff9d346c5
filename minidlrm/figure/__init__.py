"""diagram: a figure of any model, found by running it."""

from minidlrm.figure.draw import diagram

__all__ = ["diagram"]
