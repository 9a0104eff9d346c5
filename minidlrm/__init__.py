"""minidlrm: how a deep recommender works, in NumPy, with every gradient derived by hand.

Start at `DLRM`, and walk down: models, layers, kernels. ``import minidlrm as md``.
"""

from minidlrm import data, kernels, layers, metrics, models
from minidlrm.checking import gradcheck
from minidlrm.layers import (
    MLP,
    DotInteraction,
    EmbeddingBag,
    EmbeddingBagCollection,
    Linear,
    ReLU,
    Sigmoid,
)
from minidlrm.losses import MSE, BCEWithLogits
from minidlrm.models import DLRM
from minidlrm.module import Module, Parameter, SparseGrad
from minidlrm.optim import SGD, Adagrad, Adam, Momentum, RowwiseAdagrad, warmup_decay

__version__ = "0.1.0"
