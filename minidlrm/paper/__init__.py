"""The paper, executed: each section of arXiv 1906.00091 that can be run on one machine.

`SECTIONS` lists them. A section is a function of `Options` that returns `Findings`: claims, each
judged by a bound in the code, with tables and figures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from minidlrm.languages import Message, say, say_if_message
from minidlrm.paper.findings import Claim, Findings

__all__ = ["NOT_RUN", "SECTIONS", "Claim", "Findings", "Options", "Section", "not_run"]


@dataclass(frozen=True)
class Options:
    """What a section may be told.

    Parameters
    ----------
    seed : int
        Seed of all that is drawn.
    data : str, optional
        Real rows, as SCHEME:PATH.
    rows : int, optional
        How many rows to make, or to read at most.
    progress : bool
        Whether to show a progress bar.
    folder : Path, optional
        Where parts of a section that are finished are kept, so that a later run goes on.
    """

    seed: int = 0
    data: str | None = None
    rows: int | None = None
    progress: bool = True
    folder: Path | None = None


@dataclass(frozen=True)
class Section:
    """One section of the paper.

    Parameters
    ----------
    title : str
        What it is about.
    shows : str
        What a run of it shows.
    minutes : float
        About how long it takes on two cores.
    home : str
        The module of this package whose `run` runs it.
    takes : tuple of str
        The options that have a meaning for it, beside the seed.
    schemes : tuple of str
        The data that it takes; any clicks when empty.
    finds : tuple of str
        The data in MINIDLRM_DATA that it reads when none are named.
    """

    title: str
    shows: str
    minutes: float
    home: str
    takes: tuple[str, ...] = ()
    schemes: tuple[str, ...] = ()
    finds: tuple[str, ...] = ()

    @property
    def run(self) -> Callable[[Options], Findings]:
        """The function that runs it; its module is imported now."""
        return import_module(f"minidlrm.paper.{self.home}").run


SECTIONS = {
    "1": Section(
        Message("The two views"),
        Message("content against what people did; from linear regression to DLRM"),
        2,
        "views",
        ("data", "rows"),
        ("movielens",),
        ("movielens",),
    ),
    "2.2": Section(
        Message("The architecture"),
        Message("Figure 1, counts of parameters and operations, the run that the authors print"),
        0.2,
        "architecture",
    ),
    "2.3": Section(
        Message("The models before it"),
        Message("what is said of five models, each statement judged by a measured number"),
        10,
        "prior_models",
        ("rows",),
    ),
    "3": Section(
        Message("Parallelism"),
        Message("tables shared out among ranks, Figure 2, and every byte that they send"),
        0.3,
        "ranks",
    ),
    "4.1": Section(
        Message("Random data"),
        Message(
            "batches of bags by the options of the reference's generator, and what it gets wrong"
        ),
        0.2,
        "random_data",
    ),
    "4.2": Section(
        Message("Synthetic traces"),
        Message(
            "stack distances, traces drawn from a profile, and how small a cache serves the tables"
        ),
        1,
        "locality",
        ("data", "rows"),
        finds=("criteo", "movielens"),
    ),
    "5.1": Section(
        Message("Accuracy beside DCN"),
        Message("DLRM and DCN along one epoch, with SGD and Adagrad, over three seeds"),
        6,
        "accuracy",
        ("data", "rows"),
    ),
    "5.2": Section(
        Message("Time by operator"),
        Message("where the time of a step goes, beside PyTorch and the roof of the machine"),
        1,
        "operators",
        ("rows",),
    ),
}

NOT_RUN = {
    "2.1": Message("its formulas are the course itself: notebooks 01 to 05"),
    "4.3": Message("it describes the Criteo data; `minidlrm data fetch criteo-kaggle` brings them"),
    Message("5 on eight GPUs, and Figure 4"): Message("they need the platform that Figure 4 shows"),
}


def not_run(lang: str | None = None) -> str:
    """Return what of the paper no section runs, and why, as Markdown in a language; see `say`."""
    lines = [f"## {say('What is not run here', lang)}\n"]
    for part, why in NOT_RUN.items():
        reason = say(Message("not to be run here, because {why}", why=why), lang)
        lines.append(f"- **{say_if_message(part, lang)}**: {reason}.")
    return "\n".join(lines) + "\n"
