"""grow: a model for a schema that knows more values; what was learned stays where it was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minidlrm.layers.embedding import EmbeddingBagCollection
from minidlrm.models.model import Model


def grow(model: Model, table_sizes: Sequence[int], seed: int = 0) -> Model:
    """Return a copy of a model whose tables have more rows.

    The rows that exist keep their values, so that old rows of data get the scores they had. New
    rows begin as those of a new model.

    Parameters
    ----------
    model : Model
        It is not changed.
    table_sizes : sequence of int
        The rows of each table; none may be below the model's.
    seed : int
        Draws the new rows.

    Returns
    -------
    Model

    Raises
    ------
    ValueError
        When a table would shrink, or the model has a part that depends on the sizes in another
        way, such as crosses of two tables or composed tables.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> from minidlrm.growing import grow
    >>> model = md.FactorizationMachine(0, [3, 4], 2)
    >>> larger = grow(model, [5, 4])
    >>> batch = md.Batch(np.zeros((1, 0)), [[2, 3]])
    >>> bool(model.forward(batch) == larger.forward(batch))
    True
    """
    sizes = [int(n) for n in table_sizes]
    own = model.config["table_sizes"]
    if len(sizes) != len(own) or any(n < m for n, m in zip(sizes, own, strict=False)):
        raise ValueError(f"table_sizes are {sizes}: none may be below the model's {own}")
    dtype = model.parameters()[0].value.dtype
    make: Any = type(model)
    new: Model = make(**{**model.config, "table_sizes": sizes}, seed=seed, dtype=dtype)
    new.task = model.task
    others = dict(new.named_modules())
    values = new.state_dict()
    for name, value in model.state_dict().items():
        if values[name].shape == value.shape:
            values[name][...] = value
    for name, old in model.named_modules():
        other = others[name]
        if not isinstance(old, EmbeddingBagCollection):
            continue
        assert isinstance(other, EmbeddingBagCollection)
        rows = [len(old.table(t)) for t in range(old.num_tables)]
        if rows != own and other.weight.value.shape != old.weight.value.shape:
            raise ValueError(f"{type(model).__name__} cannot grow: {name} depends on the sizes")
        for t in range(old.num_tables):
            other.table(t)[: len(old.table(t))] = old.table(t)
    return new
