"""How the papers train their models: matrix factorization, FM on ratings, and NCF.

`fit` trains every model. Here are the settings that a paper, or its best known program, gives
for ratings and rankings: each in one function, and `RECIPES` lists what each model predicts.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minidlrm import metrics
from minidlrm.data.batch import Batch, Dataset
from minidlrm.data.rankings import RankingDataset
from minidlrm.losses import MSE
from minidlrm.models import GMF, FactorizationMachine, MatrixFactorization, NeuMF
from minidlrm.module import Module
from minidlrm.optim import SGD, Adam, Optimizer
from minidlrm.training import begin_at_the_mean, fit, predict

RECIPES = {"mf": "ratings", "fm": "ratings", "gmf": "rankings", "neumf": "rankings"}
FACTORS = 50
EPOCHS = 60
NCF_DIM, NCF_MLP = 16, (128, 64)
NEGATIVES = 4  # for each positive, in each epoch
_LR, _REG = 0.01, 0.1  # of one rating at a time
_FM_BATCH = 64


def all_training_rows(ratings: Dataset) -> Batch:
    """Join the training and the validation ratings: these recipes choose nothing.

    Parameters
    ----------
    ratings : Dataset
        From `movielens_ratings`.
    """
    parts = (ratings.train, ratings.valid)
    return Batch(
        *(
            np.concatenate([np.asarray(getattr(part, name)) for part in parts])
            for name in ("dense", "sparse", "label")
        )
    )


def train_mf(ratings: Dataset, seed: int = 0, epochs: int = EPOCHS) -> MatrixFactorization:
    """Train biased matrix factorization: SGD, one rating at a time, with L2.

    Fifty factors, η = 0.01, λ = 0.1, sixty epochs: the rule of Koren et al. 2009, with settings
    that suit some 100,000 ratings.

    Parameters
    ----------
    ratings : Dataset
        From `movielens_ratings`.
    seed : int
        Seed of the factors and of the order of the ratings.
    epochs : int
        Passes over the ratings.

    Returns
    -------
    MatrixFactorization
    """
    train = all_training_rows(ratings)
    model = MatrixFactorization(ratings.table_sizes, FACTORS, seed=seed)
    begin_at_the_mean(model, train)
    for epoch in range(epochs):
        model.sgd_epoch(train, _LR, _REG, seed=(seed, epoch))
    return model


def train_fm(ratings: Dataset, seed: int = 0, epochs: int = EPOCHS) -> FactorizationMachine:
    """Train a factorization machine on user and item by the rule of `train_mf`, in batches.

    On one-hot user and item an FM is biased matrix factorization. The squared error of a
    batch is a mean, so a step of η B / 2 on it moves a row that the batch has once as far as
    one step of `train_mf` does; and λ is 2 λ / B, for the same reason.

    Parameters
    ----------
    ratings, seed, epochs
        As in `train_mf`.

    Returns
    -------
    FactorizationMachine
    """
    train = all_training_rows(ratings)
    model = FactorizationMachine(0, ratings.table_sizes, FACTORS, seed=seed)
    factors = model.state_dict()["fields.tables.weight"]
    factors[...] = np.random.default_rng(seed).normal(0, 0.1, factors.shape)
    begin_at_the_mean(model, train)
    rule = SGD(_LR * _FM_BATCH / 2, weight_decay=2 * _REG / _FM_BATCH)
    fit(
        model,
        train,
        optimizer=rule,
        loss=MSE(),
        epochs=epochs,
        batch_size=_FM_BATCH,
        seed=seed,
        progress=False,
    )
    return model


def rating_rmse(model: Module, ratings: Dataset) -> float:
    """Return the RMSE on the test ratings; predictions are held to the range of the ratings.

    Parameters
    ----------
    model : Module
        Its outputs are ratings.
    ratings : Dataset
        From `movielens_ratings`.
    """
    known, test = np.asarray(ratings.train.label), ratings.test
    guess = np.clip(predict(model, test), known.min(), known.max())
    return metrics.rmse(np.asarray(test.label), guess)


def ncf_model(name: str, items: RankingDataset, seed: int = 0) -> GMF | NeuMF:
    """Make GMF or NeuMF in the size of this recipe.

    Parameters
    ----------
    name : "gmf" or "neumf"
        The model.
    items : RankingDataset
        From `movielens_ranking`.
    seed : int
        Seed of the parameters.
    """
    if name == "gmf":
        return GMF(items.table_sizes, NCF_DIM, seed=seed)
    return NeuMF(items.table_sizes, NCF_DIM, NCF_MLP, seed=seed)


def train_ncf(
    model: Module,
    items: RankingDataset,
    seed: int = 0,
    epochs: int = 10,
    progress: bool = True,
    optimizer: Optimizer | None = None,
    batch_size: int = 256,
) -> Iterator[dict[str, float]]:
    """Train GMF or NeuMF as He et al. 2017 do; yield the scores of each epoch.

    Four fresh random negatives for each positive in each epoch, Adam at 0.001, batches of 256.

    Parameters
    ----------
    model : Module
        Trained in place. Any model that takes users and items will do.
    items : RankingDataset
        From `movielens_ranking`.
    seed : int
        Seed of the negatives.
    epochs : int
        Passes over the positives.
    progress : bool
        Whether to show a progress bar for each epoch.
    optimizer : Optimizer, optional
        The default is ``Adam(0.001)``.
    batch_size : int
        Rows a step.

    Yields
    ------
    dict
        epoch, train_loss, valid_hit_rate, test_hit_rate, test_ndcg; among the first ten.
    """
    optimizer = optimizer or Adam(1e-3)
    for epoch in range(epochs):
        rows = items.with_negatives(NEGATIVES, seed=(seed, epoch))
        history = fit(
            model, rows, optimizer=optimizer, batch_size=batch_size, seed=epoch, progress=progress
        )
        valid, test = (ranking_scores(model, items, part) for part in ("valid", "test"))
        yield {
            "epoch": epoch + 1,
            "train_loss": history.records[-1]["train_loss"],
            "valid_hit_rate": valid["hit_rate"],
            "test_hit_rate": test["hit_rate"],
            "test_ndcg": test["ndcg"],
        }


def ranking_scores(model: Module, items: RankingDataset, part: str) -> dict[str, float]:
    """Return hit rate and NDCG among the first ten: the item left out among the others.

    Parameters
    ----------
    model : Module
        Its outputs rank items.
    items : RankingDataset
        From `movielens_ranking`.
    part : "valid" or "test"
        The rows to rank.
    """
    scores = items.scores(predict(model, getattr(items, part), logits=True))
    return {"hit_rate": metrics.hit_rate(scores), "ndcg": metrics.ndcg(scores)}
