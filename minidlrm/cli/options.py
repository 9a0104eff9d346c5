"""What several commands take: their options, and what these name, data and models.

An option is obeyed, or refused by name. An option that was not given is None.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from minidlrm.data import READERS, Dataset, Reader
from minidlrm.data.batch import Jagged
from minidlrm.languages import Message, joined
from minidlrm.models import MODELS, Model, ModelEntry
from minidlrm.models.model import shared_tables

_FOR_PAIRS = {  # what movielens:FOLDER means to a model of users and items alone
    name: "movielens-ratings" if name == "mf" else "movielens-ranking"
    for name, entry in MODELS.items()
    if entry.pairs_only
}
_DEFAULTS: dict[str, Any] = {"embedding_dim": 16, "bottom_mlp": (64, 32), "top_mlp": (128, 64)}


def _form(scheme: str, reader: Reader) -> str:
    return f"{scheme}:{reader.path}" if reader.path else scheme


def _data_help() -> Message:
    forms = (
        Message("{form} ({rows})", form=_form(scheme, reader), rows=reader.gives)
        for scheme, reader in READERS.items()
    )
    pairs = (
        Message("{model}: {rows}", model=name, rows=READERS[scheme].gives)
        for name, scheme in sorted(_FOR_PAIRS.items())
    )
    return Message(
        "{forms}. With movielens:FOLDER, {pairs}.",
        forms=joined(forms, ", "),
        pairs=joined(pairs, ", "),
    )


def _takers(option: str) -> str:
    """Name the models that take an option."""
    names = [name for name, entry in MODELS.items() if option in _taken(entry)]
    return Message("every model") if len(names) == len(MODELS) else ", ".join(names)


def _taken(entry: ModelEntry) -> set[str]:
    """Return the options of the command line that a model takes."""
    options = {"embedding_dim", "bottom_mlp", "top_mlp", "interaction", "self_interaction"}
    options.add("bag_mode")
    return {("top_mlp" if name == "mlp" else name) for name in entry.arguments} & options


def _readers(option: str) -> list[str]:
    """Name the sources of rows that take an option."""
    return [scheme for scheme, reader in READERS.items() if option in reader.arguments]


def _names_of_readers(option: str) -> str:
    return ", ".join(_readers(option))


DataOption = Annotated[str, typer.Option("--data", help=_data_help())]
RowsOption = Annotated[
    int | None,
    typer.Option(
        help=Message("Rows to make, or to read at most ({data}).", data=_names_of_readers("rows"))
    ),
]
MinCountOption = Annotated[
    int | None,
    typer.Option(
        "--min-count",
        help=Message(
            "Rarer categories share the id 0 ({data}).", data=_names_of_readers("min_count")
        ),
        show_default="2",
    ),
]
BadLineOption = Annotated[
    str | None,
    typer.Option(
        "--on-bad-line",
        help=Message("error, or skip and count ({data}).", data=_names_of_readers("on_bad_line")),
        show_default="error",
    ),
]
DropUsersOption = Annotated[
    bool | None,
    typer.Option(
        "--drop-users",
        help=Message(
            "Leave out users with too few or too many ratings ({data}).",
            data=_names_of_readers("drop_users"),
        ),
        show_default=False,
    ),
]
DimOption = Annotated[
    int | None,
    typer.Option(
        "--embedding-dim",
        help=Message("Size of an embedding ({models}).", models=_takers("embedding_dim")),
        show_default=str(_DEFAULTS["embedding_dim"]),
    ),
]
BottomOption = Annotated[
    str | None,
    typer.Option(
        "--bottom-mlp",
        help=Message("Hidden sizes of the bottom MLP ({models}).", models=_takers("bottom_mlp")),
        show_default="64,32",
    ),
]
TopOption = Annotated[
    str | None,
    typer.Option(
        "--top-mlp",
        help=Message(
            "Hidden sizes of the top MLP, or of the only one ({models}).",
            models=_takers("top_mlp"),
        ),
        show_default="128,64",
    ),
]
InteractionOption = Annotated[
    str | None,
    typer.Option(
        "--interaction",
        help=Message("dot, cat or cross ({models}).", models=_takers("interaction")),
        show_default="dot",
    ),
]
SelfOption = Annotated[
    bool,
    typer.Option(
        "--self-interaction",
        help=Message("Include the diagonal ({models}).", models=_takers("self_interaction")),
    ),
]
BagModeOption = Annotated[
    str | None,
    typer.Option(
        "--bag-mode",
        help=Message(
            "How a bag's rows are combined, sum or mean ({models}).", models=_takers("bag_mode")
        ),
        show_default="sum",
    ),
]
SeedOption = Annotated[int, typer.Option(help="Seed of data, parameters and shuffles.")]


def entry_of(name: str) -> ModelEntry:
    """Return the entry of a model; ValueError with all names when it is not known."""
    if name not in MODELS:
        raise ValueError(
            Message("model {name} is not known: {known}", name=repr(name), known=", ".join(MODELS))
        )
    return MODELS[name]


def read(
    data: str, model: str = "", shared: Mapping[str, Any] | None = None, **given: Any
) -> Dataset:
    """Read what --data names.

    Parameters
    ----------
    data : str
        SCHEME:PATH, or SCHEME.
    model : str
        The model that the rows are for: one of users and items alone takes movielens:FOLDER
        as ratings or rankings.
    shared : dict, optional
        Options that matter without the reader, too: it is given those that it takes.
    **given
        Options of the reader by the names of its arguments; None: was not given.

    Raises
    ------
    ValueError
        When the scheme is not known, or its reader does not take an option.
    """
    scheme, _, path = data.partition(":")
    if scheme == "movielens":
        scheme = _FOR_PAIRS.get(model, scheme)
    reader = READERS.get(scheme)
    if reader is None or bool(path) != bool(reader.path):
        forms = ", ".join(_form(name, known) for name, known in READERS.items())
        raise ValueError(
            Message("data {data} is not known: give one of {forms}", data=repr(data), forms=forms)
        )
    options = {name: value for name, value in given.items() if value is not None}
    for name in options:
        if name not in reader.arguments:
            refuse(name, f"--data {scheme}", [f"--data {taker}" for taker in _readers(name)])
    options |= {name: v for name, v in (shared or {}).items() if name in reader.arguments}
    return reader.function(*([str(Path(path).expanduser())] if path else []), **options)


def refuse(option: str, where: str, takers: Iterable[str]) -> None:
    """Raise ValueError: an option that was given does not matter here.

    `where` and `takers` are names, or messages.
    """
    raise ValueError(
        Message(
            "{option} has no meaning with {where}: it is for {takers}",
            option=f"--{option.replace('_', '-')}",
            where=where,
            takers=joined(takers, ", "),
        )
    )


def model_options(name: str, **given: Any) -> dict[str, Any]:
    """Return the sizes and options of a model, defaults filled in; see `build`.

    Raises
    ------
    ValueError
        When the model does not take an option that was given, or sizes cannot be read.
    """
    taken = _taken(entry_of(name))
    options = {option: value for option, value in given.items() if value not in (None, False)}
    for option in options:
        if option not in taken:
            takers = [other for other, entry in MODELS.items() if option in _taken(entry)]
            refuse(option, Message("model {name}", name=name), takers)
    for option in ("bottom_mlp", "top_mlp"):
        if option in options:
            options[option] = sizes(f"--{option.replace('_', '-')}", options[option])
    return {**{option: _DEFAULTS[option] for option in _DEFAULTS if option in taken}, **options}


def build(name: str, dataset: Dataset, seed: int, options: dict[str, Any]) -> Model:
    """Make a model for these data; `options` come from `model_options`."""
    entry = MODELS[name]
    if shared_tables(dataset) and "shared" not in entry.arguments:
        raise ValueError(
            Message("model {name} has a table for each column: leave out share", name=name)
        )
    if not entry.fits(dataset):
        if entry.pairs_only:
            raise ValueError(
                Message(
                    "model {name} takes users and items: give --data movielens:FOLDER", name=name
                )
            )
        raise ValueError(
            Message("model {name} takes one id a table, and these data have bags of ids", name=name)
        )
    if "bag_mode" in options and not isinstance(dataset.train.sparse, Jagged):
        refuse("bag_mode", Message("one id a table"), [Message("data with bags of ids")])
    if shared_tables(dataset):
        options = {**options, "shared": shared_tables(dataset)}
    options = {**_DEFAULTS, **options}
    dim, mlp = options.pop("embedding_dim"), options.pop("top_mlp")
    more = {option: value for option, value in options.items() if option in entry.arguments}
    return entry.build(dataset.num_dense, dataset.table_sizes, dim, mlp, seed=seed, **more)


def positive(option: str, value: int) -> None:
    """Raise ValueError unless a number is at least 1."""
    if value < 1:
        raise ValueError(
            Message("{option} is {value}: it must be at least 1", option=option, value=value)
        )


def sizes(option: str, text: str) -> tuple[int, ...]:
    """Read "64,32"; an empty text means no hidden layer."""
    try:
        found = tuple(int(part) for part in text.split(",")) if text.strip() else ()
    except ValueError:
        raise ValueError(
            Message("{option} is {text}: give sizes such as 64,32", option=option, text=repr(text))
        ) from None
    if any(size < 1 for size in found):
        raise ValueError(
            Message("{option} is {text}: sizes must be at least 1", option=option, text=repr(text))
        )
    return found
