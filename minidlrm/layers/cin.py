"""CIN: the compressed interaction network of xDeepFM.

Step by step in notebooks/07_models_before.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from minidlrm.arrays import as_dtype, as_flag, check_room
from minidlrm.layers.inputs import as_size, as_sizes, check_rng, converted, numbers
from minidlrm.layers.interaction import Interaction
from minidlrm.module import Module, Parameter

_CHUNK_BYTES = 4 << 20  # of outer products at a time: they stay in a cache


class CINLayer(Module):
    r"""One layer, :math:`y_h = \sum_{i,j} W_{hij}\, (x_i \odot z_j) + b_h`.

    All pairs of a vector of x and a vector of z are multiplied entry by entry, and H weighted
    sums of the products are taken: interaction by vectors, not by bits.

    Parameters
    ----------
    num_inputs : int
        Vectors of x.
    num_features : int
        F, vectors of z, the model's embeddings.
    num_maps : int
        H, vectors of y.
    rng : numpy.random.Generator
        Draws W (H, G, F), where G is `num_inputs`, from :math:`N(0, \sqrt{2 / (G F + H)})`.
        b (H,) is 0 at first.
    dtype : dtype
        Type of the parameters.

    References
    ----------
    Lian et al. 2018, "xDeepFM", equation 6.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> layer = md.CINLayer(2, num_features=3, num_maps=4, rng=np.random.default_rng(0))
    >>> layer.forward(np.ones((5, 2), np.float32), np.ones((5, 3), np.float32)).shape
    (5, 4)
    """

    equation = r"y_h = \sum_{ij} W_{hij} (x_i \odot z_j) + b_h"

    def forward(self, x: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Compute y (n, H) from x (n, G) and z (n, F), one row for each sample and d.

        ValueError on another shape.
        """
        weight = self._matrix()  # (H, G F)
        x = numbers("x", x, weight)
        z = numbers("z", z, x)
        self._check(x, z)
        y = np.empty((len(x), len(weight)), z.dtype)  # (n, H)
        for rows in self._chunks(x, z):
            np.matmul(self._outer(x[rows], z[rows]), weight.T, out=y[rows])  # ①
        y += self.bias.value  # ①
        self.keep(x, z)
        return y

    def backward(self, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        r"""Add to the gradients of W and b; return dL/dx (n, G) and dL/dz (n, F).

        1. Write :math:`p_{ij} = x_i z_j` for one sample and one d, so that
           :math:`y_h = \sum_{ij} W_{hij} p_{ij} + b_h`.
        2. :math:`dW_{hij} = \sum dy_h\, p_{ij}` and :math:`db_h = \sum dy_h`, over samples and d.
           The products p are made again: keeping them would take G times the memory of z.
        3. From dy (n, H): :math:`dp_{ij} = \sum_h W_{hij}\, dy_h`.
        4. :math:`dx_i = \sum_j dp_{ij} z_j` and :math:`dz_j = \sum_i dp_{ij} x_i`.
        """
        x, z = self.kept()
        weight = self._matrix()  # (H, G F)
        dy = converted("dy", self.check_dy(dy, (len(x), len(weight))), z.dtype)
        dweight = np.zeros(weight.shape, z.dtype)
        dx, dz = np.empty(x.shape, z.dtype), np.empty(z.shape, z.dtype)
        for rows in self._chunks(x, z):
            dweight += dy[rows].T @ self._outer(x[rows], z[rows])  # ② (H, G F)
            dp = (dy[rows] @ weight).reshape(-1, x.shape[1], z.shape[1])  # ③ (n, G, F)
            np.matmul(dp, z[rows][:, :, None], out=dx[rows][:, :, None])  # ④
            np.matmul(x[rows][:, None], dp, out=dz[rows][:, None])  # ④
        self.weight.add_grad(dweight.reshape(self.weight.value.shape))
        self.bias.add_grad(dy.sum(axis=0))  # ② (H,)
        return dx, dz

    def __init__(
        self,
        num_inputs: int,
        num_features: int,
        num_maps: int,
        *,
        rng: np.random.Generator,
        dtype: Any = np.float32,
    ):
        inputs, features = as_size("num_inputs", num_inputs), as_size("num_features", num_features)
        maps = as_size("num_maps", num_maps)
        check_rng(rng)
        std = np.sqrt(2 / (inputs * features + maps))
        check_room("num_maps, num_inputs or num_features", maps, inputs, features, itemsize=8)
        weight = rng.normal(0, std, (maps, inputs, features))
        self.weight = Parameter(weight.astype(as_dtype(dtype)), "weight")  # W
        self.bias = Parameter(np.zeros(maps, dtype), "bias")  # b

    def _check(self, x: np.ndarray, z: np.ndarray) -> None:
        _, inputs, features = self.weight.value.shape
        if x.ndim != 2 or x.shape[1:] != (inputs,) or z.shape != (len(x), features):
            raise ValueError(
                f"CINLayer: x {x.shape} and z {z.shape}: expected (n, {inputs}) and (n, {features})"
            )

    def _matrix(self) -> np.ndarray:
        return self.weight.value.reshape(len(self.weight.value), -1)

    @staticmethod
    def _outer(x: np.ndarray, z: np.ndarray) -> np.ndarray:
        return (x[:, :, None] * z[:, None]).reshape(len(x), -1)  # ① (n, G F)

    def _chunks(self, x: np.ndarray, z: np.ndarray) -> Iterator[slice]:
        step = max(1, _CHUNK_BYTES // (z.itemsize * x.shape[1] * z.shape[1]))
        for start in range(0, len(x), step):
            yield slice(start, start + step)

    def flops_per_sample(self) -> int:
        r"""Return :math:`(2H + 1) G F`, for one of a sample's D rows."""
        maps, inputs, features = self.weight.value.shape
        return (2 * maps + 1) * inputs * features

    def __repr__(self) -> str:
        return f"CINLayer{self.weight.value.shape}"


class CIN(Interaction):
    r"""Compressed interaction network: vector-wise interactions of growing order.

    Layer k's vectors hold products of :math:`k + 1` embeddings. The sum over d of each vector (sum
    pooling) is an output.

    Parameters
    ----------
    num_features, embedding_dim : int
        F and D.
    cin_layers : sequence of int
        :math:`H_k`, the number of vectors of each layer.
    split_half : bool
        Whether half of each layer's vectors (but the last's) go on to the next layer, and the
        other half to the output. By default all do both.
    rng, dtype
        As `CINLayer`.

    References
    ----------
    Lian et al. 2018, "xDeepFM", section 3.1; the split is that of its published code.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> cin = md.CIN(4, 3, cin_layers=(6, 6), rng=np.random.default_rng(0))
    >>> cin.forward(np.ones((2, 4, 3), np.float32)).shape
    (2, 12)
    """

    equation = r"x^k_h = \sum_{ij} W^k_{hij} (x^{k-1}_i \odot z_j)"

    def forward(self, z: np.ndarray) -> np.ndarray:
        """Compute y (B, M), M outputs, from z (B, F, D); ValueError on another shape."""
        z = self.check_z(z)
        # a row for each sample and d, so that every layer is one matrix product
        flat = z.transpose(0, 2, 1).reshape(-1, self.num_features)  # (B D, F)
        x, pooled = flat, []
        for layer, width in zip(self.layers, self.passed_on, strict=True):
            y = layer.forward(x, flat)  # ① (B D, H)
            out = y[:, width:] if self.split_half else y
            shape = len(z), self.embedding_dim, out.shape[1]
            pooled.append(out.reshape(shape).sum(axis=1))  # ① (B, H)
            x = np.ascontiguousarray(y[:, :width])  # (B D, width)
        self.keep(z.shape, z.dtype, [part.shape[1] for part in pooled])
        return np.concatenate(pooled, axis=1)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        r"""Add to the gradients of all layers; return dL/dz (B, F, D).

        1. Let the :math:`H_k` vectors of layer k be :math:`x^k`, with :math:`x^0 = z`. Of K
           layers, the outputs are :math:`y^k_h = \sum_d x^k_{hd}`.
        2. Go from K down to 1. A pooled output adds up the D entries of its vector, so each entry
           gets the whole gradient: :math:`dx^k_{hd} = dy^k_h`.
        3. A vector that is passed on to layer :math:`k + 1` gets that layer's dx as well; one that
           is both pooled and passed on gets the sum of both gradients.
        4. `CINLayer.backward` makes of :math:`dx^k` the gradient :math:`dx^{k-1}` of this layer's
           input, and :math:`dz^k`, that of z in this layer.
        5. z goes into every layer, and is the first layer's x too:
           :math:`dz = dx^0 + \sum_k dz^k`.
        """
        (batch_size, num_features, dim), dtype, widths = self.kept()
        dy = converted("dy", self.check_dy(dy, (batch_size, sum(widths))), dtype)
        parts = np.split(dy, np.cumsum(widths)[:-1], axis=1)  # (B, H) of each layer
        dz_total = np.zeros((batch_size * dim, num_features), dtype)
        dx = np.zeros((batch_size * dim, 0), dtype)  # the last layer passes nothing on
        for k in reversed(range(len(self.layers))):
            dlayer = np.repeat(parts[k], dim, axis=0)  # ② (B D, H)
            if self.split_half:
                dlayer = np.concatenate([dx, dlayer], axis=1)  # ③
            else:
                dlayer[:, : self.passed_on[k]] += dx  # ③
            dx, dz = self.layers[k].backward(dlayer)  # ④
            dz_total += dz  # ⑤
        dz_total += dx  # ⑤ (B D, F)
        dz_total = dz_total.reshape(batch_size, dim, num_features)  # (B, D, F)
        return dz_total.transpose(0, 2, 1)  # ⑤ (B, F, D)

    def __init__(
        self,
        num_features: int,
        embedding_dim: int,
        cin_layers: Sequence[int],
        split_half: bool = False,
        *,
        rng: np.random.Generator,
        dtype: Any = np.float32,
    ):
        super().__init__(num_features, embedding_dim)
        maps = as_sizes("cin_layers", cin_layers)
        if not maps:
            raise ValueError("cin_layers is empty: a CIN needs at least one layer")
        self.split_half = as_flag("split_half", split_half)
        if self.split_half and any(number % 2 for number in maps[:-1]):
            raise ValueError(f"cin_layers {maps}: split_half needs even sizes")
        self.config |= {"cin_layers": maps, "split_half": self.split_half}
        self.layers: list[CINLayer] = []
        self.passed_on: list[int] = []  # vectors of each layer that the next one reads
        width = self.num_features
        for k, number in enumerate(maps):
            check_room("cin_layers or num_features", number, width, self.num_features, itemsize=8)
            self.layers.append(CINLayer(width, self.num_features, number, rng=rng, dtype=dtype))
            last = k == len(maps) - 1
            width = 0 if last else number // 2 if split_half else number
            self.passed_on.append(width)
        self.num_outputs = sum(maps) - (sum(self.passed_on) if split_half else 0)

    def flops_per_sample(self) -> int:
        r"""Return the sum over layers of :math:`(2 H_k + 1) H_{k-1} F D`."""
        d = self.embedding_dim
        shapes = [layer.weight.value.shape for layer in self.layers]
        return sum((2 * h + 1) * inputs * f * d for h, inputs, f in shapes)

    def bytes_per_sample(self) -> int:
        """Return the bytes of z and of all layers' vectors."""
        vectors = self.num_features + sum(len(layer.bias.value) for layer in self.layers)
        return vectors * self.embedding_dim * self.layers[0].bias.value.itemsize

    def __repr__(self) -> str:
        sizes = "-".join(str(len(layer.bias.value)) for layer in self.layers)
        split = ", split_half" if self.split_half else ""
        return f"CIN({self.num_features} × {self.embedding_dim}, {sizes}{split})"
