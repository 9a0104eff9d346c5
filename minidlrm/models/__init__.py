"""One file a model: a page that reads like the figure of its paper."""

from minidlrm.models.dcn import DCN
from minidlrm.models.deepfm import DeepFM, MLPModel
from minidlrm.models.dlrm import DLRM
from minidlrm.models.fm import FactorizationMachine
from minidlrm.models.logistic import LogisticRegression
from minidlrm.models.mf import MatrixFactorization
from minidlrm.models.ncf import GMF, NeuMF
from minidlrm.models.wide_deep import WideDeep
from minidlrm.models.xdeepfm import XDeepFM

__all__ = [
    "DCN",
    "DLRM",
    "GMF",
    "DeepFM",
    "FactorizationMachine",
    "LogisticRegression",
    "MLPModel",
    "MatrixFactorization",
    "NeuMF",
    "WideDeep",
    "XDeepFM",
]
