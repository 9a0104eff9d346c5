"""The movies file beside MovieLens ratings: titles, years, genres."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from minidlrm.arrays import as_path
from minidlrm.data.batch import Jagged

# the ratings file, and the movies file beside it
FORMS = {
    "ratings.csv": "movies.csv",
    "u.data": "u.item",
    "ratings.dat": "movies.dat",
}
_GENRES_100K = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime"),
    *("Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery"),
    *("Romance", "Sci-Fi", "Thriller", "War", "Western"),
)


def read_movies(path: Path, items: np.ndarray) -> tuple[np.ndarray, Jagged, list[str]]:
    """Return the year of each movie (0 where unknown), its genres, and the genres' names."""
    path = path.parent / FORMS.get(path.name, "movies.csv")
    if not path.is_file():
        raise FileNotFoundError(f"no movies at {path}: the genres are needed")
    titles, genres = {}, {}
    for movie, title, names in _movie_lines(path):
        titles[movie], genres[movie] = title, names
    vocabulary = sorted({name for names in genres.values() for name in names})
    number = {name: k for k, name in enumerate(vocabulary)}
    years = np.zeros(len(items), np.int64)
    values, offsets = [], [0]
    this_year = datetime.now(UTC).year
    for k, movie in enumerate(map(str, items.tolist())):
        found = re.findall(r"\((\d{4})\)", titles.get(movie, ""))
        years[k] = int(found[-1]) if found else this_year  # age 0 where it is not known
        values += [number[name] for name in genres.get(movie, [])]
        offsets.append(len(values))
    return years, Jagged(np.array(values, np.int64), np.array(offsets)), vocabulary


def movie_names(path: str | os.PathLike) -> dict[str, str]:
    """Return the title of each movie id, as text, of a MovieLens folder or its ratings file.

    FileNotFoundError when there are no movies beside the ratings.
    """
    path = as_path("path", path)
    folder = path if path.is_dir() else path.parent
    found = [folder / name for name in FORMS.values() if (folder / name).is_file()]
    if not found:
        raise FileNotFoundError(f"{folder} holds none of {', '.join(FORMS.values())}")
    return {movie: title for movie, title, _ in _movie_lines(found[0])}


def _movie_lines(path: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Yield (movie id as text, title, genres) from movies.csv, u.item or movies.dat."""
    import csv

    if path.name == "movies.csv":
        try:
            with open(path, encoding="utf-8-sig", newline="") as file:
                reader = csv.DictReader(file)
                names = {name.lower().replace("_", ""): name for name in reader.fieldnames or ()}
                found = [names.get(n) for n in ("movieid", "title", "genres")]
                found[0] = found[0] or names.get("itemid")
                if None in found:
                    raise ValueError(
                        f"{path} must have the columns movieId, title and genres; "
                        f"it has {', '.join(names.values())}"
                    )
                for row in reader:
                    movie, title, genres = (row[str(name)] for name in found)
                    if title is None or genres is None:
                        raise ValueError(f"{path}: line {reader.line_num} is too short")
                    yield movie, title, genres.split("|")
        except UnicodeDecodeError:
            raise ValueError(f"{path} is not UTF-8 text") from None
        return
    for number, line in enumerate(path.read_text(encoding="latin-1").splitlines(), 1):
        fields = line.split("::") if path.name == "movies.dat" else line.split("|")
        if len(fields) < (3 if path.name == "movies.dat" else 2 + len(_GENRES_100K)):
            raise ValueError(f"{path}: line {number} has {len(fields)} fields: {line[:60]!r}")
        if path.name == "movies.dat":
            yield fields[0], fields[1], fields[2].split("|")
        else:
            flags = fields[-len(_GENRES_100K) :]
            flagged = [g for g, flag in zip(_GENRES_100K, flags, strict=True) if flag == "1"]
            yield fields[0], fields[1], flagged
