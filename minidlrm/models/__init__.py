"""One file a model: a page that reads like the figure of its paper."""

from minidlrm.models.dlrm import DLRM

__all__ = ["DLRM"]
