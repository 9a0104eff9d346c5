"""One file a model: a page that reads like the figure of its paper.

`MODELS` lists them, by the name that the command line gives each.
"""

from minidlrm.models.dcn import DCN
from minidlrm.models.deepfm import DeepFM, MLPModel
from minidlrm.models.dlrm import DLRM
from minidlrm.models.fm import FactorizationMachine
from minidlrm.models.logistic import LogisticRegression
from minidlrm.models.mf import MatrixFactorization
from minidlrm.models.model import Model, ModelEntry
from minidlrm.models.ncf import GMF, NeuMF
from minidlrm.models.wide_deep import WideDeep
from minidlrm.models.xdeepfm import XDeepFM

MODELS: dict[str, ModelEntry] = {
    "lr": ModelEntry("LR", LogisticRegression, "feature", "1"),
    "fm": ModelEntry("FM", FactorizationMachine, "vector", "2"),
    "mlp": ModelEntry("MLP", MLPModel, "bit", "any"),
    "wide-deep": ModelEntry("Wide & Deep", WideDeep, "pairs, bit", "2, any", one_hot_only=True),
    "deepfm": ModelEntry("DeepFM", DeepFM, "vector, bit", "2, any"),
    "dcn": ModelEntry("DCN", DCN, "bit", "4, any", {"cross": "vector"}),
    "dcn-v2": ModelEntry("DCN v2", DCN, "bit", "4, any", {"cross": "matrix"}),
    "xdeepfm": ModelEntry("xDeepFM", XDeepFM, "vector, bit", "3, any"),
    "dlrm": ModelEntry("DLRM", DLRM, "vector", "2, any"),
    "mf": ModelEntry("MF", MatrixFactorization, "vector", "2"),
    "gmf": ModelEntry("GMF", GMF, "vector", "2"),
    "neumf": ModelEntry("NeuMF", NeuMF, "vector, bit", "2, any"),
}

__all__ = [
    "DCN",
    "DLRM",
    "GMF",
    "MODELS",
    "DeepFM",
    "FactorizationMachine",
    "LogisticRegression",
    "MLPModel",
    "MatrixFactorization",
    "Model",
    "ModelEntry",
    "NeuMF",
    "WideDeep",
    "XDeepFM",
]
