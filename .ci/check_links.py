"""Check that every relative link of every Markdown file leads to a file."""

import re
import subprocess
import sys
from pathlib import Path

files = subprocess.run(["git", "ls-files", "*.md"], capture_output=True, text=True, check=True)
broken = []
for name in files.stdout.split():
    text = re.sub(r"```.*?```", "", Path(name).read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path = target.split("#")[0]
        if path.startswith("_generated/"):  # the site's build makes it, and fails without it
            continue
        if path and "://" not in target and not (Path(name).parent / path).exists():
            broken.append(f"{name}: {target}")
print("\n".join(broken) or f"links of {len(files.stdout.split())} files: all lead somewhere")
sys.exit(bool(broken))
