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


@pytest.mark.parametrize("chunk", [300, 1 << 20])
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
