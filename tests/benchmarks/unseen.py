"""What the checker says of code that is not minidlrm's: wrong and right function pairs, optimizers.

    python tests/benchmarks/unseen.py [--out docs/measured/unseen.md]

Wrong pairs are those of `tests/wrong_pairs.py`; those of the four files `tests/blind_pairs_*.py`,
which were frozen before the checker was asked, and what it said then stands in FIRST; and, where
their folder is found (`tests/corpora`), pieces that others have written. The causes that are right
for each are given beside it.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import blind_optimizers
import blind_pairs_1  # noqa: F401  they enter their pairs
import blind_pairs_2  # noqa: F401
import blind_pairs_3  # noqa: F401
import blind_pairs_4  # noqa: F401
import corpora
import right_pairs
import right_pairs_2  # noqa: F401
import wrong_pairs

from minidlrm.checking import optimcheck

JUDGEMENTS = ("right", "vague", "misleading", "none fits", "missed")
HEAD = ("code", "pieces", "first cause right", "vague", "misleading", "no cause fits", "missed")


# What was said when nobody had seen them: right, vague, misleading, none fits, missed. After the
# first two batches the rules were changed, and again after the third; each was asked once.
FIRST = {
    "blind_pairs_1": (50, 0, 5, 10, 0),
    "blind_pairs_2": (42, 0, 3, 5, 0),
    "blind_pairs_3": (47, 0, 3, 3, 0),
    "blind_pairs_4": (36, 0, 0, 6, 0),
}


def at_first() -> list[str]:
    """Return a row for each batch of wrong pairs, as it was answered when it was new."""
    rows = []
    for k, numbers in enumerate(FIRST.values(), 1):
        counts = Counter(dict(zip(JUDGEMENTS, numbers, strict=True)))
        rows.append(row(f"wrong pairs of ours, batch {k}, when they were new", counts))
    return rows


def of_our_pairs(module: str):
    """Judge what is said of the wrong pairs of one file of the tests."""
    judged = {}
    for name, pair in wrong_pairs.PAIRS.items():
        if pair.make.__module__ != module:
            continue
        key = corpora.check(lambda pair=pair: pair.make(np.random.default_rng(0)))
        right, vague = " ".join(pair.right), " ".join(pair.vague)
        judged[name] = (key, corpora.verdict(key, right, vague))
    return judged


def of_our_optimizers():
    """Judge what is said of the wrong optimizers of the tests, and name the right ones failed."""
    judged = {}
    for name, (make, like, _, causes) in blind_optimizers.WRONG.items():
        report = optimcheck(make(), like=like, verbose=False)
        key = None if report.passed else report.diagnosis[0].key
        judged[name] = (key, corpora.verdict(key, causes))
    right = blind_optimizers.RIGHT.items()
    failed = [
        n for n, (make, like) in right if not optimcheck(make(), like=like, verbose=False).passed
    ]
    return judged, failed


def of_our_right_pairs() -> list[str]:
    """Name the right pieces of the tests that do not pass."""
    rng = np.random.default_rng
    makers = right_pairs.RIGHT.items()
    return [name for name, make in makers if corpora.check(lambda make=make: make(rng(0)))]


def row(title, counts: Counter) -> str:
    cells = [title, sum(counts.values()), *(counts[name] for name in JUDGEMENTS)]
    return f"| {' | '.join(map(str, cells))} |"


def measured() -> str:
    """Return the tables."""
    lines = [f"| {' | '.join(HEAD)} |", "| --- " * len(HEAD) + "|"]
    lines.append(row("wrong pairs of ours", corpora.count(of_our_pairs("wrong_pairs"))))
    lines += at_first()
    now: Counter = sum((corpora.count(of_our_pairs(name)) for name in FIRST), Counter())
    lines.append(row("these four batches now", now))
    ours, failed_ours = of_our_optimizers()
    lines.append(row("wrong optimizers of ours", corpora.count(ours)))
    rights = ["", "| code | pieces | false alarms |", "| --- | --- | --- |"]
    failed = of_our_right_pairs()
    rights.append(f"| right pairs and layers of ours | {len(right_pairs.RIGHT)} | {len(failed)} |")
    number = len(blind_optimizers.RIGHT)
    rights.append(f"| right optimizers of ours | {number} | {len(failed_ours)} |")
    folder = corpora.folder()
    if folder is None:
        return "\n".join(lines + rights) + "\n"
    wrong, number, alarms = corpora.of_optimizers(folder)
    lines.append(row("wrong pairs of others", corpora.count(corpora.of_wrong(folder))))
    lines.append(row("wrong optimizers of others", corpora.count(wrong)))
    total, failed = corpora.of_right(folder)
    lines += rights
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
