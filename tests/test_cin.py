"""CIN."""

import numpy as np
import pytest
from conftest import complex_step

import minidlrm as md
from minidlrm.layers import cin

OPTIONS = [((5,), False), ((4, 6, 3), False), ((4, 6, 3), True)]


def build(layers, split_half, rng):
    net = md.CIN(3, 2, layers, split_half, rng=rng, dtype=np.float64)
    for layer in net.layers:
        layer.bias.value[...] = rng.normal(size=layer.bias.value.shape)
    return net


def by_definition(net, z):
    x, pooled = z, []
    for layer, width in zip(net.layers, net.passed_on, strict=True):
        y = np.einsum("hij,bid,bjd->bhd", layer.weight.value, x, z)
        y += layer.bias.value[:, None]
        pooled.append((y[:, width:] if net.split_half else y).sum(axis=2))
        x = y[:, :width]
    return np.concatenate(pooled, axis=1)


@pytest.mark.parametrize(("layers", "split_half"), OPTIONS)
def test_it_is_the_einsum_of_its_definition(layers, split_half, rng, monkeypatch):
    net, z = build(layers, split_half, rng), rng.normal(size=(7, 3, 2))
    expected = by_definition(net, z)
    np.testing.assert_allclose(net.forward(z), expected, rtol=1e-12)
    monkeypatch.setattr(cin, "_CHUNK_BYTES", 300)  # many chunks
    np.testing.assert_allclose(net.forward(z), expected, rtol=1e-12)
    assert net.num_outputs == expected.shape[1]


@pytest.mark.parametrize("chunk", [1, 300, 1 << 20])
@pytest.mark.parametrize(("layers", "split_half"), OPTIONS)
def test_gradients(layers, split_half, chunk, rng, monkeypatch):
    monkeypatch.setattr(cin, "_CHUNK_BYTES", chunk)
    net, z = build(layers, split_half, rng), rng.normal(size=(5, 3, 2))
    md.gradcheck(net, z, verbose=False).raise_if_failed()
    r = rng.normal(size=(5, net.num_outputs))
    net.forward(z)
    dz = net.backward(r)
    other = net.astype(np.complex128)
    numeric = complex_step(lambda moved: np.sum(r * other.forward(moved)), z)
    np.testing.assert_allclose(dz, numeric, rtol=1e-12, atol=1e-13)


def test_cost_is_the_published_one():
    flops = md.CIN(39, 16, (128, 128), rng=np.random.default_rng(0)).flops_per_sample()
    assert flops == 257 * 39 * 39 * 16 + 257 * 128 * 39 * 16
    assert round(flops / 1e6, 1) == 26.8


def test_bad_arguments_are_named():
    for arguments, message in [
        ((3, 2, ()), "cin_layers is empty"),
        ((3, 2, (4, 0)), r"cin_layers\[1\] is 0"),
        ((3, 2, (3, 4), True), "split_half needs even sizes"),
    ]:
        with pytest.raises(ValueError, match=message):
            md.CIN(*arguments, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"expected \(B, 3, 2\)"):
        md.CIN(3, 2, (4,), rng=np.random.default_rng(0)).forward(np.zeros((2, 3, 3)))
    with pytest.raises(ValueError, match="num_features is 0"):
        md.CIN(0, 2, (3,), rng=np.random.default_rng(0))


def test_no_samples_give_no_outputs(rng):
    for split_half in (False, True):
        cin = md.CIN(3, 2, cin_layers=(4, 2), split_half=split_half, rng=rng)
        assert cin.forward(np.zeros((0, 3, 2))).shape == (0, cin.num_outputs)


def test_a_chunk_of_outer_products_is_as_large_as_it_may_be(rng, monkeypatch):
    monkeypatch.setattr(cin, "_CHUNK_BYTES", 1000)
    x, z = np.zeros((20, 5)), np.zeros((20, 3))  # 8 * 5 * 3 bytes of products a row
    chunks = md.CINLayer(5, 3, 2, rng=rng)._chunks(x, z)
    assert [len(x[rows]) for rows in chunks] == [8, 8, 4]


def test_initial_weights_keep_the_scale_and_the_biases_are_zero(rng):
    layer = md.CINLayer(20, 30, 50, rng=rng)
    assert layer.weight.value.std() == pytest.approx(np.sqrt(2 / (20 * 30 + 50)), rel=0.02)
    assert abs(layer.weight.value.mean()) < 0.002
    assert not layer.bias.value.any()


def test_bytes_are_those_of_all_vectors(rng):
    assert md.CIN(4, 3, (6, 5), rng=rng).bytes_per_sample() == 4 * 3 * (4 + 6 + 5)
    assert md.CINLayer(5, 3, 4, rng=rng).flops_per_sample() == 5 * 3 + 4 * (2 * 5 * 3)


def test_a_layer_names_inputs_of_another_shape(rng):
    layer = md.CINLayer(5, 3, 2, rng=rng)
    right = np.zeros((4, 5)), np.zeros((4, 3))
    assert layer.forward(*right).shape == (4, 2)
    for x, z in [
        (np.zeros((4, 6)), right[1]),
        (np.zeros((4, 5, 1)), right[1]),
        (np.zeros(5), np.zeros((5, 3))),
        (right[0], np.zeros((4, 2))),
        (right[0], np.zeros((3, 3))),
    ]:
        with pytest.raises(ValueError, match=r"expected \(n, 5\) and \(n, 3\)"):
            layer.forward(x, z)


def test_only_layers_that_are_split_need_an_even_size(rng):
    net = md.CIN(3, 2, (2, 5), True, rng=rng)
    assert (net.passed_on, net.num_outputs) == ([1, 0], 1 + 5)
    assert md.CIN(3, 2, (2, 5), rng=rng).num_outputs == 7
    assert md.CIN(3, 2, (3, 4), rng=rng).num_outputs == 7
    assert str(net) == "CIN(3 × 2, 2-5, split_half)"


def test_a_chunk_has_as_many_rows_as_fit_and_at_least_one(rng, monkeypatch):
    layer = md.CIN(3, 2, (4,), rng=rng, dtype=np.float64).layers[0]
    x, z = np.zeros((7, 5)), np.zeros((7, 3))
    row = 8 * 5 * 3  # bytes of the products of one row
    for size, rows in ((1, 1), (row - 1, 1), (2 * row - 1, 1), (2 * row, 2), (100 * row, 100)):
        monkeypatch.setattr(cin, "_CHUNK_BYTES", size)
        chunks = list(layer._chunks(x, z))
        assert [(c.start, c.stop - c.start) for c in chunks] == [
            (k, rows) for k in range(0, 7, rows)
        ]
