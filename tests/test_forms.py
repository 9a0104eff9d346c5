"""What the checker makes of the forms of code: readings, roles, ids, other inputs, remarks."""

import numpy as np
import pytest

import minidlrm as md
from minidlrm.checking import ids, points
from minidlrm.checking.forms import Reading, pack, readings
from minidlrm.checking.matching import match
from minidlrm.checking.raised import described

RNG = np.random.default_rng(0)
X, W, B = RNG.normal(size=(5, 4)), RNG.normal(size=(4, 3)), RNG.normal(size=3)


def checked(forward, backward, *inputs, **named):
    return md.gradcheck((forward, backward), *inputs, verbose=False, **named)


def test_the_commonest_reading_comes_first():
    assert readings((X, W), lambda dy, cache: dy, 1)[0] == Reading(1, ("dy", "*caches"))
    assert readings((X, W, B), lambda dy, cache: dy, 1)[0] == Reading(1, ("dy", "caches"))
    assert readings(X, lambda dy: dy, 1) == [Reading(0, ("dy",))]
    assert readings(X, lambda dy, x, w: dy, 2)[0] == Reading(0, ("dy", "*inputs"))


def test_a_default_argument_of_backward_is_not_filled_with_an_input():
    assert readings(X, lambda dy, slope=1.0: dy, 1) == [Reading(0, ("dy",))]


def test_the_cache_is_not_replaced_by_the_inputs():
    """tanh of the output: right if backward were given x, and it is given y."""

    def forward(x):
        y = np.tanh(x)
        return y, y

    assert not checked(forward, lambda dy, y: dy * (1 - np.tanh(y) ** 2), X).passed


def test_a_form_undoes_what_pack_has_done():
    y = {"a": np.ones((2, 2)), "b": [np.arange(3.0), 2.0], "n": np.arange(2)}
    flat, form = pack(y)
    assert flat.shape == (8,)
    back = form.unpack(np.arange(8.0))
    np.testing.assert_array_equal(back["a"], [[0, 1], [2, 3]])
    np.testing.assert_array_equal(back["b"][0], [4, 5, 6])
    assert back["b"][1] == 7
    assert back["n"] is None


def test_gradients_are_matched_by_name_by_place_and_by_shape():
    inputs = [("x", X), ("y", np.arange(5)), ("w", W), ("b", B)]
    for returned in ({"dw": W, "db": B}, (None, None, W, B), [W, B]):
        found = {k: v for k, v in match(returned, inputs).items() if v is not None}
        assert list(found) == ["w", "b"]


def test_inputs_by_name_reach_forward():
    def forward(x, *, w):
        return x @ w, (x, w)

    def backward(dy, c):
        return dy @ c[1].T, c[0].T @ dy

    report = checked(forward, backward, X, w=W)
    report.raise_if_failed()
    assert [check.name for check in report.arrays] == ["x", "w"]
    with pytest.raises(TypeError, match="'sed' is not an option of gradcheck or an argument"):
        checked(forward, backward, X, w=W, sed=1)


def test_an_exception_is_told_with_its_line():
    report = checked(lambda x, w: (x @ w, w), lambda dy, w: dy @ w, X, W)
    (fault,) = report.faults
    assert fault.startswith("backward raises ValueError: matmul")
    assert "test_forms.py, line" in fault
    assert "lambda dy, w: dy @ w" in fault
    assert report.diagnosis[0].key == "raised"


def test_an_exception_without_a_frame_is_told():
    assert described(ValueError(), "forward") == "forward raises ValueError"


def test_a_label_is_listed_and_need_no_gradient():
    def forward(x, t):
        return ((x - t) ** 2).mean(), x - t

    report = checked(forward, lambda d, e: 2 * d * e / e.size, B, B[::-1].copy())
    report.raise_if_failed()
    assert report.unchecked == (("t", (3,), "taken for a label"),)
    assert "taken for a label" in str(report)


def test_a_gradient_that_is_not_returned_fails_and_is_listed():
    report = checked(
        lambda x, w, b: (x @ w + b, (x, w)), lambda dy, c: (dy @ c[1].T, c[0].T @ dy), X, W, B
    )
    assert report.faults == ("backward returned no gradient of b",)
    assert [check.name for check in report.arrays] == ["x", "w", "b"]


def only(change):
    return [value.tolist() if isinstance(value, np.ndarray) else value for value in change.inputs]


def first_change(*inputs):
    return next(ids.changes(inputs, None))


def test_zeros_and_ones_and_offsets_and_labels_stay():
    eye, offsets, given = np.eye(3, dtype=int), np.array([0, 2, 4]), np.array([7, 2, 5, 1])
    change = first_change(eye, offsets, given, np.array([4, 4, 2]))
    assert only(change) == [eye.tolist(), [0, 2, 4], [7, 7, 5, 1], [4, 4, 2]]
    assert change.places == (2,)
    assert not change.doubtful


@pytest.mark.parametrize("values", [[3, 0, 1, 2], [1, 4, 6, 9]])
def test_a_permutation_and_an_increasing_list_leave_a_doubt(values):
    assert first_change(np.array(values)).doubtful


def test_a_doubt_makes_a_remark_and_no_failure():
    def backward(dy, p):
        dx = np.empty_like(dy)
        dx[p] = dy
        return dx

    report = checked(lambda x, p: (x[p], p), backward, X, np.array([3, 0, 4, 1, 2]))
    assert report.passed
    assert "changed from [3, 0, 4, 1, 2] to [3, 3, 4, 1, 2]" in report.notes[0]


def test_lost_repeats_fail_and_the_given_ids_are_said_to_pass():
    def backward(dy, c):
        d = np.zeros((9, 4))
        d[c] = dy
        return d

    table, given = RNG.normal(size=(9, 4)), np.array([7, 2, 5])
    report = checked(lambda w, i: (w[i], i), backward, table, given)
    assert not report.passed
    assert any("on those given it passes" in note for note in report.notes)


def test_ids_that_the_code_does_not_bear_are_left_as_they_are():
    def forward(w, pairs):
        assert len(set(pairs[0])) == 2
        return w[pairs].sum(1), (w.shape, pairs)

    def backward(dy, c):
        d = np.zeros(c[0])
        np.add.at(d, c[1], dy[:, None])
        return d

    report = checked(forward, backward, RNG.normal(size=(9, 2)), np.array([[7, 2], [5, 0]]))
    report.raise_if_failed()


def test_other_inputs_stay_where_the_values_were():
    rng = np.random.default_rng(0)
    rates, sizes, signs = rng.random(6), np.exp(rng.normal(size=6)), rng.normal(size=6)
    for rate, size, sign in points.others((rates, sizes, signs), rng):
        assert ((rate >= 0) & (rate <= 1)).all()
        assert (size > 0).all()
        assert not np.array_equal(sign, signs)
    (scaled,) = points.scaled((rates,), lambda a: True, 1000.0)
    assert scaled.max() < 1


def test_larger_inputs_find_a_branch():
    x = RNG.uniform(-3.8, 3.8, (4, 3))
    report = checked(lambda x: (np.clip(x, 0, 4), x), lambda dy, x: dy * (x > 0), x)
    assert report.diagnosis[0].key == "unreached"
    assert "the function's slope 0" in report.faults[0]


def test_a_guard_far_out_is_a_remark():
    def forward(x):
        return np.clip(x, -50, 50) ** 2, x

    report = checked(forward, lambda dy, x: 2 * dy * x, X)
    assert report.passed
    assert "not seen at these inputs" in report.notes[0]


def test_another_sign_is_a_remark():
    report = checked(lambda x: (np.abs(x), x), lambda dy, x: dy, np.exp(X))
    assert report.passed
    assert "with the other sign the gradient of x is wrong" in report.notes[0]


def test_a_backward_that_takes_arrays_from_outside_is_not_blamed_for_other_inputs():
    assert checked(lambda x: x**3, lambda dy: 3 * dy * X**2, X).passed


def test_an_approximation_is_a_remark():
    report = checked(lambda x: (np.log(x + 1e-7), x), lambda dy, x: dy / x, np.exp(X))
    assert report.passed
    assert "an epsilon in one pass alone" in report.notes[0]


def test_a_cache_that_backward_changes_is_a_remark():
    def backward(dy, kept):
        kept *= 2
        return dy * kept

    report = checked(lambda x: (x**2, x.copy()), backward, X)
    assert report.passed
    assert any("a second time on the same cache" in note for note in report.notes)


def test_ids_from_outside_that_never_repeat_are_a_remark():
    given = np.array([3, 1, 0])

    def backward(dy):
        d = np.zeros((5, 4))
        d[given] += dy
        return d

    report = checked(lambda w: w[given], backward, X)
    assert "3 rows are used, and none twice" in report.notes[0]


@pytest.mark.slow
def test_one_wrong_entry_of_ten_thousand_is_found_without_complex_numbers():
    """With directions of 1 and -1 an entry that is off by e moves the sum by e: it is seen when
    the derivative along the direction is known to less than e. Here that is some 1e-6, and the
    smallest mistake that is planted is 0.1 of an entry."""

    def forward(w):
        return np.abs(w).sum(1), w

    for seed in range(10):
        rng = np.random.default_rng(seed)
        place = tuple(rng.integers(0, 100, 2))

        def backward(dy, w, place=place):
            d = dy[:, None] * np.sign(w)
            d[place] *= 1.1
            return d

        w = rng.normal(size=(100, 100))
        report = md.gradcheck((forward, backward), w, seed=seed, verbose=False)
        assert report.arrays[0].index == place
        assert not report.passed


class _Dropout(md.Module):
    def __init__(self, slope):
        self.inside, self.slope = md.Linear(4, 3, rng=np.random.default_rng(0)), slope

    def forward(self, x):
        self.mask = np.random.rand(*x.shape) < 0.5  # noqa: NPY002
        return self.inside.forward(x * self.mask)

    def backward(self, dy):
        return self.inside.backward(dy) * self.mask * self.slope


def test_a_module_that_draws_from_np_random_is_given_the_same_numbers_each_time():
    assert md.gradcheck(_Dropout(1.0), X, verbose=False).passed
    report = md.gradcheck(_Dropout(2.0), X, verbose=False)
    assert report.diagnosis[0].key == "factor"


def test_np_random_of_the_caller_is_left_as_it_was():
    np.random.seed(5)  # noqa: NPY002
    expected = np.random.rand(3)  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002

    def forward(x):
        mask = np.random.rand(*x.shape) < 0.5  # noqa: NPY002
        return x * mask, mask

    assert checked(forward, lambda dy, mask: dy * mask, X).passed
    np.testing.assert_array_equal(np.random.rand(3), expected)  # noqa: NPY002
