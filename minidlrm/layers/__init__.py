"""One file a layer: what it computes, forward, and backward with its derivation."""

from minidlrm.layers.activation import ReLU, Sigmoid, sigmoid
from minidlrm.layers.dot import DotInteraction
from minidlrm.layers.embedding import EmbeddingBag, EmbeddingBagCollection
from minidlrm.layers.linear import Linear
from minidlrm.layers.mlp import MLP

__all__ = [
    "MLP",
    "DotInteraction",
    "EmbeddingBag",
    "EmbeddingBagCollection",
    "Linear",
    "ReLU",
    "Sigmoid",
    "sigmoid",
]
