"""minidlrm: how a deep recommender works, in NumPy, with every gradient derived by hand.

Start at `DLRM`, and walk down: models, layers, kernels. ``import minidlrm as md``.
`MODELS` and `OPTIMIZERS` list the models and optimizers by the names of the command line.

What a training run does not need (the checker, the tracer, figures) is imported when it is first
used; so is Numba, with the first kernel.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from minidlrm import data, kernels, layers, losses, metrics, models, optim, training
from minidlrm.checkpoint import load, load_with_schema, save
from minidlrm.data import Batch, Dataset, Jagged
from minidlrm.layers import *
from minidlrm.losses import *
from minidlrm.models import *
from minidlrm.module import Module, Parameter, SparseGrad
from minidlrm.optim import *
from minidlrm.training import History, evaluate, fit, predict

if TYPE_CHECKING:  # the same as _LATER, for editors and type checkers
    from minidlrm import checking, interop, learned, plots, recommending, scoring
    from minidlrm.checking import gradcheck
    from minidlrm.exploring import explore
    from minidlrm.figure import diagram
    from minidlrm.learned import importance, similar
    from minidlrm.recommending import fold_in, rank_metrics, recommend
    from minidlrm.tracing import trace

_LATER = {  # name: the module it comes from; "" for one that is a module itself
    "checking": "",
    "diagram": "figure",
    "explore": "exploring",
    "fold_in": "recommending",
    "gradcheck": "checking",
    "importance": "learned",
    "interop": "",
    "learned": "",
    "plots": "",
    "rank_metrics": "recommending",
    "recommend": "recommending",
    "recommending": "",
    "scoring": "",
    "similar": "learned",
    "trace": "tracing",
}

__all__ = [
    "Batch",
    "Dataset",
    "History",
    "Jagged",
    "Module",
    "Parameter",
    "SparseGrad",
    "checking",
    "data",
    "diagram",
    "evaluate",
    "explore",
    "fit",
    "fold_in",
    "gradcheck",
    "importance",
    "interop",
    "kernels",
    "layers",
    "learned",
    "load",
    "load_with_schema",
    "losses",
    "metrics",
    "models",
    "optim",
    "plots",
    "predict",
    "rank_metrics",
    "recommend",
    "recommending",
    "save",
    "scoring",
    "similar",
    "trace",
    "training",
]
__all__ += layers.__all__
__all__ += losses.__all__
__all__ += models.__all__
__all__ += optim.__all__

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = import_module(f"{__name__}.{_LATER[name] or name}")
    if _LATER[name]:
        found = getattr(found, name)
    globals()[name] = found  # found without this function from now on
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
