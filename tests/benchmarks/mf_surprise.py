"""Matrix factorization and FM beside Surprise's SVD: RMSE and time of an epoch, in one run.

    pip install scikit-surprise
    python tests/benchmarks/mf_surprise.py FOLDER_OF_MOVIELENS [--splits 15]

The same ratings, split, factors, rates, penalties and epochs for both; 10% random test rows.
"""

import argparse
import time

import numpy as np
from surprise import SVD, Dataset, Reader

import minidlrm as md
from minidlrm import recipes


def surprise_svd(ratings, train, seed):
    """Train Surprise's SVD with the settings of `recipes.train_mf`; return its test RMSE."""
    low, high = float(train.label.min()), float(train.label.max())
    rows = [(u, i, float(r), None) for (u, i), r in zip(train.sparse, train.label, strict=True)]
    rating_scale = Reader(rating_scale=(low, high))
    known = Dataset(rating_scale).construct_trainset(rows)
    model = SVD(recipes.FACTORS, recipes.EPOCHS, lr_all=0.01, reg_all=0.1, random_state=seed)
    start = time.perf_counter()
    model.fit(known)
    seconds = time.perf_counter() - start
    guess = [model.predict(u, i).est for u, i in ratings.test.sparse]  # clipped to the scale
    return md.metrics.rmse(np.asarray(ratings.test.label), np.array(guess)), seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="MovieLens ratings")
    parser.add_argument("--splits", type=int, default=15)
    options = parser.parse_args()
    first = md.data.movielens_ratings(options.folder)
    recipes.train_mf(first, epochs=1)  # compiles
    scores, seconds = [], []
    print("| split | MF | FM | Surprise SVD |\n| --- | --- | --- | --- |")
    for seed in range(options.splits):
        ratings = md.data.movielens_ratings(options.folder, seed=seed)
        train = recipes.all_training_rows(ratings)
        start = time.perf_counter()
        model = recipes.train_mf(ratings, seed)
        ours = time.perf_counter() - start
        theirs, their_seconds = surprise_svd(ratings, train, seed)
        fm = recipes.rating_rmse(recipes.train_fm(ratings, seed), ratings)
        scores.append((recipes.rating_rmse(model, ratings), fm, theirs))
        seconds.append((ours, their_seconds))
        print(f"| {seed} |" + "|".join(f" {x:.4f} " for x in scores[-1]) + "|", flush=True)
    report(np.array(scores), 1e3 * np.median(seconds, axis=0) / recipes.EPOCHS)


def report(scores, ms):
    mf, fm, theirs = scores.mean(axis=0)
    print(f"| mean | {mf:.4f} | {fm:.4f} | {theirs:.4f} |\n")
    error = np.std(scores[:, 0] - scores[:, 2], ddof=1) / len(scores) ** 0.5
    print(f"MF against Surprise: {mf - theirs:+.4f} RMSE, standard error {error:.4f}")
    print(f"FM against MF: {fm - mf:+.4f} RMSE, at most 0.005 wanted")
    print(f"an epoch: {ms[0]:.1f} ms against {ms[1]:.1f} ms, {ms[1] / ms[0]:.1f} times as fast")


if __name__ == "__main__":
    main()
