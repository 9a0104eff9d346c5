"""Put notebooks that were executed already where the build of the site looks for them.

    python .ci/executed.py EXECUTED CACHE
    sphinx-build -D nb_execution_cache_path=CACHE ...

A notebook whose code cells are others than in the site's copy is not found there, and is executed.
"""

import sys
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn


def main(executed: str, folder: str) -> None:
    """Put the notebooks of one folder into the cache in the other."""
    cache = get_cache(folder)
    for path in sorted(Path(executed).rglob("*.ipynb")):
        bundle = CacheBundleIn(nbformat.read(path, nbformat.NO_CONVERT), str(path), data={})
        cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


main(*sys.argv[1:])
