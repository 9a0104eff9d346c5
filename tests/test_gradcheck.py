"""gradcheck passes right layers and catches wrong ones."""

from collections import Counter

import numpy as np
import pytest

import minidlrm as md
from minidlrm import kernels
from minidlrm.data import Batch, Jagged
from minidlrm.module import SparseGrad


class UpstreamIgnored(md.Linear):
    def backward(self, dy):
        return super().backward(np.ones_like(dy))


class TwiceTooLarge(md.Linear):
    def backward(self, dy):
        return super().backward(2 * dy)


class BiasNotSummed(md.Linear):
    def backward(self, dy):
        dx = super().backward(dy)
        self.bias.grad = dy[0].copy()
        return dx


class MaskForgotten(md.ReLU):
    def backward(self, dy):
        self.kept()
        return dy


class UpperForLower(md.DotInteraction):
    def backward(self, dy):
        (z,) = self.kept()
        i, j = np.triu_indices(z.shape[1], 1)
        g = np.zeros((len(z), z.shape[1], z.shape[1]))
        g[:, i, j] = dy
        return (g + g.transpose(0, 2, 1)) @ z


class RepeatsDropped(md.EmbeddingBagCollection):
    def backward(self, dy):
        shape, rows, *_ = self.kept()
        dense = np.zeros(self.weight.value.shape)
        dense[rows] = dy.reshape(-1, shape[2])
        unique = np.unique(rows)
        self.weight.add_grad(SparseGrad(unique, dense[unique], dense.shape))


class RepeatInsideABagDropped(md.EmbeddingBagCollection):
    def backward(self, dy):
        shape, rows, source, *_ = self.kept()
        dense = np.zeros(self.weight.value.shape)
        flat = dy.reshape(-1, shape[-1])
        for bag in range(shape[0]):
            dense[rows[source == bag]] += flat[bag]
        unique = np.unique(rows)
        self.weight.add_grad(SparseGrad(unique, dense[unique], dense.shape))


class RepeatInsideARow(md.EmbeddingBag):
    def backward(self, dy):
        RepeatInsideABagDropped.backward(self, dy)


class RowForgotten(md.EmbeddingBagCollection):
    def backward(self, dy):
        super().backward(dy)
        grad = self.weight.grad
        self.weight.grad = SparseGrad(grad.rows[1:], grad.values[1:], grad.shape)


class NothingReturned(md.Linear):
    def backward(self, dy):
        super().backward(dy)


class SecondPathForgotten(md.DLRM):
    def backward(self, dlogits):
        ((_, width),) = self.kept()
        dtop = self.top.backward(dlogits[:, None])
        dz = self.interaction.backward(dtop[:, width:])
        self.bottom.backward(dz[:, 0])
        self.embeddings.backward(dz[:, 1:])


def batch(num_tables=2, rows=8):
    rng = np.random.default_rng(3)
    return Batch(rng.normal(size=(rows, 3)), rng.integers(0, 2000, (rows, num_tables)))


IDS = np.arange(12)
RNG = np.random.default_rng(0)


WRONG = [
    (UpstreamIgnored(3, 2, rng=RNG), np.ones((4, 3))),
    (TwiceTooLarge(3, 2, rng=RNG), np.ones((4, 3))),
    (BiasNotSummed(3, 2, rng=RNG), np.ones((4, 3))),
    (MaskForgotten(), np.array([-1.0, 1, 2, -3])),
    (UpperForLower(4, 2), np.arange(16.0).reshape(2, 4, 2)),
    (RepeatsDropped([2000, 2000], 2, rng=RNG), batch().sparse),
    (SecondPathForgotten(3, [2000, 2000], 2, (4,), (4,)), batch()),
    (RepeatInsideABagDropped([2000], 2, rng=RNG), Jagged(IDS, np.arange(0, 13, 3))),
    (RowForgotten([2000], 2, rng=RNG), batch(1).sparse),
    (NothingReturned(3, 2, rng=RNG), np.ones((4, 3))),
    (RepeatInsideARow(2000, 2, rng=RNG), IDS.reshape(4, 3)),
    (RepeatInsideARow(2000, 2, rng=RNG), IDS, np.arange(0, 12, 3)),
]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("case", [pytest.param(case, id=type(case[0]).__name__) for case in WRONG])
def test_planted_mistakes_are_caught(case, seed):
    report = md.gradcheck(*case, seed=seed, verbose=False)
    assert not report.passed
    with pytest.raises(AssertionError, match="FAILED"):
        report.raise_if_failed()


@pytest.mark.parametrize("seed", range(5))
def test_data_of_the_same_seed_hide_nothing(seed):
    """If r were drawn as x was, r^T x would be symmetric, and its transpose right."""
    from minidlrm.checking.bugs.linear import GradientTransposed

    x = np.random.default_rng(seed).normal(size=(5, 4))
    assert not md.gradcheck(GradientTransposed(4, 4, rng=RNG), x, seed=seed, verbose=False).passed


def test_the_right_ones_pass():
    md.gradcheck(md.DLRM(3, [2000, 2000], 2, (4,), (4,)), batch(), verbose=False).raise_if_failed()
    md.gradcheck(md.DotInteraction(4, 2), WRONG[4][1], verbose=False).raise_if_failed()


def test_corners_of_relu_raise_no_false_alarm():
    for seed in range(200):
        rng = np.random.default_rng(seed)
        mlp = md.MLP([4, 30, 30, 1], rng=rng)
        report = md.gradcheck(
            mlp, rng.normal(size=(16, 4)), seed=seed, max_checks=12, verbose=False
        )
        report.raise_if_failed()


def test_a_corner_inside_the_step_raises_no_false_alarm():
    x = np.array([1e-7, -1e-7, 3e-6, -3e-6])  # the step is 6e-6
    md.gradcheck(md.ReLU(), x, verbose=False).raise_if_failed()
    assert not md.gradcheck(MaskForgotten(), x, verbose=False).passed


def test_the_target_is_not_changed():
    model = md.DLRM(3, [20, 20], 2, (4,), (4,))
    before = {name: value.copy() for name, value in model.state_dict().items()}
    data = Batch(np.ones((4, 3), np.float32), np.arange(8).reshape(4, 2))
    ids = data.sparse.copy()
    md.gradcheck(model, data, verbose=False)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
        assert value.dtype == np.float32
    np.testing.assert_array_equal(data.sparse, ids)


def _counted(cls):
    """Return a class that counts its passes, over all copies, and the counts."""
    counts = Counter()

    class Counted(cls):
        def forward(self, x):
            counts["forward"] += 1
            return super().forward(x)

        def backward(self, dy):
            counts["backward"] += 1
            return super().backward(dy)

    return Counted, counts


def test_a_right_layer_takes_few_passes(rng):
    linear, counts = _counted(md.Linear)
    assert md.gradcheck(linear(3, 2, rng=rng), rng.normal(size=(4, 3)), verbose=False).passed
    assert counts["forward"] <= 11
    assert counts["backward"] <= 4


def test_a_function_that_is_flat_far_out_takes_few_passes(rng):
    sigmoid, counts = _counted(md.Sigmoid)
    assert md.gradcheck(sigmoid(), rng.normal(size=(4, 3)), verbose=False).passed
    assert counts["forward"] <= 12


def test_the_table_names_every_array(capsys):
    report = md.gradcheck(md.Linear(3, 2, rng=np.random.default_rng(0)), np.ones((4, 3)))
    printed = capsys.readouterr().out
    assert printed.strip() == str(report)
    for name in ("weight", "bias", "x  ", "every array passed"):
        assert name in printed


class RowInvented(md.EmbeddingBagCollection):
    def backward(self, dy):
        super().backward(dy)
        rows, values = np.array([1999]), np.ones((1, 2))
        self.weight.add_grad(SparseGrad(rows, values, self.weight.value.shape))


@pytest.mark.parametrize("position", [0, 3, 5])
def test_a_row_that_the_gradient_leaves_out_is_found_and_named(position):
    class Forgetful(md.EmbeddingBagCollection):
        def backward(self, dy):
            super().backward(dy)
            keep = np.arange(len(self.weight.grad.rows)) != position
            rows, values = self.weight.grad.rows[keep], self.weight.grad.values[keep]
            self.weight.grad = SparseGrad(rows, values, self.weight.grad.shape)

    ids = np.array([[5], [7], [50], [300], [700], [900], [1500], [1999]])
    (check,) = md.gradcheck(Forgetful([2000], 2, rng=RNG), ids, verbose=False).arrays
    assert not check.passed
    assert check.index[0] == [0, 5, 50, 900, 1500, 1999][position]  # the ids that collide
    assert check.analytic == 0


def test_a_row_that_nobody_looked_up_has_no_gradient():
    ids = np.array([[0], [3], [8]])
    assert md.gradcheck(
        md.EmbeddingBagCollection([2000], 2, rng=np.random.default_rng(0)), ids, verbose=False
    ).passed
    assert not md.gradcheck(RowInvented([2000], 2, rng=RNG), ids, verbose=False).passed


def test_an_output_that_is_not_finite_is_told():
    report = md.gradcheck(md.Sigmoid(), np.array([1.0, np.nan]), verbose=False)
    assert not report.passed
    assert report.faults == ("the output is nan at (1,)",)


def test_both_kernel_backends_pass():
    before = kernels.backend
    try:
        kernels.use("numpy")
        model = md.DLRM(3, [2000, 2000], 2, (4,), (4,))
        md.gradcheck(model, batch(), verbose=False).raise_if_failed()
    finally:
        kernels.use(before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float32_is_checked_in_float64_without_false_alarm(dtype, rng):
    layer = md.Linear(3, 2, activation="relu", dtype=dtype, rng=np.random.default_rng(0))
    report = md.gradcheck(layer, rng.normal(size=(4, 3)).astype(dtype), verbose=False)
    report.raise_if_failed()
    assert max(check.error for check in report.arrays) < 1e-7  # float32 differences give 1e-3
    assert layer.weight.value.dtype == dtype
    assert layer.weight.grad is None


def test_gradients_that_were_there_before_stay_and_do_not_count(rng):
    linear, x = md.Linear(3, 2, rng=np.random.default_rng(0)), np.ones((4, 3), np.float32)
    linear.forward(x)
    linear.backward(np.ones((4, 2), np.float32))
    before = linear.weight.grad.copy()
    md.gradcheck(linear, x, verbose=False).raise_if_failed()
    np.testing.assert_array_equal(linear.weight.grad, before)


SEEN = []


class Watched(md.EmbeddingBagCollection):
    def forward(self, sparse):
        SEEN.append(sparse)
        return super().forward(sparse)


@pytest.mark.parametrize(
    "sparse", [np.arange(8).reshape(4, 2), Jagged(np.arange(12), np.arange(0, 13, 3))]
)
def test_ids_are_made_to_collide(sparse):
    SEEN.clear()
    md.gradcheck(Watched([20, 20], 2, rng=RNG), sparse, verbose=False).raise_if_failed()
    if isinstance(sparse, Jagged):
        assert SEEN[0].values[:3].tolist() == [0, 0, 0]  # a repeat inside the first bag
        assert SEEN[0].values[6:9].tolist() == [6, 6, 6]  # of each table
        assert sparse.values.tolist() == list(range(12))
    else:
        np.testing.assert_array_equal(SEEN[0][1], SEEN[0][0])  # a repeat across samples


def _rating(P, Q, bias, users, items):
    """Return the predicted ratings; the ids come last, and all of them differ."""
    return (P[users] * Q[items]).sum(axis=1) + bias[items], (P, Q, bias, users, items)


def _rating_backward(dy, kept, add=np.add.at):
    P, Q, bias, users, items = kept
    dP, dQ, dbias = np.zeros_like(P), np.zeros_like(Q), np.zeros_like(bias)
    np.add.at(dP, users, dy[:, None] * Q[items])
    add(dQ, items, dy[:, None] * P[users])
    add(dbias, items, dy)
    return dP, dQ, dbias


def _buffered(grad, ids, terms):
    grad[ids] += terms


@pytest.mark.parametrize("also_wrong", [False, True])
def test_ids_of_a_pair_collide_wherever_they_stand(rng, also_wrong):
    arrays = rng.normal(size=(5, 3)), rng.normal(size=(6, 3)), rng.normal(size=6)
    ids = np.array([4, 1, 0, 3]), np.array([5, 2, 4, 1])
    md.gradcheck((_rating, _rating_backward), *arrays, *ids, verbose=False).raise_if_failed()

    def backward(dy, kept):
        dP, dQ, dbias = _rating_backward(dy, kept, _buffered)
        return (dP**2, dQ, dbias) if also_wrong else (dP, dQ, dbias)

    report = md.gradcheck((_rating, backward), *arrays, *ids, verbose=False)
    wrong = [check.name for check in report.arrays if not check.passed]
    assert wrong == ["P"] * also_wrong + ["Q", "bias"]
    assert "duplicates" in [cause.key for cause in report.diagnosis]


def test_offsets_and_labels_of_a_pair_stay(rng):
    seen = []

    def forward(x, ids, offsets, label):
        seen.append((ids, offsets, label))
        return x

    inputs = np.array([2, 0, 5, 1]), np.array([0, 1, 3]), np.array([1, 0, 0])
    md.gradcheck((forward, lambda dy: dy), rng.normal(size=3), *inputs, verbose=False)
    assert [a.tolist() for a in seen[0]] == [[2, 2, 5, 1], [0, 1, 3], [1, 0, 0]]


@pytest.mark.parametrize("kind", [md.FactorizationMachine, md.MatrixFactorization])
def test_bags_of_a_model_collide_within_their_own_table(kind):
    sizes = {"table_sizes": [40, 6], "embedding_dim": 2}
    model = kind(num_dense=0, **sizes) if kind is md.FactorizationMachine else kind(**sizes)
    bags = Batch(np.zeros((2, 0)), Jagged([39, 5, 5], [0, 1, 1, 2, 3]))  # 39 is not in table 1
    md.gradcheck(model, bags, verbose=False).raise_if_failed()


def test_one_wrong_entry_of_a_large_array_is_found():
    """A sample of 100 of 10,000 entries would miss it 99 times in 100."""

    class OneEntry(md.Linear):
        def backward(self, dy):
            dx = super().backward(dy)
            self.weight.grad[71, 13] *= 1.001
            return dx

    layer, x = OneEntry(100, 100, rng=RNG), np.random.default_rng(0).normal(size=(4, 100))
    for seed in range(5):
        report = md.gradcheck(layer, x, seed=seed, verbose=False)
        assert [check.passed for check in report.arrays] == [False, True, True]


def test_large_arrays_are_sampled_and_the_seed_decides():
    layer, x = md.Linear(50, 40, rng=np.random.default_rng(0)), np.ones((2, 50))
    first, again, other = (
        md.gradcheck(layer, x, seed=seed, max_checks=30, verbose=False) for seed in (1, 1, 2)
    )
    assert [check.num_checked for check in first.arrays] == [30, 30, 30]
    assert str(first) == str(again) != str(other)


def test_the_table_says_where_the_worst_error_is_and_how_large():
    class OneEntryWrong(md.Linear):
        def backward(self, dy):
            dx = super().backward(dy)
            self.weight.grad[1, 2] *= 3
            return dx

    report = md.gradcheck(OneEntryWrong(3, 2, rng=RNG), np.ones((4, 3)), verbose=False)
    weight = report.arrays[0]
    assert [check.passed for check in report.arrays] == [False, True, True]
    assert (weight.name, weight.index) == ("weight", (1, 2))
    assert weight.analytic == pytest.approx(3 * weight.numeric)
    assert weight.error == pytest.approx(2 / 3, rel=1e-2)  # a little less: the floor of atol
    assert "1 of 3 arrays FAILED" in str(report)


class Squaring:
    def forward(self, x):
        self.x = x
        return x * x

    def backward(self, dy):
        return 2 * dy * self.x


@pytest.mark.parametrize("make", [Squaring, md.ReLU, lambda: md.FMInteraction(4, 3)])
def test_a_layer_that_has_run_before_the_check_passes(make):
    layer, x = make(), np.random.default_rng(0).normal(size=(5, 4, 3))
    layer.forward(x)
    md.gradcheck(layer, x, verbose=False).raise_if_failed()
