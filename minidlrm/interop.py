"""Weights from and to other implementations, under the names and in the order they use.

The triangle of dot products has three layouts in the field. Weights move between them by
permuting the columns of the first top layer: `from_layout`, `to_layout`.

The functions exchange plain dicts of arrays. A PyTorch `state_dict()` is one too, once its
tensors are arrays: ``{name: tensor.numpy() for name, tensor in torch_model.state_dict().items()}``.
"""

from __future__ import annotations

import numpy as np

from minidlrm.arrays import native
from minidlrm.layers.dot import DotInteraction
from minidlrm.layers.embedding import EmbeddingBagCollection
from minidlrm.layers.inputs import converted
from minidlrm.layers.mlp import MLP
from minidlrm.models.dlrm import DLRM
from minidlrm.module import copy_state

_MLPS = {"bottom": "bot_l", "top": "top_l"}


def reference_state(model: DLRM) -> dict[str, np.ndarray]:
    """Return the weights under the names of facebookresearch/dlrm, not copied.

    Parameters
    ----------
    model : DLRM
        The model.

    Returns
    -------
    dict of str to array
        ``emb_l.{t}.weight`` (N_t, D); ``bot_l.{2k}.weight`` (out, in) and ``.bias`` (out,);
        ``top_l.{2k}...`` likewise.

    Raises
    ------
    ValueError
        When the model has another part than plain tables, MLPs and dot products.
    TypeError
        When the model is not a DLRM.

    Examples
    --------
    >>> import minidlrm as md
    >>> state = md.interop.reference_state(md.DLRM(2, [5, 6], 4, (8,), ()))
    >>> list(state)
    ['emb_l.0.weight', 'emb_l.1.weight', 'bot_l.0.weight', 'bot_l.0.bias', \
'bot_l.2.weight', 'bot_l.2.bias', 'top_l.0.weight', 'top_l.0.bias']
    """
    state: dict[str, np.ndarray] = {}
    _check_model(model)
    for name, part in model.named_children():
        if name == "embeddings" and type(part) is EmbeddingBagCollection and not part.shared:
            state |= {f"emb_l.{t}.weight": part.table(t) for t in range(part.num_tables)}
        elif name in _MLPS and type(part) is MLP:
            for key, array in part.state_dict().items():  # layers.0.weight, layers.0.bias, ...
                _, k, kind = key.split(".")
                state[f"{_MLPS[name]}.{2 * int(k)}.{kind}"] = array
        elif not (name == "interaction" and type(part) is DotInteraction):
            raise ValueError(f"the reference has no such part of the model: {name}, {part}")
    return state


def load_reference_state(model: DLRM, state: dict[str, np.ndarray]) -> None:
    """Copy weights named as in facebookresearch/dlrm into a model.

    Parameters
    ----------
    model : DLRM
        A model of the same sizes and interaction.
    state : dict of str to array
        As `reference_state` returns it.

    Raises
    ------
    ValueError
        When a name is missing, not expected, or has another shape; nothing is changed then.
    TypeError
        When the model is not a DLRM.

    Examples
    --------
    >>> import minidlrm as md
    >>> theirs, ours = (md.DLRM(2, [5, 6], 4, (8,), (), seed=seed) for seed in (1, 2))
    >>> md.interop.load_reference_state(ours, md.interop.reference_state(theirs))
    >>> bool((ours.embeddings.table(1) == theirs.embeddings.table(1)).all())
    True
    """
    copy_state(reference_state(model), state, "DLRM")


# What the columns of the first top layer stand for: the triangle's order, the row of the dense
# vector among the F vectors, and whether the dense vector itself comes before or after the pairs.
_LAYOUTS = ("facebookresearch", "torchrec", "fuxictr")


def to_layout(model: DLRM, layout: str) -> np.ndarray:
    """Return the first top layer's weight (out, in) as another implementation orders its columns.

    Parameters
    ----------
    model : DLRM
        With ``interaction="dot"``, dense features, and no self interaction.
    layout : "facebookresearch", "torchrec" or "fuxictr"
        Strict lower triangle, row-major, dense vector in row 0, [dense, pairs]; upper,
        row-major, dense in row 0, [dense, pairs]; or upper, row-major, dense in the last row,
        [pairs, dense].

    Returns
    -------
    array (out, D + P)
        A copy.

    Raises
    ------
    ValueError
        When the layout is not known, or the model has no such triangle.
    TypeError
        When the model is not a DLRM.

    Examples
    --------
    >>> import minidlrm as md
    >>> model = md.DLRM(2, [5, 6], 4, (8,), (3,))
    >>> md.interop.to_layout(model, "torchrec").shape
    (3, 7)
    """
    columns = _columns(model, layout)
    return model.top.layers[0].weight.value[:, columns]


def from_layout(model: DLRM, weight: np.ndarray, layout: str) -> None:
    """Copy the first top layer's weight from another implementation into a model.

    Parameters
    ----------
    model, layout
        As in `to_layout`.
    weight : array (out, D + P)
        In the columns' order of `layout`.

    Raises
    ------
    ValueError
        As `to_layout`, or when the shape is not the model's.
    TypeError
        When the model is not a DLRM.

    Examples
    --------
    >>> import minidlrm as md
    >>> model = md.DLRM(2, [5, 6], 4, (8,), (3,))
    >>> weight = md.interop.to_layout(model, "torchrec")
    >>> md.interop.from_layout(model, 2 * weight, "torchrec")
    >>> bool((md.interop.to_layout(model, "torchrec") == 2 * weight).all())
    True
    """
    columns = _columns(model, layout)
    own = model.top.layers[0].weight.value
    weight = native("weight", weight)
    if weight.shape != own.shape:
        raise ValueError(f"weight has shape {np.shape(weight)}, the model's {own.shape}")
    own[:, columns] = converted("weight", weight, own.dtype)


def _columns(model: DLRM, layout: str) -> np.ndarray:
    """For each column of the foreign layout, the column of ours."""
    _check_model(model)
    if not isinstance(layout, str) or layout not in _LAYOUTS:
        raise ValueError(f"layout {layout!r} is not known: {', '.join(_LAYOUTS)}")
    dot = model.interaction
    if type(dot) is not DotInteraction or dot.self_interaction or model.bottom is None:
        raise ValueError(
            "the model must have interaction='dot' without self_interaction, and dense features"
        )
    num_features, dim = dot.num_features, dot.embedding_dim
    ours = np.zeros((num_features, num_features), np.int64)  # the place of the pair (i, j)
    i, j = np.tril_indices(num_features, -1)
    ours[i, j] = ours[j, i] = dim + np.arange(len(i))
    dense = np.arange(dim)
    if layout == "facebookresearch":
        return np.concatenate([dense, ours[i, j]])
    i, j = np.triu_indices(num_features, 1)
    if layout == "torchrec":
        return np.concatenate([dense, ours[i, j]])
    order = np.roll(np.arange(num_features), -1)  # the dense vector, our row 0, comes last
    return np.concatenate([ours[order[i], order[j]], dense])


def _check_model(model: DLRM) -> None:
    if not isinstance(model, DLRM):
        raise TypeError(f"model is a {type(model).__name__}: it must be a DLRM")
