"""The movies file: titles, years and genres, from each of its forms."""

from datetime import UTC, datetime

import numpy as np
import pytest

from minidlrm.data.movies import _GENRES_100K, movie_names, read_movies


def flags(*genres):
    return "|".join("1" if name in genres else "0" for name in _GENRES_100K)


FORMS = {
    "ratings.csv": (
        "movies.csv",
        'movieId,title,genres\n7,"Heat, The (1995)",Action|Crime\n9,2001 (A) (1968),Crime\n',
    ),
    "ratings.dat": (
        "movies.dat",
        "7::Heat, The (1995)::Action|Crime\n9::2001 (A) (1968)::Crime\n",
    ),
    "u.data": (
        "u.item",
        f"7|Heat, The (1995)|1-1-1995||u|{flags('Action', 'Crime')}\n"
        f"9|2001 (A) (1968)|1-1-1968||u|{flags('Crime')}\n",
    ),
    "other.csv": (
        "movies.csv",
        "Item_Id,Title,Genres\n7,Heat (1995),Action|Crime\n9,B (1968),Crime\n",
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_years_and_genres_go_by_the_known_items(form, tmp_path):
    name, content = FORMS[form]
    (tmp_path / name).write_text(content)
    years, bags, names = read_movies(tmp_path / form, np.array([9, 8, 7]))
    assert years.tolist() == [1968, datetime.now(UTC).year, 1995]  # one is not known: age 0
    assert names == ["Action", "Crime"]
    assert bags.values.tolist() == [1, 0, 1]
    assert bags.offsets.tolist() == [0, 1, 1, 3]


@pytest.mark.parametrize("form", ["ratings.csv", "ratings.dat", "u.data"])
def test_titles_of_a_folder_or_of_its_ratings(form, tmp_path):
    name, content = FORMS[form]
    with pytest.raises(FileNotFoundError, match=r"holds none of movies\.csv, u\.item, movies\.dat"):
        movie_names(tmp_path)
    (tmp_path / name).write_text(content)
    expected = {"7": "Heat, The (1995)", "9": "2001 (A) (1968)"}
    assert movie_names(tmp_path) == movie_names(tmp_path / form) == expected


@pytest.mark.parametrize(
    ("form", "name", "line"),
    [("ratings.dat", "movies.dat", "7::Heat"), ("u.data", "u.item", f"7|{flags()}")],
)
def test_a_line_with_too_few_fields_is_named(form, name, line, tmp_path):
    good = FORMS[form][1].splitlines()[0]
    (tmp_path / name).write_text(f"{good}\n{line}\n")
    with pytest.raises(ValueError, match=rf"{name}: line 2 has \d+ fields"):
        read_movies(tmp_path / form, np.array([7]))


def test_the_last_year_in_a_title_is_that_of_the_film(tmp_path):
    (tmp_path / "movies.csv").write_text(
        "movieId,title,genres\n1,1984 (1956) (1984),Drama\n2,Alien (1979),Horror\n"
    )
    years, _, _ = read_movies(tmp_path / "ratings.csv", np.array([1, 2]))
    assert years.tolist() == [1984, 1979]
