"""minidlrm: how a deep recommender works, in NumPy, with every gradient derived by hand.

Start at `DLRM`, and walk down: models, layers, kernels. ``import minidlrm as md``.
"""

# Kernels first: measured, Numba takes 40 ms longer to import after our other modules.
from minidlrm import kernels  # isort: skip
from minidlrm import checking, data, interop, layers, metrics, models, plots, training
from minidlrm.checking import gradcheck
from minidlrm.checkpoint import load, save
from minidlrm.data import Batch, Dataset, Jagged
from minidlrm.figure import diagram
from minidlrm.layers import (
    CIN,
    MLP,
    BiInteraction,
    CrossNetwork,
    DotInteraction,
    ElementwiseProduct,
    EmbeddingBag,
    EmbeddingBagCollection,
    FMInteraction,
    Linear,
    QREmbeddingBag,
    ReLU,
    Sigmoid,
)
from minidlrm.losses import MSE, BCEWithLogits
from minidlrm.models import (
    DCN,
    DLRM,
    GMF,
    DeepFM,
    FactorizationMachine,
    LogisticRegression,
    MatrixFactorization,
    MLPModel,
    NeuMF,
    WideDeep,
    XDeepFM,
)
from minidlrm.module import Module, Parameter, SparseGrad
from minidlrm.optim import (
    FTRL,
    SGD,
    Adagrad,
    Adam,
    Momentum,
    OptimizerGroup,
    RowwiseAdagrad,
    warmup_decay,
)
from minidlrm.tracing import trace
from minidlrm.training import History, evaluate, fit, predict

__all__ = [
    "CIN",
    "DCN",
    "DLRM",
    "FTRL",
    "GMF",
    "MLP",
    "MSE",
    "SGD",
    "Adagrad",
    "Adam",
    "BCEWithLogits",
    "Batch",
    "BiInteraction",
    "CrossNetwork",
    "Dataset",
    "DeepFM",
    "DotInteraction",
    "ElementwiseProduct",
    "EmbeddingBag",
    "EmbeddingBagCollection",
    "FMInteraction",
    "FactorizationMachine",
    "History",
    "Jagged",
    "Linear",
    "LogisticRegression",
    "MLPModel",
    "MatrixFactorization",
    "Module",
    "Momentum",
    "NeuMF",
    "OptimizerGroup",
    "Parameter",
    "QREmbeddingBag",
    "ReLU",
    "RowwiseAdagrad",
    "Sigmoid",
    "SparseGrad",
    "WideDeep",
    "XDeepFM",
    "checking",
    "data",
    "diagram",
    "evaluate",
    "fit",
    "gradcheck",
    "interop",
    "kernels",
    "layers",
    "load",
    "metrics",
    "models",
    "plots",
    "predict",
    "save",
    "trace",
    "training",
    "warmup_decay",
]

__version__ = "0.1.0"
