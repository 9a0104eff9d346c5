"""Weights from and to other implementations, under the names they use.

The functions exchange plain dicts of arrays. A PyTorch `state_dict()` is one too, once its
tensors are arrays: ``{name: tensor.numpy() for name, tensor in torch_model.state_dict().items()}``.
"""

from __future__ import annotations

import numpy as np

from minidlrm.models.dlrm import DLRM
from minidlrm.module import copy_state


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

    Examples
    --------
    >>> import minidlrm as md
    >>> state = md.interop.reference_state(md.DLRM(2, [5, 6], 4, (8,), ()))
    >>> list(state)
    ['emb_l.0.weight', 'emb_l.1.weight', 'bot_l.0.weight', 'bot_l.0.bias', \
'bot_l.2.weight', 'bot_l.2.bias', 'top_l.0.weight', 'top_l.0.bias']
    """
    tables = model.embeddings
    state = {f"emb_l.{t}.weight": tables.table(t) for t in range(tables.num_tables)}
    for name, mlp in (("bot_l", model.bottom), ("top_l", model.top)):
        for k, layer in enumerate(mlp.layers if mlp else ()):
            state[f"{name}.{2 * k}.weight"] = layer.weight.value
            assert layer.bias is not None  # every layer of an MLP has one
            state[f"{name}.{2 * k}.bias"] = layer.bias.value
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
    """
    copy_state(reference_state(model), state, "DLRM")
