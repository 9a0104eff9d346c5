"""The catalogue of mistakes: what is wrong, and what to look at."""

from __future__ import annotations

from minidlrm.checking.report import Cause

# key: (what is wrong, what to look at)
CATALOGUE: dict[str, tuple[str, str]] = {
    "factor": ("a constant factor is wrong", "Follow this factor through the derivation."),
    "sign": ("the sign is wrong", "Look for a minus that was lost, or added."),
    "batch_missing": (
        "the division by the batch size is missing",
        "A mean over B samples gives each of them dL/dx = (1/B) times its own slope.",
    ),
    "batch_twice": (
        "it is divided by the batch size once too often",
        "If the loss is a mean, its backward has divided already; a layer only adds up.",
    ),
    "transpose": (
        "the matrix is transposed",
        "Write the shapes under the formula: each sum runs over the axis that both sides share.",
    ),
    "operand": (
        "a wrong operand is used",
        "The derivative by one factor of a product is the other factor.",
    ),
    "not_summed": (
        "the sum over the batch is missing",
        "A parameter serves every sample, so its gradient adds up over all of them.",
    ),
    "one_sample": (
        "only one sample is counted",
        "A parameter serves every sample, so its gradient adds up over all of them.",
    ),
    "broadcast": (
        "one number was spread over the whole array",
        "Check the axis of a sum: axis=0 adds up over the batch, no axis adds up everything.",
    ),
    "slope_forgotten": (
        "the derivative of the activation is forgotten",
        "Multiply dy by the slope of the activation before it goes on.",
    ),
    "slope_place": (
        "the derivative of the activation is evaluated at the wrong place",
        "See whether its formula wants the input or the output of the activation.",
    ),
    "overwritten": (
        "the gradient is overwritten, where it must be added to",
        "A parameter may be used twice, and batches may be split: write grad += ..., or add_grad.",
    ),
    "added_twice": (
        "the gradient is added twice",
        "Look for a second add_grad, or for a gradient that zero_grad did not clear.",
    ),
    "duplicates": (
        "only one use of a repeated id is counted",
        "grad[ids] += dy keeps the last write only: NumPy buffers the assignment. Use a "
        "scatter-add, such as np.add.at.",
    ),
    "bag_repeat": (
        "a repeat of an id inside one bag is lost",
        "A bag that holds an id twice adds its row twice, so its gradient counts twice.",
    ),
    "first_of_bag": (
        "only the first id of each bag is counted",
        "Every id of a bag gets the gradient of its bag.",
    ),
    "mean_missing": (
        "the 1/n of the mean is missing",
        "The mean of a bag of n ids gives each of them 1/n of the bag's gradient.",
    ),
    "weight_missing": (
        "the weight of each id is missing",
        "y = sum of alpha_i W_i: differentiate by W_i, and see what stays in front of dy.",
    ),
    "table_shift": (
        "the rows belong to another table",
        "All tables lie in one array: the rows of table t begin at the sum of the sizes before.",
    ),
    "pairing": (
        "the outputs are paired with the wrong entries of dy",
        "Backward must walk the outputs in the order in which forward wrote them.",
    ),
    "triangle": (
        "one of the two vectors of each pair gets no gradient",
        "y_ij = <z_i, z_j> depends on both: each of them gets dy_ij times the other.",
    ),
    "diagonal": (
        "the pair of a vector with itself is counted wrong",
        "d<z, z>/dz = 2 z: both factors are the same vector.",
    ),
    "self_term": (
        "a vector's product with itself is not taken out",
        "The sum of the pairs is 1/2 [(sum z)^2 - sum z^2]: the second term has a gradient, too.",
    ),
    "second_path": (
        "a vector is used twice, and one of its paths is left out",
        "The gradients of all paths add up; list every place where forward uses the vector.",
    ),
    "part_missing": (
        "a part of the derivative is left out; the rest is right",
        "List every place where forward uses the array: each adds a term.",
    ),
    "axis": (
        "a sum or a mean runs over the wrong axis",
        "Write the shape behind each sum; keepdims=True keeps the axes in their places.",
    ),
    "statistic": (
        "a number that comes from many entries is treated as a constant, or weighted wrongly",
        "A mean, a variance, a norm or a sum depends on every entry: each gets a part through it.",
    ),
    "order": (
        "the gradients go to the wrong arrays",
        "backward walks the layers from the last to the first, and returns one gradient for each "
        "input, in the order of forward's arguments.",
    ),
    "branch": (
        "the slope of one branch is wrong",
        "Differentiate each branch by itself, and use the condition that forward uses.",
    ),
    "mask_inverted": (
        "the branches are exchanged, or 1 - slope stands for the slope",
        "Put one number into forward and into the condition of backward, and compare.",
    ),
    "mask_forgotten": (
        "the gradient goes on where the function is flat",
        "Where forward cuts off, masks or drops, the output does not move: the gradient is 0.",
    ),
    "local_factor": (
        "a factor that differs from entry to entry is missing, or is too much",
        "Follow the chain rule link by link: each inner function gives one factor.",
    ),
    "row_factor": (
        "each row is right up to a factor of its own",
        "Look for a division by a sum, a norm or a count that only forward, or backward, has.",
    ),
    "count": (
        "the rows are divided by how often they are used",
        "The gradients of all uses of a row add up; they are not averaged.",
    ),
    "samples": (
        "some samples are left out",
        "Check where the loop over the samples begins and ends.",
    ),
    "product_rule": (
        "only one factor of a product is differentiated",
        "(u v)' = u' v + u v': where both depend on x, there are two terms.",
    ),
    "shifted": (
        "the right numbers are at the wrong places",
        "Compare the indices that forward reads with those that backward writes.",
    ),
    "index_shift": (
        "the ids or labels are off by one",
        "Use the same indices in forward and in backward.",
    ),
    "fancy_index": (
        "[:, labels] takes these columns of every row",
        "One entry of each row is [np.arange(B), labels].",
    ),
    "term": (
        "a term is missing, or has the wrong factor or sign",
        "Derive this term once more by itself.",
    ),
    "extra_term": (
        "there is a gradient where none belongs",
        "An entry gets dy only from the outputs that depend on it.",
    ),
    "operand_left": (
        "one of the factors is left out",
        "The derivative by one factor of a product holds all the others.",
    ),
    "function_left": (
        "a function of an array is left out, or is there once too often",
        "See whether the formula wants the array itself, or a function of it.",
    ),
    "epsilon": (
        "the epsilon is at another place than in forward",
        "sqrt(v + eps) is not sqrt(v) + eps; use the root that forward has computed.",
    ),
    "updated": (
        "the weights were updated too early",
        "Compute all gradients first, with the weights that forward used; then take the step.",
    ),
    "sigmoid_twice": (
        "the derivative of the sigmoid is applied once more",
        "BCE with logits has it in already: on paper it cancels in dL/dp dp/dx.",
    ),
    "softplus_sign": (
        "the softplus has the wrong sign",
        "-log sigmoid(x) = log(1 + e^-x): its slope is never positive.",
    ),
    "pos_weight": (
        "the weight of the clicks is missing",
        "With pos_weight p, the term of a click is p times as large, and so is its slope.",
    ),
    "one_minus_p": (
        "a factor 1 - p is there that does not belong",
        "Cancel the terms of the chain rule on paper first.",
    ),
    "regularization": (
        "the regularization term is missing",
        "A penalty such as lambda |w|^2 is a part of the loss: it has a gradient, too.",
    ),
    "part": (
        "one part of the sum is wrong; the rest is right",
        "Work out this part by itself, on paper.",
    ),
    "penalty": (
        "there is a penalty that the function does not have",
        "Each term of the gradient is that of a term of forward.",
    ),
    "other_mask": (
        "the mask is not the one that forward used",
        "Keep the mask of forward, and use it: a second one passes other entries.",
    ),
    "stale": (
        "backward uses what an earlier forward kept",
        "Keep the inputs of this forward, every time, and nothing else.",
    ),
    "leftover": (
        "something is left from the pass before",
        "Begin each backward with fresh arrays; add to grad once.",
    ),
    "upstream_ignored": (
        "backward ignores the gradient that arrives",
        "Every gradient is dy times something: dL/dx = dL/dy dy/dx.",
    ),
    "not_linear": (
        "backward is not linear in dy",
        "dy may only be multiplied and added up; a mask or a constant must not come from it.",
    ),
    "modified": (
        "an array is changed in place",
        "Work on a copy: the caller, and the check, still need the old numbers.",
    ),
    "dtype": ("the values are right in the wrong dtype", "Make arrays with the dtype of x."),
    "shape": ("the gradient has the wrong shape", "It has the shape of what it belongs to."),
    "transposed_shape": (
        "the matrix is transposed",
        "Write the shapes under the formula: each sum runs over the axis that both sides share.",
    ),
    "missing": (
        "the gradient is not there",
        "backward adds into the grad of each parameter, and returns dL/dx.",
    ),
    "zero": (
        "the gradient is zero everywhere",
        "It was computed and not stored, or multiplied by a mask that is all zero.",
    ),
    "one_part": (
        "only one row or column has its gradient",
        "Look at the slice that is written: it does not cover the array.",
    ),
    "inner": (
        "the mistake lies in a layer inside",
        "Check this layer by itself first.",
    ),
    "joining": (
        "every layer inside is right: the mistake lies in how they are joined",
        "Draw every arrow of forward; each carries a gradient back, and those that meet add up.",
    ),
    "noise": (
        "the function is random",
        "Give it its random numbers as an input, or a generator with a fixed seed.",
    ),
    "nan": (
        "the gradient is not finite",
        "Look for a division by 0, a log of 0, an exp that overflows, or np.empty.",
    ),
    "not_finite": ("the output is not finite", "Check smaller inputs first."),
    "empty": ("the output is empty", "Give at least one sample."),
    "no_floats": (
        "no input is an array of floats",
        "Integers have no gradient: pass float arrays, such as x.astype(float).",
    ),
    "unreached": (
        "a branch that these inputs do not reach is wrong",
        "Check inputs on both sides of each threshold: a clip, a mask, a maximum.",
    ),
    "raised": (
        "the code raises an exception",
        "Run this line by itself with the same inputs, and print the shapes in it.",
    ),
    "random": (
        "no simple cause fits",
        "Check smaller parts by themselves, with one sample and sizes that all differ.",
    ),
}


def make_cause(key: str, array: str, evidence: str, score: float) -> Cause:
    """Return a cause of the catalogue, with what was seen.

    Parameters
    ----------
    key : str
        In `CATALOGUE`.
    array : str
        Whose gradient shows it; "" for all.
    evidence : str
        What the numbers say.
    score : float
        How much it explains.
    """
    title, hint = CATALOGUE[key]
    return Cause(key, title, array, evidence, hint, score)
