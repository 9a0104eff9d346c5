"""Data: what models eat, and where it comes from."""

from minidlrm.data.batch import Batch, Dataset, Jagged, minibatches
from minidlrm.data.criteo import read_criteo
from minidlrm.data.synthetic import synthetic_clicks

__all__ = ["Batch", "Dataset", "Jagged", "minibatches", "read_criteo", "synthetic_clicks"]
