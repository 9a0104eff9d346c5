"""Code that was not written for the checker, and which causes are right for each wrong piece.

The pieces themselves lie in a folder outside of the project, named by MINIDLRM_CASES_DIR, or
`cases/gradcheck` beside the folder of MINIDLRM_DATA. For each wrong piece RIGHT holds the causes
that say what is wrong, and VAGUE those that are true and say little. "random" says that nothing
fits; every other cause misleads.
"""

import contextlib
import io
import os
import runpy
from collections import Counter
from pathlib import Path

import numpy as np

import minidlrm as md

RIGHT = {
    "lin_db_mean": "batch_twice",
    "lin_db_axis1": "axis",
    "lin_dx_square": "transpose",
    "lin_db_not_returned": "missing",
    "lin_db_scalar": "shape broadcast",
    "lin_db_keepdims": "shape",
    "lin_dict": "shape missing",
    "lin_order": "order shape operand",
    "lin_order_square": "order operand",
    "lin_dW_over_D": "factor",
    "lin_loop_last": "samples",
    "lin_loop_overwrite": "one_sample samples",
    "lin_update_before_dx": "modified updated",
    "lin_updated_copy": "updated",
    "lin_clip1": "not_linear",
    "lin_clip50": "not_linear",
    "lin_clipnorm": "not_linear",
    "lin_f32_accum": "dtype",
    "lin_f32_hidden": "dtype",
    "lin_int": "dtype",
    "relu_int_zeros": "dtype",
    "relu_inplace_fwd": "modified",
    "relu_alias_dy": "modified",
    "relu_x_for_dy": "upstream_ignored operand",
    "leaky_zero": "part_missing branch",
    "leaky_mask_dy": "not_linear",
    "leaky_swapped": "mask_inverted branch",
    "elu_wrong": "branch",
    "relu6": "slope_forgotten mask_forgotten branch",
    "relu_wrong_side": "mask_inverted",
    "tanh_input": "slope_place",
    "tanh_no_square": "local_factor",
    "tanh_twice": "slope_place",
    "sigmoid_twice_fn": "slope_place sigmoid_twice",
    "sigmoid_no_dy": "upstream_ignored",
    "tanh_forgotten": "slope_forgotten",
    "gelu_half": "term part_missing product_rule",
    "gelu_three": "term",
    "gelu_other_form": "",
    "swish": "term part_missing product_rule",
    "softplus": "softplus_sign mask_inverted",
    "smooth_abs": "epsilon",
    "square": "factor",
    "cube": "operand_left local_factor",
    "softmax_diag": "part_missing term statistic",
    "softmax_keepdims": "axis",
    "softmax_axis0": "axis",
    "softmax_second": "term operand_left",
    "softmax_of_y": "slope_place",
    "logsoftmax": "not_linear operand_left term",
    "lse": "row_factor local_factor",
    "ce_size": "factor",
    "ce_label_off": "index_shift shifted",
    "ce_int_broadcast": "fancy_index",
    "ce_inplace_p": "leftover stale modified",
    "ce_fancy": "fancy_index",
    "ce_twice": "sigmoid_twice local_factor",
    "ce_true_only": "part_missing term",
    "ln_const": "statistic",
    "ln_novar": "statistic",
    "ln_ddof": "statistic",
    "ln_eps5": "epsilon",
    "ln_eps3": "epsilon",
    "ln_dgamma_axis": "axis",
    "ln_dgamma_x": "operand",
    "ln_no_gamma": "operand operand_left",
    "bn_axis": "axis",
    "bn_D": "statistic term",
    "bn_dbeta": "batch_twice",
    "l2norm": "statistic term",
    "cosine": "statistic term",
    "drop_nomask": "slope_forgotten mask_forgotten",
    "drop_noscale": "factor",
    "drop_p": "factor",
    "drop_newmask": "leftover noise",
    "attn_scale": "factor",
    "attn_dK": "transpose",
    "attn_dV": "transpose",
    "attn_axis": "axis",
    "attn_detach": "zero statistic part_missing",
    "attn_mask_strict": "part_missing diagonal",
}
VAGUE = {
    "lin_db_mean": "factor",
    "lin_loop_last": "part_missing",
    "lin_updated_copy": "not_linear term",
    "lin_int": "not_linear",
    "relu_int_zeros": "not_linear",
    "elu_wrong": "local_factor term",
    "relu_wrong_side": "branch",
    "tanh_input": "local_factor",
    "tanh_no_square": "term slope_forgotten",
    "tanh_twice": "local_factor",
    "gelu_half": "local_factor",
    "gelu_three": "local_factor",
    "gelu_other_form": "local_factor term branch",
    "swish": "local_factor",
    "smooth_abs": "local_factor",
    "softmax_keepdims": "term extra_term",
    "softmax_axis0": "term",
    "softmax_of_y": "local_factor",
    "lse": "factor",
    "ce_int_broadcast": "term extra_term",
    "ce_fancy": "term extra_term",
    "ln_const": "term part_missing",
    "ln_novar": "term part_missing",
    "ln_ddof": "factor row_factor term local_factor",
    "ln_eps5": "row_factor statistic",
    "ln_eps3": "row_factor statistic",
    "ln_dgamma_x": "local_factor term",
    "bn_axis": "statistic",
    "bn_D": "factor",
    "attn_mask_strict": "term statistic",
}
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


def verdict(name, key, right=RIGHT, vague=VAGUE):
    """Judge what is said of a wrong piece."""
    if key is None:
        return "missed"
    if key in right.get(name, "").split():
        return "right"
    if key in vague.get(name, "").split():
        return "vague"
    return "none fits" if key == "random" else "misleading"


def of_wrong(path):
    """Return for each wrong piece the first cause, and how it is judged."""
    cases = held(path, "corpus_wrong.py")["CASES"]
    keys = {name: check(make) for name, (make, *_) in cases.items()}
    return {name: (key, verdict(name, key)) for name, key in keys.items()}


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
        wrong[name] = (key, verdict(name, key, OPTIMIZERS, {}))
    alarms = {}
    for name, (cls, like, options) in both["C"].items():
        report = md.checking.optimcheck(cls(**options), like=like, verbose=False)
        if not report.passed:
            alarms[name] = report.diagnosis[0].key
    return wrong, len(both["C"]), alarms


def count(judged):
    """Count the judgements."""
    return Counter(judgement for _, judgement in judged.values())
