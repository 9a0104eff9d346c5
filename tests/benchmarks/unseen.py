"""What the checker says of code that is not minidlrm's: wrong and right function pairs, optimizers.

    python tests/benchmarks/unseen.py [--out docs/measured/unseen.md]

Wrong pairs are those of `tests/wrong_pairs.py`; and, where their folder is found (`tests/corpora`),
pieces that others have written. The causes that are right for each are given beside it.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import corpora
import wrong_pairs

JUDGEMENTS = ("right", "vague", "misleading", "none fits", "missed")
HEAD = ("code", "pieces", "first cause right", "vague", "misleading", "no cause fits", "missed")


def of_our_pairs():
    """Judge what is said of the wrong pairs of the tests."""
    judged = {}
    for name, pair in wrong_pairs.PAIRS.items():
        key = corpora.check(lambda pair=pair: pair.make(np.random.default_rng(0)))
        right, vague = " ".join(pair.right), " ".join(pair.vague)
        judged[name] = (key, corpora.verdict(key, right, vague))
    return judged


def row(title, counts: Counter) -> str:
    cells = [title, sum(counts.values()), *(counts[name] for name in JUDGEMENTS)]
    return f"| {' | '.join(map(str, cells))} |"


def measured() -> str:
    """Return the tables."""
    lines = [f"| {' | '.join(HEAD)} |", "| --- " * len(HEAD) + "|"]
    lines.append(row("wrong pairs of ours", corpora.count(of_our_pairs())))
    folder = corpora.folder()
    if folder is None:
        return "\n".join(lines) + "\n"
    wrong, number, alarms = corpora.of_optimizers(folder)
    lines.append(row("wrong pairs of others", corpora.count(corpora.of_wrong(folder))))
    lines.append(row("wrong optimizers of others", corpora.count(wrong)))
    total, failed = corpora.of_right(folder)
    lines += ["", "| code | pieces | false alarms |", "| --- | --- | --- |"]
    lines.append(f"| right pairs and layers of others | {total} | {len(failed)} |")
    lines.append(f"| right optimizers of others | {number} | {len(alarms)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="A file for the tables, beside the screen.")
    arguments = parser.parse_args()
    text = measured()
    print(text)
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")
