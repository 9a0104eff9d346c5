"""One file a layer: what it computes, forward, and backward with its derivation."""

from minidlrm.layers.activation import ReLU, Sigmoid, sigmoid
from minidlrm.layers.bag import EmbeddingBag
from minidlrm.layers.cin import CIN, CINLayer
from minidlrm.layers.cross import CrossInteraction, CrossNetwork, MatrixCross, VectorCross
from minidlrm.layers.dot import DotInteraction
from minidlrm.layers.embedding import EmbeddingBagCollection
from minidlrm.layers.fields import FieldEmbeddings, LinearTerm
from minidlrm.layers.fm import BiInteraction, FMInteraction
from minidlrm.layers.interaction import Flatten, Interaction
from minidlrm.layers.linear import Linear
from minidlrm.layers.mlp import MLP
from minidlrm.layers.product import ElementwiseProduct
from minidlrm.layers.qr import ComposedTables, QREmbeddingBag

__all__ = [
    "CIN",
    "MLP",
    "BiInteraction",
    "CINLayer",
    "ComposedTables",
    "CrossInteraction",
    "CrossNetwork",
    "DotInteraction",
    "ElementwiseProduct",
    "EmbeddingBag",
    "EmbeddingBagCollection",
    "FMInteraction",
    "FieldEmbeddings",
    "Flatten",
    "Interaction",
    "Linear",
    "LinearTerm",
    "MatrixCross",
    "QREmbeddingBag",
    "ReLU",
    "Sigmoid",
    "VectorCross",
    "sigmoid",
]
