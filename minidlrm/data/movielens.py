"""MovieLens ratings in all their common forms: as ratings, and as clicks.

Nothing is bundled. A folder (or its ratings file) of latest-small, 100K, or 1M is read as it
comes; GroupLens' terms are in its README.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from minidlrm.arrays import as_path, check_number, check_word, shuffling
from minidlrm.data.batch import Batch, Dataset, Jagged
from minidlrm.data.columns import Texts, numbers, of_words, one_array, texts, times
from minidlrm.data.cutting import split_in_time
from minidlrm.data.features import Categories, Column
from minidlrm.data.intern import Interner
from minidlrm.data.movies import FORMS, read_movies
from minidlrm.data.schema import Schema
from minidlrm.data.sources import TextSource
from minidlrm.languages import Message, joined

_COLUMNS = ["userId", "movieId", "rating", "timestamp"]
_NAMES = {  # of columns, without case and underscores
    "user": ("userid", "user", "uid"),
    "item": ("movieid", "itemid", "item", "movie", "iid"),
    "rating": ("rating", "stars"),
    "time": ("timestamp", "time", "date"),
}
_LINE_BYTES = 1 << 16  # of the first line at most
_LAST_SECOND = 95_617_584_000  # of the year 4999


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

    def encode(self, users: Any, items: Any) -> np.ndarray:
        """Turn raw ids, numbers or text, into rows (n, 2); IndexError names one not known."""
        if np.size(users) != np.size(items):
            raise ValueError(f"{np.size(users)} users and {np.size(items)} items: give pairs")
        columns = []
        for name, known, given in (("user", self.users, users), ("item", self.items, items)):
            raw = np.atleast_1d(np.asarray(given))
            place = np.minimum(np.searchsorted(known, _as(known, raw)), len(known) - 1)
            wrong = known[place].astype(str) != _as(known, raw).astype(str)
            if wrong.any():
                unknown = raw[wrong.argmax()]
                raise IndexError(f"{name} {unknown} is not among the {len(known):,} known ones")
            columns.append(place)
        return np.stack(columns, axis=1)

    def columns(self) -> tuple[Column, Column]:
        """Return the two columns of a schema: no id stands for values that are not known."""
        return _column("user", self.users), _column("item", self.items)


def _as(known: np.ndarray, raw: np.ndarray) -> np.ndarray:
    """Turn raw ids into the type of the known ones; what cannot be turned stays unknown."""
    if known.dtype.kind == "U" or raw.dtype.kind in "iu":
        return raw.astype(str) if known.dtype.kind == "U" else raw
    whole = [re.fullmatch(r"(-?[0-9]{1,18})(\.0+)?", str(value)) for value in raw]
    return np.array([int(found[1]) if found else np.iinfo(np.int64).min for found in whole])


def _column(name: str, ids: np.ndarray) -> Column:
    """Describe a table whose row k is the k-th known id."""
    words = of_words(map(str, ids.tolist()))
    integers = ids.dtype.kind == "i"
    known = Interner(words.text, words.offsets[1:])
    categories = Categories(known, integers=integers, has_unseen=False)
    return Column(name, "sparse", categories=categories, distinct=len(ids))


@dataclass(frozen=True, eq=False)
class Ratings:
    """A ratings file: ids (n, 2), ratings (n,), seconds (n,) where it has times."""

    path: Path
    rows: np.ndarray  # (n, 2) int64
    rating: np.ndarray  # (n,) float32
    time: np.ndarray | None  # (n,) int64, seconds
    ids: RatingIds

    def told(self, count: int) -> Message:
        """Return what was read, when `count` rows of it are kept."""
        folder = self.path.parent.name
        return Message("MovieLens: {count} ratings of {folder}", count=f"{count:,}", folder=folder)


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
        Seed of the random split.
    test_share : float
        Share of test rows. Half as many are held out for validation.

    Returns
    -------
    Dataset
        With no dense features. Its `vocabulary` is a `RatingIds`.

    Raises
    ------
    FileNotFoundError
        When the file does not exist.
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
    check_word("split", split, "random", "time")
    check_number("test_share", test_share)
    if not 0 < test_share < 0.5:
        raise ValueError(f"test_share is {test_share}: it must lie in (0, 0.5)")
    rng = shuffling(seed)
    ratings = read_ratings(path, needs_time=split == "time")
    count = len(ratings.rating)
    if count < 3:
        raise ValueError(f"{ratings.path} has {count} ratings: three splits need at least 3")
    if split == "random" or ratings.time is None:
        order = rng.permutation(count)
        how = [Message("random split"), Message("seed {seed}", seed=seed)]
    else:
        order = np.argsort(ratings.time, kind="stable")
        how = [Message("time split")]
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
        joined([ratings.told(count), *how], ", "),
        task="ratings",
        vocabulary=ratings.ids,
        schema=Schema(ratings.ids.columns(), "rating", "ratings"),
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
        As in `movielens_ratings`.

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
    check_number("threshold", threshold)
    ratings = read_ratings(path, needs_time=True)
    assert ratings.time is not None
    years, bags, names = read_movies(ratings.path, ratings.ids.items)
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
        joined(
            [
                Message(
                    "{ratings} as clicks (rating >= {threshold})",
                    ratings=ratings.told(count),
                    threshold=f"{threshold:g}",
                ),
                Message("split by time"),
            ],
            ", ",
        ),
        vocabulary=ratings.ids,
        schema=_click_schema(ratings.ids, names),
    )


def _click_schema(ids: RatingIds, genres: list[str]) -> Schema:
    """Describe the features of `movielens_clicks`: the dense ones are divided by their range."""
    dense = [
        Column(name, "dense", "standardize", std=scale)
        for name, scale in (("hour", 23.0), ("weekday", 6.0), ("age", 100.0))
    ]
    user, movie = ids.columns()
    bag = replace(_column("genres", np.array(genres)), role="bag", separator="|")
    return Schema((*dense, user, replace(movie, name="movie"), bag), "click")


def read_ratings(path: str | os.PathLike, needs_time: bool = False) -> Ratings:
    """Read a ratings file, or the one in a folder; ValueError names file, line and column."""
    path = as_path("path", path)
    if path.is_dir():
        found = [path / name for name in FORMS if (path / name).is_file()]
        if not found:
            raise FileNotFoundError(f"{path} holds none of {', '.join(FORMS)}")
        path = found[0]
    if not path.is_file():
        raise FileNotFoundError(f"no ratings at {path}")
    source = _source(path)
    names = _columns(source, path, needs_time)
    blocks = list(source.read(list(names.values()), []))
    if not blocks:
        raise ValueError(f"{path} has no ratings")
    import pyarrow as pa

    raw = {key: pa.chunked_array([block[name] for block in blocks]) for key, name in names.items()}
    users, user = _numbered(texts(raw["user"], names["user"]), names["user"], source)
    items, item = _numbered(texts(raw["item"], names["item"]), names["item"], source)
    rating = numbers(raw["rating"], names["rating"], source.place)
    if np.isnan(rating).any():
        row = int(np.isnan(rating).argmax())
        raise ValueError(f"{source.place(row)}, column {names['rating']}: the rating is missing")
    time = None
    if "time" in names:
        time = _seconds(raw["time"], names["time"], source.place)
    rows = np.stack([user, item], axis=1).astype(np.int64)
    return Ratings(path, rows, rating.astype(np.float32), time, RatingIds(users, items))


def _source(path: Path) -> TextSource:
    """Open a ratings file: by its name, or by what its first line shows."""
    with open(path, "rb") as file:
        first = file.readline(_LINE_BYTES).removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    if not first.strip():
        raise ValueError(f"{path} is empty")
    if "::" in first:
        return _DoubleColons(path)
    delimiter = "\t" if "\t" in first else ","
    fields = first.rstrip("\r\n").split(delimiter)
    if any(re.fullmatch(r"[0-9.]+", field) for field in fields):
        if len(fields) not in (3, 4):
            raise ValueError(
                f"{path}: line 1 has {len(fields)} fields: expected user, item, rating, time"
            )
        return TextSource([path], delimiter, column_names=_COLUMNS[: len(fields)])
    return TextSource([path], delimiter)


class _DoubleColons(TextSource):
    """ratings.dat of MovieLens 1M: fields with :: between."""

    def __init__(self, path: Path):
        super().__init__([path], "\t", column_names=_COLUMNS)

    def stream(self, path: Path) -> Any:
        """Open the file with tabs."""
        import pyarrow as pa

        return pa.BufferReader(path.read_bytes().replace(b"::", b"\t"))


def _columns(source: TextSource, path: Path, needs_time: bool) -> dict[str, str]:
    """Find the columns by the names that they have in public files."""
    plain = {name.lower().replace("_", "").replace(" ", ""): name for name in source.names}
    names = {}
    for key, known in _NAMES.items():
        found = [plain[name] for name in known if name in plain]
        if found:
            names[key] = found[0]
        elif key != "time" or needs_time:
            usual = {"user": "userId", "item": "movieId", "rating": "rating", "time": "timestamp"}
            raise ValueError(f"{path} has no column {usual[key]}; it has {', '.join(source.names)}")
    return names


def _numbered(words: Texts, name: str, source: TextSource) -> tuple[np.ndarray, np.ndarray]:
    """Return the sorted ids of a column, int64 or text, and the place of each row's id."""
    if words.missing.any():
        row = int(words.missing.argmax())
        raise ValueError(f"{source.place(row)}, column {name}: the id is missing")
    words = words.without_point_zero()
    known = Interner()
    codes = known.add(words.text, words.offsets)
    values: np.ndarray = np.array(known.texts())
    fraction = [k for k, text in enumerate(values) if re.fullmatch(r"-?[0-9]*\.[0-9]+", text)]
    if fraction:
        row = int((codes == fraction[0]).argmax())
        raise ValueError(
            f"{source.place(row)}, column {name}: {str(values[fraction[0]])!r}: "
            "an id must be a whole number or text"
        )
    if all(re.fullmatch(r"-?(0|[1-9][0-9]{0,18})", text) for text in values):
        with contextlib.suppress(OverflowError):  # above int64: they stay text
            values = values.astype(np.int64)
    unique, place = np.unique(values, return_inverse=True)
    return unique, place[codes]


def _seconds(column: Any, name: str, place: Any) -> np.ndarray:
    """Read moments as seconds since 1970 -> int64; dates are read, milliseconds are refused."""
    try:
        seconds = numbers(column, name, place)
    except ValueError:
        seconds = times(one_array(column), name, place) / 1e6
    if np.isnan(seconds).any():
        row = int(np.isnan(seconds).argmax())
        raise ValueError(f"{place(row)}, column {name}: the time is missing")
    if np.abs(seconds).max() > _LAST_SECOND:
        row = int((np.abs(seconds) > _LAST_SECOND).argmax())
        raise ValueError(
            f"{place(row)}, column {name}: {seconds[row]:.0f} seconds after 1970 lie beyond the "
            "year 5000: are these milliseconds? Divide them by 1000"
        )
    return seconds.astype(np.int64)
