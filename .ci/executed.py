"""Put notebooks that were executed already where the build of the site looks for them.

    python .ci/executed.py EXECUTED CACHE
    sphinx-build -D nb_execution_cache_path=CACHE ...

A notebook whose code cells, or their tags, are others than in the site's copy is not found there,
and is executed.
"""

import sys
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn

sys.path.insert(0, str(Path(__file__).parents[1] / "docs" / "_ext"))
from site_pages import fold_answers


def main(executed: str, folder: str) -> None:
    """Put the notebooks of one folder into the cache in the other."""
    cache = get_cache(folder)
    for path in sorted(Path(executed).rglob("*.ipynb")):
        notebook = nbformat.read(path, nbformat.NO_CONVERT)
        fold_answers(notebook)
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)  # times
        bundle = CacheBundleIn(notebook, str(path), data={})
        cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


main(*sys.argv[1:])
