"""Sums over blocks: one order of addition, whoever brings the terms."""

import itertools
import operator

import numpy as np
import pytest

import minidlrm as md
from minidlrm import kernels, summing
from minidlrm.summing import TreeSum, add_gradients, gradient_of


def tree_of(count, order):
    tree = TreeSum(count, lambda a, b: f"({a}+{b})")
    for k in order:
        tree.put(k, str(k))
    return tree


def test_a_tree_has_one_order_of_addition_in_whatever_order_the_leaves_come():
    sums = {tree_of(4, order).total() for order in itertools.permutations(range(4))}
    assert sums == {"((0+1)+(2+3))"}
    sums = {tree_of(8, order).total() for order in itertools.permutations(range(8))}
    assert sums == {"(((0+1)+(2+3))+((4+5)+(6+7)))"}


@pytest.mark.parametrize("count", [1, 2, 4, 8, 64])
def test_a_tree_leaves_four_sums_at_most_in_order(count, rng):
    tree = tree_of(count, rng.permutation(count))
    left = tree.left()
    assert len(left) == min(4, count)
    if count <= 4:
        assert left == [str(k) for k in range(count)]
    assert tree.total() == summing.balanced(left, tree.add)


def test_a_tree_needs_a_power_of_two():
    with pytest.raises(ValueError, match="count is 3: it must be a power of two"):
        TreeSum(3, operator.add)


def test_rows_of_a_table_are_added_in_the_order_of_the_blocks():
    big, one = np.float32(2**24), np.float32(1)  # in float32, big + 1 is big
    parts = [[md.SparseGrad(np.array([1]), np.array([[x]]), (3, 1))] for x in (big, one, -big, one)]
    assert gradient_of(parts).to_dense().ravel().tolist() == [0, 1, 0]  # ((big + 1) - big) + 1


def test_arrays_are_added_as_a_tree():
    big, one = np.float32([2**24]), np.float32([1])
    assert gradient_of([one, -big, big, one]).tolist() == [1]  # 1 - big is odd; big + 1 is big
    assert gradient_of([big, -big, one, one]).tolist() == [2]
    assert gradient_of([one, one]).tolist() == [2]
    assert gradient_of([one]).tolist() == [1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
@pytest.mark.parametrize("shape", [(3, 5), (7,), (1,), (0, 4)])
def test_four_arrays_are_one_pass_with_the_bits_of_three(dtype, shape, rng, monkeypatch):
    arrays = [rng.normal(size=shape).astype(dtype) for _ in range(4)]
    calls, plain = [], kernels.sum_of_four
    monkeypatch.setattr(kernels, "sum_of_four", lambda *a: calls.append(a) or plain(*a))
    total = gradient_of(arrays)
    assert len(calls) == 1
    assert total.dtype == dtype
    assert (total == (arrays[0] + arrays[1]) + (arrays[2] + arrays[3])).all()


@pytest.mark.parametrize("odd", ["transposed", "dtype", "order", "none", "read-only"])
def test_arrays_that_a_kernel_cannot_take_are_added_all_the_same(odd, rng):
    arrays = [rng.normal(size=(4, 4)) for _ in range(4)]
    expected = (arrays[0] + arrays[1]) + (arrays[2] + arrays[3])
    if odd == "transposed":
        arrays[2] = np.asfortranarray(arrays[2])
    elif odd == "dtype":
        arrays[1] = arrays[1].astype(np.float32)
    elif odd == "order":
        arrays[3] = arrays[3].astype(">f8")
    elif odd == "read-only":
        arrays[0].flags.writeable = False
    else:
        expected = arrays[0] + (arrays[2] + arrays[3])
        arrays[1] = None
    np.testing.assert_allclose(gradient_of(arrays), expected, rtol=1e-6)


def test_a_parameter_that_no_block_used_has_no_gradient():
    assert gradient_of([None] * 4) is None


def test_a_table_that_one_block_uses_as_a_whole_gets_a_dense_gradient():
    sparse = [md.SparseGrad(np.array([1]), np.array([[2.0]]), (2, 1))]
    (total,) = add_gradients([sparse], [np.ones((2, 1))])
    assert total.tolist() == [[1.0], [3.0]]
    assert gradient_of([sparse, None, np.ones((2, 1)), None]).tolist() == [[1.0], [3.0]]
