"""Films and their ratings, as the two views of a recommender see them.

The content of a film is its genres and its decade. Collaborative filtering knows the film by its
number alone, and what people gave it. Some films are held out with all of their ratings: films
that nobody has rated yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minidlrm.data.batch import Batch, Dataset, Jagged
from minidlrm.data.movielens import read_ratings
from minidlrm.data.movies import read_movies
from minidlrm.languages import Message

_NEW = 0.1  # share of the films that nobody has rated
_FIRST_YEAR, _DECADES = 1900, 13
_USERS, _FILMS, _RATINGS, _GENRES = 600, 2000, 60_000, 12


@dataclass(frozen=True, eq=False)
class Films:
    """Ratings, and what the films are.

    Parameters
    ----------
    user, film : int64 array (n,)
        Of each rating.
    rating : float32 array (n,)
        Stars.
    decade : int64 array (films,)
        Decades since 1900.
    genres : list of int64 arrays
        The genres of each film.
    sizes : (int, int, int)
        Users, films, genres.
    description : str
        Where the ratings come from.
    """

    user: np.ndarray
    film: np.ndarray
    rating: np.ndarray
    decade: np.ndarray
    genres: Sequence[np.ndarray]
    sizes: tuple[int, int, int]
    description: str


@dataclass(frozen=True)
class View:
    """What a model is told of a film: its content, its number, or both.

    Parameters
    ----------
    content, number : bool
        Which of the two.
    hidden : float
        The share of the training rows whose film has no number, as a new film has none.
    """

    content: bool
    number: bool
    hidden: float = 0.0


@dataclass(frozen=True, eq=False)
class Split:
    """Rows to train on, to choose by and to test on, and how often each test film was rated."""

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    known: np.ndarray  # (films,) ratings among the training rows


def read_films(folder: Path) -> Films:
    """Read a MovieLens folder."""
    ratings = read_ratings(folder)
    years, bags, names = read_movies(ratings.path, ratings.ids.items)
    genres = np.split(bags.values, bags.offsets[1:-1])
    decade = np.clip((years - _FIRST_YEAR) // 10, 0, _DECADES - 1)
    sizes = len(ratings.ids.users), len(ratings.ids.items), len(names)
    description = Message(
        "MovieLens: {count} ratings of {folder}",
        count=f"{len(ratings.rating):,}",
        folder=ratings.path.parent.name,
    )
    user, film = ratings.rows.T
    return Films(user, film, ratings.rating, decade, genres, sizes, description)


def planted_films(seed: int, ratings: int = _RATINGS) -> Films:
    """Make ratings whose truth has both views: tastes for genres, and for single films."""
    rng = np.random.default_rng(seed)
    films = min(_FILMS, ratings // 20)
    genres = [rng.choice(_GENRES, rng.integers(1, 4), replace=False) for _ in range(films)]
    means = np.array([np.isin(np.arange(_GENRES), g) / len(g) for g in genres])  # (films, genres)
    user = rng.integers(0, _USERS, ratings)
    film = (films * rng.random(ratings) ** 3.5).astype(np.int64)  # a few have many ratings
    film = rng.permutation(films)[film]
    taste = rng.normal(0, 0.8, (_USERS, _GENRES))
    own = rng.normal(0, 0.55, (films, 3)), rng.normal(0, 1, (_USERS, 3))
    star = 3.5 + rng.normal(0, 0.4, _USERS)[user] + rng.normal(0, 0.3, films)[film]
    star += (taste[user] * means[film]).sum(axis=1) + (own[1][user] * own[0][film]).sum(axis=1) / 2
    decade = rng.integers(4, _DECADES, films)
    star += rng.normal(0, 0.2, _DECADES)[decade[film]] + rng.normal(0, 0.6, ratings)
    star = np.clip(np.round(2 * star) / 2, 0.5, 5)
    description = Message("planted films: {count:,} ratings, seed {seed}", count=ratings, seed=seed)
    sizes = (_USERS, films, _GENRES)
    return Films(user, film, star.astype(np.float32), decade, genres, sizes, description)


def split(films: Films, seed: int) -> Split:
    """Hold out some films entirely, and a tenth of the ratings of the others."""
    rng = np.random.default_rng(seed)
    new = rng.random(films.sizes[1]) < _NEW
    old = rng.permutation(np.flatnonzero(~new[films.film]))
    test, valid, train = np.split(old, [len(old) // 10, len(old) * 3 // 20])
    known = np.bincount(films.film[train], minlength=films.sizes[1])
    return Split(train, valid, np.concatenate([test, np.flatnonzero(new[films.film])]), known)


def dataset(films: Films, parts: Split, view: View, seed: int) -> Dataset:
    """Return the ratings as one view sees them: tables of users, numbers, decades and genres."""
    users, numbers, genres = films.sizes
    rng = np.random.default_rng(seed)
    hide = rng.random(len(films.film)) < view.hidden
    train = _batch(films, parts, view, parts.train, hide[parts.train])
    valid, test = (
        _batch(films, parts, view, rows, np.zeros(len(rows), bool))
        for rows in (parts.valid, parts.test)
    )
    tables = {"user": users}
    if view.number:
        tables["film"] = numbers
    if view.content:
        tables |= {"decade": _DECADES, "genres": genres}
    sizes, names = list(tables.values()), list(tables)
    return Dataset(train, valid, test, sizes, names, films.description, task="ratings")


def _batch(films: Films, parts: Split, view: View, rows: np.ndarray, hide: np.ndarray) -> Batch:
    """Return rows as bags; a film without ratings, or a hidden one, has no number: an empty bag."""
    film, one = films.film[rows], np.ones(len(rows), np.int64)
    values, lengths = [films.user[rows]], [one]
    if view.number:
        shown = (parts.known[film] > 0) & ~hide
        values.append(film[shown])
        lengths.append(shown.astype(np.int64))
    if view.content:
        values += [films.decade[film], np.concatenate([films.genres[f] for f in film])]
        lengths += [one, np.array([len(films.genres[f]) for f in film])]
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
    dense = np.zeros((len(rows), 0), np.float32)
    return Batch(dense, Jagged(np.concatenate(values), offsets), films.rating[rows])
