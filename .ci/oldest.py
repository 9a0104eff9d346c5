"""Print the oldest version of every dependency that pyproject.toml allows, as constraints.

pip install -c <(python .ci/oldest.py) -e ".[test]"
"""

import re
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
for line in [*project["dependencies"], *project["optional-dependencies"]["test"]]:
    found = re.match(r"([\w-]+)>=([\d.]+)", line)
    if not found:
        raise SystemExit(f"pyproject.toml gives no lower bound: {line}")
    print(f"{found[1]}=={found[2]}")
