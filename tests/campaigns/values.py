"""What the campaign of inputs hands in: right values by the argument's name, and hostile ones."""

from __future__ import annotations

import copy
import functools
import inspect
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

import minidlrm as md
from minidlrm.checking import cases


class Turns:
    """Choices that are tried one after the other: the last one moves first, as in an odometer."""

    def __init__(self) -> None:
        self.chosen: list[list[int]] = []  # each choice, and out of how many
        self.at = 0

    def choose(self, count: int) -> int:
        """Return the choice whose turn it is."""
        if self.at == len(self.chosen):
            self.chosen.append([0, count])
        self.at += 1
        return self.chosen[self.at - 1][0]

    def advance(self) -> bool:
        """Go on to the next choices; return whether there are any."""
        while self.chosen and self.chosen[-1][0] + 1 == self.chosen[-1][1]:
            self.chosen.pop()
        if self.chosen:
            self.chosen[-1][0] += 1
        return bool(self.chosen)


class Scene:
    """The sizes of one case: all its right values fit each other."""

    def __init__(self, rng: np.random.Generator, tame: bool = False, turns: Turns | None = None):
        self.rng, self.tame, self.turns = rng, tame, turns
        self.rows = int(rng.integers(1, 7))
        self.num_dense, self.sizes, self.dim = int(rng.integers(1, 4)), [7, 4], 3
        self.dtype = [np.float32, np.float64][int(rng.integers(2))]
        self.bags = rng.random() < 0.4
        self.paths: list[str] = []  # of the files that were made
        self.said: tuple[str, set[str]] = ("", set())  # by a use: what is done, and names
        self.owner: Any = None  # whose method is called
        self.names: set[str] = set()  # of the parts of hostile objects
        self.tried: set[str] | None = None  # what was tried in this place

    def floats(self, *shape: int) -> np.ndarray:
        """Draw normal numbers."""
        return self.rng.normal(size=shape).astype(self.dtype)

    def pick(self, *values: Any) -> Any:
        """Draw one of the values."""
        return values[int(self.rng.integers(len(values)))]

    def choose(self, count: int) -> int:
        """Choose what is done to a value: drawn, or in turn."""
        return self.turns.choose(count) if self.turns else int(self.rng.integers(count))

    def chance(self, share: float) -> bool:
        """Say yes in a share of the draws, or in every second turn."""
        return self.turns.choose(2) == 0 if self.turns else self.rng.random() < share

    def turn(self, *values: Any) -> Any:
        """Choose one of the values that are tried: drawn, or in turn."""
        return values[self.choose(len(values))]

    def which(self, count: int) -> int:
        """Choose one of many alike: drawn, or the first and the last in turn."""
        return self.choose(min(count, 2)) * (count - 1) if self.turns else self.choose(count)

    def label(self) -> np.ndarray:
        """Draw labels 0 and 1, both of them where there are two rows."""
        label = self.rng.integers(0, 2, self.rows).astype(self.dtype)
        label[:2] = [0, 1][: len(label[:2])]
        return label

    def ids(self) -> np.ndarray:
        """Draw an id for each row and table."""
        return np.stack([self.rng.integers(0, n, self.rows) for n in self.sizes], axis=1)

    def jagged(self) -> md.Jagged:
        """Draw bags of ids, some empty, some weighted."""
        lengths = self.rng.integers(0, 4, (len(self.sizes), self.rows))
        pairs = zip(self.sizes, lengths.sum(axis=1), strict=True)
        values = np.concatenate([self.rng.integers(0, n, k) for n, k in pairs])
        weights = self.floats(len(values)) if self.rng.random() < 0.5 else None
        return md.Jagged(values, np.concatenate([[0], np.cumsum(lengths)]), weights)

    def batch(self) -> md.Batch:
        """Draw a batch: one id a table, or bags."""
        sparse = self.jagged() if self.bags else self.ids()
        return md.Batch(self.floats(self.rows, self.num_dense), sparse, self.label())

    def dataset(self) -> md.Dataset:
        """Draw a data set of three batches."""
        names = [f"c{k}" for k in range(self.num_dense + len(self.sizes))]
        return md.Dataset(self.batch(), self.batch(), self.batch(), self.sizes, names, "drawn")

    def model(self) -> md.Module:
        """Make a small model."""
        cls = self.pick(md.DLRM, md.DeepFM, md.FactorizationMachine, md.DCN, md.LogisticRegression)
        options: dict[str, Any] = {"seed": int(self.rng.integers(9)), "dtype": self.dtype}
        if cls is not md.LogisticRegression:
            options["embedding_dim"] = self.dim
        if cls is md.DLRM:
            options |= {"bottom_mlp": (4,), "top_mlp": (4,)}
        if cls in (md.DeepFM, md.DCN):
            options["mlp"] = (4,)
        return cls(self.num_dense, self.sizes, **options)

    def optimizer(self) -> md.optim.Optimizer:
        """Make one of the optimizers."""
        return self.pick(*optimizers())(lr=0.1)

    def parameter(self) -> md.Parameter:
        """Make a table with a gradient, dense or sparse, or none."""
        parameter = md.Parameter(self.floats(7, self.dim), "weight")
        parameter.grad = self.pick(None, self.floats(7, self.dim), self.sparse_grad())
        return parameter

    def sparse_grad(self) -> md.SparseGrad:
        """Draw the gradient of some rows of a table."""
        rows = np.unique(self.rng.integers(0, 7, 3))
        return md.SparseGrad(rows, self.floats(len(rows), self.dim), (7, self.dim))

    def clicks(self) -> md.Dataset:
        """Read a table of 40 rows, with bags or without."""
        return clicks(self.bags)

    def schema(self) -> md.data.Schema:
        """Return what the columns of that table mean."""
        return self.clicks().schema

    def for_schema(self) -> md.Module:
        """Make a model of that table."""
        return md.FactorizationMachine.for_data(self.clicks(), embedding_dim=3)

    def pairs(self) -> np.ndarray:
        """Draw pairs of a user and an item."""
        return np.stack([self.rng.integers(0, n, 5) for n in self.sizes], axis=1)

    def ratings(self, rows: int = 5) -> md.Batch:
        """Draw the ratings of some users and items."""
        label = self.rng.integers(1, 6, rows).astype(self.dtype)
        ids = np.stack([self.rng.integers(0, n, rows) for n in self.sizes], axis=1)
        return md.Batch(np.zeros((rows, 0), np.float32), ids, label)

    def films(self) -> md.Dataset:
        """Draw a data set of users and items alone."""
        parts = [self.ratings() for _ in range(3)]
        return md.Dataset(*parts, self.sizes, ["user", "item"], "drawn", task="ratings")

    def factors(self) -> md.MatrixFactorization:
        """Make a model of users and items alone."""
        return md.MatrixFactorization(self.sizes, self.dim, mean=3.0)

    def catalogue(self) -> Any:
        """Make the catalogue of seven users and four items."""
        return md.recommending.Catalogue.of_pairs(*self.sizes)

    def ranking(self) -> Any:
        """Rank items for users, by a model."""
        return md.rank_metrics(self.factors(), self.pairs(), self.pairs(), k=2)

    def importance(self) -> Any:
        """Measure what the columns of a model are worth."""
        return md.importance(self.for_schema(), self.clicks().test, self.schema(), repeats=2)

    def layer(self) -> md.Module:
        """Take a layer or a model from the list of cases, as it is."""
        return copy.deepcopy(self.pick(*layers()))

    def given(self, name: str) -> Path:
        """Name a file that a reader reads, or the folder of ratings."""
        self.paths.append(str(folder()))
        return folder() / name

    def file(self) -> Path:
        """Name a file in a new folder; half of them hold a checkpoint."""
        path = Path(tempfile.mkdtemp(prefix="campaign-")) / "m.safetensors"
        self.paths.append(str(path))
        if self.rng.random() < 0.7:
            model, schema = self.for_schema(), self.schema()
            md.save(model, path, self.pick(None, self.optimizer()), self.pick(None, schema))
        return path


ROWS = 40
TABLE = {
    "click": [0, 1] * (ROWS // 2),
    "price": [float(k) for k in range(ROWS)],
    "city": ["Ulm", "Rom", "Ulm", "Bonn"] * (ROWS // 4),
    "tags": ["a|b", "", "b", "c|a|b"] * (ROWS // 4),
}


@functools.cache
def clicks(bags: bool) -> md.Dataset:
    """Read the table; a Dataset is not changed by those who use it."""
    keys = {"label": "click", "dense": ["price"], "sparse": ["city"], "progress": False}
    return md.data.read_table(TABLE, **keys, **({"bags": {"tags": "|"}} if bags else {}))


@functools.cache
def layers() -> list[md.Module]:
    """Return every module of the one list of cases."""
    return [module for _, module, _ in cases.everything(0)]


@functools.cache
def folder() -> Path:
    """Make a folder with a right file for each reader."""
    home = Path(tempfile.mkdtemp(prefix="campaign-files-"))
    ratings = [f"{u},{m},{1 + m % 5},{10 * u + m}" for u in range(1, 6) for m in range(u, u + 5)]
    movies = [f"{m},F ({1990 + m}),Drama|War" for m in range(150)]
    names = ["label", *(f"I{k}" for k in range(1, 14)), *(f"C{k}" for k in range(1, 27))]
    clicks = [",".join([str(k % 2), *["5"] * 13, *["68fd1e64"] * 26]) for k in range(28)]
    table = [",".join(map(str, row)) for row in zip(*TABLE.values(), strict=True)]
    files = {
        "ratings.csv": ["userId,movieId,rating,timestamp", *ratings],
        "movies.csv": ["movieId,title,genres", *movies],
        "criteo.csv": [",".join(names), *clicks],
        "rows.libfm": ["1 3:1 7:1", "0 4:1 7:1"] * 14,
        "table.csv": [",".join(TABLE), *table],
        "profile.log": ["3,1,2", "0,1,3", "0.5,0.75,1.0"],
        "trace.log": ["3, 1, 3, 2, 1"],
        "table.toml": ['source = "table.csv"', 'label = "click"', 'sparse = ["city"]'],
    }
    for name, lines in files.items():
        (home / name).write_text("\n".join(lines) + "\n")
    return home


class Result(NamedTuple):
    """What `compare` returns, as far as it is drawn."""

    title: str
    curve: list[tuple[float, float]]


def optimizers() -> list[type]:
    """Return every public optimizer."""
    found = [getattr(md, name) for name in md.__all__]
    base = md.optim.Optimizer
    return [v for v in found if inspect.isclass(v) and issubclass(v, base) and v is not base]


GOOD: dict[str, Callable[[Scene], Any]] = {
    # sizes
    **dict.fromkeys(["num_dense"], lambda s: s.num_dense),
    **dict.fromkeys(["embedding_dim", "in_features", "out_features"], lambda s: s.dim),
    **dict.fromkeys(["num_features", "num_inputs", "num_maps"], lambda s: 3),
    **dict.fromkeys(["num_layers", "num_cross_layers", "rank", "cross_rank"], lambda s: 2),
    **dict.fromkeys(["num_embeddings", "num_categories"], lambda s: 7),
    **dict.fromkeys(["num_collisions", "qr_collisions", "qr_threshold"], lambda s: 4),
    **dict.fromkeys(["table_sizes"], lambda s: list(s.sizes)),
    **dict.fromkeys(["mlp", "bottom_mlp", "top_mlp", "cin_layers", "layers"], lambda s: (4, 2)),
    **dict.fromkeys(["sizes"], lambda s: [s.dim, 4, 2]),
    **dict.fromkeys(["crosses"], lambda s: [(0, 1)]),
    **dict.fromkeys(["cross_buckets"], lambda s: 5),
    **dict.fromkeys(["batch_size", "epochs", "k", "step", "steps"], lambda s: 2),
    **dict.fromkeys(["eval_every", "patience", "max_checks"], lambda s: 3),
    **dict.fromkeys(["seed", "start_epoch"], lambda s: 0),
    # words
    **dict.fromkeys(["mode", "pooling"], lambda s: s.pick("sum", "mean")),
    **dict.fromkeys(["operation", "qr_operation"], lambda s: s.pick("mult", "add", "concat")),
    **dict.fromkeys(["interaction"], lambda s: s.pick("dot", "cat", "cross")),
    **dict.fromkeys(["cross", "form", "kind"], lambda s: s.pick("matrix", "vector")),
    **dict.fromkeys(["structure"], lambda s: s.pick("parallel", "stacked")),
    **dict.fromkeys(["activation"], lambda s: s.pick(None, "relu")),
    **dict.fromkeys(["reduction"], lambda s: s.pick("mean", "sum", "none")),
    **dict.fromkeys(["task"], lambda s: s.pick("clicks", "ratings")),
    **dict.fromkeys(["layout"], lambda s: s.pick("facebookresearch", "torchrec", "fuxictr")),
    **dict.fromkeys(["name", "description", "title", "prefix"], lambda s: "weight"),
    **dict.fromkeys(["feature_names"], lambda s: [f"c{k}" for k in range(s.num_dense + 2)]),
    # switches
    **dict.fromkeys(["bias", "biases", "split_half", "self_interaction"], lambda s: s.pick(0, 1)),
    **dict.fromkeys(["diagonal", "last_activation", "drop_last"], lambda s: s.pick(True, False)),
    **dict.fromkeys(["include_last_offset"], lambda s: s.pick(True, False)),
    **dict.fromkeys(["progress", "verbose"], lambda s: False),
    # numbers
    **dict.fromkeys(["lr", "factor", "pos_weight", "max_grad_norm"], lambda s: 0.1),
    **dict.fromkeys(["momentum", "beta", "noise", "mean"], lambda s: 0.5),
    **dict.fromkeys(["l1", "l2", "weight_decay", "reg", "end_lr"], lambda s: 0.01),
    **dict.fromkeys(["eps"], lambda s: 1e-8),
    **dict.fromkeys(["betas"], lambda s: (0.9, 0.99)),
    # arrays
    **dict.fromkeys(["x", "u", "v", "x0", "z"], lambda s: s.floats(s.rows, s.dim)),
    **dict.fromkeys(["label", "labels"], lambda s: s.label()),
    **dict.fromkeys(
        ["logit", "logits", "score", "prediction", "target"], lambda s: s.floats(s.rows)
    ),
    **dict.fromkeys(["scores"], lambda s: s.floats(s.rows, 4)),
    **dict.fromkeys(["dense"], lambda s: s.floats(s.rows, s.num_dense)),
    **dict.fromkeys(["sparse"], lambda s: s.pick(s.ids(), s.jagged())),
    **dict.fromkeys(["value", "grad"], lambda s: s.floats(7, s.dim)),
    **dict.fromkeys(["shape"], lambda s: (7, s.dim)),
    **dict.fromkeys(["which"], lambda s: [1, 0]),
    **dict.fromkeys(["key"], lambda s: (slice(0, 1), s.rows)),
    **dict.fromkeys(["threshold", "collisions"], lambda s: 4),
    **dict.fromkeys(["other"], lambda s: s.sparse_grad()),
    **dict.fromkeys(["num_tables"], lambda s: len(s.sizes)),
    **dict.fromkeys(["offsets"], lambda s: np.array([0, 2, 2, 3, 5])),
    **dict.fromkeys(["dtype"], lambda s: s.dtype),
    **dict.fromkeys(["rng"], lambda s: np.random.default_rng(int(s.rng.integers(9)))),
    **dict.fromkeys(["trace"], lambda s: s.rng.integers(0, 9, 20)),
    **dict.fromkeys(["binary", "fixed", "round_labels"], lambda s: s.pick(True, False)),
    **dict.fromkeys(["ids_per_bag", "exponent"], lambda s: 2),
    **dict.fromkeys(["distribution"], lambda s: s.pick("uniform", "normal", "zipf")),
    # of tables and rankings
    **dict.fromkeys(["shared"], lambda s: ()),
    **dict.fromkeys(["bag_mode"], lambda s: s.pick("sum", "mean")),
    **dict.fromkeys(["schema"], lambda s: s.schema()),
    **dict.fromkeys(["source"], lambda s: md.data.open_source(TABLE)),
    **dict.fromkeys(["column"], lambda s: "city"),
    **dict.fromkeys(["users", "user_ids"], lambda s: s.rng.integers(0, 7, 3)),
    **dict.fromkeys(["items"], lambda s: s.rng.integers(0, 4, 3)),
    **dict.fromkeys(["ratings"], lambda s: s.floats(3)),
    **dict.fromkeys(["held_out", "seen", "pairs"], lambda s: s.pick(s.pairs(), s.ratings())),
    **dict.fromkeys(["catalogue"], lambda s: s.pick(None, s.catalogue())),
    **dict.fromkeys(["candidates"], lambda s: s.pick(None, s.pairs(), np.array([0, 2, 3]))),
    **dict.fromkeys(["popularity", "counts"], lambda s: s.rng.integers(0, 9, 4)),
    **dict.fromkeys(["num_users"], lambda s: s.sizes[0]),
    **dict.fromkeys(["num_items"], lambda s: s.sizes[1]),
    **dict.fromkeys(["min_count", "repeats", "num_negatives"], lambda s: 2),
    **dict.fromkeys(["first", "second"], lambda s: np.linspace(0, 1, 5)),
    **dict.fromkeys(["weight", "sample_weight"], lambda s: np.abs(s.floats(s.rows)) + 0.1),
    **dict.fromkeys(["output"], lambda s: s.floats(s.rows)),
    **dict.fromkeys(["rtol", "atol", "test_share"], lambda s: 0.1),
    **dict.fromkeys(["method"], lambda s: s.pick("auto", "complex", "central")),
    **dict.fromkeys(["phase"], lambda s: s.pick("forward", "backward")),
    **dict.fromkeys(["drop_users", "root", "resume", "labelled"], lambda s: s.pick(True, False)),
    **dict.fromkeys(["encoding"], lambda s: "utf-8"),
    **dict.fromkeys(["delimiter"], lambda s: s.pick(None, ",")),
    **dict.fromkeys(["cache_dir"], lambda s: s.given("cache")),
    **dict.fromkeys(["hash_size", "order", "num_layers"], lambda s: 2),
    **dict.fromkeys(["start", "most"], lambda s: 1),
    **dict.fromkeys(["checkpoint_every"], lambda s: 1),
    **dict.fromkeys(["on_bad_line"], lambda s: s.pick("error", "skip")),
    **dict.fromkeys(["dataset"], lambda s: s.dataset()),
    **dict.fromkeys(["options"], lambda s: {}),
    # objects
    **dict.fromkeys(["train", "valid", "test", "data", "batch"], lambda s: s.batch()),
    **dict.fromkeys(["model"], lambda s: s.model()),
    **dict.fromkeys(["optimizer"], lambda s: s.optimizer()),
    **dict.fromkeys(["loss"], lambda s: md.BCEWithLogits()),
    **dict.fromkeys(["parameters"], lambda s: [s.parameter(), s.parameter()]),
    **dict.fromkeys(
        ["groups"], lambda s: [(s.optimizer(), [s.parameter()]), (s.optimizer(), [s.parameter()])]
    ),
    **dict.fromkeys(["path", "checkpoint"], lambda s: s.file()),
    **dict.fromkeys(["state"], lambda s: s.model().state_dict()),
}
OF: dict[tuple[str, str], Callable[[Scene], Any]] = {  # where a name means another thing
    ("SparseGrad", "rows"): lambda s: np.unique(s.rng.integers(0, 7, 3)),
    ("SparseGrad", "values"): lambda s: s.floats(3, s.dim),
    ("Jagged", "values"): lambda s: s.rng.integers(0, 4, 5),
    ("Jagged", "weights"): lambda s: s.pick(None, s.floats(5)),
    ("synthetic_clicks", "rows"): lambda s: 30,
    ("synthetic_clicks", "num_tables"): lambda s: 3,
    ("Batch", "t"): lambda s: s.pick(0, 1),
    ("Batch", "label"): lambda s: s.label(),
    ("Batch", "num_tables"): lambda s: len(s.sizes),
    ("read_criteo", "path"): lambda s: s.given("criteo.csv"),
    ("read_criteo", "rows"): lambda s: 20,
    ("read_criteo", "vocabulary"): lambda s: None,
    ("read_described", "path"): lambda s: s.given("table.toml"),
    ("movielens_clicks", "path"): lambda s: s.given("."),
    ("movielens_ratings", "path"): lambda s: s.given("ratings.csv"),
    ("movielens_ratings", "split"): lambda s: s.pick("random", "time"),
    ("movielens_ranking", "path"): lambda s: s.given("."),
    ("open_source", "rows"): lambda s: s.pick(
        TABLE, s.given("table.csv"), str(s.given("table.csv"))
    ),
    ("open_source", "column_names"): lambda s: None,
    **{
        ("read_table", name): value
        for name, value in {
            "source": lambda s: s.pick(TABLE, str(s.given("table.csv"))),
            "label": lambda s: "click",
            "dense": lambda s: ["price"],
            "sparse": lambda s: ["city"],
            "bags": lambda s: {"tags": "|"},
            "bag_weights": lambda s: None,
            "padding": lambda s: None,
            "share": lambda s: None,
            "sample_weight": lambda s: None,
            "cache_dir": lambda s: None,
            "transform": lambda s: s.pick("standardize", "log", "none"),
            "split": lambda s: s.pick("random", "order"),
            "fractions": lambda s: (0.5, 0.3, 0.2),
            "time": lambda s: None,
            "user": lambda s: None,
            "split_column": lambda s: None,
            "schema": lambda s: None,
            "column_names": lambda s: None,
        }.items()
    },
    ("Schema", "columns"): lambda s: s.schema().columns,
    ("Schema", "label"): lambda s: "click",
    ("Schema", "sample_weight"): lambda s: None,
    ("Schema", "rows"): lambda s: s.pick(TABLE, [{"price": 1.0, "city": "Rom", "tags": "a"}]),
    ("Schema", "batch"): lambda s: s.clicks().test,
    ("Schema", "plain"): lambda s: s.schema().state()[0],
    ("Schema", "arrays"): lambda s: s.schema().state()[1],
    ("Schema", "data"): lambda s: {
        name: pa.chunked_array([pa.array(column)]) for name, column in TABLE.items()
    },
    ("Schema", "place"): lambda s: None,
    ("fit", "checkpoint_every"): lambda s: None,
    ("fit", "resume"): lambda s: False,
    ("Schema", "name"): lambda s: s.pick("city", "price"),
    ("evaluate_rows", "model"): lambda s: s.for_schema(),
    ("scores", "model"): lambda s: s.for_schema(),
    ("scores", "keep"): lambda s: s.pick(None, "city"),
    ("similar", "model"): lambda s: s.for_schema(),
    ("similar", "value"): lambda s: s.pick("Ulm", "Rom"),
    ("importance", "model"): lambda s: s.for_schema(),
    ("importance", "data"): lambda s: s.clicks().test,
    ("importance", "names"): lambda s: s.pick(s.schema(), s.schema().feature_names),
    ("importance", "pairs"): lambda s: s.pick(True, False),
    ("fold_in", "model"): lambda s: s.factors(),
    ("rank_metrics", "model"): lambda s: s.pick(s.factors(), s.floats(*s.sizes)),
    ("rank_metrics", "train"): lambda s: s.pick(s.pairs(), s.ratings()),
    ("rank_metrics", "seen"): lambda s: s.pick("out", "in"),
    ("rank_metrics", "times"): lambda s: None,
    ("rank_metrics", "split"): lambda s: "",
    ("recommend", "model"): lambda s: s.factors(),
    ("Catalogue", "users"): lambda s: s.rng.integers(0, 7, 3) if s.owner else s.catalogue().users,
    ("Catalogue", "items"): lambda s: s.rng.integers(0, 4, 3) if s.owner else s.catalogue().items,
    ("Catalogue", "model"): lambda s: s.factors(),
    ("Catalogue", "names"): lambda s: ("a", "b", "c", "d"),
    ("Catalogue", "item_tables"): lambda s: [1],
    ("Catalogue", "item_dense"): lambda s: [],
    ("Catalogue", "user_table"): lambda s: 0,
    ("Catalogue", "item_table"): lambda s: 1,
    ("predict", "logits"): lambda s: s.pick(True, False),
    ("scores", "logits"): lambda s: s.pick(True, False),
    ("DLRM", "cross_rank"): lambda s: None,
    ("Catalogue", "item"): lambda s: None,
    ("Profile", "accesses"): lambda s: [3, 1, 2],
    ("Profile", "distances"): lambda s: [0, 1, 3],
    ("Profile", "shares"): lambda s: np.array([0.5, 0.75, 1.0]),
    ("Profile", "n"): lambda s: 10,
    ("Profile", "lru"): lambda s: s.pick(True, False),
    ("Profile", "trace"): lambda s: s.rng.integers(0, 9, 20),
    ("Profile", "path"): lambda s: s.given("profile.log"),
    ("lru_misses", "rows"): lambda s: 3,
    ("read_trace", "path"): lambda s: s.given("trace.log"),
    ("random_bags", "rows"): lambda s: 20,
    ("random_bags", "mean"): lambda s: None,
    ("random_bags", "deviation"): lambda s: None,
    ("random_bags", "dense"): lambda s: s.pick("uniform", "normal"),
    ("Catalogue", "data"): lambda s: s.dataset(),
    ("learning_curve", "history"): lambda s: md.fit(s.model(), s.batch(), progress=False),
    ("quality_against_cost", "records"): lambda s: [
        {"model": "DLRM", "flops": 9, "score": 0.5, "score_std": 0.01, "noise": False}
    ],
    ("quality_against_cost", "score"): lambda s: "log loss",
    ("learning_curves", "results"): lambda s: [Result("DLRM", [(1.0, 0.6), (2.0, 0.5)])],
    ("learning_curves", "score"): lambda s: "log loss",
    ("cost_against_fields", "entries"): lambda s: [s.pick(md.MODELS["fm"], md.MODELS["dcn"])],
    ("order_heat_map", "shares"): lambda s: np.array([[0.9, 0.1], [0.5, 0.0]]),
    ("order_heat_map", "models"): lambda s: ["LR", "FM"],
    ("order_heat_map", "orders"): lambda s: ["1", "2"],
    ("gradient_errors", "check"): lambda s: md.gradcheck(
        md.Sigmoid(), s.floats(2, 3), verbose=False
    ).arrays[0],
    ("Unseen", "batch"): lambda s: s.clicks().test,
    ("History", "name"): lambda s: "train_loss",
    ("RankMetrics", "metric"): lambda s: s.pick("ndcg", "mrr"),
    ("sgd_epoch", "data"): lambda s: s.ratings(),
    **{(name, "data"): lambda s: s.films() for name in ("MatrixFactorization", "GMF", "NeuMF")},
    ("explore", "model"): lambda s: md.DLRM.for_data(
        s.clicks(), embedding_dim=3, bottom_mlp=(4,), top_mlp=(4,)
    ),
    ("explore", "batch"): lambda s: s.clicks().test,
    ("SparseGrad", "parts"): lambda s: [s.sparse_grad(), s.sparse_grad()],
    ("miss_rate", "rows"): lambda s: np.array([1, 3]),
    ("Module", "draw"): lambda s: np.zeros,
    ("Module", "input"): lambda s: s.rng.integers(0, 4, (s.rows, 2)),
    ("Module", "bags"): lambda s: md.Jagged(s.rng.integers(0, 4, 5), np.array([0, 2, 5])),
    ("OptimizerGroup", "parameters"): lambda s: s.owner.groups[0][1],
    ("movielens_ranking", "num_negatives"): lambda s: 2,
    ("MatrixFactorization", "batch"): lambda s: s.ratings(),
    ("ModelEntry", "cls"): lambda s: md.DCN,
    ("ModelEntry", "unit"): lambda s: "bit",
    ("ModelEntry", "order"): lambda s: "any",
    ("Module", "data"): lambda s: s.dataset(),
    ("Module", "z"): lambda s: s.floats(2, 4, 3),
    ("Module", "dy"): lambda s: s.floats(s.rows, s.dim),
    ("Module", "state"): lambda s: s.owner.state_dict(),
    ("Module", "prefix"): lambda s: "a",
    ("Module", "t"): lambda s: 0,
    ("Optimizer", "parameters"): lambda s: [s.parameter()],
    ("from_layout", "weight"): lambda s: s.floats(4, 6),
    ("Batch", "rows"): lambda s: s.pick(slice(0, 2), np.array([0, 0])),
    ("read_libfm", "train"): lambda s: s.given("rows.libfm"),
    ("read_libfm", "valid"): lambda s: None,
    ("read_libfm", "test"): lambda s: None,
    ("difference", "said"): lambda s: s.floats(3),
    ("difference", "wanted"): lambda s: s.floats(3),
    ("rmse", "target"): lambda s: s.floats(s.rows),
    ("gradcheck", "target"): lambda s: md.Sigmoid(),
    ("assert_gradients", "target"): lambda s: md.Sigmoid(),
    ("optimcheck", "optimizer"): lambda s: s.optimizer(),
    ("warmup_decay", "num_warmup_steps"): lambda s: 3,
    ("warmup_decay", "decay_start_step"): lambda s: 4,
    ("warmup_decay", "num_decay_steps"): lambda s: 5,
    ("evaluate", "kind"): lambda s: s.pick("clicks", "ratings"),
    ("trace", "batch"): lambda s: s.batch(),
    ("copy_state", "own"): lambda s: {"weight": np.zeros(2)},
    ("copy_state", "state"): lambda s: {"weight": np.ones(2)},
    **{
        (name, "model"): lambda s: md.DLRM(s.num_dense, s.sizes, s.dim, (s.dim,), (4,))
        for name in ("from_layout", "to_layout", "reference_state", "load_reference_state")
    },
    ("load_reference_state", "state"): lambda s: md.interop.reference_state(
        md.DLRM(s.num_dense, s.sizes, s.dim, (s.dim,), (4,))
    ),
    ("ArrayCheck", "shape"): lambda s: (2,),
}


def good(owner: str, name: str, scene: Scene) -> Any:
    """Return a right value for an argument; None, where its name says nothing."""
    makers = [OF.get((word, name)) for word in reversed(owner.split())]
    make = next(filter(None, [*makers, GOOD.get(name)]), None)
    return make(scene) if make else None


# Hostile values


def _moved(array: np.ndarray, rng: np.random.Generator, value: Any) -> np.ndarray:
    """Return a copy with one entry replaced, where its dtype holds the value."""
    array = array.copy()
    if array.size:
        try:
            array.flat[int(rng.integers(array.size))] = value
        except (ValueError, OverflowError, TypeError):
            array.flat[0] = -1 if array.dtype.kind == "i" else 0
    return array


def _readonly(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


def _mapped(array: np.ndarray) -> np.ndarray:
    if not array.size or array.dtype.hasobject:  # a file of addresses is no array
        return array
    with tempfile.TemporaryFile() as file:
        file.write(array.tobytes())
        file.flush()
        return np.memmap(file, array.dtype, "r", 0, array.shape)


def _strided(array: np.ndarray) -> np.ndarray:
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    wide[..., ::2] = array
    return wide[..., ::2]


DTYPES = [
    *("float16", "float32", "float64", "longdouble", "complex128", "bool", "object", "str"),
    *("int8", "uint8", "int32", "int64", "uint64", ">f8", ">f4", ">i8", ">i4"),
]
ARRAYS: dict[str, Callable[[np.ndarray, np.random.Generator], Any]] = {
    **{f"as {t}": lambda a, rng, t=t: a.astype(t) for t in DTYPES},
    "nan": lambda a, rng: _moved(a, rng, np.nan),
    "infinity": lambda a, rng: _moved(a, rng, np.inf),
    "-1": lambda a, rng: _moved(a, rng, -1),
    "2": lambda a, rng: _moved(a, rng, 2),
    "2**40": lambda a, rng: _moved(a, rng, 2**40),
    "-2**62": lambda a, rng: _moved(a, rng, -(2**62)),
    "1e30": lambda a, rng: a * 1e30 if a.dtype.kind == "f" else a,
    "zeros": lambda a, rng: np.zeros_like(a),
    "Fortran order": lambda a, rng: np.asfortranarray(a),
    "strided": lambda a, rng: _strided(a) if a.ndim else a,
    "memory-mapped": lambda a, rng: _mapped(a),
    "datetimes": lambda a, rng: a.astype("datetime64[s]"),
    "a generator": lambda a, rng: (x for x in a.tolist()) if a.ndim else a,
    "a set": lambda a, rng: set(a.ravel().tolist()),
    "a dict": lambda a, rng: dict(enumerate(a.ravel().tolist())),
    "ragged": lambda a, rng: [[1.0], [1.0, 2.0]],
    "bytes": lambda a, rng: a.tobytes(),
    "structured": lambda a, rng: np.zeros(a.shape, [("a", "f4")]),
    "matrix": lambda a, rng: np.asmatrix(a) if a.ndim == 2 else a,
    "reversed view": lambda a, rng: a[::-1] if a.ndim else a,
    "read-only": lambda a, rng: _readonly(a),
    "masked": lambda a, rng: np.ma.masked_array(a, rng.random(a.shape) < 0.3),
    "a list": lambda a, rng: a.tolist(),
    "a tuple": lambda a, rng: tuple(a.tolist()) if a.ndim else a,
    "one row less": lambda a, rng: a[:-1] if a.ndim else a,
    "one row more": lambda a, rng: np.concatenate([a, a[:1]]) if a.ndim else a,
    "no rows": lambda a, rng: a[:0] if a.ndim else a,
    "no columns": lambda a, rng: a[..., :0] if a.ndim else a,
    "an axis more": lambda a, rng: a[None],
    "an axis less": lambda a, rng: a[0] if len(a.shape) and len(a) else a,
    "transposed": lambda a, rng: a.T,
    "flat": lambda a, rng: a.ravel(),
    "a number": lambda a, rng: a.flat[0] if a.size else 0,
    "None": lambda a, rng: None,
    "text": lambda a, rng: "abc",
}
PLAIN: list[Any] = [
    *(-1, 0, 1, 2, 3, 5, 1.5, -0.5, 0.0, 1e-30, float("nan"), float("inf"), True, False, None),
    *("", "abc", "sum", [], [0], [1, 2], (), (4,), (-1, 2), [0.5], ["a"], [None], {}),
    *(np.int64(3), np.int32(2), np.uint8(1), np.float32(0.5), np.bool_(True), np.array(2)),
    *(np.array([2, 3]), 2.0, np.float64("nan"), 10**20, -(10**20), 10**400, 2**40, 10**13),
    *(b"abc", 1j, object(), range(2), slice(0, 1), np.datetime64("2020-01-01"), float("-inf")),
    *(np.array(["a"]), np.array([None]), np.zeros((0, 2)), {"a": 1}, {1, 2}, "2", [[0, 1]]),
]


def hostile(value: Any, scene: Scene) -> tuple[str, Any]:
    """Return what was done to a value, and the value."""
    rng = scene.rng
    if scene.tame:
        return "right", value
    if isinstance(value, np.ndarray):
        word = scene.turn(*ARRAYS)
        with np.errstate(all="ignore"):
            try:
                return word, ARRAYS[word](value, rng)
            except (ValueError, TypeError, OverflowError):
                return "zeros", np.zeros_like(value)
    for kind, parts in PARTS.items():
        if isinstance(value, kind) and scene.chance(0.8):
            return _part(value, parts, scene)
    if isinstance(value, OBJECTS) or (callable(value) and not isinstance(value, type)):
        if scene.chance(0.3):
            other = scene.turn(*OTHERS)(scene)
            return f"a {type(other).__name__}", other
    elif isinstance(value, (list, tuple)) and len(value) and scene.chance(0.6):
        return _items(value, scene)
    elif isinstance(value, dict) and value and scene.chance(0.8):
        key = list(value)[scene.which(len(value))]
        word, other = hostile(value[key], scene)
        return f"{key}: {word}", {**value, key: other}
    chosen = scene.turn(*PLAIN)
    return repr(chosen), chosen


OBJECTS = (md.Module, md.optim.Optimizer, md.OptimizerGroup, md.Batch, md.Jagged, md.Dataset)
OTHERS = (Scene.batch, Scene.jagged, Scene.dataset, Scene.model, Scene.optimizer, Scene.schema)
PARTS: dict[type, tuple[str, ...]] = {
    md.Jagged: ("values", "offsets", "weights"),
    md.Batch: ("dense", "sparse", "label", "weight"),
    md.SparseGrad: ("rows", "values", "shape"),
    md.Dataset: ("train", "valid", "test", "table_sizes", "feature_names", "task"),
}


def _items(value: Any, scene: Scene) -> tuple[str, Any]:
    """Change a list in one of its items, its length, or its type."""
    items, k = list(value), scene.which(len(value))
    word = scene.turn("item", "twice", "one less", "generator", "array", "set", "numpy items")
    if word == "item":
        what, items[k] = hostile(items[k], scene)
        again = getattr(value, "_make", type(value))  # of a named tuple
        return f"[{k}]: {what}", again(items)
    if word == "twice":
        return word, [*items, items[k]]
    if word == "one less":
        return word, [*items[:k], *items[k + 1 :]]
    if word == "generator":
        return word, (item for item in items)
    if word == "numpy items" and all(isinstance(item, int) and abs(item) < 2**31 for item in items):
        return word, [np.int32(item) for item in items]
    try:
        return word, np.array(items) if word == "array" else {*items}
    except (TypeError, ValueError):
        return "twice", [*items, items[k]]


def _part(value: Any, names: tuple[str, ...], scene: Scene) -> tuple[str, Any]:
    """Make the object anew, with one of its parts changed."""
    name = scene.turn(*names)
    parts = {each: getattr(value, each) for each in names}
    if parts[name] is None:
        return "right", value
    word, parts[name] = hostile(parts[name], scene)
    scene.names |= {type(value).__name__, *names}
    made = {each: getattr(value, each) for each in inspect.signature(type(value)).parameters}
    return f"{name}: {word}", type(value)(**{**made, **parts})
