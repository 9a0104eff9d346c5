"""What a layer does at its door: dtypes, sizes, shared tables, generators."""

import numpy as np
import pytest

import minidlrm as md
from minidlrm.layers import inputs


@pytest.mark.parametrize(
    ("x", "parameters", "expected"),
    [
        ([1, 2], [], np.float64),
        ([True], [], np.float64),
        ([1, 2], [np.float32], np.float32),
        ([1, 2], [np.float32, np.float64], np.float64),
        (np.zeros(2, np.float16), [], np.float32),
        (np.zeros(2, np.float16), [np.float64], np.float64),
        (np.zeros(2, np.float32), [np.float32, np.float64], np.float64),
        (np.zeros(2, ">f8"), [np.float32], np.float64),
        (np.zeros(2, np.complex128), [np.float32], np.complex128),
    ],
)
def test_numbers_take_the_dtype_of_input_and_parameters_together(x, parameters, expected):
    found = inputs.numbers("x", x, *(np.zeros(1, dtype) for dtype in parameters))
    assert found.dtype == expected
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, np.asarray(x, expected))


def test_an_array_that_is_right_is_taken_as_it_is_and_another_is_copied():
    right = np.arange(6.0).reshape(2, 3)
    assert inputs.numbers("x", right, np.zeros(1)) is right
    unaligned = np.frombuffer(b"\0" + right.tobytes(), np.float64, offset=1).reshape(2, 3)
    for other in (right.T, right[:, ::2], unaligned, np.asfortranarray(right)):
        found = inputs.numbers("x", other, np.zeros(1))
        assert found is not other
        assert found.flags.carray
        np.testing.assert_array_equal(found, other)
    for wrong in (np.array(["a"]), np.array([None])):
        with pytest.raises(TypeError, match="x has dtype"):
            inputs.numbers("x", wrong)


def test_a_gradient_takes_the_dtype_of_its_output():
    assert inputs.converted("dy", [1, 2], np.dtype(np.float32)).dtype == np.float32
    given = np.ones(2)
    assert inputs.converted("dy", given, np.dtype(np.float64)) is given
    assert inputs.converted("dy", np.ones(2, complex), np.dtype(complex)).dtype == complex
    assert inputs.converted("dy", np.ones(2), np.dtype(complex)).dtype == complex
    with pytest.raises(TypeError, match="dy is of complex128, which does not fit into float32"):
        inputs.converted("dy", np.ones(2, complex), np.float32)


def test_only_the_number_of_dense_features_may_be_zero():
    found = inputs.as_config(num_dense=0, embedding_dim=np.int64(1), table_sizes=(3, 1))
    assert found == {"num_dense": 0, "embedding_dim": 1, "table_sizes": [3, 1]}
    for name in ("embedding_dim", "rank", "cross_buckets"):
        with pytest.raises(ValueError, match=f"{name} is 0"):
            inputs.as_config(**{name: 0})
    with pytest.raises(ValueError, match="num_dense is -1"):
        inputs.as_config(num_dense=-1)
    with pytest.raises(ValueError, match=r"mlp\[1\] is 0"):
        inputs.as_config(mlp=(3, 0))


def test_only_some_options_may_be_none():
    names = ("cross_buckets", "cross_rank", "qr_threshold", "rank")
    assert inputs.as_config(**dict.fromkeys(names)) == dict.fromkeys(names)
    for name in ("num_dense", "embedding_dim", "mlp", "table_sizes"):
        with pytest.raises(TypeError, match=name):
            inputs.as_config(**{name: None})


def test_columns_share_the_table_of_one_that_has_its_own():
    assert inputs.as_shared([(0, 2), [1, 2]], [5, 5, 5]) == [(0, 2), (1, 2)]
    assert inputs.as_shared((), [5]) == []
    for shared, message in [
        ([(0,)], r"shared has \(0,\): it must be \(t, u\), two of the 3 tables"),
        ([(0, 1, 2)], r"it must be \(t, u\)"),
        ([(0, 3)], r"shared has \(0, 3\): it must be"),
        ([(3, 0)], r"shared has \(3, 0\): it must be"),
        ([(0, 1), (1, 2)], r"shared has \(0, 1\): .* u does not share that of another"),
        ([(0, 0)], r"shared has \(0, 0\): it must be"),
        ([(0, -1)], r"shared\[0\]\[1\] is -1"),
        ([(0, 1), (0, 2)], "a column occurs twice"),
    ]:
        with pytest.raises(ValueError, match=message):
            inputs.as_shared(shared, [5, 5, 5])
    with pytest.raises(ValueError, match=r"shared has \(0, 2\), whose sizes are 5 and 6"):
        inputs.as_shared([(1, 0), (0, 2)][1:], [5, 5, 6])
    with pytest.raises(TypeError, match="it must be a list of pairs"):
        inputs.as_shared({0: 1}, [5, 5])


def test_a_model_is_told_only_what_is_not_the_default():
    assert inputs.as_table_options([5, 5], (), "sum") == {}
    assert inputs.as_table_options([5, 5], [(0, 1)], "sum") == {"shared": [[0, 1]]}
    assert inputs.as_table_options([5, 5], (), "mean") == {"bag_mode": "mean"}
    both = {"shared": [[0, 1]], "bag_mode": "mean"}
    assert inputs.as_table_options([5, 5], [(0, 1)], "mean") == both
    with pytest.raises(ValueError, match="bag_mode is 'max'"):
        inputs.as_table_options([5], (), "max")


def test_chance_comes_from_a_generator_or_a_seed():
    inputs.check_rng(np.random.default_rng(0))
    for wrong in (0, None, np.random.RandomState(0), np.random.default_rng):
        with pytest.raises(TypeError, match="it must be a numpy.random.Generator"):
            inputs.check_rng(wrong)
    assert inputs.seeded(3).random() == np.random.default_rng(3).random()
    with pytest.raises(ValueError, match="seed is -1"):
        inputs.seeded(-1)


def test_a_row_that_no_memory_holds_is_refused_by_its_name():
    with pytest.raises(ValueError, match="num_dense: an array .* does not fit into memory"):
        md.DLRM(10**13, [3], 4, (8,), (8,))


def test_arrays_in_the_place_of_a_word_or_a_size_are_refused_by_name():
    with pytest.raises(ValueError, match="cross is"):
        md.DCN(1, [3], 4, 2, np.array([2, 3]))
    with pytest.raises(ValueError, match="order is"):
        md.data.synthetic_clicks(100, order=np.array(2))
    with pytest.raises(TypeError, match="progress is"):
        md.data.read_criteo("none.txt", progress=np.zeros((0, 2)))
    with pytest.raises((ValueError, TypeError), match="shape"):
        md.Linear(2, 2, rng=np.random.default_rng(0)).check_dy(
            np.ones((1, 2)), (np.array([2, 3]), 2)
        )
