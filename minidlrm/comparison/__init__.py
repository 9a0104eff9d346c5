"""compare: every model on the same data, under the same budget, with its noise."""

from minidlrm.comparison.run import (
    CONTENDERS,
    Budget,
    Contender,
    Row,
    as_markdown,
    as_records,
    compare,
    deviation,
    explained,
    is_noise,
    metric,
    order_markdown,
    paired_interval,
)

__all__ = [
    "CONTENDERS",
    "Budget",
    "Contender",
    "Row",
    "as_markdown",
    "as_records",
    "compare",
    "deviation",
    "explained",
    "is_noise",
    "metric",
    "order_markdown",
    "paired_interval",
]
