"""Print the tests of some folders of the package: tests/test_FILE.py of each of their files."""

import sys
from pathlib import Path

found = set()
for folder in sys.argv[1:]:
    stems = [folder, *(path.stem for path in Path("minidlrm", folder).glob("*.py"))]
    found |= {path for stem in stems if (path := Path(f"tests/test_{stem}.py")).exists()}
if not found:
    raise SystemExit(f"no tests of {sys.argv[1:]}")
print(*sorted(map(str, found)))
