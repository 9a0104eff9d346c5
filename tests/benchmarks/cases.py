"""What is measured: models, their sizes, and the rows that every side is given.

A case is a model at a batch size. Each side of a case gets the same rows and the same weights.
"""

from dataclasses import dataclass

import numpy as np

import minidlrm as md

# The vocabulary of the Criteo Kaggle data as the reference implementation counts it: 33,762,577.
KAGGLE = [
    1460, 583, 10131227, 2202608, 305, 24, 12517, 633, 3, 93145, 5683, 8351593, 3194,
    27, 14992, 5461306, 10, 5652, 2173, 4, 7046547, 18, 15, 286181, 105, 142572,
]  # fmt: skip
LARGEST = 100_000  # rows of a table: larger ones do not fit six times into a laptop
DENSE, DIM = 13, 16
MLP = (400, 400, 400)
CROSSES = [(5, 8), (16, 19)]  # small tables, so that the crossed ones are exact
PAIR = [100_000, 20_000]  # users and items
LIGHT = ("lr", "fm", "mf", "gmf", "neumf")  # a step takes milliseconds: more of them make a round
LR = 0.1
MORE = 5  # times as many rounds: neighbours slow memory down for longer than a short round

BUILD = {  # by the names of `MODELS`
    "lr": lambda n, t: md.LogisticRegression(n, t),
    "fm": lambda n, t: md.FactorizationMachine(n, t, DIM),
    "mlp": lambda n, t: md.MLPModel(n, t, DIM, MLP),
    "wide-deep": lambda n, t: md.WideDeep(n, t, DIM, MLP, crosses=CROSSES),
    "deepfm": lambda n, t: md.DeepFM(n, t, DIM, MLP),
    "dcn": lambda n, t: md.DCN(n, t, DIM, 3, "vector", MLP),
    "dcn-v2": lambda n, t: md.DCN(n, t, DIM, 3, "matrix", MLP),
    "xdeepfm": lambda n, t: md.XDeepFM(n, t, DIM, (16, 16), MLP),
    "dlrm": lambda n, t: md.DLRM(n, t, DIM, (512, 256, 64), (512, 256)),
    "mf": lambda n, t: md.MatrixFactorization(t, 50),
    "gmf": lambda n, t: md.GMF(t, 32),
    "neumf": lambda n, t: md.NeuMF(t, 32, (64, 32, 16)),
}


@dataclass(frozen=True)
class Case:
    """A model at a batch size."""

    model: str
    batch_size: int
    round: int = 0  # steps of a round; 0: as many as take some tenths of a second

    @property
    def table_sizes(self) -> list[int]:
        """The tables: users and items, or those of Criteo Kaggle, none too large."""
        pairs = md.MODELS[self.model].pairs_only
        return PAIR if pairs else [min(size, LARGEST) for size in KAGGLE]

    @property
    def num_dense(self) -> int:
        """Dense features."""
        return 0 if md.MODELS[self.model].pairs_only else DENSE

    @property
    def steps(self) -> int:
        """Steps of a round, each with rows of its own."""
        if self.round:
            return self.round
        rows = 204_800 if self.model in LIGHT else 40_960
        return max(20, min(200, rows // self.batch_size))  # of few, the first is felt: it is slow

    def rounds(self, rounds: int) -> int:
        """How many rounds, where others take so many: those of a light model are short."""
        return rounds * (MORE if self.model in LIGHT else 1)

    def build(self) -> md.Model:
        """Make the model; the same weights every time."""
        return BUILD[self.model](self.num_dense, self.table_sizes)

    def rows(self) -> md.Batch:
        """Make the rows of a round; the same every time."""
        rng, count = np.random.default_rng(0), self.steps * self.batch_size
        return md.Batch(
            rng.random((count, self.num_dense), dtype=np.float32),
            np.stack([rng.integers(0, n, count) for n in self.table_sizes], axis=1),
            (rng.random(count) < 0.25).astype(np.float32),
        )
