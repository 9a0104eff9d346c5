"""What is wrong with an optimizer, and what to look at."""

from __future__ import annotations

from minidlrm.checking.report import Cause
from minidlrm.languages import sentence

CATALOGUE: dict[str, tuple[str, str]] = {
    "stopped": ("the step stops with an error", "Look at the line."),
    "no_gradient": (
        "a parameter without a gradient is not left alone",
        "Skip parameters whose grad is None.",
    ),
    "sparse": (
        "the gradient of a table is not handled",
        "It is a SparseGrad: update value[grad.rows] with grad.values.",
    ),
    "modified": (
        "the gradient is changed in place",
        "Work on a copy, and leave clearing to zero_grad.",
    ),
    "not_repeatable": ("two runs give two results", "Take random numbers from a seed, or none."),
    "stuck": (
        "parameters do not move",
        "w = w - ... gives a name to a new array: write p.value -= ..., or assign p.value.",
    ),
    "some_stuck": (
        "some parameters do not move",
        "Look for a return or break in the loop, and for gradients that are passed over.",
    ),
    "uphill": ("it steps uphill", "The gradient points to where the loss grows: subtract it."),
    "rate_twice": ("the learning rate is applied twice", "Look for a second factor lr."),
    "rate_missing": ("the learning rate is missing", "Each step is lr times its direction."),
    "rate_changes": (
        "the learning rate changes from step to step",
        "Look for a rate that falls, or for a step number in it.",
    ),
    "factor": ("a constant factor is wrong", "Compare the first step with the rule."),
    "step_twice": ("each step is taken twice", "Look for a second call, or a loop inside a loop."),
    "option": ("an option is not the one that was asked for", "Look for a number in the code."),
    "clipped": (
        "the gradient is cut off",
        "A rule does not clip: clip outside of the optimizer, where it can be seen.",
    ),
    "sign_only": ("the size of the gradient is lost", "A step is proportional to the gradient."),
    "normalized": ("the gradient is divided by its norm", "Use the gradient as it is."),
    "squared": ("the sign of the gradient is lost", "Squares are for the history alone."),
    "delayed": ("the gradient of an earlier step is used", "Use the gradient of this step."),
    "summed": ("gradients of earlier steps are added up", "Use the gradient of this step."),
    "decay_missing": ("the weight decay is missing", "g becomes g + weight_decay w."),
    "decay_sign": ("the weight decay has the wrong sign", "Decay pulls w towards 0."),
    "decay_twice": ("the weight decay is applied twice", "Add weight_decay w once."),
    "decay_apart": (
        "the weight decay is added in the wrong place: outside of the rule",
        "L2: weight_decay w joins the gradient before the rule. Beside the step it is AdamW's.",
    ),
    "decay_after": (
        "the weight decay is taken from the new weights",
        "Take it before the step: weight_decay w joins the gradient.",
    ),
    "decay_rate": ("the weight decay is not multiplied by lr", "It joins g: lr multiplies both."),
    "decay_form": ("the weight decay has the wrong form", "L2 adds weight_decay w: the slope."),
    "decay_some": ("the weight decay leaves some parameters out", "It is for every parameter."),
    "decay_unasked": ("weights decay unasked", "weight_decay is 0."),
    "other_rows": (
        "rows change that were not looked up",
        "Update the rows of the SparseGrad, and no others.",
    ),
    "wrong_rows": (
        "rows that were looked up do not change",
        "The k-th values of a SparseGrad belong to row rows[k].",
    ),
    "state_lost": (
        "the state of earlier steps is lost",
        "Keep the state between steps, for each parameter.",
    ),
    "shared": (
        "parameters share a state",
        "Keep one state for each parameter, such as a dict with the parameter as its key.",
    ),
    "state_order": (
        "the step uses the state from before this gradient",
        "First take the gradient into the state, then step.",
    ),
    "state_start": ("the state begins at the wrong number", "It begins at 0."),
    "momentum_missing": ("the velocity is not damped", "v becomes mu v + g."),
    "momentum_sign": ("the velocity is damped with the wrong sign", "v becomes mu v + g."),
    "momentum_unused": ("the average of the gradients is not used", "The step is along m."),
    "averaged": (
        "the velocity is an average of the gradients, where it is a sum",
        "v becomes mu v + g, without 1 - mu.",
    ),
    "nesterov": ("it is Nesterov's rule", "Plain momentum steps along v."),
    "root_missing": ("the square root is missing", "Divide by sqrt(h) + eps."),
    "divided": ("the root multiplies, where it divides", "Divide by sqrt(h) + eps."),
    "eps_inside": ("eps is in the wrong place: inside the root", "The rule has sqrt(h) + eps."),
    "eps_missing": ("0 / 0 where the gradient is 0: eps is missing", "Divide by sqrt(h) + eps."),
    "square_missing": ("the gradient is not squared", "The history is of g^2."),
    "averaged_squares": (
        "squares are averaged where they are summed",
        "Adagrad's h grows with every step; RMSprop's forgets.",
    ),
    "whole_array": (
        "numbers share a history where each has its own",
        "Square number by number: no mean, and no sum.",
    ),
    "sum_for_mean": (
        "squares are summed where they are averaged",
        "Row-wise Adagrad keeps the mean of a row's squares.",
    ),
    "max_for_mean": (
        "the largest square is used for the mean of a row",
        "Row-wise Adagrad keeps the mean of a row's squares.",
    ),
    "not_by_row": (
        "the history is not kept by row",
        "Row-wise Adagrad has one number for each row of a table.",
    ),
    "not_corrected": (
        "the bias of the first steps is not corrected",
        "m and v begin at 0: divide them by 1 - beta^t.",
    ),
    "half_corrected": (
        "the bias of the first steps is corrected in one of m and v alone",
        "Both begin at 0: divide m by 1 - beta1^t, v by 1 - beta2^t.",
    ),
    "correction_power": (
        "the bias correction has a wrong exponent",
        "It is 1 - beta^t, with t the number of the step.",
    ),
    "correction_beta": (
        "the bias correction has the other beta",
        "m / (1 - beta1^t), and v / (1 - beta2^t).",
    ),
    "correction_times": ("the bias correction multiplies", "Divide by 1 - beta^t."),
    "average_missing": ("a factor 1 - beta is missing", "m <- b1 m + (1 - b1) g; v likewise."),
    "square_of_mean": (
        "the mean is squared, where squares are averaged",
        "Square first: mean(g^2) is not mean(g)^2.",
    ),
    "fed": ("v is made of m, where it is made of g", "v <- b2 v + (1 - b2) g^2."),
    "exchanged": ("m and v are exchanged in the step", "The step is m / (sqrt(v) + eps)."),
    "corrected_kept": (
        "the corrected m and v are kept as the state",
        "Correct copies: the next step begins at the uncorrected ones.",
    ),
    "idle": ("some steps change nothing", "Look for a condition, or for a return before the step."),
    "largest": (
        "it keeps the largest square",
        "Adam divides by the v of this step; AMSGrad and Adamax do not.",
    ),
    "betas_swapped": ("the two betas are exchanged", "beta1 is for m, beta2 for v."),
    "step_number": (
        "the steps are counted wrongly",
        "t is 1 in the first step, and 2 in the next.",
    ),
    "ftrl_sigma": (
        "sigma is wrong",
        "z <- z + g - sigma w, where sigma = (sqrt(n + g^2) - sqrt(n)) / lr.",
    ),
    "ftrl_l1": (
        "the l1 threshold is wrong",
        "w = 0 where |z| <= l1; elsewhere z - sign(z) l1 is divided.",
    ),
    "precision": ("digits are lost", "Look for float32 or float16 inside."),
    "random": ("no simple cause fits", "Work out the first wrong step by hand."),
}


def make_cause(key: str, evidence: str, score: float) -> Cause:
    """Return a cause of the catalogue."""
    title, hint = CATALOGUE[key]
    return Cause(key, title, "", sentence(evidence), hint, score)
