"""What the campaigns on checkpoints share: a model to train, and the digest of what was learned."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

import minidlrm as md

SIZES, DENSE = [40, 6, 9], 5


def data(rows: int) -> md.Batch:
    """Draw rows with bags of ids: the same in every run."""
    rng = np.random.default_rng(7)
    lengths = rng.integers(0, 3, (len(SIZES), rows))
    pairs = zip(SIZES, lengths.sum(axis=1), strict=True)
    values = np.concatenate([rng.integers(0, n, k) for n, k in pairs])
    bags = md.Jagged(values, np.concatenate([[0], np.cumsum(lengths)]))
    dense = rng.normal(size=(rows, DENSE)).astype(np.float32)
    label = (rng.random(rows) < 1 / (1 + np.exp(-dense[:, 0]))).astype(np.float32)
    return md.Batch(dense, bags, label)


def fresh(width: int = 16, seed: int = 3) -> tuple[md.Module, Any]:
    """Make a model, and two optimizers in a group: one for its tables, one for the rest."""
    model = md.DLRM(DENSE, SIZES, width, (2 * width,), (2 * width,), seed=seed)
    tables = model.embeddings.parameters()
    rest = [p for p in model.parameters() if not any(p is table for table in tables)]
    return model, md.OptimizerGroup([(md.Adagrad(lr=0.05), tables), (md.Adam(lr=0.01), rest)])


def schema() -> Any:
    """Return what the columns of a small table mean."""
    rows = {"click": [0, 1] * 20, "price": range(40), "city": ["Ulm", "Rom", "Köln", ""] * 10}
    keys = {"label": "click", "dense": ["price"], "sparse": ["city"], "progress": False}
    return md.data.read_table({k: list(v) for k, v in rows.items()}, **keys).schema


def digest(model: md.Module, optimizer: Any = None) -> str:
    """Return the SHA-256 of all weights, of the optimizers' states and of their steps."""
    sha = hashlib.sha256()
    groups = [each for each, _ in getattr(optimizer, "groups", [(optimizer, None)]) if each]
    sha.update(str([each.num_steps for each in groups]).encode())
    for name, parameter in model.named_parameters():
        sha.update(name.encode())
        sha.update(np.ascontiguousarray(parameter.value).tobytes())
        for each in groups:
            for key, array in sorted(each.state.get(parameter, {}).items()):
                sha.update(key.encode())
                sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()
