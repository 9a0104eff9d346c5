"""History: what `fit` saw, one record for each evaluation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from minidlrm.arrays import check_type
from minidlrm.printing import as_html


@dataclass
class History:
    """What `fit` saw: one record for each evaluation.

    Parameters
    ----------
    records : list of dict
        Each with ``step``, ``epoch`` (a fraction), ``seconds`` (training only),
        ``train_loss`` and ``grad_norm`` (means since the record before), and, with
        validation rows, the metrics of `evaluate` as ``valid_log_loss`` and so on.
    stopped_early : bool
        Whether `patience` ran out.

    Examples
    --------
    >>> import minidlrm as md
    >>> clicks = md.data.synthetic_clicks(rows=2000, seed=0)
    >>> model = md.DLRM(13, clicks.table_sizes, 8, (16,), (16,))
    >>> history = md.fit(model, clicks.train, clicks.valid, batch_size=256, progress=False)
    >>> len(history.records), history.records[-1]["step"]
    (1, 7)
    """

    records: list[dict[str, float]] = field(default_factory=list)
    stopped_early: bool = False

    def column(self, name: str) -> list[float]:
        """Return the number called `name` from each record, such as ``"valid_log_loss"``.

        TypeError when `name` is no text, KeyError when the records have no such number.
        """
        check_type("name", name, str)
        known = list(self.records[0]) if self.records else [name]
        if name not in known:
            raise KeyError(f"name is {name!r}: there are {', '.join(known)}")
        return [record[name] for record in self.records]

    @property
    def best(self) -> dict[str, float]:
        """The record with the lowest validation log loss or RMSE (training loss without one)."""
        names = ("valid_log_loss", "valid_rmse", "train_loss")
        key = next(name for name in names if name in self.records[0])
        return min(self.records, key=lambda record: record[key])

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw the learning curve on the Axes `ax`; return the Axes.

        The `options` are those of `minidlrm.plots.learning_curve`.
        """
        from minidlrm.plots import learning_curve

        return learning_curve(self, ax=ax, **options)

    def _repr_html_(self) -> str:
        names = list(self.records[-1]) if self.records else []
        rows = [[f"{record[name]:.5g}" for name in names] for record in self.records]
        return as_html([[name.replace("_", " ") for name in names], *rows])
