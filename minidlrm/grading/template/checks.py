"""The checks of NAME. A test is a criterion; its task's points are in the source.

``weight=2`` gives a criterion twice the share of the others; ``builds_on`` names functions of
earlier tasks, whose mistakes cost nothing here. Write the right answers in this file, as here, when
students are to check themselves; `minidlrm.grading.assignment.solutions(__file__)` reads them from
the source, and then students must not get this file.
"""

import numpy as np
import pytest

from minidlrm.checking import Fingerprint
from minidlrm.grading.judge import catches, gradient, personal
from minidlrm.grading.known import compare

task = pytest.mark.task


def neuron(x, w):
    return np.tanh(x @ w)


def neuron_mistakes(x, w):
    """Return what foreseeable mistakes give: where an answer equals one, it is named."""
    return [
        ("the tanh is left out", x @ w),
        ("the sigmoid is in the place of tanh", 1 / (1 + np.exp(-(x @ w)))),
        ("tanh is applied before the sum, not after it", np.tanh(x * w).sum(axis=1)),
    ]


FORGOTTEN = Fingerprint(
    "slope_forgotten",
    lambda target, dy, x, w: {"x": dy[:, None] * w, "w": dy @ x},
    "dx and dw are those of x @ w alone",
)


@pytest.fixture
def inputs(rng):
    """Random inputs; all sizes differ."""
    return rng.normal(size=(5, 3)), rng.normal(size=3)


@task("NAME.2", title="y for a batch")
def test_forward(student, inputs):
    answer = student.call("neuron_forward", *inputs)
    compare("y", answer, neuron(*inputs), neuron_mistakes(*inputs))


def _gradient(student, inputs, name):
    wrong, own = [FORGOTTEN], "neuron_forward"
    gradient(student, "neuron_backward", neuron, *inputs, only=[name], fingerprints=wrong, own=own)


@task("NAME.3", title="dx")
def test_dx(student, inputs):
    _gradient(student, inputs, "x")


@task("NAME.3", title="dw")
def test_dw(student, inputs):
    _gradient(student, inputs, "w")


@task("NAME.4", title="the new weights", builds_on="neuron_forward neuron_backward")
def test_step(student, rng, inputs):
    x, w = inputs
    t, rate, y = rng.normal(size=5), 0.3, neuron(x, w)
    dw = ((y - t) * (1 - y**2)) @ x
    wrong = [
        ("the step goes uphill", w + rate * dw / 5),
        ("the mean over the batch is forgotten", w - rate * dw),
        ("the learning rate is forgotten", w - dw / 5),
    ]
    compare("w", student.call("step", x, w, t, rate), w - rate * dw / 5, wrong)


@task("NAME.5", title="your own number")
def test_my_number(student, student_id):
    own = personal(student_id, "NAME.5").normal(size=40)
    wrong = [
        ("the squares are added up, not averaged", np.sum(own**2)),
        ("this is the square of the mean, not the mean of the squares", np.mean(own) ** 2),
    ]
    answer = student.call("my_mean_square")
    compare("the number", answer, np.mean(own**2), wrong, 1e-5, tell=False)


PLANTED = [
    ("the tanh is left out", lambda x, w: x @ w),
    ("the sign is wrong", lambda x, w: -neuron(x, w)),
    ("the last sample is 0", lambda x, w: neuron(x, w) * (np.arange(len(x)) < len(x) - 1)),
]


@task("NAME.6", title="your test finds planted mistakes")
def test_the_test(student, order, earn):
    catches(lambda forward: student.call("is_neuron", forward), [neuron], PLANTED, order, earn)
