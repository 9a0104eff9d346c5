"""compare: every model on the same data, under the same budget, with its noise."""

from minidlrm.comparison.order import Shares, compare_orders
from minidlrm.comparison.report import as_records, markdown_page
from minidlrm.comparison.result import Budget, Result
from minidlrm.comparison.run import compare
from minidlrm.metrics import paired_interval

__all__ = [
    "Budget",
    "Result",
    "Shares",
    "as_records",
    "compare",
    "compare_orders",
    "markdown_page",
    "paired_interval",
]
