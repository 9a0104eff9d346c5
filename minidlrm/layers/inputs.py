"""What every layer does at its door: one rule for dtypes, and sizes that are Python integers.

The rule: a layer computes in the dtype that NumPy gives for its input and its parameters
together. Integers and booleans take the parameters' dtype (float64 without parameters), and
float16 becomes float32. A gradient dy takes the dtype of the output that it belongs to. So all
numbers that reach a kernel have one dtype, are in the machine's order, and lie row by row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidlrm.arrays import (
    as_seed,
    as_size,
    as_sizes,
    check_room,
    check_word,
    floats,
    is_usual,
    native,
)


def numbers(name: str, x: Any, *parameters: np.ndarray) -> np.ndarray:
    """Return x as the layer computes with it; TypeError or ValueError names x where it cannot."""
    if _by_rows(x) and all(parameter.dtype == x.dtype for parameter in parameters):
        return x
    x = native(name, x)
    if x.dtype.kind in "biu":
        x = x.astype(np.result_type(*parameters) if parameters else np.float64)
    x = floats(name, x)
    return np.asarray(x, np.result_type(x, np.float32, *parameters), order="C")


def _by_rows(x: Any) -> bool:
    """Whether x is such an array already: a usual one, and row by row."""
    return is_usual(x) and x.flags.c_contiguous


def converted(name: str, x: Any, dtype: np.dtype) -> np.ndarray:
    """Return x in `dtype`: dy in the output's, or data in the parameters'. TypeError names it."""
    if _by_rows(x) and x.dtype == dtype:
        return x
    x = numbers(name, x)
    if x.dtype.kind == "c" and np.dtype(dtype).kind != "c":
        raise TypeError(f"{name} is of {x.dtype}, which does not fit into {np.dtype(dtype)}")
    return x.astype(dtype, copy=False)


_LISTS = {"table_sizes", "mlp", "bottom_mlp", "top_mlp", "cin_layers"}  # of a model's arguments
_OPTIONAL = {"cross_buckets", "cross_rank", "qr_threshold", "rank"}


def as_config(**arguments: Any) -> dict[str, Any]:
    """Return sizes by name, as `as_size` and `as_sizes` make them; an optional one may be None.

    All must be at least 1, but for the number of dense features, which may be 0.
    """
    config: dict[str, Any] = {}
    for name, value in arguments.items():
        if value is None and name in _OPTIONAL:
            config[name] = None
        elif name in _LISTS:
            config[name] = as_sizes(name, value)
        else:
            config[name] = as_size(name, value, 0 if name == "num_dense" else 1)
    check_room("num_dense", config.get("num_dense", 0))  # a row alone
    return config


def as_shared(shared: Sequence[tuple[int, int]], sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Return the columns that share a table, each with the table; ValueError where none can."""
    if not isinstance(shared, (list, tuple)):
        raise TypeError(f"shared is {shared!r}: it must be a list of pairs of tables")
    pairs = [as_sizes(f"shared[{k}]", pair, 0) for k, pair in enumerate(shared)]
    columns = [pair[0] for pair in pairs]
    for pair in pairs:
        if len(pair) != 2 or max(pair) >= len(sizes) or pair[1] in columns:
            raise ValueError(
                f"shared has {tuple(pair)}: it must be (t, u), two of the {len(sizes)} tables, "
                "where u does not share that of another"
            )
        if sizes[pair[0]] != sizes[pair[1]]:
            raise ValueError(
                f"shared has {tuple(pair)}, whose sizes are {sizes[pair[0]]} and {sizes[pair[1]]}: "
                "they must be the same"
            )
    if len(set(columns)) < len(columns):
        raise ValueError(f"shared is {pairs}: a column occurs twice")
    return [(t, u) for t, u in pairs]


def as_table_options(
    table_sizes: Sequence[int], shared: Sequence[tuple[int, int]], bag_mode: str
) -> dict[str, Any]:
    """Return what a model's tables are told, and its config holds, where it is not the default."""
    check_word("bag_mode", bag_mode, "sum", "mean")
    pairs = as_shared(shared, table_sizes)
    options: dict[str, Any] = {"shared": [list(pair) for pair in pairs]} if pairs else {}
    return options if bag_mode == "sum" else {**options, "bag_mode": bag_mode}


def check_rng(rng: Any) -> None:
    """Raise TypeError unless `rng` is a generator."""
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng is {rng!r}: it must be a numpy.random.Generator")


def seeded(seed: Any) -> np.random.Generator:
    """Return the generator of a seed; TypeError or ValueError names it."""
    return np.random.default_rng(as_seed(seed))
