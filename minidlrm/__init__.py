"""minidlrm: how a deep recommender works, in NumPy, with every gradient derived by hand.

Start at `DLRM`, and walk down: models, layers, kernels. ``import minidlrm as md``.
`MODELS` and `OPTIMIZERS` list the models and optimizers by the names of the command line.
"""

# Kernels first: measured, Numba takes 40 ms longer to import after our other modules.
from minidlrm import kernels  # isort: skip
from minidlrm import (
    checking,
    data,
    interop,
    layers,
    learned,
    losses,
    metrics,
    models,
    optim,
    plots,
    recommending,
    scoring,
    training,
)
from minidlrm.checking import gradcheck
from minidlrm.checkpoint import load, load_with_schema, save
from minidlrm.data import Batch, Dataset, Jagged
from minidlrm.figure import diagram
from minidlrm.layers import *
from minidlrm.learned import importance, similar
from minidlrm.losses import *
from minidlrm.models import *
from minidlrm.module import Module, Parameter, SparseGrad
from minidlrm.optim import *
from minidlrm.recommending import fold_in, rank_metrics, recommend
from minidlrm.tracing import trace
from minidlrm.training import History, evaluate, fit, predict

__all__ = [
    "Batch",
    "Dataset",
    "History",
    "Jagged",
    "Module",
    "Parameter",
    "SparseGrad",
    "checking",
    "data",
    "diagram",
    "evaluate",
    "fit",
    "fold_in",
    "gradcheck",
    "importance",
    "interop",
    "kernels",
    "layers",
    "learned",
    "load",
    "load_with_schema",
    "losses",
    "metrics",
    "models",
    "optim",
    "plots",
    "predict",
    "rank_metrics",
    "recommend",
    "recommending",
    "save",
    "scoring",
    "similar",
    "trace",
    "training",
]
__all__ += layers.__all__
__all__ += losses.__all__
__all__ += models.__all__
__all__ += optim.__all__

__version__ = "0.1.0"
