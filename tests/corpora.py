"""Code that was not written for the checker, and which causes are right for each wrong piece.

The pieces themselves lie in a folder outside of the project, named by MINIDLRM_CASES_DIR, or
`cases/gradcheck` beside the folder of MINIDLRM_DATA. `corpus_truth` and OPTIMIZERS hold for each
wrong piece the causes that say what is wrong, and those that are true and say little. "random"
says that nothing fits; every other cause misleads.
"""

import contextlib
import io
import os
import runpy
from collections import Counter
from pathlib import Path

import numpy as np
from corpus_truth import TRUTH

import minidlrm as md

OPTIMIZERS = {
    "AdamT1": "step_number",
    "AdamEpsIn": "eps_inside",
    "AdamNo1b1": "average_missing factor",
    "AdamAbs": "square_missing",
    "AdamW": "decay_apart",
    "AdamPerParam": "step_number",
    "AdamHalf": "half_corrected",
    "MomSign": "uphill",
    "MomEMA": "averaged",
    "MomNest": "nesterov",
    "MomOld": "state_order",
    "SGDDecay2": "decay_twice",
    "SGDDecayAfter": "decay_after",
    "SGDDecayNoLr": "decay_rate",
    "SGDSched": "step_number",
    "SGDClip": "clipped",
    "SGDClip5": "clipped",
    "AdagradRMS": "averaged_squares",
    "AdagradOld": "state_order",
    "AdagradEps": "eps_inside",
    "AdagradShared": "shared whole_array",
    "RowMax": "max_for_mean",
    "Rebind": "stuck",
    "InPlace": "modified",
    "FirstOnly": "some_stuck",
    "Zeroes": "modified",
    "NoneCrash": "no_gradient",
}


def folder():
    """Return the folder of the pieces, or None when it is not on this machine."""
    path = os.environ.get("MINIDLRM_CASES_DIR")
    if not path and "MINIDLRM_DATA" in os.environ:
        path = Path(os.environ["MINIDLRM_DATA"]).parent / "cases" / "gradcheck"
    return Path(path) if path and (Path(path) / "corpus_wrong.py").is_file() else None


def held(path, name):
    """Run one of the folder's files, without what it prints, and return what it holds."""
    with np.errstate(all="ignore"), contextlib.redirect_stdout(io.StringIO()):
        return runpy.run_path(str(path / name))


def check(make):
    """Return what is said of a piece: None where it passes, else the key of the first cause."""
    try:
        target, *inputs = make()
        with np.errstate(all="ignore"):
            report = md.gradcheck(target, *inputs, verbose=False)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None if report.passed else (report.diagnosis[0].key if report.diagnosis else "random")


def verdict(key, right, vague=""):
    """Judge what is said of a wrong piece, given the causes that are right, and vague."""
    if key is None:
        return "missed"
    if key in right.split():
        return "right"
    if key == "random":
        return "none fits"
    return "vague" if key in vague.split() else "misleading"


def of_wrong(path):
    """Return for each wrong piece the first cause, and how it is judged."""
    cases = held(path, "corpus_wrong.py")["CASES"]
    keys = {name: check(make) for name, (make, *_) in cases.items()}
    return {name: (key, verdict(key, *TRUTH[name])) for name, key in keys.items()}


def of_right(path):
    """Return what is said of each right piece that does not pass."""
    pieces = held(path, "corpus_right.py")["C"]
    said = {name: check(make) for name, make in pieces.items()}
    return len(said), {name: key for name, key in said.items() if key is not None}


def of_optimizers(path):
    """Return for each wrong optimizer cause and judgement, and what is said of the right ones."""
    both = held(path, "optimizers_all.py")
    wrong = {}
    for name, (cls, _, like, options) in both["W"].items():
        report = md.checking.optimcheck(cls(**options), like=like, verbose=False)
        key = None if report.passed else report.diagnosis[0].key
        wrong[name] = (key, verdict(key, OPTIMIZERS[name]))
    alarms = {}
    for name, (cls, like, options) in both["C"].items():
        report = md.checking.optimcheck(cls(**options), like=like, verbose=False)
        if not report.passed:
            alarms[name] = report.diagnosis[0].key
    return wrong, len(both["C"]), alarms


def count(judged):
    """Count the judgements."""
    return Counter(judgement for _, judgement in judged.values())
