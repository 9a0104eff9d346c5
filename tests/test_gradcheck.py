"""gradcheck passes right layers and catches wrong ones."""

import numpy as np
import pytest

import minidlrm as md
from minidlrm import kernels
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


class SecondPathForgotten(md.DLRM):
    def backward(self, dlogits):
        width, _ = self.kept()
        dtop = self.top.backward(dlogits[:, None])
        dz = self.dot.backward(dtop[:, width:])
        self.bottom.backward(dz[:, 0])
        self.embeddings.backward(dz[:, 1:])


def batch(num_tables=2, rows=8):
    rng = np.random.default_rng(3)
    return md.data.Batch(rng.normal(size=(rows, 3)), rng.integers(0, 2000, (rows, num_tables)))


WRONG = [
    (UpstreamIgnored(3, 2), np.ones((4, 3))),
    (TwiceTooLarge(3, 2), np.ones((4, 3))),
    (BiasNotSummed(3, 2), np.ones((4, 3))),
    (MaskForgotten(), np.array([-1.0, 1, 2, -3])),
    (UpperForLower(4, 2), np.arange(16.0).reshape(2, 4, 2)),
    (RepeatsDropped([2000, 2000], 2), batch().sparse),
    (SecondPathForgotten(3, [2000, 2000], 2, (4,), (4,)), batch()),
]


@pytest.mark.parametrize(("layer", "x"), WRONG, ids=lambda value: type(value).__name__)
def test_planted_mistakes_are_caught(layer, x):
    report = md.gradcheck(layer, x, verbose=False)
    assert not report.passed
    with pytest.raises(AssertionError, match="FAILED"):
        report.raise_if_failed()


def test_the_right_ones_pass():
    md.gradcheck(md.DLRM(3, [2000, 2000], 2, (4,), (4,)), batch(), verbose=False).raise_if_failed()
    md.gradcheck(md.DotInteraction(4, 2), WRONG[4][1], verbose=False).raise_if_failed()


def test_corners_of_relu_raise_no_false_alarm():
    for seed in range(100):
        rng = np.random.default_rng(seed)
        mlp = md.MLP([4, 30, 30, 1], rng=rng)
        report = md.gradcheck(
            mlp, rng.normal(size=(16, 4)), seed=seed, max_checks=20, verbose=False
        )
        report.raise_if_failed()


def test_the_target_is_not_changed():
    model = md.DLRM(3, [20, 20], 2, (4,), (4,))
    before = {name: value.copy() for name, value in model.state_dict().items()}
    data = md.data.Batch(np.ones((4, 3), np.float32), np.arange(8).reshape(4, 2))
    ids = data.sparse.copy()
    md.gradcheck(model, data, verbose=False)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
        assert value.dtype == np.float32
    np.testing.assert_array_equal(data.sparse, ids)


def test_the_table_names_every_array(capsys):
    report = md.gradcheck(md.Linear(3, 2), np.ones((4, 3)))
    printed = capsys.readouterr().out
    assert printed.strip() == str(report)
    for name in ("weight", "bias", "input 0", "every array passed"):
        assert name in printed


def test_a_row_that_nobody_looked_up_is_checked_too():
    layer = md.EmbeddingBagCollection([9], 2)
    checks = md.gradcheck(layer, np.array([[0], [3]]), verbose=False).arrays
    assert checks[0].num_checked == 3  # row 0 is looked up twice; and one entry of row 1 or later


def test_an_output_that_is_not_finite_is_an_error():
    with pytest.raises(ValueError, match="empty or not finite"):
        md.gradcheck(md.Sigmoid(), np.array([np.nan]), verbose=False)


def test_both_kernel_backends_pass():
    before = kernels.backend
    try:
        kernels.use("numpy")
        md.gradcheck(md.DLRM(3, [2000, 2000], 2), batch(), verbose=False).raise_if_failed()
    finally:
        kernels.use(before)
