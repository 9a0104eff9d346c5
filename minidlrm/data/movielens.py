"""MovieLens ratings in all their common forms: as ratings, as clicks, and as rankings.

Nothing is bundled. A folder (or its ratings file) of latest-small, 100K, or 1M is read as it
comes; GroupLens' terms are in its README.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from minidlrm.data.batch import Batch, Dataset, Jagged, split_in_time

# the ratings file: its delimiter, whether it has a header, and the movies file beside it
_FORMS = {
    "ratings.csv": (",", True, "movies.csv"),
    "u.data": ("\t", False, "u.item"),
    "ratings.dat": ("::", False, "movies.dat"),
}
_COLUMNS = ["userId", "movieId", "rating", "timestamp"]
_GENRES_100K = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime"),
    *("Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery"),
    *("Romance", "Sci-Fi", "Thriller", "War", "Western"),
)


@dataclass(frozen=True, eq=False)
class RatingIds:
    """The users and items of a ratings file, and their rows in the tables.

    Parameters
    ----------
    users, items : int64 arrays
        Raw ids, sorted; the row of an id is its place.

    Examples
    --------
    >>> import numpy as np
    >>> from minidlrm.data.movielens import RatingIds
    >>> ids = RatingIds(np.array([3, 8]), np.array([10, 20, 30]))
    >>> ids.encode(np.array([8]), np.array([30]))
    array([[1, 2]])
    """

    users: np.ndarray
    items: np.ndarray

    def encode(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Turn raw ids into rows (n, 2); IndexError names a user or item that is not known."""
        columns = []
        for name, known, raw in (("user", self.users, users), ("item", self.items, items)):
            raw = np.asarray(raw)
            place = np.minimum(np.searchsorted(known, raw), len(known) - 1)
            if (known[place] != raw).any():
                unknown = raw[(known[place] != raw).argmax()]
                raise IndexError(f"{name} {unknown} is not among the {len(known):,} known ones")
            columns.append(place)
        return np.stack(columns, axis=1)


@dataclass(frozen=True, eq=False)
class _Ratings:
    path: Path
    rows: np.ndarray  # (n, 2) int64
    rating: np.ndarray  # (n,) float32
    time: np.ndarray  # (n,) int64, seconds
    ids: RatingIds


def movielens_ratings(
    path: str | os.PathLike, *, split: str = "random", seed: int = 0, test_share: float = 0.1
) -> Dataset:
    r"""Read ratings for `MatrixFactorization` and the like: two tables, the rating as label.

    Parameters
    ----------
    path : path
        The folder, or its ratings file: ratings.csv (latest-small and others), u.data (100K),
        ratings.dat (1M).
    split : "random" or "time"
        Random rows for the test, or the latest.
    seed : int
        Of the random split.
    test_share : float
        Share of test rows. Half as many are held out for validation.

    Returns
    -------
    Dataset
        With no dense features. Its `vocabulary` is a `RatingIds`.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When a column is missing, a rating is not a number, or an option is out of range.

    Examples
    --------
    >>> import minidlrm as md
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> folder = Path(mkdtemp())
    >>> lines = [f"{user},{movie},{movie},{10 * user + movie}"
    ...          for user in range(1, 5) for movie in range(1, 6)]
    >>> lines = ["userId,movieId,rating,timestamp", *lines]
    >>> _ = (folder / "ratings.csv").write_text("\n".join(lines))
    >>> ratings = md.data.movielens_ratings(folder)
    >>> ratings.table_sizes, len(ratings.train), len(ratings.valid), len(ratings.test)
    ([4, 5], 17, 1, 2)
    """
    if split not in ("random", "time"):
        raise ValueError(f"split is {split!r}: it must be 'random' or 'time'")
    if not 0 < test_share < 0.5:
        raise ValueError(f"test_share is {test_share}: it must lie in (0, 0.5)")
    ratings = _read_ratings(path)
    count = len(ratings.rating)
    if split == "random":
        order = np.random.default_rng(seed).permutation(count)
    else:
        order = np.argsort(ratings.time, kind="stable")
    data = Batch(np.zeros((count, 0), np.float32), ratings.rows[order], ratings.rating[order])
    num_test = max(1, round(count * test_share))
    num_valid = max(1, num_test // 2)
    first, second = count - num_test - num_valid, count - num_test
    return Dataset(
        data[:first],
        data[first:second],
        data[second:],
        [len(ratings.ids.users), len(ratings.ids.items)],
        ["user", "item"],
        f"MovieLens: {count:,} ratings of {ratings.path.parent.name}, {split} split"
        + (f", seed {seed}" if split == "random" else ""),
        task="ratings",
        vocabulary=ratings.ids,
    )


def movielens_clicks(path: str | os.PathLike, *, threshold: float = 4.0) -> Dataset:
    r"""Read ratings as clicks for the click models: a rating of at least 4 is a click.

    Tables: user, movie, and the movie's genres (multi-hot). Dense features: the hour and the
    weekday of the rating (UTC) and the age of the movie in years, each divided by its range.
    The split is chronological: six sevenths to train, the last seventh halved.

    Parameters
    ----------
    path : path
        As `movielens_ratings`; the movies file must lie beside the ratings.
    threshold : float
        The lowest rating that is a click.

    Returns
    -------
    Dataset
        With `Jagged` bags.

    Raises
    ------
    FileNotFoundError, ValueError
        As `movielens_ratings`.

    Examples
    --------
    >>> import minidlrm as md
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> folder = Path(mkdtemp())
    >>> lines = [f"{user},{movie},{movie},{10 * user + movie}"
    ...          for user in range(1, 5) for movie in range(1, 6)]
    >>> lines = ["userId,movieId,rating,timestamp", *lines]
    >>> _ = (folder / "ratings.csv").write_text("\n".join(lines))
    >>> movies = [f"{movie},Film {movie} (1999),Comedy|Drama" for movie in range(1, 6)]
    >>> _ = (folder / "movies.csv").write_text("\n".join(["movieId,title,genres", *movies]))
    >>> clicks = md.data.movielens_clicks(folder)
    >>> clicks.feature_names, clicks.table_sizes
    (['hour', 'weekday', 'age', 'user', 'movie', 'genres'], [4, 5, 2])
    """
    ratings = _read_ratings(path)
    years, bags, names = _read_movies(ratings)
    order = np.argsort(ratings.time, kind="stable")
    rows, time = ratings.rows[order], ratings.time[order]
    hour, weekday = time // 3600 % 24, (time // 86400 + 3) % 7  # 1 January 1970: a Thursday
    rated_in = time.astype("datetime64[s]").astype("datetime64[Y]").astype(int) + 1970
    age = np.clip(rated_in - years[rows[:, 1]], 0, 100)
    dense = np.stack([hour / 23, weekday / 6, age / 100], axis=1).astype(np.float32)
    count = len(order)
    lengths = np.diff(bags.offsets)[rows[:, 1]]  # genres of each rated movie
    genres = bags[rows[:, 1], len(ratings.ids.items)].values
    sparse = Jagged(
        np.concatenate([rows[:, 0], rows[:, 1], genres]),
        np.concatenate([np.arange(2 * count), 2 * count + np.r_[0, np.cumsum(lengths)]]),
    )
    data = Batch(dense, sparse, (ratings.rating[order] >= threshold).astype(np.float32))
    train, valid, test = split_in_time(data)
    return Dataset(
        train,
        valid,
        test,
        [len(ratings.ids.users), len(ratings.ids.items), len(names)],
        ["hour", "weekday", "age", "user", "movie", "genres"],
        f"MovieLens: {count:,} ratings of {ratings.path.parent.name} as clicks "
        f"(rating >= {threshold:g}), split by time",
        vocabulary=ratings.ids,
    )


@dataclass(frozen=True, eq=False)
class RankingDataset(Dataset):
    """A leave-one-out split: each user's last item, among items that the user has not rated.

    Parameters
    ----------
    train, valid, test, table_sizes, feature_names, description
        As `Dataset`.
    bayes_log_loss, bayes_auc, vocabulary
        As `Dataset`.
    num_negatives : int
        Items beside the one left out. `test` has 1 + num_negatives rows a user, the item
        that was left out first; `valid` likewise, with each user's last item but one.
    rated : bool array (users, items)
        What each user has rated.

    Examples
    --------
    >>> import numpy as np
    >>> from minidlrm.data import Batch
    >>> from minidlrm.data.movielens import RankingDataset
    >>> rows = Batch(np.zeros((2, 0)), [[0, 0], [0, 1]], np.array([1.0, 0.0]))
    >>> items = RankingDataset(rows, rows, rows, [1, 2], ["user", "item"], "", num_negatives=1)
    >>> items.scores(np.array([0.7, 0.2]))                   # a user a row
    array([[0.7, 0.2]])
    """

    num_negatives: int = 99
    rated: np.ndarray | None = None

    def with_negatives(self, per_positive: int, seed: int | Sequence[int]) -> Batch:
        """Return the training rows, and so many random unrated items for each, label 0."""
        rng = np.random.default_rng(seed)
        positives = np.asarray(self.train.sparse)
        users = np.repeat(positives[:, 0], per_positive)
        assert self.rated is not None  # movielens_ranking sets it
        negatives = np.stack([users, _unrated(self.rated, users, rng)], axis=1)
        label = np.r_[np.ones(len(positives)), np.zeros(len(negatives))].astype(np.float32)
        ids = np.concatenate([positives, negatives])
        return Batch(np.zeros((len(ids), 0), np.float32), ids, label)

    def scores(self, logits: np.ndarray) -> np.ndarray:
        """Arrange the logits of `test` or `valid` as (users, 1 + num_negatives)."""
        return logits.reshape(-1, 1 + self.num_negatives)


def movielens_ranking(
    path: str | os.PathLike, *, num_negatives: int = 99, seed: int = 0
) -> RankingDataset:
    r"""Read ratings for NCF: what was rated is a 1, and the last of each user is left out.

    Parameters
    ----------
    path : path
        As `movielens_ratings`.
    num_negatives : int
        Random unrated items that the one left out is ranked among.
    seed : int
        Of these items.

    Returns
    -------
    RankingDataset

    Raises
    ------
    FileNotFoundError, ValueError
        As `movielens_ratings`; and when a user has fewer than three ratings, or has rated every
        item.

    Examples
    --------
    >>> import minidlrm as md
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> folder = Path(mkdtemp())
    >>> lines = [f"{user},{movie},{movie},{10 * user + movie}"
    ...          for user in range(1, 5) for movie in range(user, user + 3)]
    >>> lines = ["userId,movieId,rating,timestamp", *lines]
    >>> _ = (folder / "ratings.csv").write_text("\n".join(lines))
    >>> items = md.data.movielens_ranking(folder, num_negatives=1)
    >>> len(items.train), len(items.valid), len(items.test)
    (4, 8, 8)
    """
    if num_negatives < 1:
        raise ValueError(f"num_negatives is {num_negatives}: it must be at least 1")
    ratings = _read_ratings(path)
    num_users, num_items = len(ratings.ids.users), len(ratings.ids.items)
    order = np.lexsort((ratings.time, ratings.rows[:, 0]))  # by user, then by time
    rows = ratings.rows[order]
    last = np.flatnonzero(np.diff(rows[:, 0], append=-1))  # (U,)
    if (np.diff(last, prepend=-1) < 3).any():
        raise ValueError(f"{ratings.path}: a user has fewer than 3 ratings; leave-one-out needs 3")
    rated = np.zeros((num_users, num_items), bool)
    rated[rows[:, 0], rows[:, 1]] = True
    full = np.flatnonzero(rated.all(axis=1))
    if len(full):
        raise ValueError(
            f"{ratings.path}: user {ratings.ids.users[full[0]]} has rated all {num_items} items: "
            "there is no negative to draw"
        )
    rng = np.random.default_rng(seed)

    def held_out(place: np.ndarray) -> Batch:
        users = np.repeat(rows[place, 0], num_negatives)
        items = _unrated(rated, users, rng).reshape(-1, num_negatives)
        lists = np.concatenate([rows[place, 1:], items], axis=1)  # (U, 1 + negatives)
        pairs = np.stack([np.repeat(rows[place, 0], lists.shape[1]), lists.ravel()], axis=1)
        label = np.zeros(lists.shape, np.float32)
        label[:, 0] = 1
        return Batch(np.zeros((len(pairs), 0), np.float32), pairs, label.ravel())

    keep = np.ones(len(rows), bool)
    keep[last] = keep[last - 1] = False
    train = rows[keep]
    return RankingDataset(
        Batch(np.zeros((len(train), 0), np.float32), train, np.ones(len(train), np.float32)),
        held_out(last - 1),
        held_out(last),
        [num_users, num_items],
        ["user", "item"],
        f"MovieLens: {len(rows):,} ratings of {ratings.path.parent.name}, leave one out of "
        f"{1 + num_negatives}",
        vocabulary=ratings.ids,
        num_negatives=num_negatives,
        rated=rated,
    )


def _unrated(rated: np.ndarray, users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw an item for each of `users` that the user has not rated, by rejection."""
    items = rng.integers(0, rated.shape[1], len(users))
    again = np.flatnonzero(rated[users, items])
    while len(again):
        items[again] = rng.integers(0, rated.shape[1], len(again))
        again = again[rated[users[again], items[again]]]
    return items


def _read_ratings(path: str | os.PathLike) -> _Ratings:
    path = Path(path)
    if path.is_dir():
        found = [path / name for name in _FORMS if (path / name).is_file()]
        if not found:
            raise FileNotFoundError(f"{path} holds none of {', '.join(_FORMS)}")
        path = found[0]
    if not path.is_file():
        raise FileNotFoundError(f"no ratings at {path}")
    delimiter, header, _ = _form(path)
    columns = _read_columns(path, delimiter, header)
    users, user = np.unique(columns[0].astype(np.int64), return_inverse=True)
    items, item = np.unique(columns[1].astype(np.int64), return_inverse=True)
    rows = np.stack([user, item], axis=1).astype(np.int64)
    rating, time = columns[2].astype(np.float32), columns[3].astype(np.int64)
    return _Ratings(path, rows, rating, time, RatingIds(users, items))


def _form(path: Path) -> tuple[str, bool, str]:
    """Return delimiter, header and movies file; a file of another name is read as ratings.csv."""
    return _FORMS.get(path.name, _FORMS["ratings.csv"])


def _read_columns(path: Path, delimiter: str, header: bool) -> list[np.ndarray]:
    import pyarrow as pa
    from pyarrow import csv

    text = path.read_bytes()
    if not text.strip():
        raise ValueError(f"{path} is empty")
    if delimiter == "::":
        text, delimiter = text.replace(b"::", b"\t"), "\t"
    names = None if header else _COLUMNS
    try:
        table = csv.read_csv(
            io.BytesIO(text),
            read_options=csv.ReadOptions(column_names=names),
            parse_options=csv.ParseOptions(delimiter=delimiter),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(_COLUMNS, pa.float64()), null_values=[]
            ),
        )
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path}: {error}") from None
    missing = [name for name in _COLUMNS if name not in table.column_names]
    if missing:
        raise ValueError(
            f"{path} has no column {', '.join(missing)}; it has {', '.join(table.column_names)}"
        )
    columns = [table.column(name).to_numpy() for name in _COLUMNS]
    for name, column in zip(_COLUMNS, columns, strict=True):
        if not np.isfinite(column).all():
            row = int((~np.isfinite(column)).argmax())
            raise ValueError(f"{path}: {name} of rating {row + 1} is {column[row]}: not a number")
    return columns


def _read_movies(ratings: _Ratings) -> tuple[np.ndarray, Jagged, list[str]]:
    """Return the year of each movie (0 where unknown), its genres, and the genres' names."""
    path = ratings.path.parent / _form(ratings.path)[2]
    if not path.is_file():
        raise FileNotFoundError(f"no movies at {path}: the genres are needed")
    titles, genres = {}, {}
    for movie, title, names in _movie_lines(path):
        titles[movie], genres[movie] = title, names
    vocabulary = sorted({name for names in genres.values() for name in names})
    number = {name: k for k, name in enumerate(vocabulary)}
    years = np.zeros(len(ratings.ids.items), np.int64)
    values, offsets = [], [0]
    this_year = datetime.now(UTC).year
    for k, movie in enumerate(ratings.ids.items.tolist()):
        found = re.findall(r"\((\d{4})\)", titles.get(movie, ""))
        years[k] = int(found[-1]) if found else this_year  # age 0 where it is not known
        values += [number[name] for name in genres.get(movie, [])]
        offsets.append(len(values))
    return years, Jagged(np.array(values, np.int64), np.array(offsets)), vocabulary


def _movie_lines(path: Path):
    """Yield (movie id, title, genres) from movies.csv, u.item or movies.dat."""
    import csv

    if path.name == "movies.csv":
        with open(path, encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                yield int(row["movieId"]), row["title"], row["genres"].split("|")
        return
    for line in path.read_text(encoding="latin-1").splitlines():
        if path.name == "movies.dat":
            movie, title, names = line.split("::")
            yield int(movie), title, names.split("|")
        else:
            fields = line.split("|")
            flags = fields[-len(_GENRES_100K) :]
            flagged = [g for g, flag in zip(_GENRES_100K, flags, strict=True) if flag == "1"]
            yield int(fields[0]), fields[1], flagged
