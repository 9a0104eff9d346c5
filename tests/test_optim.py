"""Optimizers: dense as PyTorch, sparse rows alone."""

import threading
import time
from functools import partial

import numpy as np
import pytest

import minidlrm as md
from minidlrm import kernels
from minidlrm.blocks import Team
from minidlrm.kernels import parts

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
    with pytest.raises(ValueError, match="l1 is -1"):
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
    with pytest.raises(ValueError, match="the gradient of bad has shape"):
        md.SGD(0.1).step([good, bad])
    np.testing.assert_array_equal(good.value, 1)


ALL = pytest.mark.parametrize("make", md.optim.OPTIMIZERS.values(), ids=md.optim.OPTIMIZERS.keys())


def dense(shape=SHAPE, value=1.0):
    parameter = md.Parameter(np.zeros(shape), "w")
    parameter.grad = np.full(shape, value)
    return parameter


@ALL
@pytest.mark.parametrize("first", ["dense", "sparse"])
def test_dense_and_sparse_gradients_of_one_parameter_share_one_state(make, first, rng):
    """All rows as a SparseGrad move a table as the dense gradient does, in any order of the two."""
    kinds = [lambda g: g, lambda g: md.SparseGrad(np.arange(6), g, SHAPE)]
    kinds = kinds if first == "dense" else kinds[::-1]
    mixed, pure = (md.Parameter(np.ones(SHAPE), "w") for _ in range(2))
    one, other = make(lr=0.1), make(lr=0.1)
    for step in range(6):
        grad = rng.normal(size=SHAPE)
        mixed.grad, pure.grad = kinds[step % 2](grad), kinds[0](grad)
        one.step([mixed])
        other.step([pure])
        mine, theirs = one.state[mixed], other.state[pure]
        assert {k: v.shape for k, v in mine.items()} == {k: v.shape for k, v in theirs.items()}
    np.testing.assert_allclose(mixed.value, pure.value, rtol=1e-12)


@ALL
def test_a_state_of_another_shape_or_dtype_is_refused_before_anything_is_changed(make):
    optimizer, good, bad = make(lr=0.1), dense(), dense()
    optimizer.step([good, bad])
    before = good.value.copy()
    for name, array in optimizer.state[bad].items():
        for wrong in (array[:1], array.astype(np.float32), np.asfortranarray(np.ones((9, 9)))):
            optimizer.state[bad][name] = wrong
            with pytest.raises(ValueError, match=f"the state '{name}' of w has shape"):
                optimizer.step([good, bad])
        optimizer.state[bad][name] = array
    np.testing.assert_array_equal(good.value, before)
    assert optimizer.num_steps == 1


@ALL
def test_the_names_of_the_state_are_all_that_is_kept(make):
    optimizer, table, weight = make(lr=0.1), md.Parameter(np.zeros(SHAPE), "t"), dense((4,))
    table.grad = md.SparseGrad([1], np.ones((1, 3)), SHAPE)
    optimizer.step([table, weight])
    for parameter in (table, weight):
        made = {name: array.shape for name, array in optimizer.state[parameter].items()}
        assert made in optimizer.state_shapes(parameter.value.shape)


def test_a_parameter_that_is_given_twice_is_stepped_once():
    w = dense((1,))
    md.SGD(0.1).step([w, w])
    assert w.value.tolist() == [-0.1]


def test_a_parameter_or_an_optimizer_in_two_groups_is_refused():
    w, v, rule = dense(), dense(), md.SGD(0.1)
    with pytest.raises(ValueError, match=r"Parameter\(w.* is in the groups 0 and 1"):
        md.OptimizerGroup([(rule, [w]), (md.SGD(0.1), [w])])
    with pytest.raises(ValueError, match=r"SGD\(.* is in the groups 0 and 1"):
        md.OptimizerGroup([(rule, [w]), (rule, [v])])


def test_a_group_changes_nothing_when_one_of_its_parts_cannot_step():
    w, v = dense((1,)), dense((1,))
    group = md.OptimizerGroup([(md.SGD(0.1), [w, w]), (md.Adam(0.1), [v])])
    v.grad = np.ones(2)
    with pytest.raises(ValueError, match="grad"):
        group.step([w, v])
    assert (w.value.tolist(), group.num_steps) == ([0], 0)
    v.grad = np.ones(1)
    group.step(p for p in (w, v))
    assert (w.value.tolist(), group.num_steps) == ([-0.1], 1)
    group.step([w])  # the other is not asked for
    assert [rule.num_steps for rule, _ in group.groups] == [2, 2]
    np.testing.assert_allclose(v.value, -0.1)
    assert repr(group).startswith("OptimizerGroup(SGD(lr=0.1")
    group.reset()
    assert group.num_steps == 0


@pytest.mark.parametrize(
    "make",
    [md.Adam, md.Adagrad, lambda: md.SGD(lambda step: 1 / step)],
    ids=["Adam", "Adagrad", "SGD with a schedule"],
)
def test_an_optimizer_that_remembers_does_not_go_on_with_another_model(make):
    optimizer, first, second = make(), dense(), dense()
    optimizer.step([first])
    with pytest.raises(ValueError, match=r"has taken 1 steps with other parameters.*reset\(\)"):
        optimizer.step([second])
    assert (second.value == 0).all()
    optimizer.step([first, second])  # a model that has grown
    fresh, third = make(), dense()
    optimizer.reset()
    optimizer.step([third])
    other = dense()
    fresh.step([other])
    np.testing.assert_array_equal(third.value, other.value)
    assert list(optimizer.state) == [third]


def test_plain_sgd_may_step_whatever_it_is_given():
    optimizer, first, second = md.SGD(0.1), dense(), dense()
    optimizer.step([first])
    optimizer.step([second])
    np.testing.assert_array_equal(first.value, second.value)


@ALL
@pytest.mark.parametrize("dtype", [np.float64, np.int64, ">f4"])
def test_a_gradient_of_another_dtype_is_taken_as_one_of_the_weights(make, dtype):
    results = []
    for kind in (np.float32, dtype):
        w, table = (md.Parameter(np.ones(SHAPE, np.float32), "w") for _ in range(2))
        w.grad = np.ones(SHAPE, kind)
        values = w.grad if w.grad.dtype.kind == "f" else w.grad.astype(float)
        table.grad = md.SparseGrad(np.arange(6), values, SHAPE)
        make(lr=0.1).step([w, table])
        results += [(w.value.tobytes(), table.value.tobytes())]
    assert results[0] == results[1]


def test_a_complex_gradient_of_a_real_weight_is_refused():
    w = dense()
    w.grad = w.grad * 1j
    with pytest.raises(TypeError, match="w is of float64: a gradient of complex128"):
        md.SGD(0.1).step([w])
    w.grad = md.SparseGrad([0], np.ones((1, 3), complex), SHAPE)
    with pytest.raises(TypeError, match="a gradient of complex128"):
        md.SGD(0.1).step([w])


@pytest.mark.parametrize("own", [False, True])
def test_a_rule_of_ones_own_has_one_thread_and_the_order_of_the_parameters(own, monkeypatch):
    monkeypatch.setattr(parts, "_MANY", 0)
    met, sgd = [], md.SGD.update

    def update(self, weight, rows, grad, state, lr):
        met.append((weight.size, threading.current_thread().name))
        time.sleep(0.01)  # so that one thread cannot do all
        sgd(self, weight, rows, grad, state, lr)

    update.__module__ = __name__ if own else sgd.__module__
    monkeypatch.setattr(md.SGD, "update", update)
    weights, rule = [dense((2, k)) for k in (1, 3, 2, 5, 4)], md.SGD(0.1)
    with Team(2):
        rule.step(weights)
    assert [len(w) for w in rule.state.values()] == [0] * 5
    assert list(rule.state) == weights  # in their order, for the checkpoint
    sizes, names = zip(*met, strict=True)
    assert len(set(names)) == (1 if own else 2)
    assert sizes == (2, 6, 4, 10, 8) if own else sorted(sizes) == [2, 4, 6, 8, 10]


def test_a_rule_of_ones_own_may_make_its_state_in_its_first_step():
    class Count(md.optim.Optimizer):
        def update(self, weight, rows, grad, state, lr):
            count = state.setdefault("count", np.zeros_like(weight))
            assert count.shape == weight.shape
            count[rows] += 1
            weight[rows] -= lr * grad / count[rows]

    w, optimizer = dense((2, 2)), Count(1.0)
    optimizer.step([w])
    optimizer.step([w])
    np.testing.assert_array_equal(w.value, -1.5)
    assert optimizer.state[w]["count"].shape == (2, 2)
    with pytest.raises(NotImplementedError, match="Optimizer has no update"):
        md.optim.Optimizer(0.1).step([dense()])


def test_the_options_are_those_it_was_made_with():
    assert md.Adam(0.1).options() == {
        "lr": 0.1,
        "betas": (0.9, 0.999),
        "eps": 1e-8,
        "weight_decay": 0.0,
    }
    assert repr(md.FTRL(0.1)) == "FTRL(lr=0.1, weight_decay=0.0, l1=0.0, l2=0.0, beta=1.0)"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: md.SGD(0.1, float("inf")), "weight_decay is inf"),
        (lambda: md.SGD(0.1, float("nan")), "weight_decay is nan"),
        (lambda: md.Adam(eps=-1), "eps is -1"),
        (lambda: md.Adagrad(eps=float("nan")), "eps is nan"),
        (lambda: md.FTRL(l2=float("nan")), "l2 is nan"),
        (lambda: md.FTRL(beta=-0.5), "beta is -0.5"),
        (lambda: md.Momentum(0.1, -0.1), "momentum is -0.1"),
        (lambda: md.Adam(betas=(-0.1, 0.9)), "betas are"),
    ],
)
def test_options_out_of_range_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
    for edge in (md.SGD(0.0), md.Momentum(0.1, 0.0), md.Adam(betas=(0, 0)), md.Adagrad(eps=0)):
        assert edge.num_steps == 0


def test_the_schedule_at_its_corners():
    rate = partial(
        md.warmup_decay, lr=1.0, num_warmup_steps=4, decay_start_step=6, num_decay_steps=2
    )
    assert [rate(step) for step in (1, 3, 4, 6, 7, 8, 9)] == [0.25, 0.75, 1, 1, 0.25, 0, 0]
    assert md.warmup_decay(9, 1.0, 0, 0, 2, end_lr=0.1) == 0.1


def test_weights_whose_evidence_is_just_enough_are_zero():
    for backend in ("numpy", kernels.backend):
        before = kernels.backend
        try:
            kernels.use(backend)
            w = md.Parameter(np.zeros(3))
            w.grad = np.array([1.0, -1.0, 1.5])
            md.FTRL(0.5, l1=1.0, beta=0.0).step([w])
        finally:
            kernels.use(before)
        np.testing.assert_allclose(w.value, [0, 0, -0.5 / 3])


def test_every_default_is_the_papers_or_pytorchs():
    expected = {
        md.Momentum: {"lr": 0.1, "momentum": 0.9},
        md.Adagrad: {"lr": 0.01, "eps": 1e-10},
        md.RowwiseAdagrad: {"lr": 0.01, "eps": 1e-10},
        md.Adam: {"lr": 0.001, "betas": (0.9, 0.999), "eps": 1e-8},
        md.FTRL: {"lr": 0.1, "l1": 0.0, "l2": 0.0, "beta": 1.0},
        md.SGD: {"lr": 0.1},
    }
    for rule in md.optim.OPTIMIZERS.values():
        given = (0.1,) if rule in (md.SGD, md.Momentum) else ()
        assert rule(*given).options() == expected[rule] | {"weight_decay": 0.0}


def test_betas_are_two_numbers():
    for betas in (0.9, (0.9,), (0.9, 0.9, 0.9), "ab"):
        with pytest.raises(TypeError, match="betas"):
            md.Adam(betas=betas)
    assert md.Adam(betas=[0.5, 0.6]).options()["betas"] == [0.5, 0.6]


def test_groups_are_pairs():
    for groups in (md.SGD(0.1), [md.SGD(0.1)], [(md.SGD(0.1),)], [(md.SGD(0.1), [], [])]):
        with pytest.raises(TypeError, match="groups"):
            md.OptimizerGroup(groups)


def test_a_schedule_is_asked_for_each_step_from_1_on():
    asked = []
    optimizer = md.SGD(lambda step: asked.append(step) or 0.0)
    w = dense()
    for _ in range(3):
        optimizer.step([w])
    assert asked == [1, 2, 3]
    assert (w.value == 0).all()


def test_rowwise_adagrad_is_adagrad_on_a_table_of_one_column():
    """Its state is one number a row, and so has as many numbers as the table."""
    tables = [md.Parameter(np.ones((4, 1))) for _ in range(2)]
    rules = md.RowwiseAdagrad(0.1), md.Adagrad(0.1)
    for step in range(3):
        for table, rule in zip(tables, rules, strict=True):
            table.grad = md.SparseGrad(np.array([step, 3]), np.array([[1.0], [2.0]]), (4, 1))
            rule.step([table])
    np.testing.assert_array_equal(tables[0].value, tables[1].value)
