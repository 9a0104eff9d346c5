"""explore: a DLRM in a page that can be touched: arithmetic, pictures and all, without a kernel."""

from minidlrm.exploring.explorable import Explorable, explore

__all__ = ["Explorable", "explore"]
