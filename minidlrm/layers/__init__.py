"""One file a layer: what it computes, forward, and backward with its derivation."""

from minidlrm.layers.activation import ReLU, Sigmoid, sigmoid
from minidlrm.layers.cin import CIN, CINLayer
from minidlrm.layers.cross import CrossLayer, CrossNetwork
from minidlrm.layers.dot import DotInteraction
from minidlrm.layers.embedding import EmbeddingBag, EmbeddingBagCollection
from minidlrm.layers.fields import FieldEmbeddings, LinearTerm
from minidlrm.layers.fm import BiInteraction, FMInteraction
from minidlrm.layers.linear import Linear
from minidlrm.layers.mlp import MLP
from minidlrm.layers.product import ElementwiseProduct
from minidlrm.layers.qr import QREmbeddingBag

__all__ = [
    "CIN",
    "MLP",
    "BiInteraction",
    "CINLayer",
    "CrossLayer",
    "CrossNetwork",
    "DotInteraction",
    "ElementwiseProduct",
    "EmbeddingBag",
    "EmbeddingBagCollection",
    "FMInteraction",
    "FieldEmbeddings",
    "Linear",
    "LinearTerm",
    "QREmbeddingBag",
    "ReLU",
    "Sigmoid",
    "sigmoid",
]
