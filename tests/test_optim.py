"""Optimizers: dense as PyTorch, sparse rows alone."""

from functools import partial

import numpy as np
import pytest

import minidlrm as md
from minidlrm import kernels

SHAPE = (6, 3)
CASES = {
    "SGD": (partial(md.SGD, 0.1), lambda torch, p, wd: torch.optim.SGD(p, 0.1, weight_decay=wd)),
    "Momentum": (
        partial(md.Momentum, 0.1, 0.9),
        lambda torch, p, wd: torch.optim.SGD(p, 0.1, momentum=0.9, weight_decay=wd),
    ),
    "Adagrad": (
        partial(md.Adagrad, 0.1),
        lambda torch, p, wd: torch.optim.Adagrad(p, 0.1, weight_decay=wd),
    ),
    "RowwiseAdagrad": (
        partial(md.RowwiseAdagrad, 0.1),
        lambda torch, p, wd: torch.optim.Adagrad(p, 0.1, weight_decay=wd),
    ),
    "Adam": (
        partial(md.Adam, 0.1),
        lambda torch, p, wd: torch.optim.Adam(p, 0.1, weight_decay=wd),
    ),
}


def sparse_grad(rng, rows):
    return md.SparseGrad(np.array(rows), rng.normal(size=(len(rows), SHAPE[1])), SHAPE)


@pytest.mark.oracle
@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
@pytest.mark.parametrize("name", CASES)
def test_ten_dense_steps_as_pytorch(name, weight_decay, torch, rng):
    ours, theirs = CASES[name]
    parameter = md.Parameter(rng.normal(size=SHAPE), "w")
    tensor = torch.tensor(parameter.value.copy(), requires_grad=True)
    optimizer, oracle = ours(weight_decay=weight_decay), theirs(torch, [tensor], weight_decay)
    for _ in range(10):
        parameter.grad = rng.normal(size=SHAPE)
        tensor.grad = torch.from_numpy(parameter.grad.copy())
        optimizer.step([parameter])
        oracle.step()
    np.testing.assert_allclose(parameter.value, tensor.detach().numpy(), rtol=1e-9)


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["SGD", "Adagrad"])
def test_ten_sparse_steps_as_pytorch(name, torch, rng):
    ours, theirs = CASES[name]
    parameter = md.Parameter(rng.normal(size=SHAPE), "w")
    tensor = torch.tensor(parameter.value.copy(), requires_grad=True)
    optimizer, oracle = ours(), theirs(torch, [tensor], 0)
    for _ in range(10):
        grad = sparse_grad(rng, sorted(rng.choice(6, 3, replace=False)))
        parameter.grad = grad
        tensor.grad = torch.sparse_coo_tensor(
            torch.from_numpy(grad.rows)[None],
            torch.from_numpy(grad.values),
            SHAPE,
            check_invariants=True,
        )
        optimizer.step([parameter])
        oracle.step()
    np.testing.assert_allclose(parameter.value, tensor.detach().numpy(), rtol=1e-9)


@pytest.mark.parametrize("name", ["SGD", "Momentum", "Adagrad", "Adam"])
def test_rows_that_are_all_met_move_as_a_dense_parameter(name, rng):
    make, _ = CASES[name]
    dense, sparse = (md.Parameter(np.ones(SHAPE), "w") for _ in range(2))
    optimizer = make(weight_decay=0.01)
    for _ in range(10):
        grad = rng.normal(size=SHAPE)
        dense.grad, sparse.grad = grad, md.SparseGrad(np.arange(6), grad, SHAPE)
        optimizer.step([dense, sparse])
    np.testing.assert_allclose(dense.value, sparse.value, rtol=1e-13)


def test_rowwise_adagrad_as_the_reference_states_it(rng):
    parameter = md.Parameter(rng.normal(size=SHAPE), "w")
    value, state = parameter.value.copy(), np.zeros(6)
    optimizer = md.RowwiseAdagrad(0.1)
    for _ in range(10):
        parameter.grad = grad = sparse_grad(rng, [0, 2, 5])
        optimizer.step([parameter])
        state[grad.rows] += (grad.values**2).mean(axis=1)
        value[grad.rows] -= 0.1 * grad.values / (np.sqrt(state[grad.rows]) + 1e-10)[:, None]
    np.testing.assert_allclose(parameter.value, value, rtol=1e-12)
    assert optimizer.state[parameter]["square_mean"].shape == (6,)


def test_lazy_adam_leaves_the_state_of_absent_rows(rng):
    parameter = md.Parameter(np.zeros(SHAPE), "w")
    optimizer = md.Adam(0.1)
    m, v, w = np.zeros(3), np.zeros(3), np.zeros(3)
    for step, rows in enumerate([[0], [1], [0]], 1):
        parameter.grad = grad = sparse_grad(rng, rows)
        optimizer.step([parameter])
        if rows == [0]:  # row 0 restated: the steps it misses do not decay m and v, but count
            g = grad.values[0]
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            w = w - 0.1 * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
    np.testing.assert_allclose(parameter.value[0], w, rtol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_only_the_rows_of_the_batch_change(name, rng):
    make, _ = CASES[name]
    parameter = md.Parameter(rng.normal(size=SHAPE).astype(np.float32), "w")
    before = parameter.value.copy()
    optimizer = make(weight_decay=0.1)
    for _ in range(3):
        grad = sparse_grad(rng, [1, 4])
        parameter.grad = md.SparseGrad(grad.rows, grad.values.astype(np.float32), SHAPE)
        optimizer.step([parameter])
    np.testing.assert_array_equal(parameter.value[[0, 2, 3, 5]], before[[0, 2, 3, 5]])
    assert (parameter.value[[1, 4]] != before[[1, 4]]).all()
    assert parameter.value.dtype == np.float32


@pytest.mark.parametrize("name", CASES)
def test_both_kernel_backends_take_the_same_steps(name, rng):
    pytest.importorskip("numba", reason="Numba is not installed")
    make, _ = CASES[name]
    grads = [(rng.normal(size=(4, 5)), sparse_grad(rng, [0, 3])) for _ in range(5)]
    results, before = [], kernels.backend
    try:
        for backend in ("numpy", "numba"):
            kernels.use(backend)
            dense, table = md.Parameter(np.ones((4, 5))), md.Parameter(np.ones(SHAPE))
            optimizer = make()
            for dense.grad, table.grad in grads:
                optimizer.step([dense, table])
            results.append(np.concatenate([dense.value.ravel(), table.value.ravel()]))
    finally:
        kernels.use(before)
    np.testing.assert_allclose(*results, rtol=1e-13)


def test_ftrl_as_the_paper_states_it(rng):
    """McMahan et al. 2013, algorithm 1, restated."""
    parameter = md.Parameter(np.zeros(SHAPE), "w")
    optimizer = md.FTRL(lr=0.2, l1=0.5, l2=0.1, beta=1.0)
    z, n, w = np.zeros(SHAPE), np.zeros(SHAPE), np.zeros(SHAPE)
    for rows in ([0, 2], [2, 5], [0, 2, 5]) * 4:
        parameter.grad = grad = sparse_grad(rng, rows)
        optimizer.step([parameter])
        g = grad.to_dense()
        sigma = (np.sqrt(n + g * g) - np.sqrt(n)) / 0.2
        z, n = z + g - sigma * w, n + g * g
        new = -(z - np.sign(z) * 0.5) / ((1.0 + np.sqrt(n)) / 0.2 + 0.1)
        w = np.where(np.abs(z) <= 0.5, 0, new)
    np.testing.assert_allclose(parameter.value, w, rtol=1e-12)
    assert (parameter.value[[1, 3, 4]] == 0).all()
    with pytest.raises(ValueError, match="l1 = -1"):
        md.FTRL(l1=-1)


def test_a_parameter_without_gradient_stays():
    parameter = md.Parameter(np.ones(3))
    md.SGD(0.1).step([parameter])
    np.testing.assert_array_equal(parameter.value, 1)


def test_the_learning_rate_may_be_a_function_of_the_step():
    parameter = md.Parameter(np.zeros(1))
    optimizer = md.SGD(lr=lambda step: 10.0**-step)
    for _ in range(3):
        parameter.grad = -np.ones(1)
        optimizer.step([parameter])
    np.testing.assert_allclose(parameter.value, 0.111)


def test_warmup_and_decay_as_the_reference():
    """facebookresearch/dlrm, LRPolicyScheduler, restated."""

    def reference(step, base, warmup, start, decay):
        if step < warmup:
            return base * (1.0 - (warmup - step) / warmup)
        if start <= step < start + decay:
            return base * ((decay - (step - start)) / decay) ** 2
        return base

    schedule = partial(
        md.warmup_decay, lr=0.5, num_warmup_steps=4, decay_start_step=8, num_decay_steps=6
    )
    for step in range(1, 14):
        assert schedule(step) == pytest.approx(reference(step, 0.5, 4, 8, 6))
    assert schedule(14) == schedule(99) == 0
    assert md.warmup_decay(99, 0.5) == 0.5
    assert md.warmup_decay(1, 0.5, num_decay_steps=2) == 0.125  # the fall begins at once


def test_a_group_counts_its_steps():
    weight = md.Parameter(np.zeros(2))
    group = md.OptimizerGroup([(md.SGD(0.1), [weight])])
    assert (group.num_steps, md.OptimizerGroup([]).num_steps) == (0, 0)
    weight.grad = np.ones(2)
    group.step([weight])
    assert group.num_steps == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: md.SGD(-1.0), "lr is -1.0"),
        (lambda: md.SGD(float("nan")), "lr is nan"),
        (lambda: md.SGD(0.1, -0.5), "weight_decay is -0.5"),
        (lambda: md.Momentum(0.1, 1.0), "momentum is 1.0"),
        (lambda: md.Adam(0.1, betas=(0.9, 1.0)), "betas are"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_gradient_of_another_shape_changes_nothing():
    good, bad = md.Parameter(np.ones(2), "good"), md.Parameter(np.ones(2), "bad")
    good.grad, bad.grad = np.ones(2), np.ones(3)
    with pytest.raises(ValueError, match="bad: grad"):
        md.SGD(0.1).step([good, bad])
    np.testing.assert_array_equal(good.value, 1)
