"""Model and ModelEntry: what all models have in common, and one line of the list of models."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from minidlrm.arrays import as_sizes, check_type
from minidlrm.data.batch import Batch, Dataset, Jagged
from minidlrm.module import Module


class Model(Module):
    """A module that reads a `Batch`, and gives one number for each of its B rows.

    `config` holds the arguments that make another model of the same sizes:
    ``type(model)(**model.config)``.

    Examples
    --------
    >>> import minidlrm as md
    >>> model = md.MODELS["fm"].build(0, [10, 20], embedding_dim=4, mlp=())
    >>> isinstance(model, md.Model), model.config
    (True, {'num_dense': 0, 'table_sizes': [10, 20], 'embedding_dim': 4})
    """

    config: dict[str, Any]

    def forward(self, batch: Batch) -> np.ndarray:
        """Compute the logits, or the ratings, (B,) of a batch."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    @classmethod
    def for_data(cls, data: Dataset, **options: Any) -> Self:
        """Make a model with the inputs of a data set.

        Parameters
        ----------
        data : Dataset
            Its number of dense features, its tables, which columns share one, and its task are
            taken.
        **options
            The other arguments of the class.

        Raises
        ------
        ValueError
            When the class does not take these inputs; and as the class.

        Examples
        --------
        >>> import minidlrm as md
        >>> clicks = md.data.synthetic_clicks(rows=1000, seed=0)
        >>> md.FactorizationMachine.for_data(clicks, embedding_dim=4).config["num_dense"]
        13
        """
        check_type("data", data, Dataset)
        sizes: dict[str, Any] = {"table_sizes": data.table_sizes}
        if "num_dense" in inspect.signature(cls).parameters:
            sizes["num_dense"] = data.num_dense
        elif data.num_dense or len(data.table_sizes) != 2:
            raise ValueError(
                f"{cls.__name__} takes users and items; the data have {data.num_dense} dense "
                f"features and {len(data.table_sizes)} tables"
            )
        if shared_tables(data):
            sizes["shared"] = shared_tables(data)
            if "shared" not in inspect.signature(cls).parameters:
                raise ValueError(f"{cls.__name__} has a table for each column: leave out share=")
        model = cls(**{**sizes, **options})
        model.task = data.task
        return model


def shared_tables(data: Dataset) -> list[tuple[int, int]]:
    """Return the columns of ids that share a table, each with the table's place."""
    return data.schema.shared if data.schema is not None else []


@dataclass(frozen=True)
class ModelEntry:
    """What the command line, the comparison and the checker know of a model.

    Parameters
    ----------
    title : str
        Its name in tables.
    cls : type
        The class.
    unit : str
        What interacts: single numbers ("bit"), whole vectors ("vector"), features.
    order : str
        The highest order of interaction that it computes by design; "any" is what an MLP
        may find.
    options : dict
        The arguments that tell it from other entries of the same class.
    one_hot_only : bool
        Whether it takes one id a table, and no bags.

    Examples
    --------
    >>> import minidlrm as md
    >>> entry = md.MODELS["dcn"]
    >>> entry.title, entry.options, entry.pairs_only
    ('DCN', {'cross': 'vector'}, False)
    >>> entry.build(0, [10, 20], embedding_dim=4, mlp=(8,)).num_parameters()
    257
    """

    title: str
    cls: type[Model]
    unit: str
    order: str
    options: dict[str, Any] = field(default_factory=dict)
    one_hot_only: bool = False

    @property
    def arguments(self) -> tuple[str, ...]:
        """Names of the arguments that the class takes."""
        return tuple(inspect.signature(self.cls).parameters)

    @property
    def pairs_only(self) -> bool:
        """Whether it takes two tables, users and items, and nothing else."""
        return "num_dense" not in self.arguments

    def fits(self, dataset: Dataset) -> bool:
        """Whether the model can take the features of `dataset`."""
        check_type("dataset", dataset, Dataset)
        pairs = dataset.num_dense == 0 and len(dataset.table_sizes) == 2
        bags = isinstance(dataset.train.sparse, Jagged)
        shares = not shared_tables(dataset) or "shared" in self.arguments
        return shares and (pairs or not self.pairs_only) and not (bags and self.one_hot_only)

    def build(
        self,
        num_dense: int,
        table_sizes: Sequence[int],
        embedding_dim: int,
        mlp: Sequence[int],
        seed: int = 0,
        **options: Any,
    ) -> Model:
        """Return a model of these sizes; the class is given what it takes of them.

        Parameters
        ----------
        num_dense, table_sizes, embedding_dim, seed
            As `DLRM`.
        mlp : sequence of int
            Hidden sizes of its MLP. DLRM's bottom MLP has the last of them.
        **options
            More arguments of the class; they win over those above.

        Raises
        ------
        TypeError
            When the class does not take an option.
        ValueError
            As the class.
        """
        table_sizes, mlp = as_sizes("table_sizes", table_sizes), as_sizes("mlp", mlp)
        sizes = {
            "num_dense": num_dense,
            "table_sizes": table_sizes,
            "embedding_dim": embedding_dim,
            "mlp": mlp,
            "bottom_mlp": mlp[-1:],
            "top_mlp": mlp,
            "crosses": _smallest_pair(table_sizes),
            "seed": seed,
        }
        taken = {name: value for name, value in sizes.items() if name in self.arguments}
        return self.cls(**{**taken, **self.options, **options})


def _smallest_pair(table_sizes: Sequence[int]) -> list[tuple[int, int]]:
    """The cross that one would choose without knowing better: the two smallest tables."""
    small = np.argsort(table_sizes, kind="stable")[:2]
    return [(int(small[0]), int(small[1]))] if len(small) == 2 else []
