"""Data: what models eat, and where it comes from."""

from minidlrm.data.batch import Batch, Dataset, Jagged, minibatches
from minidlrm.data.criteo import read_criteo
from minidlrm.data.libfm import read_libfm
from minidlrm.data.movielens import movielens_clicks, movielens_ranking, movielens_ratings
from minidlrm.data.synthetic import synthetic_clicks

__all__ = [
    "Batch",
    "Dataset",
    "Jagged",
    "minibatches",
    "movielens_clicks",
    "movielens_ranking",
    "movielens_ratings",
    "read_criteo",
    "read_libfm",
    "synthetic_clicks",
]
