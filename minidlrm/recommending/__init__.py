"""recommend, rank_metrics: all items, seen ones left out, beside popularity and chance.

`MISTAKES` lists the mistakes of a protocol that `rank_metrics` names.
"""

from minidlrm.recommending.catalogue import Catalogue
from minidlrm.recommending.folding import fold_in
from minidlrm.recommending.lists import Recommendations, recommend
from minidlrm.recommending.mistakes import MISTAKES, Mistake, ProtocolWarning
from minidlrm.recommending.ranks import RankMetrics, rank_metrics

__all__ = [
    "MISTAKES",
    "Catalogue",
    "Mistake",
    "ProtocolWarning",
    "RankMetrics",
    "Recommendations",
    "fold_in",
    "rank_metrics",
    "recommend",
]
