"""gradcheck: is the backward pass the derivative of the forward pass?

The outputs y are reduced to one number L = sum(r * y) with random r, so that the analytic
gradient is backward(r). First the rules that need no difference quotient are checked
(`protocol`); then each array is moved, along a direction and entry by entry (`entries`), and
the slope of L must agree (`numeric`); and when something is wrong, `diagnosis` says what it
looks like.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidlrm.arrays import as_flag, as_seed, as_size, check_rate, check_word
from minidlrm.checking.attempts import Options, best_run
from minidlrm.checking.fingerprints import Fingerprint
from minidlrm.checking.numeric import METHODS
from minidlrm.checking.report import GradCheckReport


def gradcheck(
    target: Any,
    *inputs: Any,
    method: str = "auto",
    rtol: float | None = None,
    atol: float | None = None,
    max_checks: int | None = None,
    seed: int = 0,
    fingerprints: Sequence[Fingerprint] = (),
    verbose: bool = True,
    **named: Any,
) -> GradCheckReport:
    """Check every parameter and every differentiable input, and explain what is wrong.

    The gradient that arrives is random: a sum of the outputs would pass a backward that
    ignores it. The ids in `inputs` are changed so that they collide, inside a bag and across
    bags: a backward that loses the repeats of an id would pass on distinct ids. All rows of
    a table that its gradient leaves out are moved at once: the output must not change.

    Parameters
    ----------
    target : Module, any object with forward and backward, or pair of functions
        A layer, a loss, or a model: it is copied in float64, and not changed. Or
        ``(forward, backward)``, as a student writes them: ``forward(*arrays)`` returns y, or
        y and a cache, or several outputs; ``backward(dy)``, or ``backward(dy, cache)``, or
        ``backward(dy, *arrays)`` returns a gradient for each float array.
    *inputs
        What forward takes: arrays, numbers, lists or dicts of them, a `Jagged`, a `Batch`, or a
        random generator, which is set back before each call. backward returns the gradients
        in the order of the arrays, or in a dict by their names; None stands for one that is
        not there. An array on which the output depends must have one, unless it is a label.
        A pair that is given float32 arrays is run in float32, and compared with numeric
        gradients in float64.
    method : "auto", "complex", "richardson" or "central"
        How the numeric gradient is made; see `minidlrm.checking.numeric`.
    rtol : float, optional
        An entry passes when ``|a - n| <= rtol (max(|a|, |n|) + floor)``, plus the numeric
        gradient's own error. The default follows the precision: 1e-5 for float64, 2e-3 for float32.
    atol : float, optional
        rtol times the floor. By default the floor is 1/1000 of the largest entry of the array
        (float32: 1/100).
    max_checks : int, optional
        Entries of each array that are checked one by one; larger arrays are sampled. By default
        100, or the largest alone where the whole gradient agrees with the complex step along a
        random direction, in which every entry takes part.
    seed : int
        Of the random r, and of the sample.
    fingerprints : sequence of Fingerprint
        Wrong formulas to compare with, beside those of the known layers.
    verbose : bool
        Whether to print the report.
    **named
        What forward takes by name.

    Returns
    -------
    GradCheckReport
        `passed`; a line for each array; the rules that were broken; likely causes.

    Raises
    ------
    TypeError
        When the target has no forward and backward, or forward no argument of that name.
    ValueError
        When the method is not known, or "complex" is asked of code that cannot carry it.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> x = np.random.default_rng(0).normal(size=(4, 3))
    >>> md.gradcheck(md.Linear(3, 2, rng=np.random.default_rng(0)), x, verbose=False).passed
    True
    >>> report = md.gradcheck((np.sin, lambda dy: dy), x, verbose=False)
    >>> report.passed
    False
    """
    check_word("method", method, *METHODS)
    for name, value in (("rtol", rtol), ("atol", atol)):
        if value is not None:
            check_rate(name, value)
    if max_checks is not None:
        max_checks = as_size("max_checks", max_checks)
    seed, verbose = as_seed(seed), as_flag("verbose", verbose)
    if not isinstance(fingerprints, (list, tuple)) or not all(
        isinstance(each, Fingerprint) for each in fingerprints
    ):
        raise TypeError(f"fingerprints is {fingerprints!r}: it must be a list of Fingerprint")
    options = Options(method, rtol, atol, max_checks, seed)
    with np.errstate(all="ignore"):  # other inputs may overflow, and the given ones are told of
        run = best_run(target, inputs, named, options)
        report = run.report(tuple(fingerprints), gradcheck)
    if verbose:
        print(report)
    return report


def assert_gradients(target: Any, *inputs: Any, **options: Any) -> GradCheckReport:
    """Check gradients in a test: AssertionError, with the whole report, when one is wrong.

    Parameters
    ----------
    target, *inputs, **options
        As `gradcheck`.

    Returns
    -------
    GradCheckReport

    Raises
    ------
    AssertionError
        When an array or a rule fails; its text is the report.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> report = md.checking.assert_gradients(md.ReLU(), np.array([-1.0, 2.0]))
    >>> report.passed
    True
    """
    report = gradcheck(target, *inputs, **{"verbose": False, **options})
    report.raise_if_failed()
    return report
